#include "rpc/server.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "rpc/conn.h"
#include "runtime/metrics.h"

#define LOG_MODULE "rpc"
#include "runtime/log.h"

/* What one connection may have in flight; then it is read no further. */
#define MAX_CALLS     4096
#define MAX_BYTES     (2u << 20) /* of requests; decoded some 50 times that */
#define BODY_SMALL    256
#define ZONE_SIZE     1024
#define MAX_FREE      256 /* calls kept for reuse */
#define MAX_LISTENERS 8

struct rpc_server {
	struct loop *loop;
	struct rpc_service service;
	struct rpc_identity identity;
	size_t request_max;
	struct out_pool outs;
	struct list sessions;
	struct list free_calls;
	unsigned n_free;
	unsigned in_flight; /* calls */
	struct listener *listeners[MAX_LISTENERS];
	unsigned n_listeners;
	bool closed;

	void (*drained)(void *owner);
	void *drained_owner;
	bool draining;
	bool telling; /* drained() is on its way */
	struct task task;
};

struct rpc_session {
	struct conn conn;
	struct rpc_server *server;
	struct list link;
	struct list calls;
	unsigned n_calls;
	size_t bytes;
	bool gone, was_ready;
};

struct rpc_call {
	struct list link;
	struct rpc_session *session;
	const struct rpc_method *method;
	uint32_t id;
	msgpack_zone zone;
	uint8_t *body;
	size_t body_len;
	uint64_t deadline_ms; /* 0: none */
	struct timer timer;
	bool cancelled;
	void (*on_cancel)(void *owner);
	void *cancel_owner;
	uint8_t small[BODY_SMALL];
	max_align_t request[];
};

/* ---- the end of things ---- */

static void on_drained(struct task *t);

static void free_server(struct rpc_server *s)
{
	struct rpc_call *call;
	struct list *link;

	while ((link = list_pop_front(&s->free_calls))) {
		call = list_entry(link, struct rpc_call, link);
		msgpack_zone_destroy(&call->zone);
		free(call);
	}
	out_pool_close(&s->outs);
	free(s);
}

/* What waits for the last call, frame or session; it may free the server. */
static void check_end(struct rpc_server *s)
{
	if (s->outs.busy)
		return;
	if (s->draining && !s->in_flight) {
		s->draining = false;
		s->telling = true;
		loop_post(s->loop, &s->task, on_drained);
	}
	if (s->closed && !s->telling && list_empty(&s->sessions))
		free_server(s);
}

static void on_idle(struct out_pool *pool)
{
	check_end(container_of(pool, struct rpc_server, outs));
}

static void on_drained(struct task *t)
{
	struct rpc_server *s = container_of(t, struct rpc_server, task);

	if (!s->closed)
		s->drained(s->drained_owner);
	s->telling = false;
	check_end(s);
}

static void end_session(struct rpc_session *s)
{
	struct rpc_server *server = s->server;

	if (!s->gone || s->n_calls)
		return;
	if (s->was_ready && server->service.lost && !server->closed)
		server->service.lost(server->service.role, s);
	list_remove(&s->link);
	free(s);
	check_end(server);
}

/* ---- calls ---- */

static struct rpc_call *call_new(struct rpc_session *s)
{
	struct rpc_server *server = s->server;
	struct list *link = list_pop_front(&server->free_calls);
	struct rpc_call *call;

	if (link) {
		server->n_free--;
		call = list_entry(link, struct rpc_call, link);
	} else {
		call = mem_alloc(sizeof(*call) + server->request_max);
		if (!msgpack_zone_init(&call->zone, ZONE_SIZE))
			abort();
	}
	call->session = s;
	call->cancelled = false;
	call->on_cancel = NULL;
	list_init(&call->timer.link);
	list_push_back(&s->calls, &call->link);
	s->n_calls++;
	server->in_flight++;
	return call;
}

/* The request must not move or change while it is being served. */
static void keep_body(struct rpc_call *call, const struct envelope *e)
{
	call->body = call->small;
	if (e->body_len > sizeof(call->small))
		call->body = mem_resize(NULL, e->body_len, 1);
	memcpy(call->body, e->body, e->body_len);
	call->body_len = e->body_len;
	call->session->bytes += e->body_len;
}

static bool is_hungry(void *owner)
{
	struct rpc_session *s = owner;

	return s->n_calls < MAX_CALLS && s->bytes < MAX_BYTES;
}

/* It has been answered. */
static void call_done(struct rpc_call *call)
{
	struct rpc_session *s = call->session;
	struct rpc_server *server = s->server;
	bool was_full = !is_hungry(s);

	list_remove(&call->link);
	loop_timer_stop(&call->timer);
	if (call->body != call->small)
		free(call->body);
	msgpack_zone_clear(&call->zone);
	s->bytes -= call->body_len;
	s->n_calls--;
	server->in_flight--;
	if (server->n_free < MAX_FREE) {
		server->n_free++;
		list_push_back(&server->free_calls, &call->link);
	} else {
		msgpack_zone_destroy(&call->zone);
		free(call);
	}
	if (s->gone) {
		end_session(s);
		return;
	}
	if (was_full && is_hungry(s))
		conn_resume(&s->conn);
	check_end(server);
}

static void cancel(struct rpc_call *call)
{
	void (*fn)(void *owner) = call->on_cancel;

	call->cancelled = true;
	call->on_cancel = NULL;
	if (fn)
		fn(call->cancel_owner);
}

static int on_call(struct rpc_session *s, const struct frame *f,
		   struct err *err)
{
	const struct rpc_service *service = &s->server->service;
	const struct rpc_method *method = NULL;
	struct rpc_call *call = call_new(s);
	int rv;

	call->id = f->e.id;
	call->deadline_ms =
		f->e.extra ? loop_now_ms(s->server->loop) + f->e.extra : 0;
	keep_body(call, &f->e);
	metric_add(METRIC_rpcs, 1);
	if (f->e.number < service->n_methods)
		method = &service->methods[f->e.number];
	if (!method || !method->name || !service->handlers[f->e.number]) {
		rpc_fail(call, -EOPNOTSUPP, "the %s has no call %u",
			 service->name, f->e.number);
		return 0;
	}
	if (s->server->draining || s->server->telling) {
		rpc_fail(call, -ESHUTDOWN, "the %s is going down",
			 service->name);
		return 0;
	}
	call->method = method;
	rv = method->decode_request(call->request, call->body, call->body_len,
				    &call->zone, err);
	if (rv)
		call_done(call);
	else
		service->handlers[f->e.number](service->role, call,
					       call->request);
	return rv;
}

static void on_cancel_frame(struct rpc_session *s, uint32_t id)
{
	struct rpc_call *call;
	struct list *l;

	for (l = s->calls.next; l != &s->calls; l = l->next) {
		call = list_entry(l, struct rpc_call, link);
		if (call->id == id) {
			cancel(call);
			return;
		}
	}
}

/* ---- sessions ---- */

static void on_ready(void *owner)
{
	((struct rpc_session *)owner)->was_ready = true;
}

static int on_frame(void *owner, struct frame *f, struct err *err)
{
	struct rpc_session *s = owner;

	if (s->server->closed)
		return 0;
	switch (f->e.kind) {
	case FRAME_CALL:
		return on_call(s, f, err);
	case FRAME_CANCEL:
		on_cancel_frame(s, f->e.id);
		return 0;
	}
	return err_set(err, ERR_BAD_MESSAGE, "kind %u is no server's",
		       f->e.kind);
}

static void on_closed(void *owner, int code ATTR_UNUSED, const struct err *err)
{
	struct rpc_session *s = owner;
	struct list calls, *link;

	log_debug("connection ended", "peer=\"%s\" reason=\"%s\"",
		  s->conn.peer.address, err->msg);
	s->gone = true;
	s->n_calls++; /* stays while we look at it */
	list_take(&calls, &s->calls);
	while ((link = list_pop_front(&calls))) {
		list_push_back(&s->calls, link);
		if (s->server->closed)
			continue;
		cancel(list_entry(link, struct rpc_call, link));
	}
	s->n_calls--;
	end_session(s);
}

static const struct conn_ops session_ops = {
	.ready = on_ready,
	.frame = on_frame,
	.hungry = is_hungry,
	.closed = on_closed,
};

static void on_accepted(void *owner, struct connection *c,
			const struct peer *peer)
{
	struct rpc_server *server = owner;
	struct rpc_session *s = mem_alloc(sizeof(*s));

	s->server = server;
	list_init(&s->calls);
	list_push_back(&server->sessions, &s->link);
	conn_init(&s->conn, server->loop, c, peer, peer->address,
		  &server->identity, &server->outs, &session_ops, s);
}

/* ---- the server ---- */

struct rpc_server *rpc_server_new(struct loop *loop,
				  const struct rpc_service *service,
				  const struct rpc_identity *identity)
{
	struct rpc_server *s = mem_alloc(sizeof(*s));
	unsigned i;

	s->loop = loop;
	s->service = *service;
	s->identity = *identity;
	for (i = 0; i < service->n_methods; i++)
		if (service->methods[i].request_size > s->request_max)
			s->request_max = service->methods[i].request_size;
	list_init(&s->sessions);
	list_init(&s->free_calls);
	out_pool_init(&s->outs, on_idle);
	return s;
}

int rpc_server_listen(struct rpc_server *s, const char *address, char *bound,
		      struct err *err)
{
	struct transport *t = s->loop->transport;
	int rv;

	if (s->n_listeners == MAX_LISTENERS)
		return err_set(err, -E2BIG, "listen on %s: over %d addresses",
			       address, MAX_LISTENERS);
	rv = t->ops->listen(t, address, on_accepted, s,
			    &s->listeners[s->n_listeners], bound, err);
	if (!rv)
		s->n_listeners++;
	return rv;
}

static void stop_listening(struct rpc_server *s)
{
	struct transport *t = s->loop->transport;

	while (s->n_listeners > 0)
		t->ops->unlisten(t, s->listeners[--s->n_listeners]);
}

void rpc_server_drain(struct rpc_server *s, void (*drained)(void *owner),
		      void *owner)
{
	stop_listening(s);
	s->drained = drained;
	s->drained_owner = owner;
	s->draining = true;
	check_end(s);
}

void rpc_server_close(struct rpc_server *s)
{
	struct list *l;

	stop_listening(s);
	s->closed = true;
	for (l = s->sessions.next; l != &s->sessions; l = l->next)
		conn_close(&list_entry(l, struct rpc_session, link)->conn,
			   -ECANCELED, "closed here");
	check_end(s);
}

/* ---- answers ---- */

static struct out *begin(struct rpc_call *call, enum frame_kind kind,
			 uint32_t number, uint64_t extra, msgpack_packer *body)
{
	const struct envelope e = {
		.kind = kind,
		.id = call->id,
		.number = number,
		.extra = extra,
	};

	return out_new(&call->session->server->outs, &e, body);
}

static void answer(struct rpc_call *call, struct out *o, size_t payload)
{
	struct rpc_session *s = call->session;

	if (out_finish(o, payload)) {
		out_drop(o, s->server->loop);
		rpc_fail(call, -EMSGSIZE, "the reply to %s is too long",
			 call->method->name);
		return;
	}
	if (call->cancelled)
		out_drop(o, s->server->loop);
	else
		conn_send(&s->conn, o);
	call_done(call);
}

static struct out *begin_reply(struct rpc_call *call, const void *reply,
			       uint64_t flags)
{
	msgpack_packer body;
	struct out *o = begin(call, FRAME_REPLY, 0, flags, &body);

	call->method->encode_reply(reply, &body);
	return o;
}

void rpc_reply(struct rpc_call *call, const void *reply)
{
	answer(call, begin_reply(call, reply, 0), 0);
}

void rpc_reply_data(struct rpc_call *call, const void *reply, const void *data,
		    size_t len, void (*sent)(void *owner), void *owner)
{
	struct out *o = begin_reply(call, reply, 0);

	o->write.buf2 = data;
	o->write.len2 = len;
	o->sent = sent;
	o->owner = owner;
	answer(call, o, len);
}

void rpc_reply_file(struct rpc_call *call, const void *reply, int fd,
		    uint64_t offset, size_t len, void (*sent)(void *owner),
		    void *owner)
{
	struct out *o = begin_reply(call, reply, 0);

	o->write.file = fd;
	o->write.file_offset = offset;
	o->write.file_len = len;
	o->sent = sent;
	o->owner = owner;
	answer(call, o, len);
}

static void close_passed(void *fd)
{
	close((int)(intptr_t)fd);
}

void rpc_reply_fd(struct rpc_call *call, const void *reply, int fd)
{
	struct out *o;

	assert(call->session->conn.peer.local);
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0) {
		rpc_fail(call, -errno, "%s: no descriptor to pass: %s",
			 call->method->name, err_text(-errno));
		return;
	}
	o = begin_reply(call, reply, FRAME_HAS_FD);
	o->write.pass_fd = fd;
	o->sent = close_passed;
	o->owner = (void *)(intptr_t)fd;
	answer(call, o, 0);
}

void rpc_fail(struct rpc_call *call, int code, const char *fmt, ...)
{
	struct err err = { .code = code };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err.msg, sizeof(err.msg), fmt, ap);
	va_end(ap);
	rpc_fail_err(call, code, &err);
}

void rpc_fail_err(struct rpc_call *call, int code, const struct err *err)
{
	const char *text = err && err->msg[0] ? err->msg : err_text(code);
	const struct failure failure = { { text, strlen(text) } };
	msgpack_packer body;
	struct out *o;

	assert(code < 0);
	metric_add(METRIC_rpc_errors, 1);
	o = begin(call, FRAME_ERROR, (uint32_t)-code, 0, &body);
	failure_encode(&failure, &body);
	answer(call, o, 0);
}

/* ---- what handlers ask ---- */

const struct rpc_peer *rpc_call_peer(const struct rpc_call *call)
{
	return &call->session->conn.peer;
}

struct rpc_session *rpc_call_session(const struct rpc_call *call)
{
	return call->session;
}

struct loop *rpc_call_loop(const struct rpc_call *call)
{
	return call->session->server->loop;
}

static void on_deadline(struct timer *t)
{
	cancel(container_of(t, struct rpc_call, timer));
}

void rpc_call_on_cancel(struct rpc_call *call, void (*fn)(void *owner),
			void *owner)
{
	struct loop *loop = rpc_call_loop(call);
	uint64_t now = loop_now_ms(loop), delay = 0;

	call->on_cancel = fn;
	call->cancel_owner = owner;
	loop_timer_stop(&call->timer);
	if (!fn || (!call->deadline_ms && !call->cancelled))
		return;
	if (!call->cancelled && call->deadline_ms > now)
		delay = call->deadline_ms - now;
	loop_timer_start(loop, &call->timer, delay, on_deadline);
}

void rpc_notify(struct rpc_session *s, unsigned number, const void *body,
		size_t len)
{
	const struct envelope e = { .kind = FRAME_NOTICE, .number = number };
	msgpack_packer packer;
	struct out *o = out_new(&s->server->outs, &e, &packer);

	packer.callback(packer.data, body, len);
	if (out_finish(o, 0)) {
		log_error("a notice is too long", "bytes=%zu", len);
		out_free(o);
		return;
	}
	conn_send(&s->conn, o);
}
