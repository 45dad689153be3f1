#include "lib/test.h"

#include "master/interest.h"

static struct interest i;

static int setup(void **state ATTR_UNUSED)
{
	interest_init(&i);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	interest_close(&i);
	return 0;
}

static void a_few_lookups_are_worth_a_listing(void **state ATTR_UNUSED)
{
	assert_int_equal(interest_note(&i, 1, 0), 0);
	assert_int_equal(interest_note(&i, 2, 0), 0); /* of another one */
	assert_int_equal(interest_note(&i, 1, 0), 8);
	assert_int_equal(interest_note(&i, 1, 0), 0);
}

static void many_more_are_worth_a_longer_one(void **state ATTR_UNUSED)
{
	unsigned n, pages = 0, lists = 0;

	for (n = 1; n <= 2048; n++)
		if (interest_note(&i, 1, n)) {
			lists++;
			pages = n * 4;
		}
	assert_int_equal(lists, 4); /* at 2, 16, 128 and 1024 */
	assert_int_equal(pages, 4096);
}

static void an_hour_later_it_begins_anew(void **state ATTR_UNUSED)
{
	assert_int_equal(interest_note(&i, 1, 0), 0);
	assert_int_equal(interest_note(&i, 1, 3600000), 0);
	assert_int_equal(interest_note(&i, 1, 3600000), 8);
}

static void directories_that_were_first_are_forgotten(void **state ATTR_UNUSED)
{
	uint64_t dir;

	interest_note(&i, 1, 0);
	for (dir = 2; dir < 10000; dir++)
		interest_note(&i, dir, 0);
	assert_int_equal(i.by_dir.used, 4096);
	assert_int_equal(interest_note(&i, 1, 0), 0);
}

/* Two lookups, and the listing that they were worth. */
static unsigned beside(uint64_t dir, uint64_t parent, uint64_t now_ms)
{
	assert_int_equal(interest_note(&i, dir, now_ms), 0);
	assert_int_equal(interest_listed(&i, dir, parent, now_ms), 0);
	assert_int_equal(interest_note(&i, dir, now_ms), 8);
	return interest_listed(&i, dir, parent, now_ms);
}

static void after_a_second_directory_those_beside_it_are_worth_a_listing(
	void **state ATTR_UNUSED)
{
	assert_int_equal(beside(11, 1, 0), 0);
	assert_int_equal(beside(21, 2, 0), 0); /* of another parent */
	assert_int_equal(beside(12, 1, 0), 8);
	assert_int_equal(interest_listed(&i, 12, 1, 0), 0); /* again */
	assert_int_equal(interest_listed(&i, 13, 1, 0),
			 0); /* not looked into */
	assert_int_equal(beside(14, 1, 0), 8);
}

static void a_minute_later_nothing_is_worth_it(void **state ATTR_UNUSED)
{
	assert_int_equal(beside(11, 1, 0), 0);
	assert_int_equal(interest_note(&i, 12, 0), 0);
	assert_int_equal(interest_note(&i, 12, 0), 8);
	assert_int_equal(interest_listed(&i, 12, 1, 60000), 0);
	assert_int_equal(beside(13, 1, 60000), 0);
	assert_int_equal(beside(14, 1, 60000), 8);
}

static void one_beside_is_tried_once(void **state ATTR_UNUSED)
{
	assert_true(interest_try(&i, 1, 0));
	assert_true(interest_try(&i, 2, 0));
	assert_false(interest_try(&i, 1, 59999));
	assert_true(interest_try(&i, 2, 60000));
}

TEST_MAIN(
	TEST_WITH(a_few_lookups_are_worth_a_listing),
	TEST_WITH(many_more_are_worth_a_longer_one),
	TEST_WITH(after_a_second_directory_those_beside_it_are_worth_a_listing),
	TEST_WITH(a_minute_later_nothing_is_worth_it),
	TEST_WITH(one_beside_is_tried_once),
	TEST_WITH(an_hour_later_it_begins_anew),
	TEST_WITH(directories_that_were_first_are_forgotten))
