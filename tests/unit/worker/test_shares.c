#include "lib/test.h"

#include <string.h>

#include "worker/shares.h"

enum { MAX = 100, MANY = 20, SLOW = 1, QUICK = 2, OTHER = 3 };

static struct shares s;
static struct share_wait of[4][MANY];

static int setup(void **state ATTR_UNUSED)
{
	memset(of, 0, sizeof(of));
	shares_open(&s, MAX);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	assert_int_equal(s.bytes, 0);
	assert_int_equal(s.by_mount.used, 0);
	shares_close(&s);
	return 0;
}

static void want(uint32_t mount, unsigned n, size_t len)
{
	unsigned i;

	for (i = 0; i < n; i++)
		shares_wait(&s, &of[mount][i], mount, len);
}

/* How many begin, by mount. */
static void begin(unsigned n[4])
{
	struct share_wait *w;

	memset(n, 0, 4 * sizeof(*n));
	while ((w = shares_next(&s)))
		n[w->mount]++;
}

static void end(uint32_t mount, unsigned from, unsigned to)
{
	while (from < to)
		shares_done(&s, &of[mount][from++]);
}

static void one_mount_has_half(void **state ATTR_UNUSED)
{
	unsigned n[4];

	want(SLOW, MANY, 10);
	begin(n);
	assert_int_equal(n[SLOW], 5);
	end(SLOW, 0, 1);
	assert_ptr_equal(shares_next(&s), &of[SLOW][5]);
	assert_null(shares_next(&s));
	while (shares_drop(&s))
		;
	end(SLOW, 1, 6);
}

static void there_is_always_something_for_another(void **state ATTR_UNUSED)
{
	unsigned n[4];

	want(SLOW, MANY, 10);
	begin(n);
	want(OTHER, MANY, 10);
	begin(n);
	assert_int_equal(n[OTHER], 3);
	want(QUICK, MANY, 10);
	begin(n);
	assert_true(n[QUICK] >= 1 && n[SLOW] == 0);
	while (shares_drop(&s))
		;
	end(SLOW, 0, 5);
	end(OTHER, 0, 3);
	end(QUICK, 0, n[QUICK]);
}

static void mounts_take_turns(void **state ATTR_UNUSED)
{
	want(SLOW, 3, 10);
	want(QUICK, 3, 10);
	assert_ptr_equal(shares_next(&s), &of[SLOW][0]);
	assert_ptr_equal(shares_next(&s), &of[QUICK][0]);
	assert_ptr_equal(shares_next(&s), &of[SLOW][1]);
	assert_ptr_equal(shares_next(&s), &of[QUICK][1]);
	while (shares_drop(&s))
		;
	end(SLOW, 0, 2);
	end(QUICK, 0, 2);
}

static void what_is_too_large_goes_alone(void **state ATTR_UNUSED)
{
	want(SLOW, 1, 10);
	want(QUICK, 1, MAX + 1);
	assert_ptr_equal(shares_next(&s), &of[SLOW][0]);
	assert_null(shares_next(&s));
	end(SLOW, 0, 1);
	assert_ptr_equal(shares_next(&s), &of[QUICK][0]);
	want(SLOW, 1, 10);
	assert_null(shares_next(&s));
	end(QUICK, 0, 1);
	assert_ptr_equal(shares_next(&s), &of[SLOW][0]);
	end(SLOW, 0, 1);
}

TEST_MAIN(TEST_WITH(one_mount_has_half),
	  TEST_WITH(there_is_always_something_for_another),
	  TEST_WITH(mounts_take_turns), TEST_WITH(what_is_too_large_goes_alone))
