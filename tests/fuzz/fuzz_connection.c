/*
 * Whatever bytes come over a connection, it ends or goes on, and the others do
 * not notice.  The first byte of an input says who gets the rest: a server
 * before or after the hello, or a client that waits for a reply.
 */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "fuzz/seeds.h"
#include "lib/sim.h"
#include "lib/sim_net.h"
#include "rpc/client.h"
#include "rpc/handshake.h"
#include "rpc/method.h"
#include "rpc/server.h"
#include "runtime/log.h"

static struct cluster {
	struct loop *loop;
	struct sim_net *net;
	struct transport *t;
	struct rpc_server *server;
	struct rpc_client *good, *victim;
	struct connection *raw;
	bool raw_open;
	uint8_t hello[64 + CONN_HELLO_MAX];
	size_t hello_len;
	uint8_t room[4096], data[64];
	int answered;
} w;

static const struct rpc_identity me = { .role = RPC_WORKER };

static void serve_open(void *role, struct rpc_call *call, const void *request)
{
	const struct open_request *req = request;
	const struct open_reply reply = { .length = req->id };

	(void)role;
	rpc_reply(call, &reply);
}

static void serve_release(void *role, struct rpc_call *call,
			  const void *request)
{
	const struct release_request *req = request;
	const struct release_reply reply = { .released = (uint32_t)req->ids.n };

	(void)role;
	rpc_reply(call, &reply);
}

static const rpc_handler handlers[] = {
	[WORKER_CALL_open] = serve_open,
	[WORKER_CALL_release] = serve_release,
};

static void *raw_room(void *owner, size_t *len)
{
	(void)owner;
	*len = sizeof(w.room);
	return w.room;
}

static void raw_received(void *owner, size_t len, int fd)
{
	(void)owner;
	(void)len;
	assert(fd < 0);
}

static void raw_closed(void *owner, int code)
{
	(void)owner;
	(void)code;
	w.raw_open = false;
}

static const struct connection_events events = {
	.room = raw_room,
	.received = raw_received,
	.closed = raw_closed,
};

static void start_raw(struct connection *c)
{
	w.raw = c;
	w.raw_open = true;
	w.t->ops->start(c, &events, NULL);
}

static void on_accepted(void *owner, struct connection *c,
			const struct peer *peer)
{
	(void)owner;
	(void)peer;
	start_raw(c);
}

static void make_hello(void)
{
	const struct envelope e = { .kind = FRAME_HELLO };
	uint8_t nonce[CONN_NONCE_LEN] = { 0 };
	size_t n = FRAME_LENGTHS + envelope_put(&e, w.hello + FRAME_LENGTHS);

	n += handshake_hello(&me, nonce, false, w.hello + n);
	frame_put_lengths(w.hello, n - FRAME_LENGTHS, 0);
	w.hello_len = n;
}

static void start_cluster(void)
{
	const struct rpc_service service = {
		.name = "worker",
		.methods = rpc_worker_methods,
		.handlers = handlers,
		.n_methods = ARRAY_SIZE(handlers),
	};
	struct listener *l;

	log_set_level(LOG_LEVEL_ERROR);
	w.loop = sim_new();
	w.net = sim_net_new(1);
	sim_net_join(w.net, w.loop);
	w.t = w.loop->transport;
	w.server = rpc_server_new(w.loop, &service, &me);
	if (rpc_server_listen(w.server, "unix:/s", NULL, NULL) ||
	    w.t->ops->listen(w.t, "unix:/raw", on_accepted, NULL, &l, NULL,
			     NULL))
		abort();
	w.good = rpc_client_new(w.loop, "unix:/s", &me);
	make_hello();
}

static void on_answer(struct rpc_pending *p, int code, const void *reply)
{
	(void)p;
	assert(!code == (reply != NULL));
	w.answered++;
}

static void on_sent(struct connection_write *write, int code)
{
	(void)code;
	free(write);
}

static void send_bytes(const uint8_t *bytes, size_t len)
{
	struct connection_write *write = calloc(1, sizeof(*write));

	if (!len || !w.raw_open) {
		free(write);
		return;
	}
	write->buf = bytes;
	write->len = len;
	write->file = write->pass_fd = -1;
	write->sent = on_sent;
	w.t->ops->write(w.raw, write);
	sim_run(w.loop, 10);
}

static void ask(struct rpc_client *c, struct rpc_pending *p)
{
	const struct open_request req = { .id = 5 };

	p->data = w.data;
	p->data_len = sizeof(w.data);
	rpc_call(c, RPC_WORKER_METHOD(open), p, &req, on_answer);
}

static void to_server(const uint8_t *data, size_t size, bool hello)
{
	start_raw(w.t->ops->connect(w.t, "unix:/s"));
	if (hello)
		send_bytes(w.hello, w.hello_len);
	send_bytes(data, size);
}

static void to_client(const uint8_t *data, size_t size)
{
	struct rpc_pending p = { 0 };

	w.answered = 0;
	w.victim = rpc_client_new(w.loop, "unix:/raw", &me);
	ask(w.victim, &p);
	sim_run(w.loop, 10);
	send_bytes(w.hello, w.hello_len);
	send_bytes(data, size);
	rpc_client_close(w.victim);
	sim_run(w.loop, 10);
	assert(w.answered == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rpc_pending p = { 0 };

	if (!w.loop)
		start_cluster();
	if (size == 0)
		return 0;
	if (data[0] == FUZZ_TO_CLIENT)
		to_client(data + 1, size - 1);
	else
		to_server(data + 1, size - 1, data[0] == FUZZ_AFTER_HELLO);
	if (w.raw_open)
		w.t->ops->close(w.raw);
	sim_run(w.loop, 10);
	assert(!w.raw_open);
	w.answered = 0;
	ask(w.good, &p);
	sim_run(w.loop, 10);
	assert(w.answered == 1);
	return 0;
}
