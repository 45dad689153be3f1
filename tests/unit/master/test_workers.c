/* Workers that come, go and report, by a simulated master. */
#include "lib/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fake_ufs.h"
#include "lib/sim.h"
#include "lib/sim_master.h"
#include "rpc/client.h"
#include "rpc/method.h"
#include "rpc/server.h"

#define URI "fake://bucket"

static struct fixture {
	struct loop *loop, *worker_loop;
	struct sim_net *net;
	struct sim_master master;
	struct rpc_identity me, worker_me;
	struct rpc_client *client, *worker;
	struct rpc_server *server; /* the worker's, which counts drops */
	struct fake_ufs *bucket;
	uint64_t dropped;

	struct rpc_pending pending;
	int calls, code;
	struct register_worker_reply registered;
	struct heartbeat_reply heard;
	uint64_t id, holders, n_live, epoch;
} f;

static uint8_t key[32] = "the key of the simulated cluster";

static void on_any(struct rpc_pending *p ATTR_UNUSED, int code,
		   const void *reply ATTR_UNUSED)
{
	f.calls++;
	f.code = code;
}

static void await(void)
{
	int i;

	for (i = 0; i < 60000 && !f.calls; i++)
		sim_run(f.loop, 1);
	assert_int_equal(f.calls, 1);
	assert_int_equal(f.code, 0);
}

static void call(struct rpc_client *client, const struct rpc_method *method,
		 const void *request, rpc_done_fn done)
{
	f.pending = (struct rpc_pending){ .fd = -1 };
	f.calls = 0;
	rpc_call(client, method, &f.pending, request, done);
	await();
}

/* ---- the worker ---- */

static void serve_drop(void *role ATTR_UNUSED, struct rpc_call *call,
		       const void *request)
{
	const struct drop_request *req = request;
	const struct drop_reply reply = { 0 };

	f.dropped = req->ids.at[0];
	rpc_reply(call, &reply);
}

static const rpc_handler handlers[] = { [WORKER_CALL_drop] = serve_drop };

static void worker_open(void)
{
	const struct rpc_service service = {
		.name = "worker",
		.methods = rpc_worker_methods,
		.handlers = handlers,
		.n_methods = ARRAY_SIZE(handlers),
	};

	f.worker_loop = sim_new_beside(f.loop);
	sim_net_join(f.net, f.worker_loop);
	f.worker_me = (struct rpc_identity){ .role = RPC_WORKER, .key = key };
	f.server = rpc_server_new(f.worker_loop, &service, &f.worker_me);
	assert_int_equal(rpc_server_listen(f.server, "worker:1", NULL, NULL),
			 0);
	f.worker = rpc_client_new(f.worker_loop, SIM_MASTER_TCP, &f.worker_me);
}

static void on_register(struct rpc_pending *p, int code, const void *reply)
{
	if (!code)
		f.registered = *(const struct register_worker_reply *)reply;
	on_any(p, code, reply);
}

static void register_worker(uint64_t life)
{
	const schema_str address = { "worker:1", 8 };
	const uint8_t uuid[16] = { 1 };
	const struct register_worker_request req = {
		.uuid = { uuid, sizeof(uuid) },
		.addresses = { &address, 1 },
		.host = { "elsewhere", 9 },
		.capacity = 1 << 30,
		.life = life,
	};

	call(f.worker, RPC_MASTER_METHOD(register_worker), &req, on_register);
}

static void on_heartbeat(struct rpc_pending *p, int code, const void *reply)
{
	if (!code)
		f.heard = *(const struct heartbeat_reply *)reply;
	on_any(p, code, reply);
}

/* A report of that life, of `added` and `removed` unless 0. */
static void report(uint64_t life, uint64_t number, bool full, uint64_t added,
		   uint64_t removed)
{
	const struct heartbeat_request req = {
		.worker = f.registered.id,
		.capacity = 1 << 30,
		.complete = { &added, added > 0 },
		.removed = { &removed, removed > 0 },
		.full = full,
		.life = life,
		.number = number,
	};

	call(f.worker, RPC_MASTER_METHOD(heartbeat), &req, on_heartbeat);
}

/* ---- the client ---- */

static void on_workers(struct rpc_pending *p, int code, const void *reply)
{
	const struct workers_reply *r = reply;
	size_t i;

	f.n_live = 0;
	for (i = 0; !code && i < r->workers.n; i++)
		f.n_live += r->workers.at[i].live;
	if (!code)
		f.epoch = r->epoch;
	on_any(p, code, reply);
}

static uint64_t live_workers(void)
{
	const struct workers_request req = { 0 };

	call(f.client, RPC_MASTER_METHOD(workers), &req, on_workers);
	return f.n_live;
}

static void on_stat(struct rpc_pending *p, int code, const void *reply)
{
	const struct stat_reply *r = reply;

	if (!code) {
		f.id = r->attr.id;
		f.holders = r->holders.n;
	}
	on_any(p, code, reply);
}

/* How many live workers hold the file, f.id. */
static uint64_t holders(bool refresh)
{
	const struct stat_request req = { { "/data/f", 7 }, refresh };

	call(f.client, RPC_MASTER_METHOD(stat), &req, on_stat);
	return f.holders;
}

static void mount(void)
{
	const struct mount_request req = {
		.origin = { 9, 1 },
		.path = { "/data", 5 },
		.uri = { URI, strlen(URI) },
	};

	call(f.client, RPC_MASTER_METHOD(mount), &req, on_any);
}

static int setup(void **state ATTR_UNUSED)
{
	f = (struct fixture){ 0 };
	f.loop = sim_new();
	f.net = sim_net_new(1);
	sim_net_join(f.net, f.loop);
	f.bucket = fake_ufs_new(URI, 1);
	fake_ufs_put(f.bucket, "f", 10);
	f.master.net = f.net;
	f.master.near = f.loop;
	f.master.key = key;
	sim_master_init(&f.master);
	sim_master_start(&f.master);
	sim_run(f.loop, 2000);
	f.me = (struct rpc_identity){ .role = RPC_CLIENT, .key = key };
	f.client = rpc_client_new(f.loop, SIM_MASTER_TCP, &f.me);
	worker_open();
	mount();
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	rpc_client_close(f.client);
	rpc_client_close(f.worker);
	rpc_server_close(f.server);
	sim_run(f.loop, 100);
	sim_master_stop(&f.master);
	sim_master_close(&f.master);
	fake_ufs_free(f.bucket);
	sim_net_leave(f.net, f.worker_loop);
	sim_free(f.worker_loop);
	sim_net_leave(f.net, f.loop);
	sim_net_free(f.net);
	sim_free(f.loop);
	return 0;
}

static void a_loss_is_noticed_within_ten_seconds_of_the_last_heartbeat(
	void **state ATTR_UNUSED)
{
	uint64_t sent_ms, epoch;
	unsigned phase;

	for (phase = 0; phase < 20; phase++) {
		register_worker(1);
		sim_run(f.loop, phase * 137);
		sent_ms = loop_now_ms(f.loop);
		report(1, 1, true, 0, 0);
		sim_run(f.loop, 8000);
		assert_int_equal(live_workers(), 1);
		epoch = f.epoch;
		sim_run(f.loop, sent_ms + 9990 - loop_now_ms(f.loop));
		assert_int_equal(live_workers(), 0);
		assert_true(loop_now_ms(f.loop) <= sent_ms + 10000);
		assert_true(f.epoch > epoch);
	}
}

/* Loses the worker, after it has reported the file. */
static void lose(void)
{
	holders(false);
	register_worker(1);
	report(1, 1, true, f.id, 0);
	assert_int_equal(holders(false), 1);
	sim_run(f.loop, 11000);
	assert_int_equal(live_workers(), 0);
	assert_int_equal(holders(false), 0);
	report(1, 2, false, 0, 0);
	assert_true(f.heard.register_again);
}

static void who_is_back_has_what_it_had(void **state ATTR_UNUSED)
{
	lose();
	register_worker(1);
	assert_int_equal(f.registered.heard, 1);
	assert_int_equal(holders(false), 1);
	report(1, 2, false, 0, f.id);
	assert_false(f.heard.report);
	assert_int_equal(holders(false), 0);
}

static void who_has_begun_anew_reports_all(void **state ATTR_UNUSED)
{
	lose();
	register_worker(2);
	assert_int_equal(f.registered.heard, 0);
	assert_int_equal(holders(false), 0);
	report(2, 1, false, 0, 0);
	assert_true(f.heard.report);
	report(2, 1, true, f.id, 0);
	assert_false(f.heard.report);
	assert_int_equal(holders(false), 1);
}

static void a_report_may_come_twice_but_not_be_missing(void **state ATTR_UNUSED)
{
	holders(false);
	register_worker(1);
	report(1, 1, true, f.id, 0);
	report(1, 2, false, 0, f.id);
	report(1, 2, false, 0, f.id);
	assert_false(f.heard.report);
	assert_int_equal(holders(false), 0);
	report(1, 4, false, f.id, 0);
	assert_true(f.heard.report);
	assert_int_equal(holders(false), 0);
	report(1, 4, true, f.id, 0);
	assert_int_equal(holders(false), 1);
}

static void a_version_that_went_meanwhile_is_dropped(void **state ATTR_UNUSED)
{
	uint64_t old;

	lose();
	old = f.id;
	fake_ufs_put(f.bucket, "f", 20);
	holders(true);
	assert_int_not_equal(f.id, old);
	register_worker(1);
	report(1, 2, false, 0, 0);
	sim_run(f.loop, 1000);
	assert_int_equal(f.dropped, old);
}

static void what_a_worker_had_is_forgotten_in_the_end(void **state ATTR_UNUSED)
{
	lose();
	sim_run(f.loop, 3700 * 1000);
	register_worker(1);
	assert_int_equal(f.registered.heard, 0);
	assert_int_equal(holders(false), 0);
}

static void the_epoch_grows_whatever_the_clock_says(void **state ATTR_UNUSED)
{
	uint64_t before;
	int i;

	register_worker(1);
	for (i = 0; i < 3; i++) {
		before = f.registered.epoch;
		sim_master_crash(&f.master);
		f.master.clock_back_ms += 3600 * 1000;
		sim_master_start(&f.master);
		sim_run(f.loop, 2000);
		register_worker(1);
		assert_true(f.registered.epoch > before);
	}
}

TEST_MAIN(TEST_WITH(a_loss_is_noticed_within_ten_seconds_of_the_last_heartbeat),
	  TEST_WITH(who_is_back_has_what_it_had),
	  TEST_WITH(who_has_begun_anew_reports_all),
	  TEST_WITH(a_report_may_come_twice_but_not_be_missing),
	  TEST_WITH(a_version_that_went_meanwhile_is_dropped),
	  TEST_WITH(what_a_worker_had_is_forgotten_in_the_end),
	  TEST_WITH(the_epoch_grows_whatever_the_clock_says))
