/* Lookups and pages of listings that overtake each other on their way: what was
 * asked for later is believed. */

#include "master_fixture.h"

#include <errno.h>
#include <stdio.h>

/* Lists while a lookup finds what is newer than the page that is on its way;
 * `again` after it was listed once. */
static void check_older_page(bool again)
{
	const struct fake_ufs_faults slow = { .list_back_ms = 100 };
	const struct list_request req = {
		0, bytes("/data"), 0, 0, true, false
	};
	struct rpc_pending p = { .fd = -1 };

	fake_ufs_put(f.bucket, "changed", 1);
	fake_ufs_put(f.bucket, "gone", 2);
	fake_ufs_put(f.bucket, "same", 3);
	assert_int_equal(mount("/data"), 0);
	if (again)
		assert_int_equal(list("/data"), 0);
	else
		assert_int_equal(stat_path("/data/same", false), 0);
	fake_ufs_set(f.bucket, &slow);
	rpc_call(f.client, RPC_MASTER_METHOD(list), &p, &req, on_list);
	sim_run(f.loop, 50);
	fake_ufs_put(f.bucket, "changed", 10);
	fake_ufs_put(f.bucket, "new", 20);
	fake_ufs_remove(f.bucket, "gone");
	assert_int_equal(stat_path("/data/changed", true), 0);
	assert_int_equal(f.length, 10);
	assert_int_equal(stat_path("/data/new", true), 0);
	assert_int_equal(stat_path("/data/gone", true), -ENOENT);
	assert_int_equal(stat_path("/data/same", true), 0);
	begin();
	sim_run(f.loop, 1000);
	assert_int_equal(f.calls, 1); /* the listing's */
	assert_int_equal(f.code, 0);
	assert_int_equal(f.n, 3);
	assert_int_equal(stat_path("/data/changed", false), 0);
	assert_int_equal(f.length, 10);
	assert_int_equal(stat_path("/data/new", false), 0);
	assert_int_equal(stat_path("/data/gone", false), -ENOENT);
	assert_int_equal(stat_path("/data/same", false), 0);
}

static void an_older_page_takes_nothing_back(void **state ATTR_UNUSED)
{
	check_older_page(false);
}

static void an_older_page_of_a_refresh_neither(void **state ATTR_UNUSED)
{
	check_older_page(true);
}

/* A lookup that was asked before a refresh answers in its middle. */
static void check_older_lookup(bool again)
{
	const struct fake_ufs_faults slow = { .stat_back_ms = 100,
					      .list_back_ms = 70 };
	const struct stat_request look = { bytes("/data/gone"), true };
	const struct list_request all = {
		0, bytes("/data"), 0, 0, true, false
	};
	struct rpc_pending p[2] = { { .fd = -1 }, { .fd = -1 } };

	fake_ufs_put(f.bucket, "gone", 1);
	fake_ufs_put(f.bucket, "there", 1);
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(stat_path("/data/there", false), 0);
	if (again)
		assert_int_equal(list("/data"), 0);
	fake_ufs_set(f.bucket, &slow);
	rpc_call(f.client, RPC_MASTER_METHOD(stat), &p[0], &look, on_stat);
	sim_run(f.loop, 50);
	fake_ufs_remove(f.bucket, "gone"); /* what was found travels yet */
	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(list), &p[1], &all, on_list);
	sim_run(f.loop, 1000);
	assert_int_equal(f.calls, 2);
	assert_int_equal(stat_path("/data/gone", false), -ENOENT);
	assert_int_equal(list("/data"), 0);
	assert_int_equal(f.n, 1);
}

static void a_refresh_is_not_undone_by_an_older_lookup(void **state ATTR_UNUSED)
{
	check_older_lookup(false);
}

static void a_later_refresh_neither(void **state ATTR_UNUSED)
{
	check_older_lookup(true);
}

/* /data with a, b, c and d, listed. */
static void list_four(void)
{
	fake_ufs_put(f.bucket, "a", 1);
	fake_ufs_put(f.bucket, "b", 1);
	fake_ufs_put(f.bucket, "c", 1);
	fake_ufs_put(f.bucket, "d", 1);
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(list("/data"), 0);
}

/* A lookup that begins within a refresh and ends after it. */
static void a_refresh_that_has_ended_is_not_undone(void **state ATTR_UNUSED)
{
	const struct fake_ufs_faults slow = { .page = 2,
					      .list_back_ms = 50,
					      .stat_back_ms = 500 };
	const struct stat_request look = { bytes("/data/d"), true };
	const struct list_request all = {
		0, bytes("/data"), 0, 0, true, false
	};
	struct rpc_pending p[2] = { { .fd = -1 }, { .fd = -1 } };

	list_four();
	fake_ufs_set(f.bucket, &slow);
	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(list), &p[0], &all, on_list);
	sim_run(f.loop, 20);
	rpc_call(f.client, RPC_MASTER_METHOD(stat), &p[1], &look, on_stat);
	sim_run(f.loop, 20);
	fake_ufs_put(f.bucket, "d", 77); /* what was found travels yet */
	sim_run(f.loop, 100);
	assert_int_equal(f.calls, 1); /* the refresh has seen it */
	sim_run(f.loop, 5000);
	assert_int_equal(f.calls, 2);
	assert_int_equal(stat_path("/data/d", false), 0);
	assert_int_equal(f.length, 77);
}

/* What one path was found to be is on its way into the journal, while a page
 * that was asked for later says otherwise. */
static void a_later_page_is_not_undone_by_a_lookup_on_its_way(
	void **state ATTR_UNUSED)
{
	const struct fake_ufs_faults slow = { .page = 2, .list_back_ms = 50 };
	const struct stat_request look = { bytes("/data/d"), true };
	const struct list_request all = {
		0, bytes("/data"), 0, 0, true, false
	};
	struct rpc_pending p[2] = { { .fd = -1 }, { .fd = -1 } };

	list_four();
	fake_ufs_set(f.bucket, &slow);
	sim_disk_delay(f.master.disk, 500);
	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(list), &p[0], &all, on_list);
	sim_run(f.loop, 20);
	fake_ufs_fail(f.bucket, 0, 1, -ENOENT); /* renamed for a moment */
	rpc_call(f.client, RPC_MASTER_METHOD(stat), &p[1], &look, on_stat);
	sim_run(f.loop, 5000);
	assert_int_equal(f.calls, 2);
	assert_int_equal(list("/data"), 0);
	assert_int_equal(f.n, 4);
}

/* A lookup whose answer travels while a page that has the name comes, and comes
 * itself before the listing has ended. */
static void check_overtaken_lookup(const char *name, unsigned back_ms,
				   bool removed)
{
	const struct fake_ufs_faults slow = { .page = 1,
					      .list_back_ms = 50,
					      .stat_back_ms = back_ms };
	const struct list_request all = {
		0, bytes("/data"), 0, 0, true, false
	};
	struct stat_request look = { .refresh = true };
	struct rpc_pending p[2] = { { .fd = -1 }, { .fd = -1 } };
	char path[32];

	snprintf(path, sizeof(path), "/data/%s", name);
	look.path = bytes(path);
	fake_ufs_set(f.bucket, &slow);
	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(list), &p[0], &all, on_list);
	sim_run(f.loop, 30);
	rpc_call(f.client, RPC_MASTER_METHOD(stat), &p[1], &look, on_stat);
	sim_run(f.loop, 10);
	if (removed)
		fake_ufs_remove(f.bucket, name);
	else
		fake_ufs_put(f.bucket, name, 77);
	sim_run(f.loop, 5000);
	assert_int_equal(f.calls, 2);
}

static void a_page_is_not_undone_by_an_older_lookup(void **state ATTR_UNUSED)
{
	list_four();
	check_overtaken_lookup("b", 90, false);
	assert_int_equal(stat_path("/data/b", false), 0);
	assert_int_equal(f.length, 77);
}

static void a_page_of_a_first_listing_neither(void **state ATTR_UNUSED)
{
	fake_ufs_put(f.bucket, "a", 1);
	fake_ufs_put(f.bucket, "c", 1);
	fake_ufs_put(f.bucket, "d", 1);
	assert_int_equal(mount("/data"), 0);
	check_overtaken_lookup("cc", 130, false); /* it was not there */
	assert_int_equal(stat_path("/data/cc", false), 0);
	assert_int_equal(list("/data"), 0);
	assert_int_equal(f.n, 4);
}

static void a_page_that_lacks_a_name_neither(void **state ATTR_UNUSED)
{
	list_four();
	check_overtaken_lookup("b", 90, true);
	assert_int_equal(stat_path("/data/b", false), -ENOENT);
	assert_int_equal(list("/data"), 0);
	assert_int_equal(f.n, 3);
}

/* Answers take longer than pages; no more than a few may overtake one. */
static void a_lookup_waits_for_few_pages_of_a_listing(void **state ATTR_UNUSED)
{
	const struct fake_ufs_faults slow = { .page = 2,
					      .list_back_ms = 10,
					      .stat_back_ms = 50 };
	const struct stat_request look = { bytes("/data/a/150"), true };
	const struct list_request all = {
		0, bytes("/data/a"), 0, 0, true, false
	};
	struct rpc_pending p[2] = { { .fd = -1 }, { .fd = -1 } };

	put_many(200);
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(list("/data/a"), 0);
	fake_ufs_set(f.bucket, &slow);
	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(list), &p[0], &all, on_list);
	sim_run(f.loop, 5);
	rpc_call(f.client, RPC_MASTER_METHOD(stat), &p[1], &look, on_stat);
	sim_run(f.loop, 300);
	assert_int_equal(f.calls, 1); /* the lookup's */
	assert_int_equal(f.length, 151);
	sim_run(f.loop, 1200);
	assert_int_equal(f.calls, 2);
	assert_int_equal(f.code, 0);
	assert_int_equal(f.n, 200);
}

/* A lookup of /data/d whose answer travels while a page comes that has it. */
static void look_while_listed(bool refresh)
{
	const struct fake_ufs_faults slow = { .list_back_ms = 50,
					      .stat_back_ms = 500 };
	const struct stat_request look = { bytes("/data/d"), refresh };
	const struct list_request all = {
		0, bytes("/data"), 0, 0, true, false
	};
	static struct rpc_pending p[2];

	p[0] = p[1] = (struct rpc_pending){ .fd = -1 };
	fake_ufs_put(f.bucket, "d", 1);
	assert_int_equal(mount("/data"), 0);
	fake_ufs_set(f.bucket, &slow);
	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(stat), &p[0], &look, on_stat);
	sim_run(f.loop, 20);
	rpc_call(f.client, RPC_MASTER_METHOD(list), &p[1], &all, on_list);
	sim_run(f.loop, 20);
	fake_ufs_put(f.bucket, "d", 77); /* what was found travels yet */
	f.length = 0;
	sim_run(f.loop, 100);
}

static void a_page_answers_a_lookup_that_waits(void **state ATTR_UNUSED)
{
	uint64_t stats = n_stats();

	look_while_listed(false);
	assert_int_equal(f.calls, 2);
	assert_int_equal(f.length, 1);
	sim_run(f.loop, 2000);
	assert_int_equal(n_stats(), stats + 1);
	assert_int_equal(stat_path("/data/d", true), 0);
	assert_int_equal(f.length, 77);
}

static void but_not_one_that_wants_what_is_there_now(void **state ATTR_UNUSED)
{
	look_while_listed(true);
	assert_int_equal(f.calls, 1); /* the listing's */
	assert_int_equal(f.length, 0);
	sim_run(f.loop, 2000);
	assert_int_equal(f.calls, 2);
	assert_int_equal(f.length, 77);
}

/* It waits for the answer of an older one, which fails, and asks then: the page
 * was asked for before it came. */
static void nor_one_that_waited_for_another(void **state ATTR_UNUSED)
{
	const struct fake_ufs_faults late = { .min_ms = 100, .max_ms = 100 };
	const struct fake_ufs_faults back = { .list_back_ms = 300,
					      .stat_back_ms = 500 };
	const struct stat_request look[2] = { { bytes("/data/d"), false },
					      { bytes("/data/d"), true } };
	const struct list_request all = {
		0, bytes("/data"), 0, 0, true, false
	};
	struct rpc_pending p[3] = { { .fd = -1 }, { .fd = -1 }, { .fd = -1 } };

	fake_ufs_put(f.bucket, "d", 1);
	assert_int_equal(mount("/data"), 0);
	fake_ufs_set(f.bucket, &late);
	fake_ufs_fail(f.bucket, 0, 1, -EIO);
	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(stat), &p[0], &look[0], on_stat);
	sim_run(f.loop, 20);
	fake_ufs_set(f.bucket, &back);
	rpc_call(f.client, RPC_MASTER_METHOD(list), &p[1], &all, on_list);
	sim_run(f.loop, 20);
	fake_ufs_put(f.bucket, "d", 77); /* what was found travels yet */
	rpc_call(f.client, RPC_MASTER_METHOD(stat), &p[2], &look[1], on_stat);
	sim_run(f.loop, 200);
	assert_int_equal(f.calls, 1); /* the first one's */
	sim_run(f.loop, 2000);
	assert_int_equal(f.calls, 3);
	assert_int_equal(f.length, 77);
}

/* Two lookups, of which the second begins a listing, while what the first found
 * travels. */
static void a_listing_by_the_way_is_not_undone_either(void **state ATTR_UNUSED)
{
	const struct fake_ufs_faults slow = { .list_back_ms = 300,
					      .stat_back_ms = 100 };
	const struct stat_request look[2] = { { bytes("/data/a/gone"), false },
					      { bytes("/data/a/x"), false } };
	struct rpc_pending p[2] = { { .fd = -1 }, { .fd = -1 } };
	uint64_t lists;

	fake_ufs_put(f.bucket, "a/gone", 1);
	fake_ufs_put(f.bucket, "a/x", 1);
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(stat_path("/data/a", false), 0);
	lists = n_lists();
	fake_ufs_set(f.bucket, &slow);
	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(stat), &p[0], &look[0], on_stat);
	sim_run(f.loop, 20);
	fake_ufs_remove(f.bucket, "a/gone"); /* what was found travels yet */
	rpc_call(f.client, RPC_MASTER_METHOD(stat), &p[1], &look[1], on_stat);
	sim_run(f.loop, 1000);
	assert_int_equal(f.calls, 2);
	assert_int_equal(n_lists(), lists + 1);
	assert_int_equal(stat_path("/data/a/gone", false), -ENOENT);
	assert_int_equal(list("/data/a"), 0);
	assert_int_equal(f.n, 1);
}

TEST_MAIN(TEST_WITH(an_older_page_takes_nothing_back),
	  TEST_WITH(a_refresh_is_not_undone_by_an_older_lookup),
	  TEST_WITH(a_later_page_is_not_undone_by_a_lookup_on_its_way),
	  TEST_WITH(a_page_is_not_undone_by_an_older_lookup),
	  TEST_WITH(a_page_of_a_first_listing_neither),
	  TEST_WITH(a_page_that_lacks_a_name_neither),
	  TEST_WITH(a_lookup_waits_for_few_pages_of_a_listing),
	  TEST_WITH(a_page_answers_a_lookup_that_waits),
	  TEST_WITH(but_not_one_that_wants_what_is_there_now),
	  TEST_WITH(nor_one_that_waited_for_another),
	  TEST_WITH(a_listing_by_the_way_is_not_undone_either),
	  TEST_WITH(a_refresh_that_has_ended_is_not_undone),
	  TEST_WITH(a_later_refresh_neither),
	  TEST_WITH(an_older_page_of_a_refresh_neither))
