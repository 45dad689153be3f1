#include "rpc/conn.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "rpc/handshake.h"
#include "runtime/metrics.h"

#define LOG_MODULE "rpc"
#include "runtime/log.h"

#define BUF_SIZE (16u << 10)

/* Before a peer has said who it is, it gets no more room than it needs. */
#define HELLO_FRAME_MAX 1024

/* ---- out ---- */

void conn_send(struct conn *c, struct out *o)
{
	if (c->phase == CONN_CLOSED)
		out_drop(o, c->loop);
	else
		c->loop->transport->ops->write(c->connection, &o->write);
}

struct out *conn_begin(struct conn *c, enum frame_kind kind, uint32_t id,
		       uint32_t number, msgpack_packer *body)
{
	const struct envelope e = { .kind = kind, .id = id, .number = number };

	return out_new(c->pool, &e, body);
}

void conn_finish(struct conn *c, struct out *o)
{
	if (out_finish(o, 0))
		out_free(o);
	else
		conn_send(c, o);
}

void conn_send_bare(struct conn *c, enum frame_kind kind, uint32_t id)
{
	msgpack_packer body;
	struct out *o = conn_begin(c, kind, id, 0, &body);

	msgpack_pack_nil(&body);
	conn_finish(c, o);
}

/* ---- the end ---- */

static void close_with(struct conn *c, int code)
{
	if (c->phase == CONN_CLOSED)
		return;
	c->phase = CONN_CLOSED;
	c->err.code = code;
	loop_timer_stop(&c->timer);
	c->loop->transport->ops->close(c->connection);
}

void conn_close(struct conn *c, int code, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	if (c->phase == CONN_CLOSED)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	err_set(&c->err, code, "%s: %s", c->what, text);
	close_with(c, code);
}

/* What came is no frame that we accept. */
static void bad_frame(struct conn *c, const char *reason)
{
	metric_add(METRIC_bad_frames, 1);
	log_warn("connection closed for a bad frame",
		 "peer=\"%s\" reason=\"%s\"", c->peer.address, reason);
	conn_close(c, -EPROTO, "bad frame: %s", reason);
}

static void on_closed(void *owner, int code)
{
	struct conn *c = owner;
	unsigned i;

	if (c->phase != CONN_CLOSED) {
		loop_timer_stop(&c->timer);
		c->phase = CONN_CLOSED;
		err_set(&c->err, code, "%s: %s", c->what, err_text(code));
	}
	for (i = 0; i < c->n_fds; i++)
		close(c->fds[i]);
	if (c->header_len && c->frame.fd >= 0)
		close(c->frame.fd);
	free(c->buf);
	free(c->scratch);
	free(c->what);
	c->ops->closed(c->owner, c->err.code, &c->err);
}

/* ---- in ---- */

static void dispatch(struct conn *c, struct frame *f)
{
	struct err err = { 0 };
	int rv = 0;

	if (c->phase != CONN_READY || f->e.kind <= FRAME_REFUSED) {
		rv = handshake_frame(c, f);
		if (rv)
			err_set(&err, rv, "kind %u is out of place", f->e.kind);
	} else if (f->e.kind == FRAME_PING) {
		conn_send_bare(c, FRAME_PONG, f->e.id);
	} else if (f->e.kind != FRAME_PONG) {
		rv = c->ops->frame(c->owner, f, &err);
	}
	if (f->fd >= 0)
		close(f->fd);
	if (rv)
		bad_frame(c, err.msg[0] ? err.msg : err_text(rv));
}

static size_t header_max(const struct conn *c)
{
	return c->phase == CONN_READY ? FRAME_HEADER_MAX : HELLO_FRAME_MAX;
}

/* The descriptor that belongs to a frame which says that it has one. */
static bool take_fd(struct conn *c, struct frame *f)
{
	f->fd = -1;
	if (f->e.kind != FRAME_REPLY || !(f->e.extra & FRAME_HAS_FD))
		return true;
	if (c->n_fds == 0)
		return false;
	f->fd = c->fds[0];
	memmove(c->fds, c->fds + 1, --c->n_fds * sizeof(c->fds[0]));
	return true;
}

/* The payload of c->frame is complete, or there was none. */
static void frame_complete(struct conn *c)
{
	struct frame f = c->frame;

	c->frame.fd = -1;
	dispatch(c, &f);
	c->start += c->header_len;
	c->header_len = 0;
	free(c->scratch);
	c->scratch = NULL;
}

/* Raw bytes have come after the header: how many of `len` are payload. */
static void payload_came(struct conn *c, size_t len)
{
	c->got += len;
	if (c->sink && c->ops->progress)
		c->ops->progress(c->owner, &c->frame, c->got);
	if (c->got == c->frame.payload_len)
		frame_complete(c);
}

/* A whole header is in the buffer. */
static void header_came(struct conn *c, size_t header, uint32_t payload)
{
	const uint8_t *at = c->buf + c->start + FRAME_LENGTHS;
	size_t here;

	c->frame.payload_len = payload;
	if (envelope_get(&c->frame.e, at, header)) {
		bad_frame(c, "bad envelope");
		return;
	}
	if (!take_fd(c, &c->frame)) {
		bad_frame(c, "its descriptor did not come");
		return;
	}
	c->header_len = FRAME_LENGTHS + header;
	c->got = 0;
	if (!payload) {
		frame_complete(c);
		return;
	}
	if (c->phase != CONN_READY || c->server ||
	    c->frame.e.kind != FRAME_REPLY) {
		bad_frame(c, "raw bytes where there are none");
		return;
	}
	c->sink = c->ops->payload(c->owner, &c->frame);
	here = c->end - c->start - c->header_len;
	if (here > payload)
		here = payload;
	if (c->sink)
		memcpy(c->sink, at + header, here);
	/* Behind the header are the next frame's bytes from now on. */
	memmove(c->buf + c->start + c->header_len,
		c->buf + c->start + c->header_len + here,
		c->end - c->start - c->header_len - here);
	c->end -= here;
	if (here)
		payload_came(c, here);
}

/* Room for a frame of `need` bytes at `start`. */
static void make_room(struct conn *c, size_t need)
{
	if (c->start > 0) {
		memmove(c->buf, c->buf + c->start, c->end - c->start);
		c->end -= c->start;
		c->start = 0;
	}
	if (need > c->size) {
		c->buf = mem_resize(c->buf, need, 1);
		c->size = need;
	}
}

/* Uses what is in the buffer, as far as it goes. */
static void parse(struct conn *c)
{
	uint32_t header, payload;

	while (c->phase != CONN_CLOSED && !c->header_len &&
	       c->end - c->start >= FRAME_LENGTHS &&
	       (!c->ops->hungry || c->ops->hungry(c->owner))) {
		frame_get_lengths(c->buf + c->start, &header, &payload);
		if (header == 0 || header > header_max(c)) {
			bad_frame(c, "length of the header");
			return;
		}
		if (c->end - c->start < FRAME_LENGTHS + header) {
			make_room(c, FRAME_LENGTHS + header);
			return;
		}
		header_came(c, header, payload);
	}
	if (c->start == c->end)
		c->start = c->end = 0;
}

/* A place for payload that nobody wants. */
static void *scratch(struct conn *c, size_t *len)
{
	if (!c->scratch)
		c->scratch = mem_resize(NULL, BUF_SIZE, 1);
	if (*len > BUF_SIZE)
		*len = BUF_SIZE;
	return c->scratch;
}

static void *on_room(void *owner, size_t *len)
{
	struct conn *c = owner;

	if (c->phase == CONN_CLOSED)
		return NULL;
	if (c->header_len) {
		*len = c->frame.payload_len - c->got;
		return c->sink ? c->sink + c->got : scratch(c, len);
	}
	if (c->ops->hungry && !c->ops->hungry(c->owner))
		return NULL;
	if (c->start == c->end) {
		c->start = c->end = 0;
		if (c->size > BUF_SIZE) { /* one long frame was enough */
			c->buf = mem_resize(c->buf, BUF_SIZE, 1);
			c->size = BUF_SIZE;
		}
	}
	if (c->size - c->end < FRAME_LENGTHS)
		make_room(c, c->end - c->start + FRAME_LENGTHS);
	*len = c->size - c->end;
	return c->buf + c->end;
}

static void on_received(void *owner, size_t len, int fd)
{
	struct conn *c = owner;

	c->heard_ms = loop_now_ms(c->loop);
	if (fd >= 0 &&
	    (c->phase != CONN_READY || c->server || c->n_fds == CONN_FDS)) {
		close(fd);
		bad_frame(c, "a descriptor that was not asked for");
		return;
	}
	if (fd >= 0)
		c->fds[c->n_fds++] = fd;
	if (c->header_len)
		payload_came(c, len);
	else
		c->end += len;
	parse(c);
}

void conn_resume(struct conn *c)
{
	if (c->phase == CONN_CLOSED)
		return;
	parse(c);
	if (c->phase != CONN_CLOSED)
		c->loop->transport->ops->resume(c->connection);
}

void conn_forget_payload(struct conn *c, uint32_t id)
{
	if (c->header_len && c->frame.e.id == id)
		c->sink = NULL;
}

static const struct connection_events events = {
	.room = on_room,
	.received = on_received,
	.closed = on_closed,
};

void conn_init(struct conn *c, struct loop *loop, struct connection *connection,
	       const struct peer *peer, const char *address,
	       const struct rpc_identity *me, struct out_pool *pool,
	       const struct conn_ops *ops, void *owner)
{
	*c = (struct conn){
		.loop = loop,
		.connection = connection,
		.ops = ops,
		.owner = owner,
		.me = me,
		.what = mem_str(address),
		.pool = pool,
		.server = peer != NULL,
		.trusted = peer && handshake_trusts(peer),
		.heard_ms = loop_now_ms(loop),
		.buf = mem_resize(NULL, BUF_SIZE, 1),
		.size = BUF_SIZE,
	};
	c->peer.local = peer ? peer->local : strncmp(address, "unix:", 5) == 0;
	c->peer.uid = peer ? peer->uid : 0;
	snprintf(c->peer.address, sizeof(c->peer.address), "%s", address);
	loop->transport->ops->start(connection, &events, c);
	handshake_start(c);
}
