#include "lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/tempdir.h"
#include "ufs/beneath.h"

typedef int (*open_fn)(int root_fd, const char *path, int flags);

static char *dir;
static int root;

static int setup(void **state ATTR_UNUSED)
{
	dir = tempdir_make();
	root = open(dir, O_PATH | O_DIRECTORY);
	assert_true(root >= 0);
	assert_int_equal(mkdirat(root, "a", 0700), 0);
	tempdir_file(dir, "a/file", "x");
	assert_int_equal(symlinkat("..", root, "a/up"), 0);
	assert_int_equal(symlinkat("/", root, "a/top"), 0);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	close(root);
	tempdir_remove(dir);
	return 0;
}

/* 0 or the code; closes what was opened. */
static int try(open_fn open_it, const char *path, int flags)
{
	int fd = open_it(root, path, flags);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

static void check_both_ways(open_fn open_it)
{
	assert_int_equal(try(open_it, "", O_PATH), 0);
	assert_int_equal(try(open_it, "a", O_RDONLY | O_DIRECTORY), 0);
	assert_int_equal(try(open_it, "a/file", O_RDONLY), 0);
	assert_int_equal(try(open_it, "a/none", O_RDONLY), -ENOENT);
	assert_int_equal(try(open_it, "a/file/x", O_RDONLY), -ENOTDIR);
	assert_int_equal(try(open_it, "a/up", O_RDONLY), -ELOOP);
	assert_int_equal(try(open_it, "a/up", O_PATH | O_NOFOLLOW), 0);
	assert_int_equal(try(open_it, "..", O_PATH), -EACCES);
	assert_int_equal(try(open_it, "a/../../x", O_PATH), -EACCES);
	assert_true(try(open_it, "a/top/etc", O_PATH) < 0);
}

static void opens_inside_and_only_inside(void **state ATTR_UNUSED)
{
	check_both_ways(beneath_open);
	assert_int_equal(try(beneath_open, "a/top/etc", O_PATH), -EACCES);
	assert_int_equal(try(beneath_open, "a/up/a/file", O_PATH), 0);
}

static void so_does_the_way_of_older_kernels(void **state ATTR_UNUSED)
{
	check_both_ways(beneath_open_walk);
}

TEST_MAIN(TEST_WITH(opens_inside_and_only_inside),
	  TEST_WITH(so_does_the_way_of_older_kernels))
