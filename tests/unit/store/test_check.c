/* What an unclean stop leaves to be checked. */

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

static void unclean_files_are_not_granted_until_checked(
	void **state ATTR_UNUSED)
{
	fill(1, 300 * KIB);
	store_crash();
	store_start();
	assert_int_equal(totals().unverified, 1);
	assert_int_equal(store_grant(f.store, 1), -EAGAIN);
	sim_run(f.loop, 0);
	assert_int_equal(totals().unverified, 0);
	close(store_grant(f.store, 1));
	store_release(f.store, 1);
}

static void small_files_are_checked_when_they_are_wanted(
	void **state ATTR_UNUSED)
{
	int fd;

	fill(1, 4096);
	fill(2, 4096);
	store_crash();
	flip_bit(backing_path(2), 100);
	store_start();
	fd = store_grant(f.store, 1);
	assert_true(fd >= 0);
	close(fd);
	store_release(f.store, 1);
	assert_int_equal(store_grant(f.store, 2), -EAGAIN);
	assert_int_equal(totals().corrupt, 1);
	assert_int_equal(totals().unverified, 0);
}

static void after_a_clean_stop_nothing_is_lent_unseen(void **state ATTR_UNUSED)
{
	fill(1, 3 * MIB);
	fill(2, 3 * MIB);
	fill(3, MIB);
	store_stop();
	flip_bit(backing_path(2), 2 * MIB + 7);
	store_start();
	sim_run(f.loop, 1000);
	/* Nobody reads all of a large cache at each start. */
	assert_int_equal(totals().corrupt, 0);
	assert_int_equal(store_grant(f.store, 1), -EAGAIN);
	assert_int_equal(store_grant(f.store, 2), -EAGAIN);
	sim_run(f.loop, 0);
	close(store_grant(f.store, 1));
	store_release(f.store, 1);
	assert_int_equal(store_grant(f.store, 2), -EAGAIN);
	assert_int_equal(totals().corrupt, 1);
	/* Who reads all of it sees all of it. */
	assert_int_equal(read_all(3, MIB), MIB);
	close(store_grant(f.store, 3));
	store_release(f.store, 3);
}

static void the_check_drops_what_is_wrong(void **state ATTR_UNUSED)
{
	uint64_t i;

	for (i = 0; i < 30; i++)
		fill(i, 1300 * KIB);
	store_crash();
	flip_bit(backing_path(7), 1200 * KIB);
	flip_bit(backing_path(8), 1);
	store_start();
	sim_run(f.loop, 0);
	assert_int_equal(totals().unverified, 0);
	assert_int_equal(totals().corrupt, 2);
	assert_int_equal(totals().files, 28);
	assert_null(backing_path(7));
	for (i = 9; i < 30; i++)
		assert_int_equal(read_all(i, 1300 * KIB), 1300 * KIB);
}

/* A read of a few bytes, whose chunk is damaged elsewhere. */
static void until_then_each_read_checks_whole_chunks(void **state ATTR_UNUSED)
{
	struct store_req req = { .file = 1, .offset = 100, .len = 10 };
	char buf[10];

	fill(1, 500 * KIB);
	store_crash();
	flip_bit(backing_path(1), 100 * KIB);
	store_start();
	req.buf = buf;
	assert_int_equal(store_try_read(f.store, &req), -EAGAIN);
	/* Not yet seen by the check, which runs behind it. */
	assert_int_equal(totals().corrupt, 0);
	assert_int_equal(read_range(1, 500 * KIB, 100, 10), -ENOENT);
	assert_int_equal(totals().corrupt, 1);
}

static void what_is_lost_is_found_out_at_the_start(void **state ATTR_UNUSED)
{
	fill(1, 4096);
	fill(2, 4096);
	store_crash();
	unlink(backing_path(1));
	store_start();
	assert_int_equal(totals().files, 1);
	assert_int_equal(store_present(f.store, 1, 0, 1), 0);
	assert_int_equal(read_all(2, 4096), 4096);
	assert_int_equal(totals().corrupt, 0);
}

static void a_stop_before_the_end_of_the_check_is_not_clean(
	void **state ATTR_UNUSED)
{
	uint64_t i;

	for (i = 0; i < 30; i++)
		fill(i, MIB);
	store_crash();
	store_start();
	assert_true(totals().unverified > 0);
	store_stop();
	store_start();
	assert_int_equal(totals().unverified, 30);
	sim_run(f.loop, 0);
	store_stop();
	store_start();
	assert_int_equal(totals().unverified, 0);
}

static void new_files_need_no_check(void **state ATTR_UNUSED)
{
	fill(1, 4096);
	store_crash();
	store_start();
	fill(2, 4096);
	close(store_grant(f.store, 2));
	store_release(f.store, 2);
}

static void a_half_filled_file_is_checked_and_completed(
	void **state ATTR_UNUSED)
{
	fill_range(1, 2 * MIB + 1, 0, MIB);
	store_crash();
	store_start();
	assert_int_equal(fill_range(1, 2 * MIB + 1, MIB, MIB + 1), MIB + 1);
	sim_run(f.loop, 0);
	close(store_grant(f.store, 1));
	store_release(f.store, 1);
	assert_int_equal(read_all(1, 2 * MIB + 1), 2 * MIB + 1);
}

TEST_MAIN(TEST_WITH(unclean_files_are_not_granted_until_checked),
	  TEST_WITH(small_files_are_checked_when_they_are_wanted),
	  TEST_WITH(after_a_clean_stop_nothing_is_lent_unseen),
	  TEST_WITH(the_check_drops_what_is_wrong),
	  TEST_WITH(until_then_each_read_checks_whole_chunks),
	  TEST_WITH(what_is_lost_is_found_out_at_the_start),
	  TEST_WITH(a_stop_before_the_end_of_the_check_is_not_clean),
	  TEST_WITH(new_files_need_no_check),
	  TEST_WITH(a_half_filled_file_is_checked_and_completed))
