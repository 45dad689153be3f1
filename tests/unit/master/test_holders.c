#include "lib/test.h"

#include "master/holders.h"

static struct holders h;
static uint32_t out[100];

static int setup(void **state ATTR_UNUSED)
{
	holders_init(&h);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	holders_close(&h);
	return 0;
}

static unsigned get(uint64_t file)
{
	return holders_get(&h, file, out, 100);
}

static void a_file_has_the_holders_that_said_so(void **state ATTR_UNUSED)
{
	assert_int_equal(get(7), 0);
	holders_add(&h, 7, 1);
	holders_add(&h, 7, 1);
	assert_int_equal(get(7), 1);
	assert_int_equal(out[0], 1);
	holders_add(&h, 7, 5);
	holders_add(&h, 7, 3);
	holders_add(&h, 7, 5);
	assert_int_equal(get(7), 3);
	assert_int_equal(out[1], 5);
	assert_int_equal(out[2], 3);
	assert_int_equal(holders_get(&h, 7, out, 2), 2);
	assert_true(holders_has(&h, 7, 3));
	assert_false(holders_has(&h, 7, 4));
	assert_false(holders_has(&h, 8, 3));
	assert_int_equal(get(8), 0);
}

static void who_has_all_of_it_is_known(void **state ATTR_UNUSED)
{
	assert_false(holders_is_complete(&h, 7, 1));
	holders_add(&h, 7, 1);
	assert_false(holders_is_complete(&h, 7, 1));
	holders_complete(&h, 7, 1);
	assert_true(holders_is_complete(&h, 7, 1));
	holders_add(&h, 7, 1); /* it lost all and has a part again */
	assert_false(holders_is_complete(&h, 7, 1));
	holders_complete(&h, 7, 1);
	assert_false(holders_is_complete(&h, 7, 2));
	assert_int_equal(get(7), 1);
	assert_int_equal(out[0], 1);
	holders_add(&h, 7, 2);
	assert_true(holders_is_complete(&h, 7, 1));
	assert_false(holders_is_complete(&h, 7, 2));
	holders_complete(&h, 7, 2);
	holders_complete(&h, 7, 3);
	assert_true(holders_is_complete(&h, 7, 2));
	assert_true(holders_is_complete(&h, 7, 3));
	holders_add(&h, 7, 3);
	assert_false(holders_is_complete(&h, 7, 3));
	assert_int_equal(get(7), 3);
	holders_remove(&h, 7, 2);
	assert_false(holders_is_complete(&h, 7, 2));
	holders_add(&h, 7, 2); /* a part again */
	assert_false(holders_is_complete(&h, 7, 2));
	holders_complete(&h, 8, 0xffffffff);
	assert_true(holders_is_complete(&h, 8, 0xffffffff));
}

static void one_that_has_it_no_more_goes(void **state ATTR_UNUSED)
{
	holders_add(&h, 7, 1);
	holders_remove(&h, 7, 2);
	assert_int_equal(get(7), 1);
	holders_add(&h, 7, 2);
	holders_remove(&h, 7, 1);
	assert_int_equal(get(7), 1);
	assert_int_equal(out[0], 2);
	holders_remove(&h, 7, 2);
	assert_int_equal(get(7), 0);
	holders_remove(&h, 7, 2);
	assert_int_equal(h.by_file.used, 0);
}

static void a_worker_goes_with_all_it_has(void **state ATTR_UNUSED)
{
	uint64_t file;

	for (file = 1; file <= 1000; file++) {
		holders_add(&h, file, 1);
		if (file % 2)
			holders_add(&h, file, 2);
	}
	holders_remove_worker(&h, 1);
	assert_int_equal(h.by_file.used, 500);
	for (file = 1; file <= 1000; file++)
		assert_int_equal(get(file), file % 2);
}

static void a_forgotten_file_has_none(void **state ATTR_UNUSED)
{
	holders_add(&h, 7, 1);
	holders_add(&h, 7, 2);
	holders_forget(&h, 7);
	holders_forget(&h, 7);
	assert_int_equal(get(7), 0);
}

TEST_MAIN(TEST_WITH(a_file_has_the_holders_that_said_so),
	  TEST_WITH(who_has_all_of_it_is_known),
	  TEST_WITH(one_that_has_it_no_more_goes),
	  TEST_WITH(a_worker_goes_with_all_it_has),
	  TEST_WITH(a_forgotten_file_has_none))
