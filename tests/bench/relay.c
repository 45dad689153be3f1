/*
 * relay: stands before an S3 server, counts, and adds latency.
 *
 *	relay PORT-OF-SERVER CONTROL-FILE
 *
 * Prints its port, on 127.0.0.1, and serves until its input ends.  The control
 * file is a shared page of 64-bit words: the latency in microseconds, which may
 * be changed at any time, then for each kind of request (get, head, list, put,
 * other) how many there were and how many bytes their responses' bodies had.
 *
 * One thread, and it looks at no more than heads, so that it costs little
 *beside the server: a request is passed on when its latency is over, a response
 *as it comes.  Clients must not send a request before the answer to the last
 *one.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

enum { GET, HEAD, LIST, PUT, OTHER, KINDS };

enum {
	CHUNK = 256 << 10,
	EVENTS = 64,
};

struct control {
	uint64_t latency_us;
	struct {
		uint64_t requests;
		uint64_t bytes;
	} kinds[KINDS];
};

/* One end of a connection: what came from it and has not gone to the other. */
struct end {
	int fd;
	struct link *link;
	char *bytes;
	size_t used;
	size_t sent;
	uint32_t watched; /* events */
	bool ended;
};

struct link {
	struct end client;
	struct end server;
	struct link *next; /* of those that wait for their time */
	uint64_t due_ns;   /* when the request may be sent on; 0: now */
	uint64_t body;     /* what is still to come of the request */
	int kind;
	bool in_head; /* of the response */
	bool closed;
};

static struct control *control;
static struct link *first_due, *last_due, *dead;
static int polled;
static uint16_t server_port;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* Asks for what both ends can use now: bytes while there is room for them, and
 * room while there are bytes. */
static void watch(struct end *e, const struct end *other, bool held)
{
	struct epoll_event ev = { .data.ptr = e };

	if (!e->ended && e->used < CHUNK)
		ev.events |= EPOLLIN;
	if (other->used && !held)
		ev.events |= EPOLLOUT;
	if (ev.events == e->watched)
		return;
	e->watched = ev.events;
	if (epoll_ctl(polled, EPOLL_CTL_MOD, e->fd, &ev))
		fail("epoll_ctl");
}

static void watch_both(struct link *l)
{
	if (l->closed)
		return;
	watch(&l->client, &l->server, false);
	watch(&l->server, &l->client, l->due_ns != 0);
}

static void add(struct end *e, struct link *l, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = e };
	int on = 1;

	*e = (struct end){ .fd = fd, .link = l, .watched = EPOLLIN };
	e->bytes = malloc(CHUNK);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (!e->bytes || epoll_ctl(polled, EPOLL_CTL_ADD, fd, &ev))
		fail("a connection");
}

/* The memory goes when no event can name it any more. */
static void close_link(struct link *l)
{
	if (l->closed)
		return;
	l->closed = true;
	close(l->client.fd);
	close(l->server.fd);
	if (!l->due_ns) {
		l->next = dead;
		dead = l;
	}
}

static void free_dead(void)
{
	while (dead) {
		struct link *l = dead;

		dead = l->next;
		free(l->client.bytes);
		free(l->server.bytes);
		free(l);
	}
}

static void accept_one(int listener)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	struct link *l;
	int fd, up;

	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to.sin_port = htons(server_port);
	up = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (up < 0 || connect(up, (struct sockaddr *)&to, sizeof(to))) {
		close(fd);
		close(up);
		return;
	}
	fcntl(up, F_SETFL, O_NONBLOCK);
	l = calloc(1, sizeof(*l));
	if (!l)
		fail("calloc");
	add(&l->client, l, fd);
	add(&l->server, l, up);
}

/* Sends what came from `from` to the other end, as far as that takes it. */
static void pass(struct end *from)
{
	struct link *l = from->link;
	struct end *to = from == &l->client ? &l->server : &l->client;

	while (from->sent < from->used) {
		ssize_t n = send(to->fd, from->bytes + from->sent,
				 from->used - from->sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			close_link(l);
			return;
		}
		from->sent += (size_t)n;
	}
	from->used = from->sent = 0;
	if (from->ended)
		close_link(l);
}

static const char *find(const char *bytes, size_t n, const char *what)
{
	return memmem(bytes, n, what, strlen(what));
}

static int kind_of(const char *head, size_t n)
{
	const char *line = memchr(head, '\r', n);
	const char *path = memchr(head, ' ', n);
	const char *query, *slash;
	size_t left;

	if (!path || !line || path > line)
		return OTHER;
	left = (size_t)(line - path);
	query = memchr(path, '?', left);
	slash = left > 2 ? memchr(path + 2, '/', left - 2) : NULL;
	if (slash && query && slash > query)
		slash = NULL;
	if (!strncmp(head, "HEAD ", 5))
		return HEAD;
	if (!strncmp(head, "PUT ", 4))
		return PUT;
	if (strncmp(head, "GET ", 4))
		return OTHER;
	return slash && slash + 1 < line && slash[1] != ' ' && slash[1] != '?'
		       ? GET
		       : LIST;
}

static uint64_t length_of(const char *head, size_t n)
{
	for (const char *at = head;
	     (at = find(at, n - (size_t)(at - head), "\r\n"));) {
		at += 2;
		if (!strncasecmp(at, "content-length:", 15))
			return strtoull(at + 15, NULL, 10);
	}
	return 0;
}

/* The head of a request is there: counts it, and when it may go on. */
static void begin(struct link *l, size_t head)
{
	struct end *e = &l->client;

	l->kind = kind_of(e->bytes, head);
	l->body = length_of(e->bytes, head);
	l->body -= l->body < e->used - head ? l->body : e->used - head;
	l->in_head = true;
	control->kinds[l->kind].requests++;
	if (!control->latency_us)
		return;
	l->due_ns = bench_now_ns() + control->latency_us * 1000;
	l->next = NULL;
	if (first_due)
		last_due->next = l;
	else
		first_due = l;
	last_due = l;
}

static void on_client(struct link *l)
{
	struct end *e = &l->client;
	ssize_t n = recv(e->fd, e->bytes + e->used, CHUNK - e->used, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		close_link(l);
		return;
	}
	e->used += (size_t)n;
	if (l->body) {
		l->body -= (size_t)n < l->body ? (size_t)n : l->body;
	} else if (!l->due_ns) {
		const char *end = find(e->bytes, e->used, "\r\n\r\n");

		if (!end)
			return;
		begin(l, (size_t)(end - e->bytes) + 4);
	}
	if (!l->due_ns)
		pass(e);
}

static void on_server(struct link *l)
{
	struct end *e = &l->server;
	ssize_t n;
	size_t body;

	n = recv(e->fd, e->bytes + e->used, CHUNK - e->used, 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		e->ended = true;
		pass(e);
		return;
	}
	body = (size_t)n;
	if (l->in_head) {
		const char *at = e->bytes + e->used;
		const char *end = find(at, body, "\r\n\r\n");

		body = end ? body - (size_t)(end - at) - 4 : 0;
		l->in_head = !end;
	}
	control->kinds[l->kind].bytes += body;
	e->used += (size_t)n;
	pass(e);
}

static void on_event(const struct epoll_event *ev)
{
	struct end *e = ev->data.ptr;
	struct link *l = e->link;

	if (l->closed)
		return;
	if (ev->events & EPOLLOUT)
		pass(e == &l->client ? &l->server : &l->client);
	if (!l->closed && ev->events & ~(uint32_t)EPOLLOUT && !e->ended) {
		if (e == &l->client)
			on_client(l);
		else
			on_server(l);
	}
	watch_both(l);
}

/* Sends on the requests whose time has come; microseconds to the next. */
static int64_t pass_due(void)
{
	while (first_due) {
		struct link *l = first_due;
		uint64_t now = bench_now_ns();

		if (l->due_ns > now)
			return (int64_t)((l->due_ns - now) / 1000);
		first_due = l->next;
		l->due_ns = 0;
		if (l->closed) {
			l->next = dead;
			dead = l;
		} else {
			pass(&l->client);
			watch_both(l);
		}
	}
	return -1;
}

static int listen_somewhere(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t size = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) ||
	    listen(fd, 256) || getsockname(fd, (struct sockaddr *)&a, &size))
		fail("listen");
	printf("%d\n", ntohs(a.sin_port));
	fflush(stdout);
	return fd;
}

static void map_control(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, BENCH_PAGE))
		fail(path);
	control = mmap(NULL, BENCH_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		       0);
	if (control == MAP_FAILED)
		fail(path);
	close(fd);
}

static void serve(int listener)
{
	struct epoll_event in = { .events = EPOLLIN };
	struct epoll_event hup = { .events = EPOLLIN, .data.fd = 0 };
	struct epoll_event ev[EVENTS];
	struct end door = { .fd = listener }, input = { .fd = 0 };

	in.data.ptr = &door;
	hup.data.ptr = &input;
	if (epoll_ctl(polled, EPOLL_CTL_ADD, listener, &in) ||
	    epoll_ctl(polled, EPOLL_CTL_ADD, 0, &hup))
		fail("epoll_ctl");
	for (;;) {
		int64_t us = pass_due();
		struct timespec wait = { us / 1000000, us % 1000000 * 1000 };
		int n = epoll_pwait2(polled, ev, EVENTS, us < 0 ? NULL : &wait,
				     NULL);

		for (int i = 0; i < n; i++) {
			if (ev[i].data.ptr == &input)
				return;
			if (ev[i].data.ptr == &door)
				accept_one(listener);
			else
				on_event(&ev[i]);
		}
		free_dead();
	}
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fputs("usage: relay PORT-OF-SERVER CONTROL-FILE\n", stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	server_port = (uint16_t)atoi(argv[1]);
	polled = epoll_create1(EPOLL_CLOEXEC);
	map_control(argv[2]);
	serve(listen_somewhere());
	return 0;
}
