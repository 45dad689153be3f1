/* Loans: what is sent from the backing files themselves. */
#include "store_fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/sim.h"

static ssize_t result;

static void on_lent(struct store_req *req ATTR_UNUSED, ssize_t n)
{
	result = n;
}

static ssize_t lend(struct store_loan *loan, uint64_t file, uint64_t offset,
		    size_t len)
{
	struct store_req req = {
		.loop = f.loop,
		.file = file,
		.offset = offset,
		.len = len,
	};

	result = 1;
	store_lend(f.store, &req, loan, on_lent);
	assert_int_equal(result, 1);
	sim_run(f.loop, 0);
	return result;
}

/* The bytes that would be sent are the file's. */
static void compare(const struct store_loan *loan, uint64_t file,
		    uint64_t offset, size_t len)
{
	char *want = mem_alloc(len), *got = mem_alloc(len);

	pattern(file, offset, want, len);
	assert_int_equal(pread(loan->fd, got, len, (off_t)offset), len);
	assert_memory_equal(got, want, len);
	free(want);
	free(got);
}

static void what_is_present_is_lent(void **state ATTR_UNUSED)
{
	const uint64_t size = 3 * MIB + 7;
	struct store_loan loan;

	assert_int_equal(lend(&loan, 1, 0, 10), -ENOENT);
	fill_range(1, size, 0, 2 * MIB);
	assert_int_equal(lend(&loan, 1, 100, MIB), MIB);
	compare(&loan, 1, 100, MIB);
	store_return(&loan);
	assert_int_equal(lend(&loan, 1, MIB, 2 * MIB), -EAGAIN);
	fill_range(1, size, 2 * MIB, MIB + 7);
	assert_int_equal(lend(&loan, 1, 0, size), size);
	compare(&loan, 1, 0, size);
	store_return(&loan);
}

/* More than is compared at once where a grant is asked for. */
static void what_was_lent_whole_can_be_granted(void **state ATTR_UNUSED)
{
	struct store_loan loan;

	fill(1, 300 * KIB);
	store_stop();
	store_start();
	assert_int_equal(store_try_grant(f.store, 1), -EAGAIN);
	sim_run(f.loop, 100);
	assert_int_equal(store_try_grant(f.store, 1), -EAGAIN);
	assert_int_equal(lend(&loan, 1, 1, 300 * KIB - 1), 300 * KIB - 1);
	store_return(&loan);
	assert_int_equal(store_try_grant(f.store, 1), -EAGAIN);
	assert_int_equal(lend(&loan, 1, 0, 300 * KIB), 300 * KIB);
	store_return(&loan);
	close(store_try_grant(f.store, 1));
	store_release(f.store, 1);
}

static void a_flipped_bit_is_not_lent(void **state ATTR_UNUSED)
{
	struct store_loan loan;

	fill(1, 3 * MIB);
	flip_bit(backing_path(1), 2 * MIB + 5);
	/* In the chunk around the range. */
	assert_int_equal(lend(&loan, 1, 2 * MIB + 100, 10), -ENOENT);
	assert_null(backing_path(1));
	assert_int_equal(read_all(1, 3 * MIB), -ENOENT);
}

static void what_is_lent_stays(void **state ATTR_UNUSED)
{
	struct store_loan loan;
	uint64_t i;

	fill(1, 10 * MIB);
	assert_int_equal(lend(&loan, 1, 0, 10 * MIB), 10 * MIB);
	for (i = 2; i < 20; i++)
		fill(i, 10 * MIB);
	compare(&loan, 1, 0, 10 * MIB);
	assert_non_null(backing_path(1));
	store_drop(f.store, 1);
	compare(&loan, 1, 0, 10 * MIB);
	store_return(&loan);
	sim_run(f.loop, 1000);
	assert_null(backing_path(1));
	assert_true(disk_usage() <= 64 * MIB);
}

TEST_MAIN(TEST_WITH(what_is_present_is_lent),
	  TEST_WITH(what_was_lent_whole_can_be_granted),
	  TEST_WITH(a_flipped_bit_is_not_lent), TEST_WITH(what_is_lent_stays))
