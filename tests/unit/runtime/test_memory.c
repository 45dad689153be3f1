#include "lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "lib/tempdir.h"
#include "runtime/memory.h"

#define GIB (UINT64_C(1) << 30)

/* A machine of 8 GiB and 1 GiB of swap. */
static struct fixture {
	char *root;
} f;

static void write_file(const char *name, const char *text)
{
	char path[512], *at;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", f.root, name);
	for (at = path + strlen(f.root) + 1; (at = strchr(at, '/')); at++) {
		*at = '\0';
		mkdir(path, 0700);
		*at = '/';
	}
	file = fopen(path, "we");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int setup(void **state ATTR_UNUSED)
{
	f.root = tempdir_make();
	write_file("proc/meminfo",
		   "MemFree: 5 kB\nMemTotal:        8388608 kB\n"
		   "SwapTotal:       1048576 kB\n");
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	tempdir_remove(f.root);
	return 0;
}

static void the_machines_with_its_swap(void **state ATTR_UNUSED)
{
	assert_int_equal(memory_limit(f.root), 9 * GIB);
}

static void a_control_group_may_leave_less(void **state ATTR_UNUSED)
{
	write_file("proc/self/cgroup", "1:cpu:/x\n0::/pods/one\n");
	assert_int_equal(memory_limit(f.root), 9 * GIB);
	write_file("sys/fs/cgroup/pods/one/memory.max", "max\n");
	assert_int_equal(memory_limit(f.root), 9 * GIB);
	write_file("sys/fs/cgroup/pods/one/memory.max", "4294967296\n");
	assert_int_equal(memory_limit(f.root), 4 * GIB);
	write_file("sys/fs/cgroup/pods/memory.max", "3221225472\n");
	assert_int_equal(memory_limit(f.root), 3 * GIB);
	write_file("sys/fs/cgroup/memory.max", "2147483648\n");
	assert_int_equal(memory_limit(f.root), 2 * GIB);
}

static void a_container_sees_its_group_as_the_root(void **state ATTR_UNUSED)
{
	write_file("proc/self/cgroup", "0::/\n");
	write_file("sys/fs/cgroup/memory.max", "1073741824\n");
	assert_int_equal(memory_limit(f.root), GIB);
}

static void nothing_is_known_without_proc(void **state ATTR_UNUSED)
{
	char *nowhere = mem_printf("%s/none", f.root);

	assert_true(memory_limit(nowhere) == UINT64_MAX);
	free(nowhere);
	/* This machine has some. */
	assert_in_range(memory_limit(""), 1, UINT64_MAX - 1);
}

TEST_MAIN(TEST_WITH(the_machines_with_its_swap),
	  TEST_WITH(a_control_group_may_leave_less),
	  TEST_WITH(a_container_sees_its_group_as_the_root),
	  TEST_WITH(nothing_is_known_without_proc))
