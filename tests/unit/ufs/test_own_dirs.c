#include "lib/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/tempdir.h"
#include "ufs/own_dirs.h"

static char *dir;
static struct err err;

static int setup(void **state ATTR_UNUSED)
{
	dir = tempdir_make();
	err = (struct err){ 0 };
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	tempdir_remove(dir);
	return 0;
}

/* Writes a mountinfo whose mounts are of `type`, at `point` below the test's
 * directory. */
static void mounts(const char *point, const char *type)
{
	char *line = mem_printf("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
				"36 22 0:35 / %s/%s ro,nosuid - %s "
				"127.0.0.1:1:/x ro\n",
				dir, point, type);

	tempdir_file(dir, "mountinfo", line);
	free(line);
}

static int check(const char *root, const char *own_dir)
{
	char *path = mem_printf("%s/%s", dir, root);
	char *own_path = mem_printf("%s/%s", dir, own_dir);
	char *info = mem_printf("%s/mountinfo", dir);
	const char *own[] = { own_path, NULL };
	struct own_dirs *o = own_dirs_new(path, own, info);
	int rv = own_dirs_check(o, &err);

	own_dirs_free(o);
	free(path);
	free(own_path);
	free(info);
	return rv;
}

static char *make(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(mkdir(path, 0700), 0);
	return path;
}

static void what_lies_apart_is_allowed(void **state ATTR_UNUSED)
{
	make("data");
	mounts("mnt", "fuse.acached");
	assert_int_equal(check("data", "state"), 0);
	assert_int_equal(check("data/", "data-state"), 0);
	mounts("data", "fuse.sshfs"); /* another's */
	assert_int_equal(check("data", "state"), 0);
}

static void own_mountpoints_are_refused(void **state ATTR_UNUSED)
{
	char message[600];

	make("data");
	mounts("data/in/mnt", "fuse.acached");
	assert_int_equal(check("data", "state"), -EINVAL);
	snprintf(message, sizeof(message),
		 "it contains acached's mountpoint %s/data/in/mnt, or lies in "
		 "it",
		 dir);
	assert_string_equal(err.msg, message);
	mounts("data", "fuse.acached");
	assert_int_equal(check("data", "state"), -EINVAL);
	/* not even looked at: it does not exist */
	assert_int_equal(check("data/in/it", "state"), -EINVAL);
}

static void links_hide_nothing(void **state ATTR_UNUSED)
{
	char *link = mem_printf("%s/link", dir);

	make("data");
	assert_int_equal(symlink("data", link), 0);
	mounts("data/mnt", "fuse.acached");
	assert_int_equal(check("link", "state"), -EINVAL);
	mounts("mnt", "fuse.acached");
	assert_int_equal(check("link", "state"), 0);
	assert_int_equal(check("link", "data/state"), -EINVAL);
	assert_int_equal(check("data", "link/state"), -EINVAL);
	free(link);
}

static void a_missing_root_is_looked_for_again(void **state ATTR_UNUSED)
{
	char *path = mem_printf("%s/data", dir);
	struct own_dirs *o = own_dirs_new(path, NULL, "/nowhere");

	assert_int_equal(own_dirs_check(o, &err), -ENOENT);
	make("data");
	assert_int_equal(own_dirs_check(o, &err), 0);
	own_dirs_free(o);
	free(path);
}

static void names_are_compared_by_whole_components(void **state ATTR_UNUSED)
{
	static const struct {
		const char *root, *own;
		int rv;
	} table[] = {
		{ "/a/b", "/a/b", -EINVAL },  { "/a/b/", "/a/b", -EINVAL },
		{ "/a", "/a/b/", -EINVAL },   { "/a/b/c", "/a/b", -EINVAL },
		{ "/", "/var/lib", -EINVAL }, { "/a/bc", "/a/b", 0 },
		{ "/a/b", "/a/bc", 0 },
	};
	struct own_dirs *o;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		const char *own[] = { table[i].own, NULL };

		o = own_dirs_new(table[i].root, own, NULL);
		assert_int_equal(own_dirs_check_names(o, NULL), table[i].rv);
		own_dirs_free(o);
	}
}

TEST_MAIN(TEST_WITH(what_lies_apart_is_allowed),
	  TEST_WITH(own_mountpoints_are_refused), TEST_WITH(links_hide_nothing),
	  TEST_WITH(a_missing_root_is_looked_for_again),
	  TEST_WITH(names_are_compared_by_whole_components))
