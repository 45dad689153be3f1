#include "lib/test.h"

#include <stdio.h>
#include <string.h>

#include "master/negative.h"

#define TTL_MS 5000

static struct negative n;

static int setup(void **state ATTR_UNUSED)
{
	negative_init(&n, TTL_MS);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	negative_close(&n);
	return 0;
}

static void add(uint64_t dir, const char *name, uint64_t now_ms)
{
	negative_add(&n, dir, name, strlen(name), now_ms);
}

static bool has(uint64_t dir, const char *name, uint64_t now_ms)
{
	return negative_has(&n, dir, name, strlen(name), now_ms);
}

static void a_name_is_absent_for_its_time(void **state ATTR_UNUSED)
{
	assert_false(has(1, "a", 100));
	add(1, "a", 100);
	assert_true(has(1, "a", 100));
	assert_true(has(1, "a", 100 + TTL_MS - 1));
	assert_false(has(1, "a", 100 + TTL_MS));
}

static void only_in_its_directory(void **state ATTR_UNUSED)
{
	add(1, "a", 0);
	assert_false(has(2, "a", 0));
	assert_false(has(1, "aa", 0));
	assert_false(has(1, "", 0));
}

static void added_again_it_lasts_longer(void **state ATTR_UNUSED)
{
	add(1, "a", 0);
	add(1, "a", 3000);
	assert_true(has(1, "a", 3000 + TTL_MS - 1));
}

static void the_oldest_go_when_there_are_too_many(void **state ATTR_UNUSED)
{
	char name[16];
	int i;

	for (i = 0; i < NEGATIVE_MAX + 10; i++) {
		snprintf(name, sizeof(name), "%d", i);
		add(1, name, 0);
	}
	assert_false(has(1, "9", 0));
	assert_true(has(1, "10", 0));
	assert_true(has(1, name, 0));
	add(1, "late", TTL_MS); /* all others have had their time */
	assert_int_equal(n.by_hash.used, 1);
}

TEST_MAIN(TEST_WITH(a_name_is_absent_for_its_time),
	  TEST_WITH(only_in_its_directory),
	  TEST_WITH(added_again_it_lasts_longer),
	  TEST_WITH(the_oldest_go_when_there_are_too_many))
