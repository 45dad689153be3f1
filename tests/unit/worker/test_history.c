/* History needs of a worker nothing but its clock. */

#include "lib/test.h"

#include "worker/state.h"

static uint64_t now;

static uint64_t wall_ms(void)
{
	return now;
}

static struct worker w;

static int setup(void **state ATTR_UNUSED)
{
	w = (struct worker){ .o = { .wall_ms = wall_ms } };
	now = 1000;
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	history_close(&w.history);
	return 0;
}

static const struct remembered *get(uint64_t file)
{
	return history_get(&w.history, file);
}

static void the_last_open_is_remembered(void **state ATTR_UNUSED)
{
	assert_null(get(5));
	history_open(&w, 5, false, false);
	assert_string_equal(get(5)->open, "miss: never cached");
	assert_int_equal(get(5)->open_ms, 1000);
	now = 2000;
	history_fate(&w, 5, FATE_CACHED);
	history_open(&w, 5, true, true);
	assert_string_equal(get(5)->open, "hit");
	assert_int_equal(get(5)->open_ms, 2000);
}

static void a_miss_has_its_reason(void **state ATTR_UNUSED)
{
	history_fate(&w, 1, FATE_NOT_ADMITTED);
	history_open(&w, 1, false, false);
	assert_string_equal(get(1)->open, "miss: not admitted");
	history_fate(&w, 2, FATE_REMOVED);
	history_open(&w, 2, false, false);
	assert_string_equal(get(2)->open, "miss: evicted");
	history_open(&w, 3, false, true);
	assert_string_equal(get(3)->open, "miss: not complete");
}

static void as_many_as_promised(void **state ATTR_UNUSED)
{
	uint64_t i;

	for (i = 1; i <= HISTORY_MAX + 10; i++)
		history_open(&w, i, true, true);
	for (i = 1; i <= 10; i++)
		assert_null(get(i));
	for (; i <= HISTORY_MAX + 10; i++)
		assert_non_null(get(i));
	assert_int_equal(w.history.by_file.used, HISTORY_MAX);
}

TEST_MAIN(TEST_WITH(the_last_open_is_remembered),
	  TEST_WITH(a_miss_has_its_reason), TEST_WITH(as_many_as_promised))
