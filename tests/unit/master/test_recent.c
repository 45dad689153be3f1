#include "lib/test.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "master/recent.h"

static struct recent r;
static uint64_t index_;
static size_t len;

static int setup(void **state ATTR_UNUSED)
{
	recent_init(&r);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	recent_close(&r);
	return 0;
}

static void entries_come_one_after_the_other(void **state ATTR_UNUSED)
{
	assert_null(recent_after(&r, 0, &index_, &len));
	recent_add(&r, 3, "three", 5);
	recent_add(&r, 5, "fifth", 5);
	assert_memory_equal(recent_after(&r, 0, &index_, &len), "three", 5);
	assert_int_equal(index_, 3);
	assert_int_equal(len, 5);
	assert_memory_equal(recent_after(&r, 3, &index_, &len), "fifth", 5);
	assert_int_equal(index_, 5);
	assert_memory_equal(recent_after(&r, 4, &index_, &len), "fifth", 5);
	assert_null(recent_after(&r, 5, &index_, &len));
}

static void the_oldest_make_room(void **state ATTR_UNUSED)
{
	char *large = mem_alloc(RECENT_BYTES / 4);
	uint64_t i;

	for (i = 1; i <= 10; i++)
		recent_add(&r, i, large, RECENT_BYTES / 4);
	assert_non_null(recent_after(&r, 0, &index_, &len));
	assert_int_equal(index_, 7);
	free(large);
}

TEST_MAIN(TEST_WITH(entries_come_one_after_the_other),
	  TEST_WITH(the_oldest_make_room))
