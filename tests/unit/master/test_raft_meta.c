#include "lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/tempdir.h"
#include "master/raft_meta.h"

/* libraft's files, little-endian as this machine is. */
struct metadata {
	uint64_t format, version, term, vote;
};

static struct fixture {
	char *dir;
	struct metadata now;
	struct err err;
} f;

static char *path_of(const char *name)
{
	return mem_printf("%s/%s", f.dir, name);
}

static void put(const char *name, const void *data, size_t len)
{
	char *path = path_of(name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, data, len), len);
	close(fd);
	free(path);
}

/* As libraft does it. */
static void store(uint64_t term, uint64_t vote)
{
	f.now = (struct metadata){ 1, f.now.version + 1, term, vote };
	put(f.now.version % 2 ? "metadata1" : "metadata2", &f.now,
	    sizeof(f.now));
}

static int check(void)
{
	return raft_meta_check(f.dir, &f.err);
}

static int setup(void **state ATTR_UNUSED)
{
	f = (struct fixture){ .dir = tempdir_make() };
	store(1, 0);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	tempdir_remove(f.dir);
	return 0;
}

static void new_term(uint64_t term)
{
	assert_int_equal(raft_meta_expect(f.dir, term, 0), 0);
	store(term, 0);
}

static void vote(uint64_t id)
{
	assert_int_equal(raft_meta_expect(f.dir, 0, id), 0);
	store(f.now.term, id);
}

static void what_raft_wrote_is_good(void **state ATTR_UNUSED)
{
	uint64_t i;

	assert_int_equal(check(), 0);
	for (i = 2; i < 6; i++) {
		new_term(i);
		assert_int_equal(check(), 0);
		vote(77);
		assert_int_equal(check(), 0);
	}
}

static void a_crash_before_raft_wrote_is_good(void **state ATTR_UNUSED)
{
	assert_int_equal(raft_meta_expect(f.dir, 2, 0), 0);
	assert_int_equal(check(), 0); /* there is no second file yet */
	store(2, 0);
	vote(9);
	assert_int_equal(raft_meta_expect(f.dir, 3, 0), 0);
	assert_int_equal(check(), 0);
	/* It starts again from what is there. */
	new_term(4);
	assert_int_equal(check(), 0);
}

static void what_raft_did_not_write_is_refused(void **state ATTR_UNUSED)
{
	new_term(2);
	vote(9);
	f.now.term = 3;
	put("metadata1", &f.now, sizeof(f.now));
	assert_int_equal(check(), -EBADMSG);
	assert_non_null(strstr(f.err.msg, "/metadata1: byte 0: damaged"));
}

static void flip_all(const char *name, size_t len)
{
	char *path = path_of(name);
	int fd = open(path, O_RDWR);
	uint8_t byte, flipped;
	size_t i;

	for (i = 0; i < 8 * len; i++) {
		assert_int_equal(pread(fd, &byte, 1, (off_t)(i / 8)), 1);
		flipped = byte ^ (uint8_t)(1 << i % 8);
		assert_int_equal(pwrite(fd, &flipped, 1, (off_t)(i / 8)), 1);
		assert_int_equal(check(), -EBADMSG);
		assert_non_null(strstr(f.err.msg, name));
		assert_int_equal(pwrite(fd, &byte, 1, (off_t)(i / 8)), 1);
	}
	close(fd);
	free(path);
	assert_int_equal(check(), 0);
}

static void every_flipped_bit_is_seen(void **state ATTR_UNUSED)
{
	flip_all("metadata1", 32); /* of a beginning */
	new_term(2);
	vote(9);
	flip_all("metadata1", 32);
	flip_all("metadata2", 32);
	flip_all("metadata.sum", 32);
}

TEST_MAIN(TEST_WITH(what_raft_wrote_is_good),
	  TEST_WITH(a_crash_before_raft_wrote_is_good),
	  TEST_WITH(what_raft_did_not_write_is_refused),
	  TEST_WITH(every_flipped_bit_is_seen))
