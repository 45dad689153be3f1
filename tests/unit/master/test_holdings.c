/* What the master says to a worker of its files, and for admin fsck. */
#include "lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fake_ufs.h"
#include "lib/sim.h"
#include "lib/sim_master.h"
#include "rpc/client.h"
#include "rpc/method.h"

#define URI   "fake://bucket"
#define FILES 5

static struct fixture {
	struct loop *loop;
	struct sim_net *net;
	struct sim_master master;
	struct rpc_identity identity[2];
	struct rpc_client *client, *worker;
	struct fake_ufs *bucket;

	struct rpc_pending pending;
	int calls, code;
	uint64_t files[FILES]; /* their ids */
	uint32_t id;           /* the worker's */
	uint64_t gone[8], untold[8], ids[8], next;
	size_t n_gone, n_untold, n_ids;
	uint64_t inodes, found;
} f;

static uint8_t key[32] = "the key of the simulated cluster";

static void on_any(struct rpc_pending *p ATTR_UNUSED, int code,
		   const void *reply ATTR_UNUSED)
{
	f.calls++;
	f.code = code;
}

static int call(struct rpc_client *to, const struct rpc_method *method,
		const void *request, rpc_done_fn done)
{
	int i;

	f.pending = (struct rpc_pending){ .fd = -1 };
	f.calls = 0;
	rpc_call(to, method, &f.pending, request, done);
	for (i = 0; i < 60000 && !f.calls; i++)
		sim_run(f.loop, 1);
	assert_int_equal(f.calls, 1);
	return f.code;
}

static void on_list(struct rpc_pending *p, int code, const void *reply)
{
	const struct list_reply *r = reply;
	size_t i;

	assert_int_equal(code, 0);
	assert_int_equal(r->entries.n, FILES);
	for (i = 0; i < FILES; i++)
		f.files[i] = r->entries.at[i].attr.id;
	on_any(p, code, reply);
}

static void on_register(struct rpc_pending *p, int code, const void *reply)
{
	if (!code)
		f.id = ((const struct register_worker_reply *)reply)->id;
	on_any(p, code, reply);
}

static void mount_and_list(void)
{
	const struct mount_request mount = { .origin = { 9, 1 },
					     .path = { "/data", 5 },
					     .uri = { URI, strlen(URI) } };
	const struct list_request list = { .path = { "/data", 5 } };

	assert_int_equal(
		call(f.client, RPC_MASTER_METHOD(mount), &mount, on_any), 0);
	assert_int_equal(
		call(f.client, RPC_MASTER_METHOD(list), &list, on_list), 0);
}

static void register_worker(void)
{
	static const schema_str address = { "worker:1", 8 };
	static const uint8_t uuid[16] = "the worker";
	const struct register_worker_request req = {
		.uuid = { uuid, sizeof(uuid) },
		.addresses = { &address, 1 },
		.host = { "elsewhere", 9 },
		.capacity = 1 << 30,
	};

	assert_int_equal(call(f.worker, RPC_MASTER_METHOD(register_worker),
			      &req, on_register),
			 0);
}

/* The worker says that it has these. */
static void tell(const uint64_t *ids, size_t n)
{
	const struct heartbeat_request req = { .worker = f.id,
					       .capacity = 1 << 30,
					       .added = { ids, n } };

	assert_int_equal(
		call(f.worker, RPC_MASTER_METHOD(heartbeat), &req, on_any), 0);
}

static int setup(void **state ATTR_UNUSED)
{
	char name[8];
	int i;

	f = (struct fixture){ .loop = sim_new(), .net = sim_net_new(1) };
	sim_net_join(f.net, f.loop);
	f.bucket = fake_ufs_new(URI, 1);
	for (i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		fake_ufs_put(f.bucket, name, 10);
	}
	f.master.net = f.net;
	f.master.near = f.loop;
	f.master.key = key;
	sim_master_init(&f.master);
	sim_master_start(&f.master);
	sim_run(f.loop, 2000);
	for (i = 0; i < 2; i++)
		f.identity[i] = (struct rpc_identity){ .role = i ? RPC_WORKER
								 : RPC_CLIENT,
						       .key = key };
	f.client = rpc_client_new(f.loop, SIM_MASTER_TCP, &f.identity[0]);
	f.worker = rpc_client_new(f.loop, SIM_MASTER_TCP, &f.identity[1]);
	mount_and_list();
	register_worker();
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	rpc_client_close(f.client);
	rpc_client_close(f.worker);
	sim_run(f.loop, 100);
	sim_master_stop(&f.master);
	sim_master_close(&f.master);
	fake_ufs_free(f.bucket);
	sim_net_leave(f.net, f.loop);
	sim_net_free(f.net);
	sim_free(f.loop);
	return 0;
}

static void on_file(struct rpc_pending *p, int code, const void *reply)
{
	const struct file_reply *r = reply;
	char path[8];
	size_t i;

	if (!code) {
		f.ids[0] = r->file.id;
		f.n_ids = 1 + r->next.n;
		for (i = 0; i < r->next.n; i++)
			f.ids[1 + i] = r->next.at[i].id;
	}
	for (i = 0; !code && i < r->next.n; i++) {
		snprintf(path, sizeof(path), "f%zu", FILES - r->next.n + i);
		assert_int_equal(r->next.at[i].path.len, 2);
		assert_memory_equal(r->next.at[i].path.ptr, path, 2);
		assert_int_equal(r->next.at[i].length, 10);
		assert_int_equal(r->next.at[i].mount, r->file.mount);
		assert_true(r->next.at[i].version.len > 0);
	}
	on_any(p, code, reply);
}

static void ask_file(uint64_t id, uint32_t next)
{
	const struct file_request req = { id, next };

	assert_int_equal(call(f.worker, RPC_MASTER_METHOD(file), &req, on_file),
			 0);
}

static void a_file_is_told_with_those_behind_it(void **state ATTR_UNUSED)
{
	ask_file(f.files[1], 0);
	assert_int_equal(f.n_ids, 1);
	assert_int_equal(f.ids[0], f.files[1]);
	ask_file(f.files[1], 16);
	assert_int_equal(f.n_ids, FILES - 1);
	assert_memory_equal(f.ids, &f.files[1], (FILES - 1) * sizeof(*f.ids));
	ask_file(f.files[FILES - 1], 16);
	assert_int_equal(f.n_ids, 1);
	ask_file(f.files[0], 4294967295U);
	assert_int_equal(f.n_ids, FILES);
}

static void a_directory_among_them_is_passed_over(void **state ATTR_UNUSED)
{
	const struct list_request again = { .path = { "/data", 5 },
					    .refresh = true };

	fake_ufs_put(f.bucket, "f2-d/x", 10);
	assert_int_equal(
		call(f.client, RPC_MASTER_METHOD(list), &again, on_any), 0);
	ask_file(f.files[1], 16);
	assert_int_equal(f.n_ids, FILES - 1);
	assert_memory_equal(f.ids, &f.files[1], (FILES - 1) * sizeof(*f.ids));
}

static size_t copy(uint64_t out[8], const schema_u64_array *a)
{
	assert_true(a->n <= 8);
	if (a->n)
		memcpy(out, a->at, a->n * sizeof(*out));
	return a->n;
}

static void on_holdings(struct rpc_pending *p, int code, const void *reply)
{
	const struct holdings_reply *r = reply;

	if (!code) {
		f.n_gone = copy(f.gone, &r->gone);
		f.n_untold = copy(f.untold, &r->untold);
		f.n_ids = copy(f.ids, &r->ids);
		f.next = r->next;
	}
	on_any(p, code, reply);
}

static void holdings(const uint64_t *ids, size_t n, bool list)
{
	const struct holdings_request req = { .worker = f.id,
					      .ids = { ids, n },
					      .list = list };

	assert_int_equal(
		call(f.client, RPC_MASTER_METHOD(holdings), &req, on_holdings),
		0);
}

static void what_a_worker_told_is_known(void **state ATTR_UNUSED)
{
	tell(f.files, 3);
	holdings(f.files, 3, true);
	assert_int_equal(f.n_gone, 0);
	assert_int_equal(f.n_untold, 0);
	assert_int_equal(f.n_ids, 3);
	assert_int_equal(f.next, 0);
}

static void what_it_did_not_tell_and_what_is_no_file_differs(
	void **state ATTR_UNUSED)
{
	uint64_t ids[3] = { f.files[0], f.files[4], UINT64_C(77) << 32 | 3 };

	tell(f.files, 2);
	holdings(ids, 3, false);
	assert_int_equal(f.n_untold, 1);
	assert_int_equal(f.untold[0], f.files[4]);
	assert_int_equal(f.n_gone, 1);
	assert_int_equal(f.gone[0], ids[2]);
	assert_int_equal(f.n_ids, 0);
}

static void on_fsck(struct rpc_pending *p, int code, const void *reply)
{
	const struct fsck_tree_reply *r = reply;

	if (!code) {
		f.inodes = r->inodes;
		f.found = r->found;
	}
	on_any(p, code, reply);
}

static void the_tree_is_checked(void **state ATTR_UNUSED)
{
	const struct fsck_tree_request req = { .checkpoints = true };

	assert_int_equal(
		call(f.client, RPC_MASTER_METHOD(fsck_tree), &req, on_fsck), 0);
	assert_int_equal(f.inodes, FILES + 2);
	assert_int_equal(f.found, 0);
}

TEST_MAIN(TEST_WITH(a_file_is_told_with_those_behind_it),
	  TEST_WITH(a_directory_among_them_is_passed_over),
	  TEST_WITH(what_a_worker_told_is_known),
	  TEST_WITH(what_it_did_not_tell_and_what_is_no_file_differs),
	  TEST_WITH(the_tree_is_checked))
