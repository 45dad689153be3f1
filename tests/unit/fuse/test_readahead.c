#include "lib/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuse/readahead.h"
#include "lib/tempdir.h"

static struct fixture {
	char *dir;
	char mountinfo[4096], entry[4096];
} f;

static void make(const char *name)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", f.dir, name);
	assert_int_equal(mkdir(path, 0755), 0);
}

static int setup(void **state ATTR_UNUSED)
{
	f = (struct fixture){ .dir = tempdir_make() };
	make("class");
	make("class/bdi");
	make("class/bdi/0:53");
	snprintf(f.entry, sizeof(f.entry), "%s",
		 tempdir_file(f.dir, "class/bdi/0:53/read_ahead_kb", "128\n"));
	strcpy(f.mountinfo,
	       tempdir_file(f.dir, "mountinfo",
			    "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
			    "40 22 0:52 / /mnt/a\\040b ro - fuse.acached x ro\n"
			    "41 40 0:53 / /mnt/a\\040b ro - fuse.acached x ro\n"
			    "42 22 0:54 / /mnt/a\\040b/c ro - tmpfs x ro\n"));
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	tempdir_remove(f.dir);
	return 0;
}

static void it_is_set_on_the_topmost_mount(void **state ATTR_UNUSED)
{
	char text[16] = "";
	FILE *file;

	assert_int_equal(readahead_set("/mnt/a b", 1024, f.mountinfo, f.dir),
			 0);
	file = fopen(f.entry, "r");
	assert_non_null(fgets(text, sizeof(text), file));
	fclose(file);
	assert_string_equal(text, "1024\n");
}

static void where_nothing_is_mounted_nothing_is_set(void **state ATTR_UNUSED)
{
	assert_int_equal(readahead_set("/mnt/b", 1024, f.mountinfo, f.dir),
			 -ENOENT);
	assert_int_equal(readahead_set("/mnt/a b/c", 1024, f.mountinfo, f.dir),
			 -ENOENT); /* no such device */
}

TEST_MAIN(TEST_WITH(it_is_set_on_the_topmost_mount),
	  TEST_WITH(where_nothing_is_mounted_nothing_is_set))
