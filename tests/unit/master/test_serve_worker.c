/* Workers that register, are heard of, and report what they hold. */

#include "jobs_fixture.h"

#include <errno.h>

static void on_workers(struct rpc_pending *p, int code, const void *reply)
{
	const struct workers_reply *r = reply;
	size_t i;

	f.n_live = 0;
	if (!code) {
		f.epoch = r->epoch;
		for (i = 0; i < r->workers.n; i++)
			f.n_live += r->workers.at[i].live;
	}
	on_any(p, code, reply);
}

static uint64_t live_workers(void)
{
	const struct workers_request req = { 0 };

	begin(&f.pending);
	rpc_call(f.client, RPC_MASTER_METHOD(workers), &f.pending, &req,
		 on_workers);
	assert_int_equal(await(), 0);
	return f.n_live;
}

static void a_worker_keeps_its_id_over_restarts(void **state ATTR_UNUSED)
{
	uint32_t first;

	worker_register(0);
	worker_register(1);
	first = f.workers[0].id;
	assert_int_not_equal(first, f.workers[1].id);
	assert_int_equal(live_workers(), 2);
	sim_master_stop(&f.master);
	sim_master_start(&f.master);
	sim_run(f.loop, 2000);
	assert_int_equal(live_workers(), 0);
	heartbeat(0, NULL, 0);
	assert_true(f.workers[0].register_again);
	worker_register(1);
	worker_register(0);
	assert_int_equal(f.workers[0].id, first);
}

static void only_workers_with_the_key_may_register(void **state ATTR_UNUSED)
{
	assert_int_equal(register_as(f.client, "x:1", 5), -EACCES);
	assert_int_equal(live_workers(), 0);
}

static void a_silent_worker_is_dead_and_the_epoch_grows(
	void **state ATTR_UNUSED)
{
	uint64_t epoch;
	int i;

	worker_register(0);
	worker_register(1);
	assert_int_equal(live_workers(), 2);
	epoch = f.epoch;
	for (i = 0; i < 12; i++) {
		sim_run(f.loop, SECOND_MS);
		assert_int_equal(heartbeat(0, NULL, 0), 0);
	}
	assert_int_equal(live_workers(), 1);
	assert_true(f.epoch > epoch);
	heartbeat(1, NULL, 0);
	assert_true(f.workers[1].register_again);
}

/* Beside other calls, which are counted. */
static void on_set(struct rpc_pending *p ATTR_UNUSED, int code,
		   const void *reply)
{
	const struct workers_reply *r = reply;

	assert_int_equal(code, 0);
	f.n_live = r->workers.n;
}

static void after_a_restart_nobody_gets_a_part_of_the_set(
	void **state ATTR_UNUSED)
{
	const struct workers_request req = { 0 };
	struct rpc_pending p = { .fd = -1 };

	worker_register(0);
	worker_register(1);
	sim_master_crash(&f.master);
	sim_master_start(&f.master);
	sim_run(f.loop, SECOND_MS);
	f.n_live = 99;
	rpc_call(f.client, RPC_MASTER_METHOD(workers), &p, &req, on_set);
	sim_run(f.loop, 100);
	worker_register(0);
	sim_run(f.loop, 100);
	assert_int_equal(f.n_live, 99);
	worker_register(1);
	sim_run(f.loop, 100);
	assert_int_equal(f.n_live, 2);
	assert_int_equal(live_workers(), 2);
}

static void after_a_restart_a_lost_worker_is_not_waited_for_long(
	void **state ATTR_UNUSED)
{
	const struct workers_request req = { 0 };
	struct rpc_pending p = { .fd = -1 };

	worker_register(0);
	worker_register(1);
	sim_master_stop(&f.master);
	sim_master_start(&f.master);
	sim_run(f.loop, SECOND_MS);
	worker_register(0);
	f.calls = 0;
	rpc_call(f.client, RPC_MASTER_METHOD(workers), &p, &req, on_workers);
	sim_run(f.loop, 3000);
	assert_int_equal(f.calls, 1);
	assert_int_equal(f.n_live, 1);
}

static void holders_are_what_workers_report(void **state ATTR_UNUSED)
{
	uint64_t id = stat_path("/data/0/0/f", false);

	assert_int_equal(f.files, 0);
	worker_register(0);
	worker_register(1);
	heartbeat(0, &id, 1);
	heartbeat(1, &id, 1);
	stat_path("/data/0/0/f", false);
	assert_int_equal(f.files, 2);
	worker_register(1); /* begins its report anew */
	stat_path("/data/0/0/f", false);
	assert_int_equal(f.files, 1);
}

static void a_version_that_is_no_more_is_dropped(void **state ATTR_UNUSED)
{
	uint64_t id = stat_path("/data/0/0/f", false);

	worker_register(0);
	heartbeat(0, &id, 1);
	map_put(&f.workers[0].has, id, &f);
	fake_ufs_put(f.bucket, "0/0/f", 20);
	assert_int_not_equal(stat_path("/data/0/0/f", true), id);
	sim_run(f.loop, 100);
	assert_int_equal(f.workers[0].drops, 1);
	assert_null(map_get(&f.workers[0].has, id));
	/* Reported later all the same: dropped again. */
	heartbeat(0, &id, 1);
	sim_run(f.loop, 100);
	assert_int_equal(f.workers[0].drops, 2);
}

TEST_MAIN(TEST_WITH(a_worker_keeps_its_id_over_restarts),
	  TEST_WITH(only_workers_with_the_key_may_register),
	  TEST_WITH(a_silent_worker_is_dead_and_the_epoch_grows),
	  TEST_WITH(after_a_restart_nobody_gets_a_part_of_the_set),
	  TEST_WITH(after_a_restart_a_lost_worker_is_not_waited_for_long),
	  TEST_WITH(holders_are_what_workers_report),
	  TEST_WITH(a_version_that_is_no_more_is_dropped))
