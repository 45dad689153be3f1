#include "lib/http_fake.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/watch.h"

struct conn {
	struct list link;
	struct list waits; /* in the order of requests */
	struct http_fake *fake;
	struct watch *watch;
	int fd;
	char head[8192];
	size_t len;
};

struct answer {
	struct list link;
	char *raw;
	bool hang_up;
};

struct http_fake {
	struct loop *loop;
	struct watch *watch;
	int fd, port;
	struct list conns, waiting, answers;
	unsigned accepted, requests, n_waiting;
	char head[8192];
	char *all;
};

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void conn_free(struct conn *c)
{
	if (c->waits.next != &c->waits)
		c->fake->n_waiting--;
	list_remove(&c->waits);
	list_remove(&c->link);
	watch_free(c->watch);
	close(c->fd);
	free(c);
}

static void give(struct conn *c, struct answer *a)
{
	size_t len = strlen(a->raw), at = 0;
	ssize_t n;

	while (at < len) {
		n = send(c->fd, a->raw + at, len - at, MSG_NOSIGNAL);
		if (n < 0)
			break; /* it has hung up */
		at += (size_t)n;
	}
	if (a->hang_up)
		conn_free(c);
	free(a->raw);
	free(a);
}

static void match(struct http_fake *f)
{
	struct list *link;

	while (!list_empty(&f->waiting) && !list_empty(&f->answers)) {
		link = list_pop_front(&f->waiting);
		f->n_waiting--;
		give(list_entry(link, struct conn, waits),
		     list_entry(list_pop_front(&f->answers), struct answer,
				link));
	}
}

/* Whether the head is there and as much of a body as it announces. */
static bool is_whole(const char *request)
{
	const char *end = strstr(request, "\r\n\r\n");
	const char *field = strstr(request, "\r\nContent-Length: ");

	return end && (!field || field > end ||
		       strlen(end + 4) >= (size_t)atoi(field + 18));
}

static void on_data(void *owner, int fd, unsigned events)
{
	struct conn *c = owner;
	struct http_fake *f = c->fake;
	ssize_t n;

	(void)events;
	n = recv(fd, c->head + c->len, sizeof(c->head) - 1 - c->len,
		 MSG_DONTWAIT);
	if (n <= 0) {
		conn_free(c);
		return;
	}
	c->len += (size_t)n;
	c->head[c->len] = '\0';
	if (!is_whole(c->head))
		return;
	memcpy(f->head, c->head, c->len + 1);
	f->all = mem_resize(f->all, strlen(f->all) + c->len + 1, 1);
	strcat(f->all, c->head);
	c->len = 0;
	f->requests++;
	f->n_waiting++;
	list_push_back(&f->waiting, &c->waits);
	match(f);
}

static void on_connection(void *owner, int fd, unsigned events)
{
	struct http_fake *f = owner;
	struct conn *c;
	int new_fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

	(void)events;
	if (new_fd < 0)
		return;
	f->accepted++;
	c = mem_alloc(sizeof(*c));
	c->fake = f;
	c->fd = new_fd;
	list_init(&c->waits);
	list_push_back(&f->conns, &c->link);
	c->watch = watch_new(f->loop, new_fd, on_data, c);
	watch_set(c->watch, WATCH_READ);
}

struct http_fake *http_fake_new(struct loop *l)
{
	struct http_fake *f = mem_alloc(sizeof(*f));
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);

	f->loop = l;
	f->all = mem_str("");
	list_init(&f->conns);
	list_init(&f->waiting);
	list_init(&f->answers);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(f->fd >= 0 && bind(f->fd, (struct sockaddr *)&a, len) == 0 &&
	     listen(f->fd, 256) == 0 &&
	     getsockname(f->fd, (struct sockaddr *)&a, &len) == 0);
	f->port = ntohs(a.sin_port);
	f->watch = watch_new(l, f->fd, on_connection, f);
	watch_set(f->watch, WATCH_READ);
	return f;
}

void http_fake_free(struct http_fake *f)
{
	struct answer *a;

	while (!list_empty(&f->conns))
		conn_free(list_entry(f->conns.next, struct conn, link));
	while (!list_empty(&f->answers)) {
		a = list_entry(list_pop_front(&f->answers), struct answer,
			       link);
		free(a->raw);
		free(a);
	}
	watch_free(f->watch);
	close(f->fd);
	free(f->all);
	free(f);
}

int http_fake_port(const struct http_fake *f)
{
	return f->port;
}

void http_fake_answer(struct http_fake *f, const char *raw, bool hang_up)
{
	struct answer *a = mem_alloc(sizeof(*a));

	a->raw = mem_str(raw);
	a->hang_up = hang_up;
	list_push_back(&f->answers, &a->link);
	match(f);
}

unsigned http_fake_accepted(const struct http_fake *f)
{
	return f->accepted;
}

unsigned http_fake_requests(const struct http_fake *f)
{
	return f->requests;
}

unsigned http_fake_waiting(const struct http_fake *f)
{
	return f->n_waiting;
}

const char *http_fake_head(const struct http_fake *f)
{
	return f->head;
}

const char *http_fake_all(const struct http_fake *f)
{
	return f->all;
}
