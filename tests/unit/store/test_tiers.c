/* Files go up and down between tiers, and are right wherever they are. */

#include "tiers_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/sim.h"

#define SMALL (100 * KIB)

#define TIERS_TEST(t) cmocka_unit_test_setup_teardown(t, start, stop)

static int start(void **state)
{
	tiers_setup(state);
	tiers_start();
	return 0;
}

static int stop(void **state)
{
	return tiers_teardown(state);
}

static void restart(void)
{
	if (f.store)
		store_stop();
	tiers_start();
}

static void fill_small(uint64_t from, uint64_t to)
{
	for (; from < to; from++)
		assert_int_equal(fill(from, SMALL), SMALL);
}

static void are_all_there(uint64_t from, uint64_t to)
{
	const uint64_t n = to - from;

	for (; from < to; from++)
		assert_int_equal(read_all(from, SMALL), SMALL);
	assert_int_equal(copies_of(UINT64_MAX), n);
}

/* Wanted often enough to come up, and time for it. */
static void heat(uint64_t file)
{
	store_touch(f.store, file);
	store_touch(f.store, file);
	store_touch(f.store, file);
	sim_run(f.loop, 10000);
}

static void new_files_go_where_there_is_room(void **state ATTR_UNUSED)
{
	struct store_totals t;
	enum tier was = TIER_FASTEST;
	uint64_t i;

	for (i = 0; i < 200; i++) {
		assert_int_equal(fill(i, SMALL), SMALL);
		assert_true(tier_of(i) >= was);
		was = tier_of(i);
		tiers_are_within();
	}
	t = totals();
	assert_in_range(t.tiers[TIER_MEMORY].files, 30, 38);
	assert_in_range(t.tiers[TIER_SSD].files, 65, 76);
	assert_int_equal(t.files, 200);
	assert_int_equal(t.evictions, 0);
	assert_int_equal(t.capacity, 76 * MIB);
	are_all_there(0, 200);
}

static void a_wanted_file_comes_up_and_a_cold_one_goes_down(
	void **state ATTR_UNUSED)
{
	struct store_totals t;
	uint64_t i;

	fill_small(0, 200);
	for (i = 150; i < 160; i++) {
		assert_int_equal(tier_of(i), TIER_HDD);
		heat(i);
		assert_int_equal(tier_of(i), TIER_MEMORY);
		tiers_are_within();
	}
	t = totals();
	assert_int_equal(t.tiers[TIER_MEMORY].promoted, 10);
	assert_int_equal(t.tiers[TIER_MEMORY].promoted_bytes, 10 * SMALL);
	/* About as many found room below. */
	assert_in_range(t.tiers[TIER_MEMORY].demoted, 7, 12);
	assert_int_equal(t.evictions, 0);
	assert_int_equal(t.files, 200);
	are_all_there(0, 200);
}

/* What is demoted to a full tier in the middle pushes on. */
static void the_reserve_is_free_again_afterwards(void **state ATTR_UNUSED)
{
	struct store_totals all;
	enum tier t;
	uint64_t i;

	fill_small(0, 200);
	for (i = 110; i < 200; i += 2)
		heat(i);
	all = totals();
	for (t = TIER_FASTEST; t < TIER_HDD; t++)
		assert_in_range(all.tiers[t].used, tf.capacity[t] / 2,
				tf.capacity[t] - tf.capacity[t] / 16);
	assert_true(all.tiers[TIER_SSD].demoted > 0);
	assert_int_equal(all.evictions, 0);
	are_all_there(0, 200);
}

static void with_nothing_below_the_coldest_are_evicted(void **state ATTR_UNUSED)
{
	store_stop();
	tf.capacity[TIER_HDD] = 0;
	tiers_start();
	fill_small(0, 300);
	heat(299);
	assert_int_equal(tier_of(299), TIER_MEMORY);
	assert_true(totals().evictions > 150);
	assert_int_equal(read_all(299, SMALL), SMALL);
	tiers_are_within();
}

static void retention_moves_nothing_in_epochs(void **state ATTR_UNUSED)
{
	uint64_t i, epoch, moves;
	struct store_totals t;

	store_stop();
	tf.evictor = "retain";
	tiers_start();
	for (epoch = 0; epoch < 5; epoch++)
		for (i = 0; i < 200; i++) {
			store_touch(f.store, i * 37 % 200);
			if (epoch == 0)
				fill(i * 37 % 200, SMALL);
			sim_run(f.loop, 10);
		}
	t = totals();
	moves = t.tiers[TIER_MEMORY].promoted + t.tiers[TIER_SSD].promoted;
	assert_true(moves < 5);
	assert_int_equal(t.tiers[TIER_MEMORY].touched,
			 4 * t.tiers[TIER_MEMORY].files);
}

static void a_file_in_parts_comes_up_when_it_is_complete(
	void **state ATTR_UNUSED)
{
	assert_int_equal(fill_range(1, 2 * MIB, 0, MIB), MIB);
	heat(1);
	assert_int_equal(tier_of(1), TIER_HDD);
	assert_int_equal(fill_range(1, 2 * MIB, MIB, MIB), MIB);
	sim_run(f.loop, 1000);
	assert_int_equal(tier_of(1), TIER_MEMORY);
	assert_int_equal(read_all(1, 2 * MIB), 2 * MIB);
	assert_int_equal(copies_of(1), 1);
}

static void a_file_larger_than_a_tier_stays_below(void **state ATTR_UNUSED)
{
	assert_int_equal(fill(1, 6 * MIB), 6 * MIB);
	assert_int_equal(tier_of(1), TIER_SSD);
	assert_int_equal(fill(2, 20 * MIB), 20 * MIB);
	heat(1);
	heat(2);
	assert_int_equal(tier_of(1), TIER_SSD);
	assert_int_equal(tier_of(2), TIER_HDD);
}

static void has_pattern(int fd, uint64_t file, size_t size)
{
	char *want = mem_alloc(size), *got = mem_alloc(size);

	pattern(file, 0, want, size);
	assert_int_equal(pread(fd, got, size, 0), size);
	assert_memory_equal(got, want, size);
	free(want);
	free(got);
}

static void a_lent_file_moves_and_stays_readable(void **state ATTR_UNUSED)
{
	int fd;

	fill_small(0, 200);
	fd = store_grant(f.store, 150);
	assert_true(fd >= 0);
	heat(150);
	assert_int_equal(tier_of(150), TIER_MEMORY);
	assert_int_equal(f.n_let_go, 1);
	assert_int_equal(f.let_go[0], 150);
	has_pattern(fd, 150, SMALL);
	assert_int_equal(read_all(150, SMALL), SMALL);
	/* Its holder has the old copy: whose room counts, and a release would
	 * not say of which. */
	assert_int_equal(store_grant(f.store, 150), -EAGAIN);
	assert_int_equal(totals().granted, 1);
	tiers_are_within();
	has_pattern(fd, 150, SMALL);
	close(fd);
	store_release(f.store, 150);
	assert_int_equal(totals().granted, 0);
	fd = store_grant(f.store, 150);
	has_pattern(fd, 150, SMALL);
	close(fd);
	store_release(f.store, 150);
}

static void room_that_holders_keep_is_waited_for(void **state ATTR_UNUSED)
{
	uint64_t i;

	fill_small(0, 200);
	for (i = 0; i < 15; i++)
		close(store_grant(f.store, i));
	for (i = 150; i < 170; i++) {
		store_touch(f.store, i);
		store_touch(f.store, i);
	}
	sim_run(f.loop, 50);
	for (i = 0; i < 15; i++)
		store_release(f.store, i);
	sim_run(f.loop, 10000);
	for (i = 150; i < 170; i++)
		assert_int_equal(tier_of(i), TIER_MEMORY);
	tiers_are_within();
	are_all_there(0, 200);
}

static void damaged_bytes_do_not_move(void **state ATTR_UNUSED)
{
	char *dir = f.dir;

	fill_small(0, 200);
	f.dir = tf.dirs[TIER_HDD];
	flip_bit(backing_path(150), 70000);
	f.dir = dir;
	heat(150);
	assert_int_equal(tier_of(150), TIER_AUTO);
	assert_int_equal(copies_of(150), 0);
	assert_int_equal(totals().corrupt, 1);
	assert_int_equal(totals().tiers[TIER_MEMORY].promoted, 0);
	tiers_are_within();
}

/* 7 MiB in the slowest tier, which begins to move to the SSD. */
static void begin_to_move(uint64_t file)
{
	store_stop();
	tf.move_rate = 2 * MIB;
	tiers_start();
	fill_range(file, 7 * MIB, 0, 6 * MIB);
	fill_range(file, 7 * MIB, 6 * MIB, MIB);
	sim_run(f.loop, 1000);
	assert_int_equal(tier_of(file), TIER_HDD);
	assert_int_equal(copies_of(file), 2);
}

static void moving_keeps_to_its_rate(void **state ATTR_UNUSED)
{
	begin_to_move(1);
	/* Two parts of 4 MiB, the second of which began after two seconds. */
	assert_int_equal(read_all(1, 7 * MIB), 7 * MIB);
	sim_run(f.loop, 1200);
	assert_int_equal(tier_of(1), TIER_SSD);
	assert_int_equal(copies_of(1), 1);
	assert_int_equal(read_all(1, 7 * MIB), 7 * MIB);
}

static void a_file_dropped_while_it_moves_is_gone(void **state ATTR_UNUSED)
{
	begin_to_move(1);
	store_drop(f.store, 1);
	sim_run(f.loop, 10000);
	assert_int_equal(copies_of(1), 0);
	assert_true(totals().used < 200 * KIB);
	restart();
	assert_int_equal(totals().files, 0);
	/* And is not in the way of one that comes. */
	assert_int_equal(fill(1, 7 * MIB), 7 * MIB);
	assert_int_equal(read_all(1, 7 * MIB), 7 * MIB);
}

static void a_stop_while_it_moves_keeps_it_where_it_was(
	void **state ATTR_UNUSED)
{
	begin_to_move(1);
	restart();
	assert_int_equal(tier_of(1), TIER_HDD);
	assert_int_equal(totals().unverified, 0);
	assert_int_equal(copies_of(1), 1);
	assert_int_equal(read_all(1, 7 * MIB), 7 * MIB);
	assert_true(totals().tiers[TIER_SSD].used < 100 * KIB);
}

static void a_crash_while_it_moves_keeps_one(void **state ATTR_UNUSED)
{
	begin_to_move(1);
	tiers_crash();
	tiers_start();
	assert_int_equal(tier_of(1), TIER_HDD);
	assert_int_equal(copies_of(1), 1);
	assert_int_equal(read_all(1, 7 * MIB), 7 * MIB);
}

/* The process died when both indexes told of the file. */
static void of_two_copies_one_is_kept(void **state ATTR_UNUSED)
{
	char command[1024];

	fill_small(0, 200);
	store_stop();
	snprintf(command, sizeof(command), "cp -a %s %s.before",
		 tf.dirs[TIER_HDD], tf.dirs[TIER_HDD]);
	assert_int_equal(system(command), 0);
	tiers_start();
	heat(150);
	assert_int_equal(tier_of(150), TIER_MEMORY);
	tiers_crash();
	snprintf(command, sizeof(command), "rm -r %s && mv %s.before %s",
		 tf.dirs[TIER_HDD], tf.dirs[TIER_HDD], tf.dirs[TIER_HDD]);
	assert_int_equal(system(command), 0);
	assert_int_equal(copies_of(150), 2);
	tiers_start();
	assert_int_equal(copies_of(150), 1);
	assert_int_equal(read_all(150, SMALL), SMALL);
	tiers_are_within();
	/* For good: the index of the other tells of it no more. */
	store_drop(f.store, 150);
	sim_run(f.loop, 0);
	restart();
	restart();
	assert_int_equal(tier_of(150), TIER_AUTO);
	assert_int_equal(totals().corrupt, 0);
}

static void a_restart_finds_all_where_they_were(void **state ATTR_UNUSED)
{
	uint64_t i, in_memory = 0;

	fill_small(0, 200);
	for (i = 150; i < 160; i++)
		heat(i);
	restart();
	assert_int_equal(totals().unverified, 0);
	assert_int_equal(totals().files, 200);
	for (i = 150; i < 160; i++)
		in_memory += tier_of(i) == TIER_MEMORY;
	assert_int_equal(in_memory, 10);
	are_all_there(0, 200);
}

/* What lay in memory is gone with the machine: what is left comes up. */
static void an_empty_tier_fills_with_what_is_wanted(void **state ATTR_UNUSED)
{
	char command[1024];
	uint64_t i;

	fill_small(0, 200);
	store_stop();
	snprintf(command, sizeof(command), "rm -r %s", tf.dirs[TIER_MEMORY]);
	assert_int_equal(system(command), 0);
	tiers_start();
	assert_int_equal(totals().tiers[TIER_MEMORY].files, 0);
	for (i = 100; i < 200; i++)
		store_touch(f.store, i);
	sim_run(f.loop, 10000);
	assert_in_range(totals().tiers[TIER_MEMORY].files, 30, 38);
	assert_int_equal(tier_of(110), TIER_MEMORY);
}

static void memory_is_accounted_as_such(void **state ATTR_UNUSED)
{
	struct store_totals t;

	if (access("/dev/shm", W_OK) != 0)
		skip();
	fill_small(0, 200);
	t = totals();
	assert_int_equal(t.memory_capacity, 4 * MIB);
	assert_int_equal(t.memory_used, t.tiers[TIER_MEMORY].used);
	assert_true(t.memory_used > 3 * MIB);
}

/* Called SSD or not called anything, it takes memory. */
static void a_tmpfs_is_memory_by_itself(void **state ATTR_UNUSED)
{
	struct store_dir dir = {
		.path = tf.dirs[TIER_MEMORY],
		.capacity = 4 * MIB,
	};
	const struct store_options options = {
		.dirs = &dir,
		.n_dirs = 1,
		.block_size = 256 * MIB,
		.evictor = "lru",
		.loop = f.loop,
	};
	struct err err;

	if (access("/dev/shm", W_OK) != 0)
		skip();
	store_stop();
	assert_int_equal(store_open(&f.store, &options, &err), 0);
	assert_int_equal(totals().tiers[TIER_MEMORY].capacity, 4 * MIB);
	assert_int_equal(totals().memory_capacity, 4 * MIB);
	store_stop();
	dir.tier = TIER_SSD;
	assert_int_equal(store_open(&f.store, &options, &err), 0);
	assert_int_equal(totals().tiers[TIER_SSD].capacity, 4 * MIB);
	assert_int_equal(totals().memory_capacity, 4 * MIB);
}

static void more_than_there_is_memory_is_refused(void **state ATTR_UNUSED)
{
	const struct store_dir dirs[] = {
		{ .path = tf.dirs[TIER_MEMORY], .capacity = UINT64_C(1) << 50 },
		{ .path = tf.dirs[TIER_SSD], .capacity = MIB },
	};
	const struct store_options options = {
		.dirs = dirs,
		.n_dirs = 2,
		.block_size = 256 * MIB,
		.evictor = "lru",
		.loop = f.loop,
	};
	struct store *s;
	struct err err;

	if (access("/dev/shm", W_OK) != 0)
		skip();
	store_stop();
	assert_int_equal(store_open(&s, &options, &err), -EINVAL);
	assert_non_null(strstr(err.msg, tf.dirs[TIER_MEMORY]));
	assert_non_null(strstr(err.msg, "in memory may take 1073741824 MiB"));
	sim_run(f.loop, 0);
}

TEST_MAIN(TIERS_TEST(new_files_go_where_there_is_room),
	  TIERS_TEST(a_wanted_file_comes_up_and_a_cold_one_goes_down),
	  TIERS_TEST(the_reserve_is_free_again_afterwards),
	  TIERS_TEST(with_nothing_below_the_coldest_are_evicted),
	  TIERS_TEST(retention_moves_nothing_in_epochs),
	  TIERS_TEST(a_file_in_parts_comes_up_when_it_is_complete),
	  TIERS_TEST(a_file_larger_than_a_tier_stays_below),
	  TIERS_TEST(a_lent_file_moves_and_stays_readable),
	  TIERS_TEST(room_that_holders_keep_is_waited_for),
	  TIERS_TEST(damaged_bytes_do_not_move),
	  TIERS_TEST(moving_keeps_to_its_rate),
	  TIERS_TEST(a_file_dropped_while_it_moves_is_gone),
	  TIERS_TEST(a_stop_while_it_moves_keeps_it_where_it_was),
	  TIERS_TEST(a_crash_while_it_moves_keeps_one),
	  TIERS_TEST(of_two_copies_one_is_kept),
	  TIERS_TEST(a_restart_finds_all_where_they_were),
	  TIERS_TEST(an_empty_tier_fills_with_what_is_wanted),
	  TIERS_TEST(memory_is_accounted_as_such),
	  TIERS_TEST(a_tmpfs_is_memory_by_itself),
	  TIERS_TEST(more_than_there_is_memory_is_refused))
