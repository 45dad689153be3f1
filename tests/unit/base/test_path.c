#include "lib/test.h"

#include <string.h>

#include "base/path.h"

static bool ok(const char *path)
{
	return path_ok(path, strlen(path));
}

static void only_absolute_paths_without_dots_are_ok(void **state ATTR_UNUSED)
{
	assert_true(ok("/"));
	assert_true(ok("//"));
	assert_true(ok("/a/b.c/"));
	assert_true(ok("//a///..b/.c/..."));
	assert_false(ok(""));
	assert_false(ok("a"));
	assert_false(ok("/."));
	assert_false(ok("/a/../b"));
	assert_false(ok("/a/./b"));
	assert_false(path_ok("/a\0b", 4));
}

static void names_are_bounded(void **state ATTR_UNUSED)
{
	char name[PATH_NAME_MAX + 1];

	memset(name, 'x', sizeof(name));
	assert_true(path_name_ok(name, PATH_NAME_MAX));
	assert_false(path_name_ok(name, PATH_NAME_MAX + 1));
	assert_false(path_name_ok(name, 0));
	assert_false(path_name_ok("a/b", 3));
	assert_false(path_name_ok("..", 2));
	assert_true(path_name_ok("...", 3));
}

static void components_come_one_by_one(void **state ATTR_UNUSED)
{
	const char path[] = "//ab/c//";
	size_t at = 0, len;

	assert_ptr_equal(path_component(path, 8, &at, &len), path + 2);
	assert_int_equal(at, 2);
	assert_int_equal(len, 2);
	at += len;
	assert_ptr_equal(path_component(path, 8, &at, &len), path + 5);
	assert_int_equal(len, 1);
	at += len;
	assert_null(path_component(path, 8, &at, &len));
	assert_int_equal(at, 8);
}

TEST_MAIN(TEST(only_absolute_paths_without_dots_are_ok),
	  TEST(names_are_bounded), TEST(components_come_one_by_one))
