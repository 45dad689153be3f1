/* Answering calls, and what their handlers may ask. */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "rpc/serving.h"
#include "runtime/metrics.h"

#define LOG_MODULE "rpc"
#include "runtime/log.h"

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
	call_cancel(container_of(t, struct rpc_call, timer));
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
