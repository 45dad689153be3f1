#include "jobs_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct fixture f;

static uint8_t key[32] = "the key of the simulated cluster";

void on_any(struct rpc_pending *p ATTR_UNUSED, int code,
	    const void *reply ATTR_UNUSED)
{
	f.calls++;
	f.code = code;
}

/* The worker's side. */

static void serve_load(void *role, struct rpc_call *call, const void *request)
{
	const struct load_request *req = request;
	struct load_reply reply = { .complete = true };
	struct fake_worker *w = role;

	w->loads++;
	if (w->parts > 0) {
		w->parts--;
		reply.complete = false;
	}
	if (w->failing > 0) {
		w->failing--;
		rpc_fail(call, -EIO, "as told");
	} else if (w->hold) {
		w->held[w->n_held++] = call;
		if (w->n_held > w->most_held)
			w->most_held = w->n_held;
	} else {
		map_put(&w->has, req->id, w);
		rpc_reply(call, &reply);
	}
}

static void serve_drop(void *role, struct rpc_call *call, const void *request)
{
	const struct drop_request *req = request;
	struct drop_reply reply = { 0 };
	struct fake_worker *w = role;
	size_t i;

	for (i = 0; i < req->ids.n; i++)
		if (map_remove(&w->has, req->ids.at[i]))
			reply.files++;
	reply.bytes = reply.files * 10;
	w->drops += req->ids.n;
	rpc_reply(call, &reply);
}

static void serve_explain(void *role, struct rpc_call *call,
			  const void *request)
{
	const struct explain_request *req = request;
	struct fake_worker *w = role;

	w->verified += req->verify;
	if (req->verify && w->damaged > 0) {
		w->damaged--;
		map_remove(&w->has, req->id);
	}
	const struct explain_reply reply = {
		.complete = !w->incomplete && map_get(&w->has, req->id),
	};

	rpc_reply(call, &reply);
}

static const rpc_handler handlers[] = {
	[WORKER_CALL_load] = serve_load,
	[WORKER_CALL_drop] = serve_drop,
	[WORKER_CALL_explain] = serve_explain,
};

static void worker_open(struct fake_worker *w, int n)
{
	struct rpc_service service = {
		.name = "worker",
		.methods = rpc_worker_methods,
		.handlers = handlers,
		.n_methods = ARRAY_SIZE(handlers),
		.role = w,
	};
	struct err err;

	w->loop = sim_new_beside(f.loop);
	sim_net_join(f.net, w->loop);
	map_init(&w->has);
	w->me = (struct rpc_identity){ .role = RPC_WORKER, .key = key };
	snprintf(w->address, sizeof(w->address), "worker%d:1", n);
	w->server = rpc_server_new(w->loop, &service, &w->me);
	assert_int_equal(rpc_server_listen(w->server, w->address, NULL, &err),
			 0);
	w->master = rpc_client_new(w->loop, SIM_MASTER_TCP, &w->me);
}

static void worker_close(struct fake_worker *w)
{
	rpc_client_close(w->master);
	rpc_server_close(w->server);
	sim_run(f.loop, 10);
	sim_net_leave(f.net, w->loop);
	sim_free(w->loop);
	map_close(&w->has);
}

void begin(struct rpc_pending *p)
{
	*p = (struct rpc_pending){ .fd = -1 };
	f.calls = 0;
	f.code = 1;
}

int await(void)
{
	int i;

	for (i = 0; i < 60000 && !f.calls; i++)
		sim_run(f.loop, 1);
	assert_int_equal(f.calls, 1);
	return f.code;
}

static void on_register(struct rpc_pending *p, int code, const void *reply)
{
	const struct register_worker_reply *r = reply;

	if (!code) {
		f.id = r->id;
		f.epoch = r->epoch;
	}
	on_any(p, code, reply);
}

int register_as(struct rpc_client *client, const char *address, int number)
{
	const schema_str addresses[] = { { address, strlen(address) } };
	uint8_t uuid[16] = { (uint8_t)(number + 1) };
	const struct register_worker_request req = {
		.uuid = { uuid, sizeof(uuid) },
		.addresses = { addresses, 1 },
		.host = { "elsewhere", 9 },
		.capacity = 1 << 30,
	};

	begin(&f.pending);
	rpc_call(client, RPC_MASTER_METHOD(register_worker), &f.pending, &req,
		 on_register);
	return await();
}

void worker_register(int n)
{
	struct fake_worker *w = &f.workers[n];

	assert_int_equal(register_as(w->master, w->address, n), 0);
	w->id = (uint32_t)f.id;
}

static void on_heartbeat(struct rpc_pending *p, int code, const void *reply)
{
	const struct heartbeat_reply *r = reply;
	struct fake_worker *w = container_of(p, struct fake_worker, pending);

	if (!code)
		w->register_again = r->register_again;
	on_any(p, code, reply);
}

int heartbeat(int n, const uint64_t *added, size_t n_added)
{
	struct fake_worker *w = &f.workers[n];
	const struct heartbeat_request req = {
		.worker = w->id,
		.capacity = 1 << 30,
		.added = { added, n_added },
	};

	begin(&w->pending);
	rpc_call(w->master, RPC_MASTER_METHOD(heartbeat), &w->pending, &req,
		 on_heartbeat);
	return await();
}

/* The client's side. */

schema_str str(const char *s)
{
	return (schema_str){ s, strlen(s) };
}

schema_bytes bytes(const char *s)
{
	return (schema_bytes){ s, strlen(s) };
}

static void mount(void)
{
	const struct mount_request req = {
		.origin = { 9, ++f.sequence },
		.path = str("/data"),
		.uri = str(URI),
	};

	begin(&f.pending);
	rpc_call(f.client, RPC_MASTER_METHOD(mount), &f.pending, &req, on_any);
	assert_int_equal(await(), 0);
}

static void on_stat(struct rpc_pending *p, int code, const void *reply)
{
	const struct stat_reply *r = reply;

	if (!code) {
		f.id = r->attr.id;
		f.files = r->holders.n;
	}
	on_any(p, code, reply);
}

uint64_t stat_path(const char *path, bool refresh)
{
	const struct stat_request req = { bytes(path), refresh };

	begin(&f.pending);
	rpc_call(f.client, RPC_MASTER_METHOD(stat), &f.pending, &req, on_stat);
	assert_int_equal(await(), 0);
	return f.id;
}

int setup(void **state ATTR_UNUSED)
{
	char name[32];
	int i;

	f = (struct fixture){ 0 };
	f.loop = sim_new();
	f.net = sim_net_new(1);
	sim_net_join(f.net, f.loop);
	f.bucket = fake_ufs_new(URI, 1);
	for (i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "%d/%d/f", i % 3, i);
		fake_ufs_put(f.bucket, name, 10);
	}
	f.master.net = f.net;
	f.master.near = f.loop;
	f.master.key = key;
	sim_master_init(&f.master);
	sim_master_start(&f.master);
	sim_run(f.loop, 2000);
	f.me = (struct rpc_identity){ .role = RPC_CLIENT, .key = key };
	f.client = rpc_client_new(f.loop, SIM_MASTER_TCP, &f.me);
	for (i = 0; i < WORKERS; i++)
		worker_open(&f.workers[i], i);
	mount();
	return 0;
}

int teardown(void **state ATTR_UNUSED)
{
	int i;

	rpc_client_close(f.client);
	sim_run(f.loop, 100);
	sim_master_stop(&f.master);
	sim_master_close(&f.master);
	for (i = 0; i < WORKERS; i++)
		worker_close(&f.workers[i]);
	fake_ufs_free(f.bucket);
	sim_net_leave(f.net, f.loop);
	sim_net_free(f.net);
	sim_free(f.loop);
	return 0;
}
