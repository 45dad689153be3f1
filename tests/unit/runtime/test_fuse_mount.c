#include "lib/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/tempdir.h"
#include "runtime/fuse_mount.h"

/* What can be told without mounting: make check needs neither root nor FUSE. */
static struct fixture {
	char *dir;
	struct fuse_mount m;
	struct err err;
} f;

static int setup(void **state ATTR_UNUSED)
{
	char *real;

	f = (struct fixture){ .dir = tempdir_make() };
	real = realpath(f.dir, NULL);
	free(f.dir);
	f.dir = real;
	f.m = (struct fuse_mount){ .words = mem_str(""), .fd = -1 };
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	fuse_mount_close(&f.m);
	tempdir_remove(f.dir);
	return 0;
}

static void says(const char *words)
{
	if (!strstr(f.err.msg, words))
		fail_msg("\"%s\" is not in \"%s\"", words, f.err.msg);
}

static void words_are_flags_or_the_roles(void **state ATTR_UNUSED)
{
	assert_int_equal(fuse_mount_options(&f.m,
					    "rw,noexec,xattr,_netdev,nofail,"
					    "x-systemd.automount,noatime",
					    &f.err),
			 0);
	assert_int_equal(f.m.flags, MS_NOEXEC | MS_NOATIME);
	assert_string_equal(f.m.words, "xattr");
	assert_false(f.m.nonempty);
	assert_int_equal(fuse_mount_options(&f.m, "nonempty", &f.err), 0);
	assert_true(f.m.nonempty);
	assert_int_equal(fuse_mount_options(&f.m, "xattr,turbo", &f.err),
			 -EINVAL);
	says("-o turbo: not known; give nonempty");
}

static void a_mountpoint_is_seen_from_the_root(void **state ATTR_UNUSED)
{
	char link[4200];

	snprintf(link, sizeof(link), "%s/link", f.dir);
	assert_int_equal(symlink(f.dir, link), 0);
	assert_int_equal(fuse_mount_resolve(&f.m, link, &f.err), 0);
	assert_string_equal(f.m.point, f.dir);
	free(f.m.point);
	assert_int_equal(chdir(f.dir), 0);
	assert_int_equal(fuse_mount_resolve(&f.m, ".", &f.err), 0);
	assert_string_equal(f.m.point, f.dir);
	free(f.m.point);
	assert_int_equal(fuse_mount_resolve(&f.m, "link/", &f.err), 0);
	assert_string_equal(f.m.point, f.dir);
	assert_int_equal(chdir("/"), 0);
}

static void what_is_not_there_is_refused(void **state ATTR_UNUSED)
{
	char path[4200];

	snprintf(path, sizeof(path), "%s/no/such", f.dir);
	assert_int_equal(fuse_mount_resolve(&f.m, path, &f.err), -ENOENT);
	says("no/such: cannot be a mountpoint: No such file");
	snprintf(path, sizeof(path), "%s/none", f.dir);
	assert_int_equal(fuse_mount_resolve(&f.m, path, &f.err), 0);
	assert_int_equal(fuse_mount_prepare(&f.m, &f.err), -ENOENT);
	says("none: cannot be a mountpoint");
}

static void a_file_is_refused(void **state ATTR_UNUSED)
{
	const char *file = tempdir_file(f.dir, "file", "x");

	assert_int_equal(fuse_mount_resolve(&f.m, file, &f.err), 0);
	assert_int_equal(fuse_mount_prepare(&f.m, &f.err), -ENOTDIR);
	says("file: cannot be a mountpoint: Not a directory");
}

static void a_full_directory_is_refused(void **state ATTR_UNUSED)
{
	assert_int_equal(fuse_mount_resolve(&f.m, f.dir, &f.err), 0);
	assert_int_equal(fuse_mount_prepare(&f.m, &f.err), 0);
	tempdir_file(f.dir, "file", "x");
	assert_int_equal(fuse_mount_prepare(&f.m, &f.err), -ENOTEMPTY);
	says("is not empty; -o nonempty");
	f.m.nonempty = true;
	assert_int_equal(fuse_mount_prepare(&f.m, &f.err), 0);
}

static void what_others_mounted_is_refused(void **state ATTR_UNUSED)
{
	assert_int_equal(fuse_mount_resolve(&f.m, "/proc", &f.err), 0);
	assert_int_equal(fuse_mount_prepare(&f.m, &f.err), -EBUSY);
	says("/proc: something else (proc) is mounted there");
}

TEST_MAIN(TEST_WITH(words_are_flags_or_the_roles),
	  TEST_WITH(a_mountpoint_is_seen_from_the_root),
	  TEST_WITH(what_is_not_there_is_refused), TEST_WITH(a_file_is_refused),
	  TEST_WITH(a_full_directory_is_refused),
	  TEST_WITH(what_others_mounted_is_refused))
