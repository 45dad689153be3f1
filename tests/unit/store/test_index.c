/* What a restart finds. */

#include "store_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/sim.h"

static char *index_path(void)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/index", f.dir);
	return path;
}

static uint64_t index_size(void)
{
	struct stat st;

	assert_int_equal(stat(index_path(), &st), 0);
	return (uint64_t)st.st_size;
}

static struct store_totals totals(void)
{
	struct store_totals t;

	store_totals(f.store, &t);
	return t;
}

static void a_clean_stop_keeps_the_trust(void **state ATTR_UNUSED)
{
	uint64_t before;

	fill(1, 100 * KIB);
	fill_range(2, 5 * MIB + 3, MIB, 2 * MIB);
	fill_range(2, 5 * MIB + 3, 5 * MIB, 3);
	fill(3, 4096);
	store_drop(f.store, 3);
	sim_run(f.loop, 0);
	before = totals().used;
	store_stop();
	store_start();
	assert_int_equal(totals().files, 2);
	assert_int_equal(totals().unverified, 0);
	assert_in_range(totals().used, before - 8 * KIB, before + 8 * KIB);
	assert_int_equal(read_all(1, 100 * KIB), 100 * KIB);
	assert_int_equal(store_present(f.store, 2, 0, 5 * MIB), 0);
	assert_int_equal(read_range(2, 5 * MIB + 3, MIB, 4 * MIB), 2 * MIB);
	assert_int_equal(read_range(2, 5 * MIB + 3, 5 * MIB, 9), 3);
	assert_int_equal(read_all(3, 4096), -ENOENT);
	close(store_grant(f.store, 1));
	store_release(f.store, 1);
}

static void a_file_goes_on_growing_after_a_restart(void **state ATTR_UNUSED)
{
	fill_range(1, 2 * MIB, 0, MIB);
	store_stop();
	store_start();
	assert_int_equal(fill_range(1, 2 * MIB, MIB, MIB), MIB);
	assert_true(is_complete(1));
	store_stop();
	store_start();
	assert_int_equal(read_all(1, 2 * MIB), 2 * MIB);
}

static void a_crash_loses_nothing_that_was_filled(void **state ATTR_UNUSED)
{
	uint64_t i;

	for (i = 0; i < 20; i++)
		fill(i, 50 * KIB + i);
	fill_range(99, 3 * MIB, 2 * MIB, MIB);
	store_crash();
	store_start();
	for (i = 0; i < 20; i++)
		assert_int_equal(read_all(i, 50 * KIB + i), 50 * KIB + i);
	assert_int_equal(read_range(99, 3 * MIB, 2 * MIB, MIB), MIB);
}

static void a_dropped_file_stays_dropped(void **state ATTR_UNUSED)
{
	fill(1, 4096);
	store_drop(f.store, 1);
	sim_run(f.loop, 0);
	store_crash();
	store_start();
	assert_int_equal(totals().files, 0);
	fill(1, 4096);
	store_crash();
	store_start();
	assert_int_equal(read_all(1, 4096), 4096);
}

/* Every length that a crash may have left of the last record. */
static void a_torn_record_costs_one_file(void **state ATTR_UNUSED)
{
	uint64_t before, len, cut;

	fill(1, 4096);
	before = index_size();
	fill(2, 4096);
	len = index_size() - before;
	for (cut = 0; cut < len; cut++) {
		store_crash();
		before = index_size() - len;
		assert_int_equal(truncate(index_path(), (off_t)(before + cut)),
				 0);
		store_start();
		assert_int_equal(read_all(1, 4096), 4096);
		assert_int_equal(read_all(2, 4096), -ENOENT);
		/* What the index does not know must not take room. */
		assert_null(backing_path(2));
		assert_int_equal(fill(2, 4096), 4096);
	}
}

static void a_damaged_record_costs_its_file(void **state ATTR_UNUSED)
{
	uint64_t i, at[5];

	for (i = 0; i < 5; i++) {
		at[i] = index_size();
		fill(i, 4096);
	}
	for (i = 1; i < 4; i++) {
		store_crash();
		flip_bit(index_path(), at[2] + i * 13);
		store_start();
		assert_int_equal(read_all(1, 4096), 4096);
		assert_int_equal(read_all(2, 4096), -ENOENT);
		assert_int_equal(read_all(3, 4096), 4096);
		assert_int_equal(read_all(4, 4096), 4096);
		store_stop();
		store_start();
		at[2] = index_size();
		fill(2, 4096);
	}
}

static void a_damaged_header_starts_empty(void **state ATTR_UNUSED)
{
	fill(1, 4096);
	store_stop();
	flip_bit(index_path(), 30);
	store_start();
	assert_int_equal(read_all(1, 4096), -ENOENT);
	assert_true(disk_usage() < 64 * KIB);
	assert_int_equal(fill(1, 4096), 4096);
	store_stop();
	store_start();
	assert_int_equal(read_all(1, 4096), 4096);
}

static int start_with(uint64_t block_size, const uint8_t *cluster,
		      struct err *err)
{
	const struct store_dir dir = { .path = f.dir, .capacity = f.capacity };
	const struct store_options options = {
		.dirs = &dir,
		.n_dirs = 1,
		.block_size = block_size,
		.cluster = cluster,
		.evictor = f.evictor,
		.loop = f.loop,
	};

	return store_open(&f.store, &options, err);
}

static void another_block_size_starts_empty(void **state ATTR_UNUSED)
{
	struct err err = { 0 };

	fill(1, 4096);
	store_stop();
	assert_int_equal(start_with(MIB, NULL, &err), 0);
	assert_int_equal(read_all(1, 4096), -ENOENT);
}

static void another_clusters_store_is_refused(void **state ATTR_UNUSED)
{
	const uint8_t other[16] = "another cluster";
	struct err err = { 0 };

	fill(1, 4096);
	store_stop();
	assert_int_equal(start_with(256 * MIB, other, &err), -EEXIST);
	assert_non_null(strstr(err.msg, "belongs to another cluster"));
	f.store = NULL;
	store_start();
	assert_int_equal(totals().unverified, 0);
	assert_int_equal(read_all(1, 4096), 4096);
}

static void a_store_learns_and_keeps_its_cluster(void **state ATTR_UNUSED)
{
	const uint8_t one[16] = "one", other[16] = "other";
	struct err err = { 0 };

	store_stop();
	unlink(index_path());
	assert_int_equal(start_with(256 * MIB, NULL, &err), 0);
	fill(1, 4096);
	assert_false(store_bind(f.store, one));
	fill(2, 4096);
	store_stop();
	assert_int_equal(start_with(256 * MIB, NULL, &err), 0);
	assert_int_equal(totals().unverified, 0);
	assert_false(store_bind(f.store, one));
	assert_int_equal(read_all(1, 4096), 4096);
	assert_int_equal(read_all(2, 4096), 4096);
	/* The same ids are other files there. */
	assert_true(store_bind(f.store, other));
	assert_int_equal(read_all(1, 4096), -ENOENT);
	assert_null(backing_path(2));
	fill(1, 100);
	store_stop();
	assert_int_equal(start_with(256 * MIB, one, &err), -EEXIST);
	assert_int_equal(start_with(256 * MIB, other, &err), 0);
	assert_int_equal(read_all(1, 100), 100);
}

static void the_index_is_rewritten_when_it_is_stale(void **state ATTR_UNUSED)
{
	uint64_t i, largest = 0;

	fill_range(1, 3 * MIB, MIB, MIB);
	for (i = 0; i < 30000; i++) {
		fill(2 + i % 50, 10);
		store_drop(f.store, 2 + i % 50);
		sim_run(f.loop, 0);
		if (i % 1000 == 0 && index_size() > largest)
			largest = index_size();
	}
	fill(7, 10);
	assert_in_range(largest, 100 * KIB, 1100 * KIB);
	assert_true(index_size() < largest);
	store_crash();
	store_start();
	assert_int_equal(totals().files, 2);
	assert_int_equal(read_all(7, 10), 10);
	assert_int_equal(read_range(1, 3 * MIB, MIB, MIB), MIB);
}

static void less_capacity_evicts_at_the_start(void **state ATTR_UNUSED)
{
	uint64_t i;

	for (i = 0; i < 30; i++)
		fill(i, MIB);
	store_stop();
	f.capacity = 10 * MIB;
	store_start();
	assert_in_range(totals().files, 8, 10);
	assert_true(disk_usage() <= f.capacity);
}

static void a_share_of_the_disk(void **state ATTR_UNUSED)
{
	const struct store_dir dir = { .path = f.dir, .percent = 10 };
	const struct store_options options = {
		.dirs = &dir,
		.n_dirs = 1,
		.block_size = 256 * MIB,
		.evictor = "lru",
	};
	struct statvfs st;
	uint64_t free_bytes;
	struct err err;

	fill(1, 10 * MIB);
	store_stop();
	assert_int_equal(store_open(&f.store, &options, &err), 0);
	assert_int_equal(statvfs(f.dir, &st), 0);
	free_bytes = (uint64_t)st.f_bavail * st.f_frsize;
	/* Others write to that disk too. */
	assert_in_range(totals().capacity, free_bytes / 12, free_bytes / 8);
	assert_int_equal(read_all(1, 10 * MIB), 10 * MIB);
}

/* 1,000,000 files may take 5 s. */
static void a_restart_is_fast(void **state ATTR_UNUSED)
{
	struct timespec a, b;
	uint64_t i, ms;

	store_stop();
	f.capacity = 1024 * MIB;
	store_start();
	for (i = 0; i < 20000; i++)
		fill(i, 16);
	store_stop();
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	store_start();
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	assert_int_equal(totals().files, 20000);
	ms = (uint64_t)((b.tv_sec - a.tv_sec) * 1000 +
			(b.tv_nsec - a.tv_nsec) / 1000000);
	assert_true(ms < 100);
}

TEST_MAIN(TEST_WITH(a_clean_stop_keeps_the_trust),
	  TEST_WITH(a_file_goes_on_growing_after_a_restart),
	  TEST_WITH(a_crash_loses_nothing_that_was_filled),
	  TEST_WITH(a_dropped_file_stays_dropped),
	  TEST_WITH(a_torn_record_costs_one_file),
	  TEST_WITH(a_damaged_record_costs_its_file),
	  TEST_WITH(a_damaged_header_starts_empty),
	  TEST_WITH(another_block_size_starts_empty),
	  TEST_WITH(another_clusters_store_is_refused),
	  TEST_WITH(a_store_learns_and_keeps_its_cluster),
	  TEST_WITH(the_index_is_rewritten_when_it_is_stale),
	  TEST_WITH(less_capacity_evicts_at_the_start),
	  TEST_WITH(a_share_of_the_disk), TEST_WITH(a_restart_is_fast))
