#include "lib/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/rpc_pair.h"
#include "lib/sim.h"
#include "rpc/conn.h"
#include "rpc/handshake.h"
#include "rpc/method.h"
#include "runtime/metrics.h"

/* The other end of a connection, which sends what it likes. */
struct raw {
	struct connection *connection;
	struct connection_write write;
	uint8_t out[4096];
	uint8_t in[4096], room[512];
	size_t n_in;
	int sent, closed, code;
};

static struct fixture {
	struct rpc_pair pair;
	struct raw raw;
	struct listener *listener;
	struct rpc_pending call;
	struct rpc_peer peer;
	int done, code;
	uint64_t bad_frames;
} f;

static void serve_open(void *role ATTR_UNUSED, struct rpc_call *call,
		       const void *request ATTR_UNUSED)
{
	const struct open_reply reply = { .length = 1 };

	f.peer = *rpc_call_peer(call);
	rpc_reply(call, &reply);
}

static const rpc_handler handlers[] = { [WORKER_CALL_open] = serve_open };

static const struct rpc_service service = {
	.name = "worker",
	.methods = rpc_worker_methods,
	.handlers = handlers,
	.n_methods = ARRAY_SIZE(handlers),
};

static int setup(void **state)
{
	memset(&f, 0, sizeof(f));
	rpc_pair_init(&f.pair, PAIR_KIND(state));
	f.bad_frames = metric_value(METRIC_bad_frames);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	struct transport *t = f.pair.server_loop->transport;

	if (f.listener)
		t->ops->unlisten(t, f.listener);
	if (f.raw.connection && !f.raw.closed)
		f.pair.client_loop->transport->ops->close(f.raw.connection);
	rpc_pair_close(&f.pair);
	return 0;
}

static void on_open(struct rpc_pending *p ATTR_UNUSED, int code,
		    const void *reply ATTR_UNUSED)
{
	f.code = code;
	f.done++;
}

static int call(void)
{
	const struct open_request req = { .id = 1 };

	f.done = 0;
	rpc_call(f.pair.client, RPC_WORKER_METHOD(open), &f.call, &req,
		 on_open);
	rpc_pair_run(&f.pair, &f.done, 1);
	return f.code;
}

static void says(const char *text)
{
	if (!strstr(f.call.err.msg, text))
		fail_msg("\"%s\" does not say \"%s\"", f.call.err.msg, text);
}

/* ---- the handshake ---- */

static void both_hold_the_key(void **state)
{
	rpc_pair_start(&f.pair, &service);
	assert_int_equal(call(), 0);
	assert_int_equal(f.peer.role, RPC_CLIENT);
	assert_true(f.peer.has_key);
	assert_int_equal(f.peer.local, PAIR_KIND(state) != PAIR_TCP);
	if (f.peer.local)
		assert_int_equal(f.peer.uid, geteuid());
}

static void another_key_is_refused_over_tcp(void **state)
{
	uint8_t other[32] = { 1 };
	bool local = PAIR_KIND(state) != PAIR_TCP;

	f.pair.client_me.key = other;
	rpc_pair_start(&f.pair, &service);
	assert_int_equal(call(), local ? 0 : -EACCES);
	if (!local)
		says("holds another cluster key");
}

static void a_client_without_a_key_is_refused_over_tcp(void **state)
{
	bool local = PAIR_KIND(state) != PAIR_TCP;

	f.pair.client_me.key = NULL;
	rpc_pair_start(&f.pair, &service);
	assert_int_equal(call(), local ? 0 : -EACCES);
	if (!local)
		says("the client has no cluster key");
}

static void a_server_without_a_key_refuses_over_tcp(void **state)
{
	bool local = PAIR_KIND(state) != PAIR_TCP;

	f.pair.server_me.key = NULL;
	rpc_pair_start(&f.pair, &service);
	assert_int_equal(call(), local ? 0 : -EACCES);
	if (!local)
		says("refused this client: the worker has no cluster key");
}

static void another_cluster_is_refused(void **state ATTR_UNUSED)
{
	memset(f.pair.server_me.cluster, 1, 16);
	memset(f.pair.client_me.cluster, 2, 16);
	rpc_pair_start(&f.pair, &service);
	assert_int_equal(call(), -EPROTO);
	says("refused this client: belongs to another cluster");
}

static void who_does_not_know_his_cluster_takes_any(void **state ATTR_UNUSED)
{
	memset(f.pair.server_me.cluster, 1, 16);
	rpc_pair_start(&f.pair, &service);
	assert_int_equal(call(), 0);
}

static void only_our_user_and_root_are_trusted_unseen(void **state ATTR_UNUSED)
{
	struct peer peer = { .local = true, .uid = geteuid() };

	assert_true(handshake_trusts(&peer));
	peer.uid = 0;
	assert_true(handshake_trusts(&peer));
	peer.uid = geteuid() + 1;
	assert_false(handshake_trusts(&peer));
	peer.uid = 0;
	peer.local = false;
	assert_false(handshake_trusts(&peer));
}

/* Calls as another user, if we may become one. */
static int call_as_nobody(void)
{
	const struct open_request req = { .id = 1 };

	f.done = 0;
	assert_int_equal(chmod(f.pair.dir, 0755), 0);
	assert_int_equal(seteuid(65534), 0);
	rpc_call(f.pair.client, RPC_WORKER_METHOD(open), &f.call, &req,
		 on_open);
	assert_int_equal(seteuid(0), 0);
	rpc_pair_run(&f.pair, &f.done, 1);
	return f.code;
}

static void another_user_without_the_key_is_refused(void **state)
{
	if (PAIR_KIND(state) != PAIR_UNIX || geteuid() != 0)
		return;
	f.pair.client_me.key = NULL;
	rpc_pair_start(&f.pair, &service);
	assert_int_equal(call_as_nobody(), -EACCES);
	says("the client has no cluster key to prove itself by");
}

static void another_user_with_another_key_is_refused(void **state)
{
	uint8_t other[32] = { 1 };

	if (PAIR_KIND(state) != PAIR_UNIX || geteuid() != 0)
		return;
	f.pair.client_me.key = other;
	rpc_pair_start(&f.pair, &service);
	assert_int_equal(call_as_nobody(), -EACCES);
	says("refused this client: holds another cluster key");
}

static void another_user_may_prove_the_key(void **state)
{
	if (PAIR_KIND(state) != PAIR_UNIX || geteuid() != 0)
		return;
	rpc_pair_start(&f.pair, &service);
	assert_int_equal(call_as_nobody(), 0);
	assert_int_equal(f.peer.uid, 65534);
	assert_true(f.peer.has_key);
}

/* ---- what a raw peer sees ---- */

static void *raw_room(void *owner, size_t *len)
{
	struct raw *r = owner;

	*len = sizeof(r->room);
	return r->room;
}

static void raw_received(void *owner, size_t len, int fd)
{
	struct raw *r = owner;

	if (fd >= 0)
		close(fd);
	if (len > sizeof(r->in) - r->n_in)
		len = sizeof(r->in) - r->n_in;
	memcpy(r->in + r->n_in, r->room, len);
	r->n_in += len;
}

static void raw_closed(void *owner, int code)
{
	struct raw *r = owner;

	r->closed++;
	r->code = code;
}

static const struct connection_events raw_events = {
	.room = raw_room,
	.received = raw_received,
	.closed = raw_closed,
};

static void raw_sent(struct connection_write *w, int code ATTR_UNUSED)
{
	container_of(w, struct raw, write)->sent++;
}

static void raw_send(const void *bytes, size_t len, int fd)
{
	struct raw *r = &f.raw;

	memcpy(r->out, bytes, len);
	r->write = (struct connection_write){
		.buf = r->out,
		.len = len,
		.file = -1,
		.pass_fd = fd,
		.sent = raw_sent,
	};
	r->sent = 0;
	f.pair.client_loop->transport->ops->write(r->connection, &r->write);
	rpc_pair_run(&f.pair, &r->sent, 1);
}

static void raw_connect(void)
{
	struct transport *t = f.pair.client_loop->transport;

	f.raw.connection = t->ops->connect(t, f.pair.address);
	t->ops->start(f.raw.connection, &raw_events, &f.raw);
}

/* One frame of this envelope; its length. */
static size_t frame_extra(uint8_t *out, unsigned kind, uint32_t number,
			  uint64_t extra, const void *body, size_t len,
			  uint32_t payload)
{
	const struct envelope e = {
		.kind = kind,
		.id = 1,
		.number = number,
		.extra = extra,
	};
	size_t n = FRAME_LENGTHS + envelope_put(&e, out + FRAME_LENGTHS);

	memcpy(out + n, body, len);
	frame_put_lengths(out, n + len - FRAME_LENGTHS, payload);
	return n + len;
}

static size_t frame(uint8_t *out, unsigned kind, uint32_t number,
		    const void *body, size_t len, uint32_t payload)
{
	return frame_extra(out, kind, number, 0, body, len, payload);
}

/* A good hello; a local server trusts us then. */
static void raw_hello(uint32_t version)
{
	uint8_t nonce[CONN_NONCE_LEN] = { 0 }, hello[CONN_HELLO_MAX];
	const struct rpc_identity me = { .role = RPC_CLIENT };
	uint8_t out[1024];
	size_t len = handshake_hello(&me, nonce, false, hello);

	hello[1] = hello[2] = (uint8_t)version; /* and the oldest */
	len = frame(out, FRAME_HELLO, 0, hello, len, 0);
	raw_send(out, len, -1);
	rpc_pair_settle(&f.pair);
}

/* The server ends that connection and serves others as before. */
static void is_cut(void)
{
	rpc_pair_run(&f.pair, &f.raw.closed, 1);
	assert_int_equal(f.raw.code, -ECONNRESET);
	assert_int_equal(call(), 0);
	memset(&f.raw, 0, sizeof(f.raw));
}

static void is_cut_as_bad(void)
{
	f.bad_frames++;
	is_cut();
	assert_int_equal(metric_value(METRIC_bad_frames), f.bad_frames);
}

static void another_version_is_refused_with_a_reason(void **state ATTR_UNUSED)
{
	struct envelope e;
	struct failure failure;
	msgpack_zone zone;
	uint32_t header, payload;

	rpc_pair_start(&f.pair, &service);
	raw_connect();
	raw_hello(99);
	rpc_pair_run(&f.pair, &f.raw.closed, 1);
	frame_get_lengths(f.raw.in, &header, &payload);
	assert_int_equal(header + FRAME_LENGTHS, f.raw.n_in);
	assert_int_equal(envelope_get(&e, f.raw.in + FRAME_LENGTHS, header), 0);
	assert_int_equal(e.kind, FRAME_REFUSED);
	assert_int_equal(e.number, EPROTO);
	msgpack_zone_init(&zone, 256);
	assert_int_equal(
		failure_decode(&failure, e.body, e.body_len, &zone, NULL), 0);
	assert_memory_equal(failure.message.ptr,
			    "speaks protocol 99 to 99, here it is 1 to 1",
			    failure.message.len);
	msgpack_zone_destroy(&zone);
}

static void a_peer_that_says_nothing_is_let_go(void **state)
{
	rpc_pair_start(&f.pair, &service);
	raw_connect();
	if (PAIR_KIND(state) != PAIR_SIM)
		return; /* ten seconds are long there */
	sim_run(f.pair.client_loop, CONN_HANDSHAKE_MS + 10);
	assert_int_equal(f.raw.closed, 1);
}

/* Each of these is the first that the server hears. */
static void noise_before_the_hello_ends_that_connection(
	void **state ATTR_UNUSED)
{
	static const struct {
		const char *bytes;
		size_t len;
	} noise[] = {
		{ "GET / HTTP/1.1\r\n\r\n", 18 },
		{ "\0\0\0\0\0\0\0\0", 8 },
		{ "\xff\xff\xff\xff\xff\xff\xff\xff", 8 },
		{ "\0\0\x04\x01\0\0\0\0", 8 }, /* longer than a hello */
		{ "\0\0\0\1\0\0\0\0\xc0", 9 },
		{ "\0\0\0\5\0\0\0\0\x95\1\0\0\0", 13 }, /* no body */
		{ "\0\0\0\6\0\0\0\0\x95\1\0\0\0\xc1", 14 },
		{ "\0\0\0\6\0\0\0\0\x95\4\1\1\0\x90", 14 },   /* a call */
		{ "\0\0\0\6\0\0\0\0\x95\2\0\0\0\x90", 14 },   /* a proof */
		{ "\0\0\0\6\0\0\0\1\x95\1\0\0\0\x90\0", 15 }, /* payload */
	};
	size_t i;

	rpc_pair_start(&f.pair, &service);
	for (i = 0; i < ARRAY_SIZE(noise); i++) {
		raw_connect();
		raw_send(noise[i].bytes, noise[i].len, -1);
		is_cut();
	}
}

static void noise_after_the_hello_ends_that_connection(void **state)
{
	static const struct {
		unsigned kind;
		uint32_t number;
		const char *body;
		size_t len;
		uint32_t payload;
	} noise[] = {
		{ FRAME_HELLO, 0, "\x90", 1, 0 },
		{ FRAME_PROOF, 0, "\x90", 1, 0 },
		{ FRAME_REPLY, 0, "\x90", 1, 0 },
		{ FRAME_REPLY, 0, "\x90", 1, 100 },
		{ FRAME_NOTICE, 1, "\x90", 1, 0 },
		{ 99, 0, "\x90", 1, 0 },
		{ FRAME_CALL, WORKER_CALL_open, "\x91\xc3", 2, 0 }, /* bool */
		{ FRAME_CALL, WORKER_CALL_open, "\xdd\xff\xff\xff\xff", 5, 0 },
		{ FRAME_CALL, WORKER_CALL_open, "\x90\x90", 2, 0 },
		{ FRAME_CALL, WORKER_CALL_open, "\x92", 1, 0 },
		{ FRAME_CALL, WORKER_CALL_open, "\x90", 1, 1 }, /* payload */
	};
	uint8_t out[64];
	size_t i, len;

	if (PAIR_KIND(state) == PAIR_TCP)
		return; /* where the hello alone is not enough */
	rpc_pair_start(&f.pair, &service);
	for (i = 0; i < ARRAY_SIZE(noise); i++) {
		raw_connect();
		raw_hello(RPC_VERSION);
		assert_int_equal(f.raw.closed, 0);
		len = frame(out, noise[i].kind, noise[i].number, noise[i].body,
			    noise[i].len, noise[i].payload);
		raw_send(out, len, -1);
		is_cut_as_bad();
	}
}

static void a_header_over_the_limit_ends_that_connection(void **state)
{
	uint8_t lengths[FRAME_LENGTHS];

	if (PAIR_KIND(state) == PAIR_TCP)
		return;
	rpc_pair_start(&f.pair, &service);
	raw_connect();
	raw_hello(RPC_VERSION);
	frame_put_lengths(lengths, FRAME_HEADER_MAX + 1, 0);
	raw_send(lengths, sizeof(lengths), -1);
	is_cut_as_bad();
}

static void a_frame_that_breaks_off_harms_nobody(void **state)
{
	uint8_t out[64];
	size_t len;

	if (PAIR_KIND(state) == PAIR_TCP)
		return;
	rpc_pair_start(&f.pair, &service);
	raw_connect();
	raw_hello(RPC_VERSION);
	len = frame(out, FRAME_CALL, WORKER_CALL_open, "\x91\x07", 2, 0);
	raw_send(out, len - 1, -1);
	assert_int_equal(call(), 0);
	f.pair.client_loop->transport->ops->close(f.raw.connection);
	rpc_pair_run(&f.pair, &f.raw.closed, 1);
	assert_int_equal(f.raw.code, -ECANCELED);
	assert_int_equal(call(), 0);
}

static void a_descriptor_for_the_server_is_refused(void **state)
{
	uint8_t out[64];
	size_t len;

	if (PAIR_KIND(state) == PAIR_TCP)
		return;
	rpc_pair_start(&f.pair, &service);
	raw_connect();
	raw_hello(RPC_VERSION);
	len = frame(out, FRAME_CALL, WORKER_CALL_open, "\x91\x07", 2, 0);
	raw_send(out, len, STDERR_FILENO);
	is_cut_as_bad();
}

static void a_ping_is_answered(void **state)
{
	uint8_t out[64];
	struct envelope e;
	size_t len, hello;

	if (PAIR_KIND(state) == PAIR_TCP)
		return;
	rpc_pair_start(&f.pair, &service);
	raw_connect();
	raw_hello(RPC_VERSION);
	hello = f.raw.n_in;
	len = frame(out, FRAME_PING, 0, "\xc0", 1, 0);
	raw_send(out, len, -1);
	rpc_pair_settle(&f.pair);
	assert_int_equal(f.raw.n_in - hello, len);
	assert_int_equal(envelope_get(&e, f.raw.in + hello + FRAME_LENGTHS,
				      len - FRAME_LENGTHS),
			 0);
	assert_int_equal(e.kind, FRAME_PONG);
	assert_int_equal(e.id, 1);
}

/* ---- a raw server ---- */

static void on_accepted(void *owner ATTR_UNUSED, struct connection *c,
			const struct peer *peer ATTR_UNUSED)
{
	f.raw.connection = c;
	f.pair.server_loop->transport->ops->start(c, &raw_events, &f.raw);
}

/* A worker that says hello and then `bytes` to whoever comes. */
static void answer_with(unsigned kind, uint64_t extra, const char *body,
			size_t len, uint32_t payload)
{
	struct transport *t = f.pair.server_loop->transport;
	const struct open_request req = { .id = 1 };
	uint8_t out[64];

	assert_int_equal(t->ops->listen(t, f.pair.address, on_accepted, NULL,
					&f.listener, f.pair.address, NULL),
			 0);
	f.pair.client = rpc_client_new(f.pair.client_loop, f.pair.address,
				       &f.pair.client_me);
	rpc_call(f.pair.client, RPC_WORKER_METHOD(open), &f.call, &req,
		 on_open);
	rpc_pair_settle(&f.pair);
	assert_non_null(f.raw.connection);
	raw_hello(RPC_VERSION);
	len = frame_extra(out, kind, 0, extra, body, len, payload);
	raw_send(out, len, -1);
	rpc_pair_run(&f.pair, &f.done, 1);
	rpc_pair_run(&f.pair, &f.raw.closed, 1);
}

static void a_reply_that_makes_no_sense_fails_the_call(void **state)
{
	if (PAIR_KIND(state) == PAIR_TCP)
		return;
	answer_with(FRAME_REPLY, 0, "\x91\xa1x", 3, 0);
	assert_int_equal(f.code, -EPROTO);
	says("bad frame: open_reply: bad length");
}

static void a_call_from_a_server_fails_the_connection(void **state)
{
	if (PAIR_KIND(state) == PAIR_TCP)
		return;
	answer_with(FRAME_CALL, 1, "\x90", 1, 0);
	assert_int_equal(f.code, -EPROTO);
}

static void a_descriptor_that_does_not_come_fails_the_call(void **state)
{
	if (PAIR_KIND(state) == PAIR_TCP)
		return;
	answer_with(FRAME_REPLY, FRAME_HAS_FD, "\x90", 1, 0);
	assert_int_equal(f.code, -EPROTO);
	says("its descriptor did not come");
}

TEST_MAIN(ON_EACH(both_hold_the_key), ON_EACH(another_key_is_refused_over_tcp),
	  ON_EACH(a_client_without_a_key_is_refused_over_tcp),
	  ON_EACH(a_server_without_a_key_refuses_over_tcp),
	  ON_EACH(another_cluster_is_refused),
	  ON_EACH(who_does_not_know_his_cluster_takes_any),
	  TEST(only_our_user_and_root_are_trusted_unseen),
	  ON_EACH(another_user_without_the_key_is_refused),
	  ON_EACH(another_user_with_another_key_is_refused),
	  ON_EACH(another_user_may_prove_the_key),
	  ON_EACH(another_version_is_refused_with_a_reason),
	  ON_EACH(a_peer_that_says_nothing_is_let_go),
	  ON_EACH(noise_before_the_hello_ends_that_connection),
	  ON_EACH(noise_after_the_hello_ends_that_connection),
	  ON_EACH(a_header_over_the_limit_ends_that_connection),
	  ON_EACH(a_frame_that_breaks_off_harms_nobody),
	  ON_EACH(a_descriptor_for_the_server_is_refused),
	  ON_EACH(a_ping_is_answered),
	  ON_EACH(a_reply_that_makes_no_sense_fails_the_call),
	  ON_EACH(a_call_from_a_server_fails_the_connection),
	  ON_EACH(a_descriptor_that_does_not_come_fails_the_call))
