#include "store_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/sim.h"

static void what_was_filled_is_read(void **state ATTR_UNUSED)
{
	assert_int_equal(read_all(1, 100 * KIB), -ENOENT);
	assert_int_equal(fill(1, 100 * KIB), 100 * KIB);
	assert_int_equal(read_all(1, 100 * KIB), 100 * KIB);
	assert_int_equal(read_range(1, 100 * KIB, 77777, 9), 9);
	assert_int_equal(read_range(1, 100 * KIB, 100 * KIB - 5, 50), 5);
	assert_int_equal(read_range(1, 100 * KIB, 100 * KIB, 50), -ENOENT);
}

static void sizes_around_chunks_and_pages(void **state ATTR_UNUSED)
{
	const uint64_t sizes[] = {
		1,         4095,          4096,        128 * KIB - 1,
		128 * KIB, 128 * KIB + 1, MIB - 1,     MIB,
		MIB + 1,   3 * MIB,       3 * MIB + 7,
	};
	uint64_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		assert_int_equal(fill(i, sizes[i]), sizes[i]);
		assert_true(is_complete(i));
	}
	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		assert_int_equal(read_all(i, sizes[i]), sizes[i]);
}

static void a_read_ends_where_a_page_is_missing(void **state ATTR_UNUSED)
{
	const uint64_t size = 4 * MIB + 5;

	assert_int_equal(fill_range(1, size, 0, 2 * MIB), 2 * MIB);
	assert_int_equal(fill_range(1, size, 4 * MIB, 5), 5);
	assert_int_equal(read_range(1, size, MIB + 1, 3 * MIB), MIB - 1);
	assert_int_equal(read_range(1, size, 2 * MIB, 10), -ENOENT);
	assert_int_equal(read_range(1, size, 4 * MIB + 1, 10), 4);
	assert_int_equal(store_present(f.store, 1, 0, size), 2 * MIB);
	assert_int_equal(store_present(f.store, 1, 3 * MIB, size), 0);
	assert_int_equal(store_present(f.store, 1, 4 * MIB, size), 5);
	assert_false(is_complete(1));
	assert_int_equal(fill_range(1, size, 2 * MIB, 2 * MIB), 2 * MIB);
	assert_true(is_complete(1));
	assert_int_equal(read_all(1, size), size);
}

static void a_page_is_written_once(void **state ATTR_UNUSED)
{
	assert_int_equal(fill(1, 4096), 4096);
	flip_bit(backing_path(1), 5);
	/* Present, so left alone: its content shows. */
	assert_int_equal(fill(1, 4096), 4096);
	assert_int_equal(read_all(1, 4096), -ENOENT);
}

static void a_flipped_bit_is_never_served(void **state ATTR_UNUSED)
{
	struct store_totals totals;

	fill(1, 300 * KIB);
	flip_bit(backing_path(1), 200 * KIB);
	assert_int_equal(read_range(1, 300 * KIB, 0, 128 * KIB), 128 * KIB);
	assert_int_equal(read_all(1, 300 * KIB), -ENOENT);
	store_totals(f.store, &totals);
	assert_int_equal(totals.corrupt, 1);
	assert_int_equal(totals.files, 0);
	assert_null(backing_path(1));
	assert_int_equal(fill(1, 300 * KIB), 300 * KIB);
	assert_int_equal(read_all(1, 300 * KIB), 300 * KIB);
}

static void a_shortened_file_is_dropped(void **state ATTR_UNUSED)
{
	fill(1, 300 * KIB);
	assert_int_equal(truncate(backing_path(1), 10), 0);
	assert_int_equal(read_range(1, 300 * KIB, 100, 10), -ENOENT);
	assert_null(backing_path(1));
}

static void a_file_taken_away_is_dropped(void **state ATTR_UNUSED)
{
	fill(1, 4096);
	assert_int_equal(unlink(backing_path(1)), 0);
	assert_int_equal(read_all(1, 4096), -ENOENT);
	assert_int_equal(store_present(f.store, 1, 0, 4096), 0);
	assert_int_equal(f.failures, 0);
}

static void a_grant_reads_the_file(void **state ATTR_UNUSED)
{
	char buf[4096], want[4096];
	int fd;

	assert_int_equal(store_grant(f.store, 1), -EAGAIN);
	fill(1, 4096);
	fd = store_grant(f.store, 1);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_int_equal(pread(fd, buf, sizeof(buf), 0), 4096);
	pattern(1, 0, want, sizeof(want));
	assert_memory_equal(buf, want, sizeof(buf));
	close(fd);
	store_release(f.store, 1);
}

static void only_complete_files_are_granted(void **state ATTR_UNUSED)
{
	fill_range(1, 2 * MIB, 0, MIB);
	assert_int_equal(store_grant(f.store, 1), -EAGAIN);
	fill_range(1, 2 * MIB, MIB, MIB);
	close(store_grant(f.store, 1));
	store_release(f.store, 1);
}

static void grants_hold_half_the_room_at_most(void **state ATTR_UNUSED)
{
	uint64_t i;
	int fd;

	for (i = 0; i < 40; i++)
		fill(i, MIB);
	for (i = 0; i < 31; i++) {
		fd = store_grant(f.store, i);
		assert_true(fd >= 0);
		close(fd);
	}
	assert_int_equal(store_grant(f.store, 35), -EBUSY);
	store_release(f.store, 3);
	fd = store_grant(f.store, 35);
	assert_true(fd >= 0);
	close(fd);
}

static uint64_t used(void)
{
	struct store_totals totals;

	store_totals(f.store, &totals);
	return totals.used;
}

static void a_dropped_file_goes(void **state ATTR_UNUSED)
{
	uint64_t before;

	fill(1, 4096);
	before = used();
	fill(2, 10 * MIB);
	assert_in_range(store_drop(f.store, 2), 10 * MIB, 10 * MIB + 16 * KIB);
	assert_int_equal(read_all(2, 10 * MIB), -ENOENT);
	sim_run(f.loop, 0);
	assert_null(backing_path(2));
	assert_in_range(used(), before, before + 8 * KIB);
	assert_int_equal(store_drop(f.store, 2), 0);
}

static void a_dropped_file_counts_until_released(void **state ATTR_UNUSED)
{
	char buf[4096], want[4096];
	uint64_t before;
	int fd;

	fill(1, 10 * MIB);
	fd = store_grant(f.store, 1);
	before = used();
	store_drop(f.store, 1);
	sim_run(f.loop, 0);
	assert_int_equal(f.n_let_go, 1);
	assert_int_equal(f.let_go[0], 1);
	assert_in_range(used(), before, before + 8 * KIB);
	/* The holder still reads it. */
	assert_int_equal(pread(fd, buf, sizeof(buf), MIB), 4096);
	pattern(1, MIB, want, sizeof(want));
	assert_memory_equal(buf, want, sizeof(buf));
	/* And nothing comes under its name meanwhile. */
	assert_int_equal(fill(1, 10 * MIB), ERR_NOT_ADMITTED);
	close(fd);
	store_release(f.store, 1);
	assert_true(used() < MIB);
	assert_int_equal(fill(1, 10 * MIB), 10 * MIB);
	assert_int_equal(read_all(1, 10 * MIB), 10 * MIB);
}

static void a_granted_file_that_is_damaged_is_asked_back(
	void **state ATTR_UNUSED)
{
	int fd;

	fill(1, 10 * MIB);
	fd = store_grant(f.store, 1);
	flip_bit(backing_path(1), 3 * MIB);
	assert_int_equal(read_range(1, 10 * MIB, 3 * MIB, MIB), -ENOENT);
	assert_int_equal(f.n_let_go, 1);
	assert_int_equal(f.let_go[0], 1);
	close(fd);
	store_release(f.store, 1);
	assert_int_equal(fill(1, 10 * MIB), 10 * MIB);
	assert_int_equal(read_all(1, 10 * MIB), 10 * MIB);
}

struct seen {
	unsigned added[8], complete[8], removed[8];
};

static void on_change(void *owner, uint64_t file, enum store_change what)
{
	struct seen *seen = owner;

	assert_true(file < 8);
	seen->added[file] += what == STORE_ADDED;
	seen->complete[file] += what == STORE_COMPLETE;
	seen->removed[file] += what == STORE_REMOVED;
}

static struct seen changes(bool all)
{
	struct seen seen = { 0 };

	store_take_changes(f.store, all, on_change, &seen);
	return seen;
}

static void changes_are_told_once(void **state ATTR_UNUSED)
{
	struct seen seen;

	fill(1, 4096);
	fill_range(2, 2 * MIB, 0, MIB);
	seen = changes(false);
	assert_int_equal(seen.added[1], 1);
	assert_int_equal(seen.complete[1], 1);
	assert_int_equal(seen.added[2], 1);
	assert_int_equal(seen.complete[2], 0);
	seen = changes(false);
	assert_int_equal(seen.added[1] + seen.added[2], 0);

	fill_range(2, 2 * MIB, MIB, MIB);
	store_drop(f.store, 1);
	seen = changes(false);
	assert_int_equal(seen.added[2], 0);
	assert_int_equal(seen.complete[2], 1);
	assert_int_equal(seen.removed[1], 1);

	seen = changes(true);
	assert_int_equal(seen.added[1], 0);
	assert_int_equal(seen.added[2], 1);
	assert_int_equal(seen.complete[2], 1);
}

static void the_state_of_a_file(void **state ATTR_UNUSED)
{
	struct store_file_state st;

	assert_int_equal(store_file_state(f.store, 1, &st), -ENOENT);
	fill_range(1, 2 * MIB + 9, 2 * MIB, 9);
	assert_int_equal(store_file_state(f.store, 1, &st), 0);
	assert_int_equal(st.size, 2 * MIB + 9);
	assert_int_equal(st.present, 9);
	assert_false(st.complete);
	assert_true(st.verified);
	assert_false(st.granted);
	assert_string_equal(st.dir, f.dir);
}

static void a_directory_in_use_is_refused(void **state ATTR_UNUSED)
{
	const struct store_dir dir = { .path = f.dir, .capacity = f.capacity };
	const struct store_options options = {
		.dirs = &dir,
		.n_dirs = 1,
		.evictor = "lru",
	};
	struct store *other;
	struct err err = { 0 };
	char pid[40];

	assert_int_equal(store_open(&other, &options, &err), -EBUSY);
	snprintf(pid, sizeof(pid), "in use by process %jd", (intmax_t)getpid());
	assert_non_null(strstr(err.msg, pid));
}

static void an_unknown_policy_is_refused(void **state ATTR_UNUSED)
{
	const struct store_options options = { .evictor = "best" };
	struct store *other;
	struct err err = { 0 };

	assert_int_equal(store_open(&other, &options, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "\"best\""));
}

TEST_MAIN(TEST_WITH(what_was_filled_is_read),
	  TEST_WITH(sizes_around_chunks_and_pages),
	  TEST_WITH(a_read_ends_where_a_page_is_missing),
	  TEST_WITH(a_page_is_written_once),
	  TEST_WITH(a_flipped_bit_is_never_served),
	  TEST_WITH(a_shortened_file_is_dropped),
	  TEST_WITH(a_file_taken_away_is_dropped),
	  TEST_WITH(a_grant_reads_the_file),
	  TEST_WITH(only_complete_files_are_granted),
	  TEST_WITH(grants_hold_half_the_room_at_most),
	  TEST_WITH(a_dropped_file_goes),
	  TEST_WITH(a_dropped_file_counts_until_released),
	  TEST_WITH(a_granted_file_that_is_damaged_is_asked_back),
	  TEST_WITH(changes_are_told_once), TEST_WITH(the_state_of_a_file),
	  TEST_WITH(a_directory_in_use_is_refused),
	  TEST_WITH(an_unknown_policy_is_refused))
