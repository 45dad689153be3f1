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

TEST_MAIN(TEST_WITH(a_few_lookups_are_worth_a_listing),
	  TEST_WITH(many_more_are_worth_a_longer_one),
	  TEST_WITH(an_hour_later_it_begins_anew),
	  TEST_WITH(directories_that_were_first_are_forgotten))
