#include "rpc/transport.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "rpc/send_queue.h"
#include "rpc/socket.h"
#include "runtime/watch.h"
#include "runtime/workpool.h"

#define LOG_MODULE "rpc"
#include "runtime/log.h"

#define READS_A_TURN   16 /* then the other connections' turn */
#define ACCEPTS_A_TURN 64
#define ACCEPT_WAIT_MS 100 /* after running out of descriptors */

struct real {
	struct transport transport;
	struct loop *loop;
	struct turn_end *turn_end;
	struct workpool *resolver; /* NULL until a host name is looked up */
	struct list connections, listeners;
	struct list dirty; /* connections with something to send */
};

struct listener {
	struct list link;
	struct real *real;
	struct watch *watch;
	struct timer pause;
	int fd;
	char *path; /* of a unix socket, and which file it was */
	dev_t dev;
	ino_t ino;
	void (*accepted)(void *owner, struct connection *c,
			 const struct peer *peer);
	void *owner;
};

enum state {
	RESOLVING,
	CONNECTING,
	OPEN,
	CLOSED, /* the last callbacks are on their way */
};

struct connection {
	struct list link, dirty;
	struct real *real;
	const struct connection_events *events; /* NULL: not started */
	void *owner;
	struct watch *watch;
	int fd;
	enum state state;
	bool local, paused;
	struct send_queue out;
	int code; /* why it is closed */
	struct task end;

	/* While resolving and connecting. */
	char *address;
	struct addrinfo *found, *next;
	struct task resolve;
};

static struct real *to_real(struct transport *t)
{
	return container_of(t, struct real, transport);
}

static void mark_dirty(struct connection *c)
{
	if (list_empty(&c->dirty))
		list_push_back(&c->real->dirty, &c->dirty);
}

/* ---- the end of a connection ---- */

/* The last callbacks; frees it. */
static void finish(struct connection *c)
{
	send_queue_end(&c->out, c->code);
	list_remove(&c->link);
	if (c->events)
		c->events->closed(c->owner, c->code);
	if (c->found)
		freeaddrinfo(c->found);
	free(c->address);
	free(c);
}

static void on_end(struct task *t)
{
	finish(container_of(t, struct connection, end));
}

static void release_socket(struct connection *c)
{
	if (c->watch)
		watch_free(c->watch);
	c->watch = NULL;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

static void fail(struct connection *c, int code)
{
	bool resolving = c->state == RESOLVING;

	if (c->state == CLOSED)
		return;
	c->state = CLOSED;
	c->code = code;
	list_remove(&c->dirty);
	release_socket(c);
	if (!resolving) /* else on_resolved() does */
		loop_post(c->real->loop, &c->end, on_end);
}

static void set_watch(struct connection *c)
{
	unsigned events = 0;

	if (c->state == CONNECTING || c->out.full)
		events |= WATCH_WRITE;
	if (c->state == OPEN && c->events && !c->paused)
		events |= WATCH_READ;
	watch_set(c->watch, events);
}

static void read_some(struct connection *c);

static void send_queued(struct connection *c)
{
	int rv = send_queue_flush(&c->out);

	send_queue_tell_sent(&c->out);
	if (c->state != OPEN)
		return;
	if (!rv) {
		set_watch(c);
		return;
	}
	if (c->events) /* it may have said why */
		read_some(c);
	fail(c, rv == -EPIPE ? -ECONNRESET : rv);
}

/* At the end of a turn: many small frames of a connection in one message. */
static void flush_all(void *owner)
{
	struct real *r = owner;
	struct connection *c;
	struct list *link;

	while ((link = list_pop_front(&r->dirty))) {
		c = list_entry(link, struct connection, dirty);
		send_queued(c);
	}
}

static void real_write(struct connection *c, struct connection_write *w)
{
	send_queue_push(&c->out, w);
	if (c->state == OPEN && !c->out.full)
		mark_dirty(c);
}

/* ---- receiving ---- */

/* Until the socket is empty; a read that fills its room has perhaps more. */
static void read_some(struct connection *c)
{
	size_t len;
	ssize_t n;
	void *to;
	int i, fd;

	for (i = 0; i < READS_A_TURN && c->state == OPEN && !c->paused; i++) {
		to = c->events->room(c->owner, &len);
		if (!to) {
			c->paused = true;
			set_watch(c);
			return;
		}
		n = socket_receive(c->fd, c->local, to, len, &fd);
		if (n > 0) {
			c->events->received(c->owner, (size_t)n, fd);
			if ((size_t)n < len && fd < 0)
				return;
		} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
			fail(c, n ? -errno : -ECONNRESET);
		} else if (errno == EAGAIN) {
			return;
		}
	}
}

static void real_resume(struct connection *c)
{
	if (!c->paused)
		return;
	c->paused = false;
	if (c->state == OPEN)
		set_watch(c);
}

/* ---- connecting ---- */

static void try_next(struct connection *c, int code);

static void on_ready(void *owner, int fd, unsigned events)
{
	struct connection *c = owner;
	socklen_t len = sizeof(int);
	int code = 0;

	if (c->state == CONNECTING || (events & WATCH_ERROR)) {
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &len);
		if (c->state == CONNECTING) {
			try_next(c, -code);
			return;
		}
		if (code) {
			fail(c, -code);
			return;
		}
		events |= WATCH_READ; /* which says what is the matter */
	}
	if (events & WATCH_WRITE) {
		c->out.full = false;
		send_queued(c);
	}
	if ((events & WATCH_READ) && c->state == OPEN)
		read_some(c);
	if (c->state == OPEN)
		set_watch(c);
}

static void opened(struct connection *c)
{
	c->state = OPEN;
	if (!c->local)
		socket_tune(c->fd);
	c->out.fd = c->fd;
	if (!list_empty(&c->out.writes))
		mark_dirty(c);
	set_watch(c);
}

/* The attempt before ended with `code`; 0: it is connected. */
static void try_next(struct connection *c, int code)
{
	if (!code) {
		opened(c);
		return;
	}
	while (c->next) {
		release_socket(c);
		code = socket_connect_tcp(c->next, &c->fd);
		c->next = c->next->ai_next;
		if (code && code != -EINPROGRESS)
			continue;
		c->watch = watch_new(c->real->loop, c->fd, on_ready, c);
		c->state = CONNECTING;
		set_watch(c);
		return;
	}
	c->state = CONNECTING;
	fail(c, code);
}

static ssize_t resolve_work(struct task *t)
{
	struct connection *c = container_of(t, struct connection, resolve);

	return socket_resolve(c->address, false, false, &c->found, NULL);
}

static void on_resolved(struct task *t)
{
	struct connection *c = container_of(t, struct connection, resolve);

	if (c->state == CLOSED) { /* meanwhile */
		finish(c);
		return;
	}
	c->next = c->found;
	try_next(c, t->status ? (int)t->status : -EADDRNOTAVAIL);
}

/* A name is looked up on a thread of our own: libuv's are raft's. */
static void resolve(struct connection *c)
{
	struct real *r = c->real;

	if (!r->resolver && workpool_new(&r->resolver, "resolve", 1)) {
		fail(c, -EAGAIN);
		return;
	}
	workpool_submit(r->resolver, r->loop, &c->resolve, resolve_work,
			on_resolved);
}

static struct connection *connection_new(struct real *r, int fd)
{
	struct connection *c = mem_alloc(sizeof(*c));

	c->real = r;
	c->fd = fd;
	c->state = OPEN;
	list_init(&c->dirty);
	send_queue_init(&c->out, fd);
	list_push_back(&r->connections, &c->link);
	if (fd >= 0)
		c->watch = watch_new(r->loop, fd, on_ready, c);
	return c;
}

static struct connection *real_connect(struct transport *t, const char *address)
{
	const char *path = socket_unix_path(address);
	struct real *r = to_real(t);
	struct connection *c;
	int fd = -1, rv;

	if (path) {
		rv = socket_connect_unix(path, &fd);
		c = connection_new(r, fd);
		c->local = true;
		if (rv)
			fail(c, rv);
		return c;
	}
	c = connection_new(r, -1);
	c->address = mem_str(address);
	if (socket_resolve(address, true, false, &c->found, NULL) == 0) {
		c->next = c->found;
		try_next(c, -EADDRNOTAVAIL);
	} else {
		c->state = RESOLVING;
		resolve(c);
	}
	return c;
}

static void real_start(struct connection *c,
		       const struct connection_events *events, void *owner)
{
	c->events = events;
	c->owner = owner;
	if (c->state == OPEN)
		set_watch(c);
}

static void real_close(struct connection *c)
{
	if (c->state == OPEN)
		send_queue_flush(&c->out);
	fail(c, -ECANCELED);
}

/* ---- listening ---- */

static void on_acceptable(void *owner, int fd, unsigned events ATTR_UNUSED);

static void on_pause_over(struct timer *t)
{
	struct listener *l = container_of(t, struct listener, pause);

	watch_set(l->watch, WATCH_READ);
}

static void accept_failed(struct listener *l)
{
	if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR)
		return;
	log_warn("cannot accept a connection", "error=\"%s\" wait_ms=%d",
		 err_text(-errno), ACCEPT_WAIT_MS);
	watch_set(l->watch, 0);
	loop_timer_start(l->real->loop, &l->pause, ACCEPT_WAIT_MS,
			 on_pause_over);
}

static void on_acceptable(void *owner, int fd, unsigned events ATTR_UNUSED)
{
	struct listener *l = owner;
	struct connection *c;
	struct peer peer;
	int i, new_fd;

	for (i = 0; i < ACCEPTS_A_TURN; i++) {
		new_fd = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (new_fd < 0) {
			accept_failed(l);
			return;
		}
		socket_peer(new_fd, &peer);
		c = connection_new(l->real, new_fd);
		c->local = peer.local;
		if (!c->local)
			socket_tune(new_fd);
		l->accepted(l->owner, c, &peer);
	}
}

static int real_listen(struct transport *t, const char *address,
		       void (*accepted)(void *owner, struct connection *c,
					const struct peer *peer),
		       void *owner, struct listener **out, char *bound,
		       struct err *err)
{
	const char *path = socket_unix_path(address);
	int fd = socket_listen(address, bound, err);
	struct listener *l;
	struct stat st;

	if (fd < 0)
		return fd;
	l = mem_alloc(sizeof(*l));
	l->real = to_real(t);
	l->fd = fd;
	l->accepted = accepted;
	l->owner = owner;
	list_init(&l->pause.link);
	if (path && stat(path, &st) == 0) {
		l->path = mem_str(path);
		l->dev = st.st_dev;
		l->ino = st.st_ino;
	}
	l->watch = watch_new(l->real->loop, fd, on_acceptable, l);
	watch_set(l->watch, WATCH_READ);
	list_push_back(&l->real->listeners, &l->link);
	*out = l;
	return 0;
}

static void real_unlisten(struct transport *t ATTR_UNUSED, struct listener *l)
{
	struct stat st;

	loop_timer_stop(&l->pause);
	watch_free(l->watch);
	close(l->fd);
	/* Unless somebody has put his own there. */
	if (l->path && stat(l->path, &st) == 0 && st.st_dev == l->dev &&
	    st.st_ino == l->ino)
		unlink(l->path);
	list_remove(&l->link);
	free(l->path);
	free(l);
}

static const struct transport_ops real_ops = {
	.listen = real_listen,
	.unlisten = real_unlisten,
	.connect = real_connect,
	.start = real_start,
	.write = real_write,
	.resume = real_resume,
	.close = real_close,
};

void transport_real_init(struct loop *l)
{
	struct real *r = mem_alloc(sizeof(*r));

	r->transport.ops = &real_ops;
	r->loop = l;
	r->turn_end = turn_end_new(l, flush_all, r);
	list_init(&r->connections);
	list_init(&r->listeners);
	list_init(&r->dirty);
	l->transport = &r->transport;
}

void transport_real_close(struct loop *l)
{
	struct real *r = to_real(l->transport);

	while (!list_empty(&r->listeners))
		real_unlisten(l->transport, list_entry(r->listeners.next,
						       struct listener, link));
	if (r->resolver)
		workpool_close(r->resolver);
	flush_all(r);
	do { /* what a callback posts is done too */
		struct list *c;

		for (c = r->connections.next; c != &r->connections; c = c->next)
			real_close(list_entry(c, struct connection, link));
	} while (loop_turn(l));
	assert(list_empty(&r->connections));
	turn_end_free(r->turn_end);
	free(r);
	l->transport = NULL;
}
