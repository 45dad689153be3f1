#include "lib/test.h"

#include <stdio.h>
#include <string.h>

#include "fuse/names.h"

static struct names n;

static int setup(void **state ATTR_UNUSED)
{
	names_init(&n);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	names_close(&n);
	return 0;
}

static void put(uint64_t parent, const char *name, uint64_t id, uint64_t change)
{
	const struct attr a = { .id = id, .version = { "v", 1 } };

	names_put(&n, parent, name, strlen(name), &a, change);
}

/* Its id, or 0. */
static uint64_t get(uint64_t parent, const char *name)
{
	const struct attr *a = names_get(&n, parent, name, strlen(name));

	return a ? a->id : 0;
}

static void a_name_is_known_while_nothing_changed(void **state ATTR_UNUSED)
{
	put(1, "a", 10, 5);
	assert_int_equal(get(1, "a"), 0); /* nobody said that 5 is now */
	names_seen(&n, 5, 100);
	assert_int_equal(get(1, "a"), 10);
	assert_int_equal(n.as_of_ms, 100);
	names_seen(&n, 6, 200);
	assert_int_equal(get(1, "a"), 0);
	put(1, "a", 11, 6);
	assert_int_equal(get(1, "a"), 11);
}

static void an_overtaken_answer_says_nothing(void **state ATTR_UNUSED)
{
	names_seen(&n, 6, 200);
	put(1, "old", 10, 5);
	names_seen(&n, 5, 300);
	assert_int_equal(get(1, "old"), 0);
	assert_int_equal(n.as_of_ms, 200);
	names_seen(&n, 6, 150);
	assert_int_equal(n.as_of_ms, 200);
}

static void a_doubt_lasts_until_the_next_answer(void **state ATTR_UNUSED)
{
	put(1, "a", 10, 5);
	names_seen(&n, 5, 100);
	names_doubt(&n);
	assert_int_equal(get(1, "a"), 0);
	names_seen(&n, 5, 90); /* whenever that was asked */
	assert_int_equal(get(1, "a"), 10);
}

static void directories_do_not_share_names(void **state ATTR_UNUSED)
{
	names_seen(&n, 5, 100);
	put(1, "a", 10, 5);
	put(2, "a", 20, 5);
	put(1, "ab", 30, 5);
	assert_int_equal(get(1, "a"), 10);
	assert_int_equal(get(2, "a"), 20);
	assert_int_equal(get(1, "ab"), 30);
	assert_int_equal(get(2, "ab"), 0);
	assert_int_equal(get(1, ""), 0);
}

/* More names than places: each is right or forgotten. */
static void a_name_that_lost_its_place_is_asked_for(void **state ATTR_UNUSED)
{
	enum { MANY = 2 * NAMES_SLOTS };
	char name[32];
	uint64_t id;
	int i, known = 0;

	names_seen(&n, 5, 100);
	for (i = 1; i <= MANY; i++) {
		snprintf(name, sizeof(name), "%d", i);
		put(7, name, (uint64_t)i, 5);
	}
	for (i = 1; i <= MANY; i++) {
		snprintf(name, sizeof(name), "%d", i);
		id = get(7, name);
		assert_true(id == 0 || id == (uint64_t)i);
		known += id != 0;
	}
	assert_true(known > NAMES_SLOTS / 2);
	assert_true(known <= NAMES_SLOTS);
}

TEST_MAIN(TEST_WITH(a_name_is_known_while_nothing_changed),
	  TEST_WITH(an_overtaken_answer_says_nothing),
	  TEST_WITH(a_doubt_lasts_until_the_next_answer),
	  TEST_WITH(directories_do_not_share_names),
	  TEST_WITH(a_name_that_lost_its_place_is_asked_for))
