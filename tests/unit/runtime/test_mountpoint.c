#include "lib/test.h"

#include <errno.h>
#include <string.h>

#include "lib/tempdir.h"
#include "runtime/mountpoint.h"

static struct fixture {
	char *dir;
	struct mountpoint m;
} f;

static int setup(void **state ATTR_UNUSED)
{
	f = (struct fixture){ .dir = tempdir_make() };
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	mountpoint_close(&f.m);
	tempdir_remove(f.dir);
	return 0;
}

static const char table[] =
	"22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
	"60 22 0:50 / /mnt/a\\040b ro,nosuid shared:3 - fuse.acached "
	"unix:/var/lib/acached/master/sock:/data ro,user_id=0\n"
	"61 22 0:51 / /mnt/x ro - fuse.acached 10.0.0.1:7,10.0.0.2:7:/ ro\n"
	"62 61 0:52 / /mnt/x/deep rw - tmpfs tmpfs rw\n"
	"63 22 0:53 / /mnt/x/deep/er ro - fuse.acached h:1:/s3/b ro\n";

static int find(const char *path)
{
	mountpoint_close(&f.m);
	return mountpoint_of(path, tempdir_file(f.dir, "mountinfo", table),
			     &f.m);
}

static void a_path_below_a_mountpoint_finds_it(void **state ATTR_UNUSED)
{
	assert_int_equal(find("/mnt/a b/img/1.png"), 0);
	assert_string_equal(f.m.point, "/mnt/a b");
	assert_string_equal(f.m.masters, "unix:/var/lib/acached/master/sock");
	assert_string_equal(f.m.path, "/data");
	assert_int_equal(find("/mnt/x"), 0);
	assert_string_equal(f.m.masters, "10.0.0.1:7,10.0.0.2:7");
	assert_string_equal(f.m.path, "/");
}

static void the_topmost_mount_counts(void **state ATTR_UNUSED)
{
	assert_int_equal(find("/mnt/x/deep/file"), -ENOENT);
	assert_int_equal(find("/mnt/x/deep/er/file"), 0);
	assert_string_equal(f.m.path, "/s3/b");
}

static void other_paths_are_nobodys(void **state ATTR_UNUSED)
{
	assert_int_equal(find("/mnt/xy"), -ENOENT);
	assert_int_equal(find("/"), -ENOENT);
}

static void a_source_without_a_path_is_refused(void **state ATTR_UNUSED)
{
	struct err err = { 0 };

	assert_int_equal(mountpoint_parse_source("host:1", &f.m, &err),
			 -EINVAL);
	assert_string_equal(err.msg,
			    "\"host:1\" is not MASTER[,MASTER...]:/PATH");
	assert_int_equal(mountpoint_parse_source(":/x", &f.m, NULL), -EINVAL);
}

TEST_MAIN(TEST_WITH(a_path_below_a_mountpoint_finds_it),
	  TEST_WITH(the_topmost_mount_counts),
	  TEST_WITH(other_paths_are_nobodys),
	  TEST_WITH(a_source_without_a_path_is_refused))
