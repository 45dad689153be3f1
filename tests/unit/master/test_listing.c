/* Listings and refreshes. */

#include "master_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/metrics.h"

static void what_is_known_is_not_asked_for_again(void **state ATTR_UNUSED)
{
	uint64_t lists, stats;

	fake_ufs_put(f.bucket, "a/1.png", 100);
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(list("/data"), 0);
	assert_int_equal(list("/data/a"), 0);
	lists = n_lists();
	stats = n_stats();
	assert_int_equal(list("/data/a"), 0);
	assert_int_equal(stat_path("/data/a/1.png", false), 0);
	assert_int_equal(n_lists(), lists);
	assert_int_equal(n_stats(), stats);
}

static void a_refresh_sees_what_is_new_and_what_is_gone(
	void **state ATTR_UNUSED)
{
	fake_ufs_put(f.bucket, "old", 1);
	fake_ufs_put(f.bucket, "stays", 1);
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(list("/data"), 0);
	fake_ufs_remove(f.bucket, "old");
	fake_ufs_put(f.bucket, "new", 1);
	assert_int_equal(list("/data"), 0);
	assert_int_equal(f.n, 2);
	assert_int_equal(list_after("/data", 0, 0, true), 0);
	assert_int_equal(f.n, 2);
	assert_int_equal(stat_path("/data/new", false), 0);
	assert_int_equal(stat_path("/data/old", false), -ENOENT);
	assert_int_equal(stat_path("/data/stays", false), 0);
}

static void long_directories_come_in_parts(void **state ATTR_UNUSED)
{
	uint64_t after = 0;
	size_t n = 0;
	char name[16];
	int i;

	for (i = 0; i < 2500; i++) {
		snprintf(name, sizeof(name), "d/%d", i);
		fake_ufs_put(f.bucket, name, (uint64_t)i);
	}
	assert_int_equal(mount("/data"), 0);
	do {
		assert_int_equal(list_after("/data/d", after, 700, false), 0);
		assert_in_range(f.n, 1, 700);
		n += f.n;
		after = f.id;
	} while (f.more);
	assert_int_equal(n, 2500);
}

static void everybody_waits_for_one_listing(void **state ATTR_UNUSED)
{
	const struct fake_ufs_faults slow = { .min_ms = 50, .max_ms = 50 };
	const struct list_request req = {
		0, bytes("/data"), 0, 0, false, false
	};
	struct rpc_pending p[20];
	uint64_t lists;
	int i;

	fake_ufs_put(f.bucket, "x", 10);
	assert_int_equal(mount("/data"), 0);
	fake_ufs_set(f.bucket, &slow);
	lists = n_lists();
	begin();
	for (i = 0; i < 20; i++) {
		p[i] = (struct rpc_pending){ .fd = -1 };
		rpc_call(f.client, RPC_MASTER_METHOD(list), &p[i], &req,
			 on_list);
	}
	sim_run(f.loop, 1000);
	assert_int_equal(f.calls, 20);
	assert_int_equal(f.code, 0);
	assert_int_equal(n_lists(), lists + 1);
}

static void a_refresh_sees_what_came_before_it(void **state ATTR_UNUSED)
{
	const struct fake_ufs_faults slow = { .min_ms = 50,
					      .max_ms = 50,
					      .page = 1 };
	const struct list_request req = {
		0, bytes("/data"), 0, 0, false, false
	};
	const struct list_request fresh = {
		0, bytes("/data"), 0, 0, true, false
	};
	struct rpc_pending p[2] = { { .fd = -1 }, { .fd = -1 } };
	uint64_t lists;

	fake_ufs_put(f.bucket, "b", 10);
	fake_ufs_put(f.bucket, "c", 10);
	assert_int_equal(mount("/data"), 0);
	fake_ufs_set(f.bucket, &slow);
	lists = n_lists();
	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(list), &p[0], &req, on_list);
	sim_run(f.loop, 70);
	fake_ufs_put(f.bucket, "a", 10); /* behind the listing */
	rpc_call(f.client, RPC_MASTER_METHOD(list), &p[1], &fresh, on_list);
	sim_run(f.loop, 1000);
	assert_int_equal(f.calls, 2);
	assert_int_equal(f.code, 0);
	assert_int_equal(f.n, 3);
	assert_string_equal(f.names[0], "a");
	assert_int_equal(n_lists(), lists + 5);
}

static uint64_t n_records(void)
{
	return metric_value(METRIC_journal_records);
}

static void a_refresh_journals_what_differs(void **state ATTR_UNUSED)
{
	uint64_t records;

	put_many(900);
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(list("/data/a"), 0);
	sim_run(f.loop, 10000);
	records = n_records();
	assert_int_equal(list_after("/data/a", 0, 1000, true), 0);
	assert_int_equal(f.n, 900);
	assert_int_equal(n_records(), records + 1);
	/* it is known as of now, for names that are not there too */
	assert_int_equal(stat_path("/data/a/none", false), -ENOENT);
	assert_int_equal(n_records(), records + 1);

	fake_ufs_remove(f.bucket, "a/000");
	fake_ufs_remove(f.bucket, "a/899");
	fake_ufs_put(f.bucket, "a/0000", 7);
	fake_ufs_put(f.bucket, "a/500/deeper", 7); /* a file until now */
	fake_ufs_remove(f.bucket, "a/500");
	fake_ufs_put(f.bucket, "a/700", 12345);
	assert_int_equal(list_after("/data/a", 0, 1000, true), 0);
	assert_int_equal(f.n, 899);
	assert_true(n_records() <= records + 6);
	assert_int_equal(stat_path("/data/a/000", false), -ENOENT);
	assert_int_equal(stat_path("/data/a/899", false), -ENOENT);
	assert_int_equal(stat_path("/data/a/0000", false), 0);
	assert_int_equal(stat_path("/data/a/500/deeper", false), 0);
	assert_int_equal(stat_path("/data/a/700", false), 0);
	assert_int_equal(f.length, 12345);
}

/* A line of /proc/self/status, in KiB. */
static long memory_kib(const char *key_word)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[256];
	long kib = -1;

	while (kib < 0 && fgets(line, sizeof(line), file))
		if (strncmp(line, key_word, strlen(key_word)) == 0)
			kib = atol(line + strlen(key_word) + 1);
	fclose(file);
	return kib;
}

static void forget_peak(void)
{
	FILE *file = fopen("/proc/self/clear_refs", "w");

	fputs("5", file);
	fclose(file);
}

static void a_large_listing_needs_little_memory_and_holds_up_nobody(
	void **state ATTR_UNUSED)
{
	const struct fake_ufs_faults slow = { .min_ms = 5, .max_ms = 5 };
	const struct list_request req = {
		0, bytes("/data"), 0, 1, false, false
	};
	struct rpc_pending listing = { .fd = -1 };
	struct namespace_totals t;
	int i, listed = 0;
	char name[16];

	for (i = 0; i < 100000; i++) {
		snprintf(name, sizeof(name), "%d.png", i);
		fake_ufs_put(f.bucket, name, (uint64_t)i);
	}
	assert_int_equal(mount("/data"), 0);
	fake_ufs_set(f.bucket, &slow);
	forget_peak();
	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(list), &listing, &req, on_list);
	for (i = 0; i < 40; i++) {
		sim_run(f.loop, 5);
		if (f.calls)
			break;
		/* Answers at once, while the listing goes on. */
		assert_int_equal(getattr(1), 0);
		f.calls = 0;
		listed++;
	}
	assert_true(listed > 30);
	for (i = 0; i < 10000 && !f.calls; i++)
		sim_run(f.loop, 1);
	assert_int_equal(f.code, 0);
	namespace_totals(master_namespace(f.master.master), &t);
	assert_int_equal(t.files, 100000);
	assert_true(memory_kib("VmHWM:") <= memory_kib("VmRSS:") + 32 * 1024);
}

static void only_what_is_known_can_be_listed(void **state ATTR_UNUSED)
{
	const struct list_request req = { .path = bytes("/data"),
					  .known = true };
	const uint64_t before = n_lists();

	fake_ufs_put(f.bucket, "a", 1);
	fake_ufs_put(f.bucket, "b", 1);
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(stat_path("/data/a", false), 0);
	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(list), &f.pending, &req, on_list);
	assert_int_equal(await(), 0);
	assert_int_equal(f.n, 1);
	assert_int_equal(n_lists(), before + 1); /* the mount's check */
}

TEST_MAIN(TEST_WITH(only_what_is_known_can_be_listed),
	  TEST_WITH(what_is_known_is_not_asked_for_again),
	  TEST_WITH(a_refresh_sees_what_is_new_and_what_is_gone),
	  TEST_WITH(long_directories_come_in_parts),
	  TEST_WITH(everybody_waits_for_one_listing),
	  TEST_WITH(a_refresh_sees_what_came_before_it),
	  TEST_WITH(a_refresh_journals_what_differs),
	  TEST_WITH(a_large_listing_needs_little_memory_and_holds_up_nobody))
