/* What holds of the master as a whole, over its crashes and stops. */

#include "master_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void under_storage_that_fails_is_an_error_not_an_absence(
	void **state ATTR_UNUSED)
{
	fake_ufs_put(f.bucket, "x", 10);
	assert_int_equal(mount("/data"), 0);
	fake_ufs_fail(f.bucket, 0, 2, -EIO);
	assert_int_equal(stat_path("/data/x", false), -EIO);
	assert_int_equal(list("/data"), -EIO);
	assert_int_equal(stat_path("/data/x", false), 0);
	assert_int_equal(list("/data"), 0);
	assert_int_equal(f.n, 1);
}

static void a_crash_in_mid_listing_loses_nothing_that_was_said(
	void **state ATTR_UNUSED)
{
	const struct fake_ufs_faults slow = { .min_ms = 50, .max_ms = 50 };
	const struct list_request req = {
		0, bytes("/data"), 0, 0, false, false
	};
	uint64_t before;
	char name[16];
	int i;

	for (i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		fake_ufs_put(f.bucket, name, (uint64_t)i);
	}
	assert_int_equal(mount("/data"), 0);
	fake_ufs_set(f.bucket, &slow);
	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(list), &f.pending, &req, on_list);
	sim_run(f.loop, 175); /* three pages of five are known */
	before = namespace_digest(master_namespace(f.master.master));
	sim_master_crash(&f.master);
	assert_int_equal(f.calls, 1);
	assert_int_not_equal(f.code, 0);
	sim_master_start(&f.master);
	sim_run(f.loop, 2000);
	assert_true(f.master.ready);
	assert_int_equal(namespace_digest(master_namespace(f.master.master)),
			 before);
	namespace_check(master_namespace(f.master.master));
	for (i = 0, before = 0; !i || f.more; i++) {
		assert_int_equal(list_after("/data", f.id * !!i, 1000, false),
				 0);
		before += f.n;
	}
	assert_int_equal(before, 5000);
}

static void what_is_known_is_served_without_under_storage(
	void **state ATTR_UNUSED)
{
	fake_ufs_put(f.bucket, "a/x", 10);
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(list("/data"), 0);
	assert_int_equal(list("/data/a"), 0);
	sim_master_stop(&f.master);
	fake_ufs_fail(f.bucket, 0, 1000, -EHOSTUNREACH);
	sim_master_start(&f.master);
	sim_run(f.loop, 6000);
	assert_true(f.master.ready);
	assert_int_equal(list("/data/a"), 0);
	assert_int_equal(f.n, 1);
	assert_int_equal(stat_path("/data/a/x", false), 0);
	assert_int_equal(stat_path("/data/a/y", false), -EHOSTUNREACH);
}

static void on_report(struct rpc_pending *p, int code, const void *reply)
{
	const struct report_reply *r = reply;

	end(p, code);
	if (code)
		return;
	f.length = r->block_size;
	f.n = r->warnings.n;
	if (f.n)
		snprintf(f.text, sizeof(f.text), "%.*s",
			 (int)r->warnings.at[0].len, r->warnings.at[0].ptr);
}

static void report(void)
{
	const struct report_request req = { true };

	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(report), &f.pending, &req,
		 on_report);
	assert_int_equal(await(), 0);
}

static void the_block_size_is_fixed_when_the_cluster_begins(
	void **state ATTR_UNUSED)
{
	report();
	assert_int_equal(f.length, 256 << 20);
	sim_master_stop(&f.master);
	f.master.block_size = 1 << 20;
	sim_master_start(&f.master);
	sim_run(f.loop, 2000);
	report();
	assert_int_equal(f.length, 256 << 20);
	assert_non_null(strstr(f.text, "block.size is 1048576"));
}

TEST_MAIN(TEST_WITH(under_storage_that_fails_is_an_error_not_an_absence),
	  TEST_WITH(a_crash_in_mid_listing_loses_nothing_that_was_said),
	  TEST_WITH(what_is_known_is_served_without_under_storage),
	  TEST_WITH(the_block_size_is_fixed_when_the_cluster_begins))
