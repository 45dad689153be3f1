#include "rpc/serving.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/metrics.h"

#define LOG_MODULE "rpc"
#include "runtime/log.h"

/* What one connection may have in flight; then it is read no further. */
#define MAX_CALLS 4096
#define MAX_BYTES (2u << 20) /* of requests; decoded some 50 times that */
#define ZONE_SIZE 1024
#define MAX_FREE  256 /* calls kept for reuse */

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
void call_done(struct rpc_call *call)
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

void call_cancel(struct rpc_call *call)
{
	void (*fn)(void *owner) = call->on_cancel;

	call->cancelled = true;
	call->on_cancel = NULL;
	if (fn)
		fn(call->cancel_owner);
}

/* The handler of call `number` and who it is for; NULL: there is no such call.
 */
static rpc_handler find_handler(const struct rpc_service *service,
				unsigned number,
				const struct rpc_method **method, void **role)
{
	const unsigned common = number - PROCESS_CALLS_FROM;

	if (number >= PROCESS_CALLS_FROM && common < rpc_n_process_methods) {
		*method = &rpc_process_methods[common];
		*role = NULL;
		return process_handlers[common];
	}
	if (number >= service->n_methods || !service->methods[number].name)
		return NULL;
	*method = &service->methods[number];
	*role = service->role;
	return service->handlers[number];
}

static int on_call(struct rpc_session *s, const struct frame *f,
		   struct err *err)
{
	const struct rpc_service *service = &s->server->service;
	struct rpc_call *call = call_new(s);
	const struct rpc_method *method;
	rpc_handler handler;
	void *role;
	int rv;

	call->id = f->e.id;
	call->deadline_ms =
		f->e.extra ? loop_now_ms(s->server->loop) + f->e.extra : 0;
	keep_body(call, &f->e);
	metric_add(METRIC_rpcs, 1);
	handler = find_handler(service, f->e.number, &method, &role);
	if (!handler) {
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
		handler(role, call, call->request);
	return rv;
}

static void on_cancel_frame(struct rpc_session *s, uint32_t id)
{
	struct rpc_call *call;
	struct list *l;

	for (l = s->calls.next; l != &s->calls; l = l->next) {
		call = list_entry(l, struct rpc_call, link);
		if (call->id == id) {
			call_cancel(call);
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
		call_cancel(list_entry(link, struct rpc_call, link));
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
	for (i = 0; i < rpc_n_process_methods; i++)
		if (rpc_process_methods[i].request_size > s->request_max)
			s->request_max = rpc_process_methods[i].request_size;
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
