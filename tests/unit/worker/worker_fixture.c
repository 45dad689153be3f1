#include "worker_fixture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "lib/sim.h"
#include "lib/tempdir.h"

#define MASTER "master:1"

struct fixture f;
uint32_t instead_of;

static const uint8_t key[32] = "the key of the tests, 32 bytes";
static const char *const masters[] = { MASTER, NULL };

/* ---- the master ---- */

static void serve_register(void *role ATTR_UNUSED, struct rpc_call *call,
			   const void *request)
{
	const struct register_worker_request *req = request;
	struct register_worker_reply reply = {
		.epoch = f.epoch,
		.heartbeat_ms = 1000,
		.block_size = 256 * MIB,
		.cluster = { f.cluster, 16 },
	};

	assert_int_equal(req->uuid.len, 16);
	assert_true(req->addresses.n > 0 && req->capacity > 0);
	reply.id = 1u + *(const uint8_t *)req->uuid.ptr;
	if (req->life == f.life && !f.forgetful)
		reply.heard = f.heard;
	f.registered++;
	rpc_reply(call, &reply);
}

static void count(unsigned *counts, const schema_u64_array *ids)
{
	size_t i;

	for (i = 0; i < ids->n; i++)
		counts[ids->at[i]]++;
}

static void serve_heartbeat(void *role ATTR_UNUSED, struct rpc_call *call,
			    const void *request)
{
	const struct heartbeat_request *req = request;
	const struct heartbeat_reply reply = { f.epoch, f.report,
					       f.register_again,
					       f.mount_changes };

	f.heartbeats++;
	f.fulls += req->full;
	f.report = f.register_again = false;
	if (req->full)
		f.life = req->life;
	if (req->life == f.life) {
		assert_true(req->full || req->number == f.heard + 1 ||
			    req->number == f.heard);
		f.heard = req->number;
	}
	count(f.added, &req->added);
	count(f.complete, &req->complete);
	count(f.removed, &req->removed);
	rpc_reply(call, &reply);
}

static void serve_workers(void *role ATTR_UNUSED, struct rpc_call *call,
			  const void *request ATTR_UNUSED)
{
	struct worker_info infos[N_WORKERS];
	struct workers_reply reply = { .epoch = f.epoch,
				       .workers = { infos, N_WORKERS } };
	schema_str addresses[N_WORKERS];
	unsigned i;

	for (i = 0; i < N_WORKERS; i++) {
		addresses[i].ptr = f.nodes[i].address;
		addresses[i].len = strlen(f.nodes[i].address);
		infos[i] = (struct worker_info){
			.id = i + 1,
			.addresses = { &addresses[i], 1 },
			.capacity = f.capacity,
			.live = f.live[i],
		};
	}
	rpc_reply(call, &reply);
}

static void serve_mounts(void *role ATTR_UNUSED, struct rpc_call *call,
			 const void *request)
{
	const struct mounts_request *req = request;
	const char *value = f.mount_option ? f.mount_option : "v";
	const struct mount_option option = {
		.key = { "k", 1 },
		.value = { value, strlen(value) },
	};
	const struct mount_info info = {
		.id = 7,
		.path = { "/", 1 },
		.uri = { "fake://bucket", 13 },
		.options = { &option, 1 },
	};
	const struct mounts_reply reply = { { &info, 1 } };

	assert_true(req->keys);
	f.mounts_asked++;
	rpc_reply(call, &reply);
}

/* What is known of a file, in a text of its own. */
static void say_file(struct file_info *out, uint64_t id)
{
	static char paths[N_FILES][40], versions[N_FILES][40];

	snprintf(paths[id], sizeof(paths[id]), "dir/file-%u", (unsigned)id);
	snprintf(versions[id], sizeof(versions[id]), "\"%016" PRIx64 "\"",
		 f.files[id].content);
	*out = (struct file_info){
		.id = id,
		.mount = 7,
		.path = { paths[id], strlen(paths[id]) },
		.length = f.files[id].size,
		.version = { versions[id], strlen(versions[id]) },
	};
}

static void serve_file(void *role ATTR_UNUSED, struct rpc_call *call,
		       const void *request)
{
	const struct file_request *req = request;
	struct file_reply reply = { .live = true };
	struct file_info next[N_FILES];
	uint64_t id;

	f.files_asked++;
	if (f.file_code || req->id >= N_FILES || !f.files[req->id].content) {
		rpc_fail(call, f.file_code ? f.file_code : -ESTALE, "no file");
		return;
	}
	say_file(&reply.file, req->id);
	reply.next.at = next;
	for (id = req->id + 1; f.tells_next && id < N_FILES; id++)
		if (f.files[id].content && reply.next.n < req->next)
			say_file(&next[reply.next.n++], id);
	reply.holders.at = &f.holders[req->id];
	reply.holders.n = f.holders[req->id] > 0;
	reply.epoch = f.epoch;
	rpc_reply(call, &reply);
}

static void serve_suspect(void *role ATTR_UNUSED, struct rpc_call *call,
			  const void *request)
{
	const struct suspect_request *req = request;
	const struct suspect_reply reply = { true };

	f.suspected[req->id]++;
	rpc_reply(call, &reply);
}

static const rpc_handler handlers[] = {
	[MASTER_CALL_register_worker] = serve_register,
	[MASTER_CALL_heartbeat] = serve_heartbeat,
	[MASTER_CALL_workers] = serve_workers,
	[MASTER_CALL_mounts] = serve_mounts,
	[MASTER_CALL_file] = serve_file,
	[MASTER_CALL_suspect] = serve_suspect,
};

void master_begin(void)
{
	const struct rpc_service service = {
		.name = "master",
		.methods = rpc_master_methods,
		.handlers = handlers,
		.n_methods = ARRAY_SIZE(handlers),
	};
	struct err err;

	f.master = rpc_server_new(f.master_loop, &service, &f.master_identity);
	assert_int_equal(rpc_server_listen(f.master, MASTER, NULL, &err), 0);
}

void master_end(void)
{
	rpc_server_close(f.master);
	f.master = NULL;
}

/* ---- the workers ---- */

static uint64_t wall_ms(void)
{
	return 1700000000000 + loop_now_ms(f.loop);
}

static void on_notice(void *owner ATTR_UNUSED, unsigned number,
		      const void *notice)
{
	const struct let_go_notice *l = notice;
	size_t i;

	assert_int_equal(number, WORKER_NOTICE_let_go);
	for (i = 0; i < l->ids.n && f.n_let_go < ARRAY_SIZE(f.let_go); i++)
		f.let_go[f.n_let_go++] = l->ids.at[i];
}

static void open_store(struct node *n)
{
	const struct store_dir dir = { .path = n->dir, .capacity = f.capacity };
	const struct store_options o = {
		.dirs = &dir,
		.n_dirs = 1,
		.evictor = f.evictor,
		.loop = n->loop,
	};
	struct err err;

	assert_int_equal(store_open(&n->store, &o, &err), 0);
}

void node_start(unsigned i)
{
	struct node *n = &f.nodes[i];
	const char *const listen[] = { n->address, NULL };
	struct worker_options o = {
		.loop = n->loop,
		.identity = &n->identity,
		.masters = masters,
		.listen = listen,
		.uuid = n->uuid,
		.host = "host",
		.open_ufs = f.open_ufs ? f.open_ufs : fake_ufs_open,
		.wall_ms = wall_ms,
		.max_fetching = f.max_fetching,
		.max_filling = f.max_filling,
	};
	struct err err;

	n->stopped = false;
	open_store(n);
	o.store = n->store;
	assert_int_equal(worker_start(&n->worker, &o, &err), 0);
	n->client = rpc_client_new(f.loop, n->address, &f.identity);
	rpc_client_on_notice(n->client, on_notice, NULL);
	f.live[i] = true;
	f.epoch++;
	run(2500);
}

static void on_stopped(void *owner, bool all)
{
	assert_true(all);
	((struct node *)owner)->stopped = true;
}

void node_stop(unsigned i)
{
	struct node *n = &f.nodes[i];

	if (n->client)
		rpc_client_close(n->client);
	n->client = NULL;
	worker_stop(n->worker, on_stopped, n);
	run(6000);
	assert_true(n->stopped);
	store_close(n->store);
	worker_free(n->worker);
	n->worker = NULL;
	f.live[i] = false;
}

void run(uint64_t ms)
{
	sim_run(f.loop, ms);
}

static void node_init(unsigned i)
{
	struct node *n = &f.nodes[i];

	n->loop = sim_new_beside(f.loop);
	sim_net_join(f.net, n->loop);
	n->dir = mem_printf("%s/%u", f.parent, i);
	n->identity = (struct rpc_identity){ .role = RPC_WORKER, .key = key };
	n->uuid[0] = (uint8_t)i;
	snprintf(n->address, sizeof(n->address), "unix:/worker-%u", i);
}

int setup(void **state ATTR_UNUSED)
{
	unsigned i;

	f = (struct fixture){ .capacity = 64 * MIB, .evictor = "lru" };
	f.identity = (struct rpc_identity){ .role = RPC_CLIENT, .key = key };
	f.master_identity =
		(struct rpc_identity){ .role = RPC_MASTER, .key = key };
	f.loop = sim_new();
	f.master_loop = sim_new_beside(f.loop);
	f.net = sim_net_new(1);
	sim_net_join(f.net, f.loop);
	sim_net_join(f.net, f.master_loop);
	f.ufs = fake_ufs_new("fake://bucket", 1);
	f.parent = tempdir_make();
	f.epoch = 1;
	f.cluster[0] = 1;
	for (i = 0; i < N_WORKERS; i++)
		node_init(i);
	master_begin();
	node_start(0);
	return 0;
}

int teardown(void **state ATTR_UNUSED)
{
	unsigned i;

	for (i = 0; i < N_WORKERS; i++)
		if (f.nodes[i].worker)
			node_stop(i);
	if (f.master)
		master_end();
	run(1000);
	for (i = 0; i < N_WORKERS; i++) {
		sim_net_leave(f.net, f.nodes[i].loop);
		sim_free(f.nodes[i].loop);
		free(f.nodes[i].dir);
	}
	sim_net_leave(f.net, f.master_loop);
	sim_free(f.master_loop);
	sim_net_leave(f.net, f.loop);
	sim_net_free(f.net);
	sim_free(f.loop);
	fake_ufs_free(f.ufs);
	tempdir_remove(f.parent);
	return 0;
}

/* ---- files and calls ---- */

void put_file(uint64_t id, uint64_t size)
{
	char path[40];

	snprintf(path, sizeof(path), "dir/file-%u", (unsigned)id);
	f.files[id].size = size;
	f.files[id].content = fake_ufs_put(f.ufs, path, size);
}

static void on_read(struct rpc_pending *p, int code, const void *reply)
{
	struct reading *r = container_of(p, struct reading, pending);

	r->calls++;
	r->code = code;
	r->n = code ? 0 : p->data_got;
	if (reply)
		r->source = ((const struct read_reply *)reply)->source;
}

void read_begin(struct reading *r, unsigned node, uint64_t id, uint64_t offset,
		size_t len)
{
	const struct read_request req = {
		.id = id,
		.offset = offset,
		.len = (uint32_t)len,
		.epoch = f.epoch,
		.instead_of = instead_of,
	};

	*r = (struct reading){ .id = id, .offset = offset };
	r->buf = mem_alloc(len);
	r->pending.data = r->buf;
	r->pending.data_len = len;
	rpc_call(f.nodes[node].client, RPC_WORKER_METHOD(read), &r->pending,
		 &req, on_read);
}

void read_end(struct reading *r)
{
	assert_int_equal(r->calls, 1);
	if (!r->code)
		assert_int_equal(fake_ufs_compare(f.files[r->id].content,
						  r->offset, r->buf, r->n),
				 r->n);
	free(r->buf);
}

ssize_t read_some(uint64_t id, uint64_t offset, size_t len)
{
	struct reading r;

	read_begin(&r, 0, id, offset, len);
	run(100);
	read_end(&r);
	return r.code ? r.code : (ssize_t)r.n;
}

ssize_t read_file(uint64_t id)
{
	return read_some(id, 0, f.files[id].size);
}

struct calling {
	struct rpc_pending pending;
	void *reply;
	size_t size;
	int calls, code;
};

static void on_called(struct rpc_pending *p, int code, const void *reply)
{
	struct calling *c = container_of(p, struct calling, pending);

	c->calls++;
	c->code = code;
	if (!code)
		memcpy(c->reply, reply, c->size);
}

int call_worker(unsigned node, const struct rpc_method *method,
		const void *request, void *reply, size_t size)
{
	struct calling c = { .reply = reply, .size = size };

	rpc_call(f.nodes[node].client, method, &c.pending, request, on_called);
	run(1000);
	assert_int_equal(c.calls, 1);
	return c.code;
}

struct open_reply open_file(uint64_t id)
{
	const struct open_request req = { .id = id };
	struct open_reply reply;

	assert_int_equal(call_worker(0, RPC_WORKER_METHOD(open), &req, &reply,
				     sizeof(reply)),
			 0);
	return reply;
}

const struct fake_ufs_numbers *numbers(void)
{
	return fake_ufs_numbers(f.ufs);
}

uint64_t in_store(uint64_t id)
{
	return store_present(f.nodes[0].store, id, 0, f.files[id].size);
}
