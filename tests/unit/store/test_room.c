/* The directory never takes more than it may. */

#include "store_fixture.h"

#include <errno.h>
#include <unistd.h>

#include "lib/sim.h"

static struct store_totals totals(void)
{
	struct store_totals t;

	store_totals(f.store, &t);
	return t;
}

/* Some capacity, and some policy. */
static void restart_with(uint64_t capacity, const char *evictor)
{
	store_stop();
	f.capacity = capacity;
	f.evictor = evictor;
	store_start();
}

static void is_within(void)
{
	uint64_t du = disk_usage();

	assert_true(du <= f.capacity);
	/* And it is known: inodes are more than du sees. */
	assert_true(du <= totals().used);
}

static void a_stream_of_small_files_stays_within(void **state ATTR_UNUSED)
{
	uint64_t i;

	restart_with(8 * MIB, "lru");
	for (i = 0; i < 300; i++) {
		assert_int_equal(fill(i, 100 * KIB), 100 * KIB);
		is_within();
	}
	assert_in_range(totals().files, 60, 80);
	assert_int_equal(totals().evictions, 300 - totals().files);
	/* Well used, too. */
	assert_true(disk_usage() > 6 * MIB);
	for (i = 299; i > 260; i--)
		assert_int_equal(read_all(i, 100 * KIB), 100 * KIB);
}

static void a_stream_of_large_files_stays_within(void **state ATTR_UNUSED)
{
	uint64_t i, at;

	restart_with(20 * MIB, "lru");
	for (i = 0; i < 12; i++)
		for (at = 0; at < 5; at++) {
			assert_int_equal(fill_range(i, 5 * MIB, at * MIB, MIB),
					 MIB);
			is_within();
		}
	assert_int_equal(totals().files, 3);
	assert_int_equal(read_all(11, 5 * MIB), 5 * MIB);
}

static void a_file_larger_than_the_room_is_not_cached_whole(
	void **state ATTR_UNUSED)
{
	uint64_t at, n = 0;
	ssize_t rv;

	restart_with(4 * MIB, "lru");
	for (at = 0; at < 10; at++) {
		rv = fill_range(1, 10 * MIB, at * MIB, MIB);
		n += rv > 0;
		is_within();
	}
	assert_int_equal(n, 3);
	assert_int_equal(store_present(f.store, 1, 0, 10 * MIB), 3 * MIB);
	assert_int_equal(fill(2, 5 * MIB), ERR_NOT_ADMITTED);
}

static void retention_admits_until_full(void **state ATTR_UNUSED)
{
	uint64_t i, n = 0;

	restart_with(4 * MIB, "retain");
	for (i = 0; i < 100; i++) {
		store_touch(f.store, i);
		n += fill(i, 100 * KIB) > 0;
	}
	assert_in_range(n, 30, 40);
	assert_int_equal(totals().files, n);
	assert_int_equal(totals().not_admitted, 100 - n);
	assert_int_equal(totals().evictions, 0);
	for (i = 0; i < n; i++)
		assert_int_equal(read_all(i, 100 * KIB), 100 * KIB);
}

static void touching_keeps_a_file(void **state ATTR_UNUSED)
{
	uint64_t i;

	restart_with(4 * MIB, "lru");
	for (i = 0; i < 100; i++) {
		fill(i, 100 * KIB);
		store_touch(f.store, 0);
	}
	assert_int_equal(read_all(0, 100 * KIB), 100 * KIB);
	assert_int_equal(read_all(1, 100 * KIB), -ENOENT);
}

static void granted_files_stay_and_are_asked_for(void **state ATTR_UNUSED)
{
	uint64_t i;
	size_t j;

	restart_with(8 * MIB, "lru");
	for (i = 0; i < 3; i++) {
		fill(i, MIB);
		close(store_grant(f.store, i));
	}
	for (i = 10; i < 40; i++) {
		assert_int_equal(fill(i, MIB), MIB);
		is_within();
	}
	for (i = 0; i < 3; i++)
		assert_int_equal(read_all(i, MIB), MIB);
	/* Asked once each, the coldest ones first. */
	assert_in_range(f.n_let_go, 1, 3);
	for (j = 0; j < f.n_let_go; j++)
		assert_int_equal(f.let_go[j], j);

	for (i = 0; i < 3; i++)
		store_release(f.store, i);
	for (i = 40; i < 50; i++)
		fill(i, MIB);
	assert_int_equal(read_all(0, MIB), -ENOENT);
	is_within();
}

static void room_held_by_grants_alone_is_enospc(void **state ATTR_UNUSED)
{
	restart_with(4 * MIB, "lru");
	fill(1, 1900 * KIB);
	close(store_grant(f.store, 1));
	assert_int_equal(fill(2, 3 * MIB), -ENOSPC);
	assert_int_equal(f.failures, 0);
	store_release(f.store, 1);
	assert_int_equal(fill(2, 3 * MIB), 3 * MIB);
}

TEST_MAIN(TEST_WITH(a_stream_of_small_files_stays_within),
	  TEST_WITH(a_stream_of_large_files_stays_within),
	  TEST_WITH(a_file_larger_than_the_room_is_not_cached_whole),
	  TEST_WITH(retention_admits_until_full),
	  TEST_WITH(touching_keeps_a_file),
	  TEST_WITH(granted_files_stay_and_are_asked_for),
	  TEST_WITH(room_held_by_grants_alone_is_enospc))
