#include "lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fake_client.h"
#include "mounted.h"

static struct mounted m;

static int setup(void **state ATTR_UNUSED)
{
	m = (struct mounted){ .ttl_ms = 1000 };
	mounted_setup(&m);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	mounted_teardown(&m);
	return 0;
}

/* pread() of a range, with every byte compared. */
static void check_range(int fd, uint64_t id, uint64_t offset, size_t len,
			size_t wanted)
{
	char *got = malloc(len), *want = malloc(len);

	assert_int_equal(pread(fd, got, len, (off_t)offset), wanted);
	fake_bytes(id, offset, want, wanted);
	assert_memory_equal(got, want, wanted);
	free(got);
	free(want);
}

static void check_ranges(const char *name, uint64_t id)
{
	int fd = open(mounted_path(&m, name), O_RDONLY);

	assert_true(fd >= 0);
	check_range(fd, id, 0, 1, 1);
	check_range(fd, id, 4095, 2, 2);
	check_range(fd, id, FAKE_BIG_LEN - 5, 100, 5);
	check_range(fd, id, FAKE_BIG_LEN, 100, 0);
	check_range(fd, id, (1 << 20) - 7, 3 << 20, 3 << 20);
	check_range(fd, id, 0, FAKE_BIG_LEN + 9, FAKE_BIG_LEN);
	close(fd);
}

static void ranges_are_read(void **state ATTR_UNUSED)
{
	if (!m.dir)
		skip();
	check_ranges("big", FAKE_BIG);
}

static void a_granted_file_is_read_from_its_descriptor(void **state ATTR_UNUSED)
{
	if (!m.dir)
		skip();
	check_ranges("granted", FAKE_GRANTED);
}

static void a_grant_that_cannot_be_read_is_gone_round(void **state ATTR_UNUSED)
{
	if (!m.dir)
		skip();
	check_ranges("broken", FAKE_BROKEN);
}

/* Requests as long as the kernel makes them, and unaligned ones. */
static void direct_reads_are_as_long_as_asked_for(void **state ATTR_UNUSED)
{
	char *buf = NULL, *want = malloc(1 << 20);
	int fd;

	if (!m.dir)
		skip();
	assert_int_equal(posix_memalign((void **)&buf, 4096, 1 << 20), 0);
	fd = open(mounted_path(&m, "big"), O_RDONLY | O_DIRECT);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, buf, 1 << 20, 3 << 20), 1 << 20);
	fake_bytes(FAKE_BIG, 3 << 20, want, 1 << 20);
	assert_memory_equal(buf, want, 1 << 20);
	close(fd);
	free(buf);
	free(want);
}

static void a_file_can_be_mapped(void **state ATTR_UNUSED)
{
	char want[100];
	char *map;
	int fd;

	if (!m.dir)
		skip();
	fd = open(mounted_path(&m, "big"), O_RDONLY);
	map = mmap(NULL, FAKE_BIG_LEN, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	fake_bytes(FAKE_BIG, 7 << 20, want, sizeof(want));
	assert_memory_equal(map + (7 << 20), want, sizeof(want));
	munmap(map, FAKE_BIG_LEN);
	close(fd);
}

/* What was read once is in the page cache: no child is needed. */
static void a_second_read_costs_no_request(void **state ATTR_UNUSED)
{
	int fd;

	if (!m.dir)
		skip();
	fd = open(mounted_path(&m, "big"), O_RDONLY);
	check_range(fd, FAKE_BIG, 0, FAKE_BIG_LEN, FAKE_BIG_LEN);
	close(fd);
	fd = open(mounted_path(&m, "big"), O_RDONLY);
	mounted_kill(&m);
	check_range(fd, FAKE_BIG, 0, FAKE_BIG_LEN, FAKE_BIG_LEN);
	mounted_serve(&m);
	close(fd);
}

static void errors_are_what_they_are(void **state ATTR_UNUSED)
{
	char c;
	int fd;

	if (!m.dir)
		skip();
	assert_int_equal(open(mounted_path(&m, "gone"), O_RDONLY), -1);
	assert_int_equal(errno, ESTALE);
	fd = open(mounted_path(&m, "lost"), O_RDONLY);
	assert_int_equal(read(fd, &c, 1), -1);
	assert_int_equal(errno, ETIMEDOUT);
	close(fd);
	assert_int_equal(open(mounted_path(&m, "none"), O_RDONLY), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(open(mounted_path(&m, "big/x"), O_RDONLY), -1);
	assert_int_equal(errno, ENOTDIR);
}

static void a_symbolic_link_is_followed(void **state ATTR_UNUSED)
{
	char target[64];
	struct stat st;

	if (!m.dir)
		skip();
	assert_int_equal(
		readlink(mounted_path(&m, "link"), target, sizeof(target)), 3);
	assert_memory_equal(target, "big", 3);
	assert_int_equal(stat(mounted_path(&m, "link"), &st), 0);
	assert_int_equal(st.st_ino, FAKE_BIG);
}

static void the_live_workers_room_is_the_file_systems(void **state ATTR_UNUSED)
{
	struct statvfs v;

	if (!m.dir)
		skip();
	assert_int_equal(statvfs(m.point, &v), 0);
	assert_int_equal(v.f_blocks * v.f_frsize, 100 << 20);
	assert_int_equal(v.f_bfree * v.f_frsize, 70 << 20);
	assert_int_equal(v.f_namemax, 255);
	assert_true(v.f_flag & ST_RDONLY);
}

static void there_are_no_xattrs_unless_asked_for(void **state ATTR_UNUSED)
{
	char value[64];

	if (!m.dir)
		skip();
	assert_int_equal(getxattr(mounted_path(&m, "big"),
				  "user.acached.version", value, 64),
			 -1);
	assert_int_equal(errno, EOPNOTSUPP);
}

static int setup_xattr(void **state ATTR_UNUSED)
{
	m = (struct mounted){ .ttl_ms = 1000, .xattr = true };
	mounted_setup(&m);
	return 0;
}

static void has_xattr(const char *name, const char *wanted)
{
	char value[64] = "";
	const char *big = mounted_path(&m, "big");

	assert_int_equal(getxattr(big, name, NULL, 0), strlen(wanted));
	assert_int_equal(getxattr(big, name, value, 64), strlen(wanted));
	assert_string_equal(value, wanted);
}

static void xattrs_tell_version_place_and_cached_part(void **state ATTR_UNUSED)
{
	char value[128];

	if (!m.dir)
		skip();
	has_xattr("user.acached.version", "\"etag\"");
	has_xattr("user.acached.ufs", "s3://b/a/big");
	has_xattr("user.acached.cached", "part");
	assert_int_equal(
		getxattr(mounted_path(&m, "big"), "user.acached.ufs", value, 3),
		-1);
	assert_int_equal(errno, ERANGE);
	assert_int_equal(
		getxattr(mounted_path(&m, "big"), "user.other", value, 64), -1);
	assert_int_equal(errno, ENODATA);
	assert_int_equal(getxattr(mounted_path(&m, "sub"), "user.acached.ufs",
				  value, 64),
			 -1);
	assert_int_equal(errno, ENODATA);
	assert_int_equal(listxattr(mounted_path(&m, "big"), value, 128), 58);
	assert_string_equal(value, "user.acached.version");
	assert_int_equal(listxattr(mounted_path(&m, "sub"), value, 128), 0);
}

/* 8 threads over one descriptor, with children killed meanwhile. */
static void *read_ranges(void *arg)
{
	char got[3000], want[3000];
	int fd = *(int *)arg, i;
	uint64_t at;

	for (i = 0; i < 300; i++) {
		at = (uint64_t)rand() % (FAKE_BIG_LEN - sizeof(got));
		fake_bytes(FAKE_GRANTED, at, want, sizeof(want));
		if (pread(fd, got, sizeof(got), (off_t)at) != sizeof(got) ||
		    memcmp(got, want, sizeof(got)) != 0)
			return arg;
	}
	return NULL;
}

static void granted_reads_go_on_in_the_next_child(void **state ATTR_UNUSED)
{
	pthread_t threads[8];
	void *bad;
	int fd, i;

	if (!m.dir)
		skip();
	fd = open(mounted_path(&m, "granted"), O_RDONLY);
	for (i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, read_ranges, &fd);
	for (i = 0; i < 10; i++) {
		usleep(5000);
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		mounted_kill(&m);
		mounted_serve(&m);
	}
	for (i = 0; i < 8; i++) {
		pthread_join(threads[i], &bad);
		assert_null(bad);
	}
	close(fd);
}

TEST_MAIN(TEST_WITH(ranges_are_read),
	  TEST_WITH(a_granted_file_is_read_from_its_descriptor),
	  TEST_WITH(a_grant_that_cannot_be_read_is_gone_round),
	  TEST_WITH(direct_reads_are_as_long_as_asked_for),
	  TEST_WITH(a_file_can_be_mapped),
	  TEST_WITH(a_second_read_costs_no_request),
	  TEST_WITH(errors_are_what_they_are),
	  TEST_WITH(a_symbolic_link_is_followed),
	  TEST_WITH(the_live_workers_room_is_the_file_systems),
	  TEST_WITH(there_are_no_xattrs_unless_asked_for),
	  cmocka_unit_test_setup_teardown(
		  xattrs_tell_version_place_and_cached_part, setup_xattr,
		  teardown),
	  TEST_WITH(granted_reads_go_on_in_the_next_child))
