#include "lib/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/sim.h"
#include "master/arena.h"

#define MIB ((size_t)1 << 20)

static struct fixture {
	struct loop *loop;
	struct workpool *pool;
	struct arena a;
	struct err err;
} f;

static int setup(void **state ATTR_UNUSED)
{
	f = (struct fixture){ .loop = sim_new() };
	assert_int_equal(workpool_new(&f.pool, "sim", 0), 0);
	assert_int_equal(arena_map(&f.a, 64 * MIB, &f.err), 0);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	workpool_close(f.pool);
	arena_unmap(&f.a);
	sim_free(f.loop);
	return 0;
}

/* How much of it has pages. */
static size_t has_mib(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), n = f.a.size / page, i;
	unsigned char *there = mem_alloc(n);
	size_t found = 0;

	assert_int_equal(mincore(f.a.base, f.a.size, there), 0);
	for (i = 0; i < n; i++)
		found += there[i] & 1;
	free(there);
	return found * page / MIB;
}

static void use(size_t bytes)
{
	memset(f.a.base, 1, bytes);
	arena_used(&f.a, bytes);
	sim_run(f.loop, 1);
}

static void require_kernel(void)
{
	if (madvise(f.a.base, 2 * MIB, MADV_POPULATE_WRITE) < 0 &&
	    errno == EINVAL)
		skip(); /* older than Linux 5.14 */
}

static void nothing_is_had_ahead_unless_told(void **state ATTR_UNUSED)
{
	assert_int_equal(has_mib(), 0);
	use(2 * MIB);
	assert_int_equal(has_mib(), 2);
}

static void pages_are_there_before_they_are_used(void **state ATTR_UNUSED)
{
	require_kernel();
	arena_populate(&f.a, f.pool, f.loop);
	use(2 * MIB);
	assert_int_equal(has_mib(), 6);
	use(2 * MIB + 1);
	assert_int_equal(has_mib(), 8);
	use(20 * MIB); /* as a checkpoint that is read */
	assert_int_equal(has_mib(), 24);
	assert_int_equal(((char *)f.a.base)[20 * MIB], 0);
}

static void pages_end_with_the_arena(void **state ATTR_UNUSED)
{
	require_kernel();
	arena_populate(&f.a, f.pool, f.loop);
	use(62 * MIB);
	assert_int_equal(has_mib(), 64);
}

TEST_MAIN(TEST_WITH(nothing_is_had_ahead_unless_told),
	  TEST_WITH(pages_are_there_before_they_are_used),
	  TEST_WITH(pages_end_with_the_arena))
