/* What is fetched before it is asked for. */

#include "worker_fixture.h"

#include <errno.h>

static void what_is_read_in_order_is_fetched_ahead(void **state ATTR_UNUSED)
{
	uint64_t at;

	put_file(1, 60 * MIB);
	assert_int_equal(read_some(1, 0, MIB), MIB);
	run(100);
	assert_int_equal(numbers()->bytes, 4 * MIB);
	assert_int_equal(read_some(1, 4 * MIB, MIB), MIB);
	run(100);
	assert_int_equal(numbers()->bytes, (4 + 4 + 2 * 4) * MIB);
	assert_int_equal(read_some(1, 8 * MIB, MIB), MIB);
	run(100);
	assert_int_equal(numbers()->bytes, (8 + 4 + 4 * 4) * MIB);
	/* Not more than that, and nothing for who jumps. */
	assert_int_equal(read_some(1, 9 * MIB, MIB), MIB);
	assert_int_equal(read_some(1, 50 * MIB, MIB), MIB);
	run(100);
	assert_int_equal(numbers()->bytes, (28 + 1) * MIB);
	for (at = 0; at < 60 * MIB; at += MIB)
		assert_int_equal(read_some(1, at, MIB), MIB);
	assert_int_equal(numbers()->bytes, 60 * MIB);
}

/* What failed and nobody waited for is nobody's failure. */
static void what_was_fetched_ahead_in_vain_is_no_readers_error(
	void **state ATTR_UNUSED)
{
	put_file(1, 60 * MIB);
	assert_int_equal(read_some(1, 0, MIB), MIB);
	run(100);
	/* The unit that is wanted comes, those after it do not. */
	fake_ufs_fail(f.ufs, 1, 2, -EIO);
	assert_int_equal(read_some(1, 4 * MIB, MIB), MIB);
	assert_int_equal(numbers()->failed, 2);
	assert_int_equal(read_some(1, 50 * MIB, MIB), MIB);
	assert_int_equal(read_some(1, 8 * MIB, MIB), MIB);
}

/* What cannot be cached is fetched ahead as far as it is still kept when it is
 * wanted. */
static void what_is_pushed_out_is_not_fetched_ahead(void **state ATTR_UNUSED)
{
	const uint64_t size = 40 * MIB, files = 8;
	uint64_t at, id;

	node_stop(0);
	f.capacity = MIB;
	f.evictor = "retain";
	node_start(0);
	for (id = 1; id <= files; id++)
		put_file(id, size);
	for (at = 0; at < size; at += MIB)
		for (id = 1; id <= files; id++)
			assert_int_equal(read_some(id, at, MIB), MIB);
	assert_true(numbers()->bytes < (files + 1) * size);
	/* One alone is fetched ahead. */
	put_file(9, size);
	at = numbers()->bytes;
	for (id = 0; id < 6; id++)
		assert_int_equal(read_some(9, id * 4 * MIB, 4 * MIB), 4 * MIB);
	run(100);
	assert_true(numbers()->bytes > at + 24 * MIB);
	for (; id < 10; id++)
		assert_int_equal(read_some(9, id * 4 * MIB, 4 * MIB), 4 * MIB);
	assert_int_equal(numbers()->bytes, at + size);
}

/* However much there is to fetch ahead. */
static void what_is_wanted_does_not_wait_for_what_may_be(
	void **state ATTR_UNUSED)
{
	const struct fake_ufs_faults slow = { .min_ms = 100, .max_ms = 100 };
	struct reading r[4];
	unsigned ms = 0;
	uint64_t at, id;

	node_stop(0);
	f.capacity = 300 * MIB;
	f.max_fetching = 32 * MIB;
	node_start(0);
	for (id = 1; id <= 4; id++)
		put_file(id, 60 * MIB);
	/* Without its own reading ahead. */
	for (id = 1; id <= 3; id++)
		for (at = 16 * MIB; at > 0; at -= MIB)
			assert_int_equal(read_some(id, at - MIB, MIB), MIB);
	run(100);
	fake_ufs_set(f.ufs, &slow);
	for (id = 1; id <= 4; id++) {
		read_begin(&r[id - 1], 0, id, id < 4 ? 16 * MIB : 0, MIB);
		run(3);
	}
	for (; !r[3].calls && ms < 1000; ms++)
		run(1);
	assert_true(ms < 250);
	run(2000);
	for (id = 1; id <= 4; id++)
		read_end(&r[id - 1]);
}

TEST_MAIN(TEST_WITH(what_is_read_in_order_is_fetched_ahead),
	  TEST_WITH(what_was_fetched_ahead_in_vain_is_no_readers_error),
	  TEST_WITH(what_is_pushed_out_is_not_fetched_ahead),
	  TEST_WITH(what_is_wanted_does_not_wait_for_what_may_be))
