#include "worker_fixture.h"

#include <errno.h>
#include <stdlib.h>

static void a_worker_registers_and_tells_all(void **state ATTR_UNUSED)
{
	assert_int_equal(f.registered, 1);
	assert_int_equal(f.fulls, 1);
	assert_in_range(f.heartbeats, 2, 4);
	run(10000);
	assert_in_range(f.heartbeats, 11, 14);
	assert_int_equal(f.fulls, 1);
}

static void what_changes_is_told_once(void **state ATTR_UNUSED)
{
	put_file(1, 100 * KIB);
	put_file(2, 50 * MIB);
	read_file(1);
	read_some(2, 0, 10);
	run(3000);
	assert_int_equal(f.added[1], 0);
	assert_int_equal(f.complete[1], 1);
	assert_int_equal(f.added[2], 1);
	assert_int_equal(f.complete[2], 0);
	store_drop(f.nodes[0].store, 1);
	run(3000);
	assert_int_equal(f.removed[1], 1);
	assert_int_equal(f.removed[2], 0);
}

/* While a report is on its way, its answer too. */
static void what_comes_during_a_report_is_told_soon(void **state ATTR_UNUSED)
{
	const struct sim_net_faults slow = { .min_ms = 20, .max_ms = 20 };
	struct reading r;
	unsigned before;

	put_file(1, 100 * KIB);
	open_file(1);
	sim_net_set(f.net, &slow);
	fake_ufs_hold(f.ufs, true);
	read_begin(&r, 0, 1, 0, 100);
	run(300);
	for (before = f.heartbeats; f.heartbeats == before;)
		run(1);
	fake_ufs_hold(f.ufs, false);
	run(300);
	read_end(&r);
	assert_int_equal(f.complete[1], 1);
}

/* In one report, in which there is no order. */
static void what_went_and_came_again_is_there(void **state ATTR_UNUSED)
{
	put_file(1, 100 * KIB);
	read_file(1);
	run(3000);
	master_end();
	run(1000);
	store_drop(f.nodes[0].store, 1);
	read_file(1);
	store_drop(f.nodes[0].store, 1);
	read_file(1);
	master_begin();
	run(5000);
	assert_int_equal(f.complete[1], 2);
	assert_int_equal(f.removed[1], 0);
}

static void all_is_told_when_asked(void **state ATTR_UNUSED)
{
	put_file(1, 100 * KIB);
	read_file(1);
	run(2000);
	f.report = true;
	run(2000);
	assert_int_equal(f.fulls, 2);
	assert_int_equal(f.complete[1], 2);
	assert_int_equal(f.registered, 1);
}

static void a_master_that_forgot_us_is_registered_with(void **state ATTR_UNUSED)
{
	put_file(1, 100 * KIB);
	read_file(1);
	run(2000);
	f.register_again = f.forgetful = true;
	run(3000);
	assert_int_equal(f.registered, 2);
	assert_int_equal(f.fulls, 2);
	assert_int_equal(f.complete[1], 2);
}

static void a_master_that_took_us_for_lost_is_told_the_difference(
	void **state ATTR_UNUSED)
{
	put_file(1, 100 * KIB);
	put_file(2, 100 * KIB);
	read_file(1);
	run(2000);
	f.register_again = true;
	run(1000);
	read_file(2);
	run(3000);
	assert_int_equal(f.registered, 2);
	assert_int_equal(f.fulls, 1);
	assert_int_equal(f.complete[1], 1);
	assert_int_equal(f.complete[2], 1);
}

static void a_master_that_was_away_is_told_the_difference(
	void **state ATTR_UNUSED)
{
	put_file(1, 100 * KIB);
	put_file(2, 100 * KIB);
	read_file(1);
	open_file(2); /* it is known now */
	run(2000);
	master_end();
	run(5000);
	read_file(2);
	run(5000);
	master_begin();
	run(5000);
	assert_int_equal(f.fulls, 1);
	assert_int_equal(f.complete[1], 1);
	assert_int_equal(f.complete[2], 1);
}

static void a_restart_finds_the_same_files(void **state ATTR_UNUSED)
{
	put_file(1, 100 * KIB);
	read_file(1);
	run(2000);
	node_stop(0);
	node_start(0);
	assert_int_equal(f.registered, 2);
	assert_int_equal(f.complete[1], 2);
	assert_int_equal(read_file(1), 100 * KIB);
	assert_int_equal(fake_ufs_numbers(f.ufs)->reads, 1);
}

static void the_cache_of_another_cluster_is_emptied(void **state ATTR_UNUSED)
{
	put_file(1, 100 * KIB);
	read_file(1);
	node_stop(0);
	f.cluster[0] = 2;
	put_file(1, 50 * KIB); /* has the same id there */
	node_start(0);
	assert_int_equal(read_file(1), 50 * KIB);
	run(2000);
	assert_int_equal(f.removed[1], 0);
}

static void a_master_of_another_cluster_means_other_files(
	void **state ATTR_UNUSED)
{
	put_file(1, 100 * KIB);
	open_file(1); /* now it is known, and not cached */
	put_file(2, 100 * KIB);
	read_file(2);
	f.cluster[0] = 2;
	f.register_again = true;
	run(3000);
	put_file(1, 70 * KIB);
	assert_int_equal(open_file(1).length, 70 * KIB);
	assert_int_equal(read_file(1), 70 * KIB);
	put_file(2, 30 * KIB);
	assert_int_equal(read_file(2), 30 * KIB);
	assert_int_equal(f.mounts_asked, 2);
}

static void mounts_that_changed_are_asked_for_once(void **state ATTR_UNUSED)
{
	f.mount_changes = 1;
	run(3000);
	assert_int_equal(f.mounts_asked, 0); /* none is used */
	put_file(1, 100 * KIB);
	read_file(1);
	assert_int_equal(f.mounts_asked, 1);
	f.mount_changes = 2;
	run(3000);
	assert_int_equal(f.mounts_asked, 2);
	run(3000);
	assert_int_equal(f.mounts_asked, 2);
	put_file(2, 100 * KIB);
	assert_int_equal(read_file(2), 100 * KIB);
	assert_int_equal(f.mounts_asked, 2);
}

static bool stopped, all_stopped;

static void on_stopped(void *owner ATTR_UNUSED, bool all)
{
	assert_false(stopped);
	stopped = true;
	all_stopped = all;
}

static void stop_and_free(void)
{
	struct node *n = &f.nodes[0];

	assert_true(stopped && all_stopped);
	rpc_client_close(n->client);
	n->client = NULL;
	run(100);
	store_close(n->store);
	worker_free(n->worker);
	n->worker = NULL;
}

static void a_stop_lets_calls_end(void **state ATTR_UNUSED)
{
	struct reading r;

	stopped = false;
	put_file(1, 300 * KIB);
	fake_ufs_hold(f.ufs, true);
	read_begin(&r, 0, 1, 0, 300 * KIB);
	run(1000);
	worker_stop(f.nodes[0].worker, on_stopped, NULL);
	run(1000);
	assert_int_equal(r.calls, 0);
	assert_false(stopped);
	fake_ufs_hold(f.ufs, false);
	run(1000);
	read_end(&r);
	assert_int_equal(r.n, 300 * KIB);
	stop_and_free();
}

static void a_stop_does_not_wait_for_ever(void **state ATTR_UNUSED)
{
	struct reading r;

	stopped = false;
	put_file(1, 300 * KIB);
	fake_ufs_hold(f.ufs, true);
	read_begin(&r, 0, 1, 0, 300 * KIB);
	run(1000);
	worker_stop(f.nodes[0].worker, on_stopped, NULL);
	run(7000);
	read_end(&r);
	assert_true(r.code < 0);
	stop_and_free();
	fake_ufs_hold(f.ufs, false);
}

/* More than may be read at once: the rest would be begun when those end. */
static void a_stop_begins_no_fetch_that_hangs(void **state ATTR_UNUSED)
{
	struct reading r[40];
	unsigned i;

	stopped = false;
	put_file(1, 16 * MIB);
	fake_ufs_hold(f.ufs, true);
	for (i = 0; i < ARRAY_SIZE(r); i++)
		read_begin(&r[i], 0, 1, 0, 16 * MIB);
	run(1000);
	worker_stop(f.nodes[0].worker, on_stopped, NULL);
	run(7000);
	for (i = 0; i < ARRAY_SIZE(r); i++) {
		read_end(&r[i]);
		assert_true(r[i].code < 0);
	}
	stop_and_free();
	fake_ufs_hold(f.ufs, false);
}

static void a_stop_does_not_wait_for_who_takes_nothing(void **state ATTR_UNUSED)
{
	struct node *n = &f.nodes[0];
	struct reading r;

	stopped = false;
	put_file(1, 300 * KIB);
	fake_ufs_hold(f.ufs, true);
	read_begin(&r, 0, 1, 0, 300 * KIB);
	run(1000);
	sim_net_part(f.net, n->loop, f.loop, true);
	fake_ufs_hold(f.ufs, false);
	run(1000);
	worker_stop(n->worker, on_stopped, NULL);
	run(7000);
	stop_and_free();
	sim_net_part(f.net, n->loop, f.loop, false);
	run(100);
	read_end(&r); /* of what was on its way, all or nothing has come */
}

/* An under-storage whose one read hangs in a system call. */
static struct {
	struct ufs ufs;
	struct ufs_req *req;
} hung;

static void hung_close(struct ufs *u ATTR_UNUSED)
{
}

static void hung_read(struct ufs *u ATTR_UNUSED, struct ufs_req *req,
		      ufs_done_fn done)
{
	req->done = done;
	hung.req = req;
}

static void hung_cancel(struct ufs *u ATTR_UNUSED,
			struct ufs_req *req ATTR_UNUSED)
{
}

static const struct ufs_ops hung_ops = {
	.scheme = "hung",
	.close = hung_close,
	.read = hung_read,
	.cancel = hung_cancel,
};

static int hung_open(struct ufs **out, const struct ufs_env *env ATTR_UNUSED,
		     const char *uri ATTR_UNUSED, struct err *err ATTR_UNUSED)
{
	hung.ufs.ops = &hung_ops;
	*out = &hung.ufs;
	return 0;
}

static void a_stop_leaves_what_cannot_be_cancelled(void **state ATTR_UNUSED)
{
	struct node *n = &f.nodes[0];
	struct reading r;

	node_stop(0);
	f.open_ufs = hung_open;
	node_start(0);
	stopped = false;
	put_file(1, 300 * KIB);
	read_begin(&r, 0, 1, 0, 300 * KIB);
	run(1000);
	rpc_cancel(&r.pending); /* nobody waits for it either */
	run(100);
	worker_stop(n->worker, on_stopped, NULL);
	run(9000);
	assert_true(stopped);
	assert_false(all_stopped);
	read_end(&r);
	store_close(n->store);
	hung.req->done(hung.req, -EIO); /* only a test frees the rest */
	rpc_client_close(n->client);
	n->client = NULL;
	run(3000);
	worker_free(n->worker);
	n->worker = NULL;
}

static void a_stop_with_the_master_away(void **state ATTR_UNUSED)
{
	struct reading r;

	stopped = false;
	put_file(1, 300 * KIB);
	master_end();
	read_begin(&r, 0, 1, 0, 300 * KIB);
	run(1000);
	worker_stop(f.nodes[0].worker, on_stopped, NULL);
	run(7000);
	read_end(&r);
	assert_true(r.code < 0);
	stop_and_free();
}

TEST_MAIN(TEST_WITH(a_worker_registers_and_tells_all),
	  TEST_WITH(what_changes_is_told_once),
	  TEST_WITH(what_comes_during_a_report_is_told_soon),
	  TEST_WITH(what_went_and_came_again_is_there),
	  TEST_WITH(all_is_told_when_asked),
	  TEST_WITH(a_master_that_forgot_us_is_registered_with),
	  TEST_WITH(a_master_that_took_us_for_lost_is_told_the_difference),
	  TEST_WITH(a_master_that_was_away_is_told_the_difference),
	  TEST_WITH(a_restart_finds_the_same_files),
	  TEST_WITH(the_cache_of_another_cluster_is_emptied),
	  TEST_WITH(a_master_of_another_cluster_means_other_files),
	  TEST_WITH(mounts_that_changed_are_asked_for_once),
	  TEST_WITH(a_stop_lets_calls_end),
	  TEST_WITH(a_stop_does_not_wait_for_ever),
	  TEST_WITH(a_stop_begins_no_fetch_that_hangs),
	  TEST_WITH(a_stop_does_not_wait_for_who_takes_nothing),
	  TEST_WITH(a_stop_leaves_what_cannot_be_cancelled),
	  TEST_WITH(a_stop_with_the_master_away))
