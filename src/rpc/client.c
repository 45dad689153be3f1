#include "rpc/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "rpc/conn.h"
#include "rpc/method.h"

#define LOG_MODULE "rpc"
#include "runtime/log.h"

#define ZONE_SIZE    4096
#define KEEPALIVE_MS 5000
#define SILENT_TICKS 3 /* then the peer is gone */

/* Of clients that are watched. */
#define WATCH_MS   300
#define AWAY_TICKS 3
#define GONE_TICKS (SILENT_TICKS * KEEPALIVE_MS / WATCH_MS)

struct rpc_client {
	struct loop *loop;
	char *address;
	struct rpc_identity identity;
	struct out_pool outs;
	struct map calls;    /* by id: struct rpc_pending */
	struct list pending; /* the same, oldest first */
	struct list waiting; /* frames that wait for the handshake */
	uint32_t last_id;
	unsigned refs; /* our owner, the connection, posted callbacks */

	bool connected; /* `conn` is in use */
	bool ready, closed;
	struct conn conn;
	struct timer keepalive; /* runs while calls are in flight */
	bool keeping;
	uint64_t tick_ms; /* when it was started */
	int silent;       /* ticks without a word */

	void (*watch)(void *owner, bool away); /* or NULL */
	void *watch_owner;
	bool away;

	rpc_notice_fn notice;
	void *notice_owner;
	void (*lost)(void *owner);
	void *lost_owner;

	msgpack_zone zone;
	void *reply; /* room for any reply or notice */
};

static void release(struct rpc_client *c)
{
	if (--c->refs > 0)
		return;
	msgpack_zone_destroy(&c->zone);
	map_close(&c->calls);
	out_pool_close(&c->outs);
	free(c->reply);
	free(c->address);
	free(c);
}

/* ---- the end of a call ---- */

/* From here on the answer is decided, and comes once. */
static void unlink_call(struct rpc_pending *p)
{
	map_remove(&p->client->calls, p->id);
	list_remove(&p->link);
	loop_timer_stop(&p->timer);
	p->id = 0;
}

static void on_posted_end(struct task *t)
{
	struct rpc_pending *p = container_of(t, struct rpc_pending, task);
	struct rpc_client *c = p->client;

	p->done(p, p->err.code, NULL);
	release(c);
}

/* Ends it with p->err, soon. */
static void post_end(struct rpc_pending *p)
{
	p->client->refs++;
	loop_post(p->client->loop, &p->task, on_posted_end);
}

/* Tells the peer that nobody waits for `id`. */
static void abandon(struct rpc_client *c, uint32_t id)
{
	struct list *l;
	struct out *o;

	if (c->ready) {
		conn_forget_payload(&c->conn, id);
		conn_send_bare(&c->conn, FRAME_CANCEL, id);
		return;
	}
	for (l = c->waiting.next; l != &c->waiting; l = l->next) {
		o = list_entry(l, struct out, write.link);
		if (o->id != id)
			continue;
		list_remove(l);
		out_free(o);
		return;
	}
}

static void on_deadline(struct timer *t)
{
	struct rpc_pending *p = container_of(t, struct rpc_pending, timer);
	struct rpc_client *c = p->client;
	uint32_t id = p->id;

	unlink_call(p);
	abandon(c, id);
	err_set(&p->err, -ETIMEDOUT, "%s: %s: no answer in time", c->address,
		p->method->name);
	p->done(p, -ETIMEDOUT, NULL);
}

void rpc_cancel(struct rpc_pending *p)
{
	uint32_t id = p->id;

	if (!id) /* its callback is on its way */
		return;
	unlink_call(p);
	abandon(p->client, id);
	err_set(&p->err, -ECANCELED, "%s", err_text(-ECANCELED));
	post_end(p);
}

/* ---- what comes ---- */

static struct rpc_pending *find(struct rpc_client *c, uint32_t id)
{
	return map_get(&c->calls, id);
}

static void *on_payload(void *owner, const struct frame *f)
{
	struct rpc_pending *p = find(owner, f->e.id);

	return p && f->payload_len <= p->data_len ? p->data : NULL;
}

static void on_progress(void *owner, const struct frame *f, size_t got)
{
	struct rpc_pending *p = find(owner, f->e.id);

	p->data_got = got;
	if (p->progress)
		p->progress(p, got);
}

static int on_reply(struct rpc_client *c, struct frame *f, struct err *err)
{
	struct rpc_pending *p = find(c, f->e.id);
	int rv;

	if (!p) /* cancelled or late */
		return 0;
	rv = p->method->decode_reply(c->reply, f->e.body, f->e.body_len,
				     &c->zone, err);
	if (rv) /* the connection ends, and the call with it */
		return rv;
	unlink_call(p);
	p->answered = true;
	if (f->payload_len > p->data_len) {
		rv = err_set(&p->err, -EMSGSIZE, "%s: %u bytes came for %zu",
			     p->method->name, f->payload_len, p->data_len);
	} else {
		p->data_got = f->payload_len;
		p->fd = f->fd;
		f->fd = -1;
	}
	p->done(p, rv, rv ? NULL : c->reply);
	msgpack_zone_clear(&c->zone);
	return 0;
}

static int on_error(struct rpc_client *c, const struct frame *f,
		    struct err *err)
{
	struct rpc_pending *p = find(c, f->e.id);
	struct failure failure;
	int code, rv;

	if (!p)
		return 0;
	rv = failure_decode(&failure, f->e.body, f->e.body_len, &c->zone, err);
	if (rv)
		return rv;
	unlink_call(p);
	p->answered = true;
	code = f->e.number && f->e.number < 10000 ? -(int)f->e.number : -EPROTO;
	err_set(&p->err, code, "%.*s", (int)failure.message.len,
		failure.message.ptr);
	msgpack_zone_clear(&c->zone);
	p->done(p, code, NULL);
	return 0;
}

/* Notices that we do not know are a newer peer's. */
static int on_notice(struct rpc_client *c, const struct frame *f,
		     struct err *err)
{
	const struct rpc_notice *n = NULL;
	int rv;

	if (c->conn.peer.role == RPC_WORKER &&
	    f->e.number < rpc_n_worker_notices)
		n = &rpc_worker_notices[f->e.number];
	if (!n || !n->name || !c->notice)
		return 0;
	rv = n->decode(c->reply, f->e.body, f->e.body_len, &c->zone, err);
	if (rv)
		return rv;
	c->notice(c->notice_owner, n->number, c->reply);
	msgpack_zone_clear(&c->zone);
	return 0;
}

static int on_frame(void *owner, struct frame *f, struct err *err)
{
	struct rpc_client *c = owner;
	int rv;

	if (c->closed)
		return 0;
	c->refs++; /* a callback may close it */
	switch (f->e.kind) {
	case FRAME_REPLY:
		rv = on_reply(c, f, err);
		break;
	case FRAME_ERROR:
		rv = on_error(c, f, err);
		break;
	case FRAME_NOTICE:
		rv = on_notice(c, f, err);
		break;
	default:
		rv = err_set(err, ERR_BAD_MESSAGE, "kind %u is no client's",
			     f->e.kind);
	}
	release(c);
	return rv;
}

/* ---- the connection ---- */

static void heard(struct rpc_client *c);

static void on_ready(void *owner)
{
	struct rpc_client *c = owner;
	struct list *link;

	c->ready = true;
	heard(c);
	while ((link = list_pop_front(&c->waiting)))
		conn_send(&c->conn, list_entry(link, struct out, write.link));
}

static void drop_waiting(struct rpc_client *c)
{
	struct list *link;

	while ((link = list_pop_front(&c->waiting)))
		out_free(list_entry(link, struct out, write.link));
}

static void on_closed(void *owner, int code, const struct err *err)
{
	struct rpc_client *c = owner;
	bool was_ready = c->ready;
	struct list pending, *link;
	struct rpc_pending *p;

	c->connected = c->ready = false;
	drop_waiting(c);
	list_take(&pending, &c->pending);
	/* All are out of the map before the first callback makes a new call. */
	for (link = pending.next; link != &pending; link = link->next) {
		p = list_entry(link, struct rpc_pending, link);
		map_remove(&c->calls, p->id);
		loop_timer_stop(&p->timer);
		p->id = 0;
		p->err = *err;
	}
	if (was_ready && c->lost && !c->closed)
		c->lost(c->lost_owner);
	while ((link = list_pop_front(&pending))) {
		p = list_entry(link, struct rpc_pending, link);
		p->done(p, code, NULL);
	}
	release(c);
}

static const struct conn_ops client_ops = {
	.ready = on_ready,
	.payload = on_payload,
	.progress = on_progress,
	.frame = on_frame,
	.closed = on_closed,
};

static void on_keepalive(struct timer *t);

static void start_keepalive(struct rpc_client *c)
{
	c->keeping = true;
	c->tick_ms = loop_now_ms(c->loop);
	loop_timer_start(c->loop, &c->keepalive,
			 c->watch ? WATCH_MS : KEEPALIVE_MS, on_keepalive);
}

static void connect_now(struct rpc_client *c)
{
	struct transport *t = c->loop->transport;

	c->connected = true;
	c->refs++;
	conn_init(&c->conn, c->loop, t->ops->connect(t, c->address), NULL,
		  c->address, &c->identity, &c->outs, &client_ops, c);
}

static void say_away(struct rpc_client *c, bool away)
{
	if (c->away == away)
		return;
	c->away = away;
	c->watch(c->watch_owner, away);
}

/* A sign of life. */
static void heard(struct rpc_client *c)
{
	c->silent = 0;
	if (c->away)
		say_away(c, false);
}

static void gone(struct rpc_client *c)
{
	c->silent = 0;
	log_warn("peer is silent", "address=%s silent_ms=%d", c->address,
		 SILENT_TICKS * KEEPALIVE_MS);
	conn_close(&c->conn, -ECONNRESET, "silent for %d ms",
		   SILENT_TICKS * KEEPALIVE_MS);
}

/* Whether something was heard since the last tick.  Of who is watched the
 * handshake counts too; else it has a limit of its own. */
static bool spoke(const struct rpc_client *c)
{
	if (!c->ready)
		return !c->watch;
	return c->conn.heard_ms > c->tick_ms;
}

static void watched_tick(struct rpc_client *c)
{
	if (c->silent == AWAY_TICKS)
		say_away(c, true);
	if (c->closed)
		return;
	if (!c->connected)
		connect_now(c);
	else if (c->silent >= GONE_TICKS && c->ready)
		gone(c);
	else if (c->silent && c->ready)
		conn_send_bare(&c->conn, FRAME_PING, 0);
}

/* While calls are in flight: a peer that says nothing is asked, and one that
 * does not answer is gone.  Counted in ticks, not time, so that who was stopped
 * for a while first reads what has come. */
static void on_keepalive(struct timer *t)
{
	struct rpc_client *c = container_of(t, struct rpc_client, keepalive);
	bool has_spoken = spoke(c);

	c->keeping = false;
	if (list_empty(&c->pending) && !c->away)
		return;
	start_keepalive(c);
	c->refs++; /* a callback may close it */
	if (has_spoken)
		heard(c);
	else
		c->silent++;
	if (c->watch)
		watched_tick(c);
	else if (c->silent == SILENT_TICKS)
		gone(c);
	else if (c->silent)
		conn_send_bare(&c->conn, FRAME_PING, 0);
	release(c);
}

void rpc_client_watch(struct rpc_client *c, void (*fn)(void *owner, bool away),
		      void *owner)
{
	c->watch = fn;
	c->watch_owner = owner;
}

void rpc_client_doubt(struct rpc_client *c)
{
	if (!c->keeping)
		start_keepalive(c);
	say_away(c, true); /* which may close it */
}

/* ---- the client ---- */

struct rpc_client *rpc_client_new(struct loop *loop, const char *address,
				  const struct rpc_identity *identity)
{
	struct rpc_client *c = mem_alloc(sizeof(*c));

	c->loop = loop;
	c->address = mem_str(address);
	c->identity = *identity;
	c->refs = 1;
	out_pool_init(&c->outs, NULL);
	map_init(&c->calls);
	list_init(&c->pending);
	list_init(&c->waiting);
	list_init(&c->keepalive.link);
	if (!msgpack_zone_init(&c->zone, ZONE_SIZE))
		abort();
	c->reply = mem_alloc(rpc_reply_max > rpc_notice_max ? rpc_reply_max
							    : rpc_notice_max);
	return c;
}

void rpc_client_on_notice(struct rpc_client *c, rpc_notice_fn fn, void *owner)
{
	c->notice = fn;
	c->notice_owner = owner;
}

void rpc_client_on_lost(struct rpc_client *c, void (*fn)(void *owner),
			void *owner)
{
	c->lost = fn;
	c->lost_owner = owner;
}

void rpc_client_close(struct rpc_client *c)
{
	struct rpc_pending *p;

	c->closed = true;
	loop_timer_stop(&c->keepalive);
	while (!list_empty(&c->pending)) {
		p = list_entry(c->pending.next, struct rpc_pending, link);
		unlink_call(p);
		err_set(&p->err, -ECANCELED, "%s: closed here", c->address);
		post_end(p);
	}
	drop_waiting(c);
	if (c->connected)
		conn_close(&c->conn, -ECANCELED, "closed here");
	release(c);
}

static uint32_t next_id(struct rpc_client *c)
{
	do
		c->last_id++;
	while (!c->last_id || map_get(&c->calls, c->last_id));
	return c->last_id;
}

static void start_deadline(struct rpc_client *c, struct rpc_pending *p,
			   struct envelope *e)
{
	uint64_t now = loop_now_ms(c->loop);

	list_init(&p->timer.link);
	if (!p->deadline_ms)
		return;
	e->extra = p->deadline_ms > now ? p->deadline_ms - now : 1;
	loop_timer_start(c->loop, &p->timer, e->extra, on_deadline);
}

/* Begins a call: a frame whose body is still to be packed. */
static struct out *begin(struct rpc_client *c, const struct rpc_method *method,
			 struct rpc_pending *p, rpc_done_fn done,
			 msgpack_packer *body)
{
	struct envelope e = { .kind = FRAME_CALL, .number = method->number };

	p->client = c;
	p->method = method;
	p->done = done;
	p->data_got = 0;
	p->fd = -1;
	p->answered = false;
	p->err.code = 0;
	p->err.msg[0] = '\0';
	p->id = e.id = next_id(c);
	map_put(&c->calls, p->id, p);
	list_push_back(&c->pending, &p->link);
	start_deadline(c, p, &e);
	return out_new(&c->outs, &e, body);
}

static void submit(struct rpc_client *c, struct rpc_pending *p, struct out *o)
{
	if (out_finish(o, 0)) {
		out_free(o);
		unlink_call(p);
		err_set(&p->err, -EMSGSIZE, "%s: the request is too long",
			p->method->name);
		p->answered = true; /* and will be every time */
		post_end(p);
		return;
	}
	if (!c->connected)
		connect_now(c);
	if (c->ready)
		conn_send(&c->conn, o);
	else
		list_push_back(&c->waiting, &o->write.link);
	if (!c->keeping) {
		c->silent = 0; /* it had nothing to say until now */
		start_keepalive(c);
	}
}

void rpc_call(struct rpc_client *c, const struct rpc_method *method,
	      struct rpc_pending *p, const void *request, rpc_done_fn done)
{
	msgpack_packer body;
	struct out *o = begin(c, method, p, done, &body);

	method->encode_request(request, &body);
	submit(c, p, o);
}

void rpc_call_encoded(struct rpc_client *c, const struct rpc_method *method,
		      struct rpc_pending *p, const void *request, size_t len,
		      rpc_done_fn done)
{
	msgpack_packer body;
	struct out *o = begin(c, method, p, done, &body);

	body.callback(body.data, request, len);
	submit(c, p, o);
}

bool rpc_client_is_ready(const struct rpc_client *c)
{
	return c->ready;
}

bool rpc_client_is_idle(const struct rpc_client *c)
{
	return list_empty(&c->pending);
}
