#include "lib/test.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/disk_journal.h"
#include "lib/tempdir.h"
#include "runtime/loop_uv.h"

#define MOUNTS    230
#define MAX_FILES 64
#define LAST      70 /* mounts that are in the log only */
#define SECTOR    512
/* Makes batches of 520 bytes: each begins 8 bytes later in its sector. */
#define PADDING 404

/* A journal that was killed, and what its tree was worth. */
static struct fixture {
	char *good; /* its directory, never touched */
	char *dir;  /* a copy, in which bits flip */
	struct disk_journal j;
	struct shared {
		uint64_t digest, mounts;
	} tree;

	char names[MAX_FILES][NAME_MAX + 1];
	size_t n_files;
	uint64_t random;
} f;

/* splitmix64 */
static uint64_t next_random(void)
{
	uint64_t z = f.random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static void start_or_die(uint64_t checkpoint_bytes)
{
	f.j.dir = f.good;
	f.j.checkpoint_bytes = checkpoint_bytes;
	f.j.segment_bytes = (size_t)2 << 20;
	if (disk_journal_start(&f.j))
		_exit(1);
}

/* A child that is gone in the middle of its work: checkpoints, closed segments
 * and an open one stay behind. */
static void write_and_die(int tell)
{
	struct journal_numbers n = { 0 };
	struct namespace_totals t;
	struct shared tree;
	uint64_t i, last;

	start_or_die(8000);
	for (i = 1; i <= MOUNTS || n.checkpoints < 2; i++) {
		if (disk_journal_mount_one(&f.j, i, 1))
			_exit(1);
		journal_numbers(f.j.journal, &n);
	}
	disk_journal_stop(&f.j);
	start_or_die(0); /* from here on all is in the log */
	for (last = i + LAST; i < last; i++)
		if (disk_journal_mount_one(&f.j, i, PADDING))
			_exit(1);
	namespace_totals(journal_namespace(f.j.journal), &t);
	tree.digest = namespace_digest(journal_namespace(f.j.journal));
	tree.mounts = t.mounts;
	_exit(write(tell, &tree, sizeof(tree)) != sizeof(tree));
}

static void list_files(void)
{
	char *pattern = mem_printf("%s/*", f.good);
	glob_t found;
	size_t i;

	if (glob(pattern, 0, NULL, &found) != 0 || found.gl_pathc > MAX_FILES)
		abort();
	for (i = 0; i < found.gl_pathc; i++)
		strcpy(f.names[i], strrchr(found.gl_pathv[i], '/') + 1);
	f.n_files = found.gl_pathc;
	globfree(&found);
	free(pattern);
}

static int setup(void **state ATTR_UNUSED)
{
	int tell[2], status;
	pid_t child;

	f.good = tempdir_make();
	if (pipe(tell) < 0)
		return -1;
	child = fork();
	if (child == 0)
		write_and_die(tell[1]);
	close(tell[1]);
	if (read(tell[0], &f.tree, sizeof(f.tree)) != sizeof(f.tree) ||
	    waitpid(child, &status, 0) != child || status)
		return -1;
	close(tell[0]);
	list_files();
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	tempdir_remove(f.good);
	return 0;
}

static void copy_file(const char *name)
{
	char *from = mem_printf("%s/%s", f.good, name);
	char *to = mem_printf("%s/%s", f.dir, name);
	int in = open(from, O_RDONLY), out;
	struct stat st;

	out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(fstat(in, &st), 0);
	assert_int_equal(
		copy_file_range(in, NULL, out, NULL, (size_t)st.st_size, 0),
		st.st_size);
	close(in);
	close(out);
	free(from);
	free(to);
}

static void make_copy(void)
{
	size_t i;

	f.dir = tempdir_make();
	for (i = 0; i < f.n_files; i++)
		copy_file(f.names[i]);
}

static void flip_bit(const char *name, uint64_t bit)
{
	char *path = mem_printf("%s/%s", f.dir, name);
	int fd = open(path, O_RDWR);
	uint8_t byte;

	assert_int_equal(pread(fd, &byte, 1, (off_t)(bit / 8)), 1);
	byte ^= (uint8_t)(1 << bit % 8);
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)(bit / 8)), 1);
	close(fd);
	free(path);
}

/* Flips a bit of one of the first `len` bytes, all if 0, and tells which. */
static uint64_t flip(const char *name, uint64_t len)
{
	char *path = mem_printf("%s/%s", f.dir, name);
	struct stat st;
	uint64_t bit;

	assert_int_equal(stat(path, &st), 0);
	bit = next_random() % (8 * (len ? len : (uint64_t)st.st_size));
	flip_bit(name, bit);
	free(path);
	return bit;
}

static int start(void)
{
	f.j = (struct disk_journal){ .dir = f.dir,
				     .segment_bytes = (size_t)2 << 20 };
	return disk_journal_start(&f.j);
}

static void stop(void)
{
	disk_journal_stop(&f.j);
	tempdir_remove(f.dir);
}

static void is_the_tree(void)
{
	struct namespace_totals t;

	namespace_totals(journal_namespace(f.j.journal), &t);
	assert_int_equal(t.mounts, f.tree.mounts);
	assert_int_equal(namespace_digest(journal_namespace(f.j.journal)),
			 f.tree.digest);
}

/* Whether the sentence names the file and where in it. */
static bool names(const char *name)
{
	return strstr(f.j.err.msg, name) && strstr(f.j.err.msg, "byte");
}

/* The part of an open segment that has entries. */
static uint64_t used_length(const char *name)
{
	char *path = mem_printf("%s/%s", f.good, name);
	int fd = open(path, O_RDONLY);
	uint64_t used = 0, at = 0;
	char buf[4096];
	ssize_t n, i;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (i = 0; i < n; i++, at++)
			used = buf[i] ? at + 1 : used;
	close(fd);
	free(path);
	return used;
}

/* The greatest name with this beginning and end. */
static const char *newest(const char *begin, const char *end)
{
	const char *best = NULL;
	size_t i, len;

	for (i = 0; i < f.n_files; i++) {
		len = strlen(f.names[i]);
		if (strncmp(f.names[i], begin, strlen(begin)) != 0 ||
		    strcmp(f.names[i] + len - strlen(end), end) != 0 ||
		    (!*end && strstr(f.names[i], ".meta")))
			continue;
		if (!best || len > strlen(best) ||
		    (len == strlen(best) && strcmp(f.names[i], best) > 0))
			best = f.names[i];
	}
	assert_non_null(best);
	return best;
}

static unsigned flips(unsigned n)
{
	const char *seeds = getenv("SIM_SEEDS");

	return seeds && atoi(seeds) >= 500 ? n : n / 50;
}

/* Bits of a file that is needed flip, and back, one by one: each is refused,
 * and nothing is touched. */
static void all_are_refused(const char *name, uint64_t len, unsigned n)
{
	uint64_t bit;
	unsigned i;

	make_copy();
	for (i = 0; i < n; i++) {
		bit = flip(name, len);
		if (start() == 0)
			fail_msg("%s: bit %llu was not seen", name,
				 (unsigned long long)bit);
		if (!names(name))
			fail_msg("%s: %s", name, f.j.err.msg);
		disk_journal_stop(&f.j);
		flip_bit(name, bit);
	}
	print_message("%u flips in %s: %u refused, \"%s\"\n", n, name, n,
		      f.j.err.msg);
	assert_int_equal(start(), 0);
	is_the_tree();
	stop();
}

static void without_a_flip_the_tree_is_right(void **state ATTR_UNUSED)
{
	make_copy();
	assert_int_equal(start(), 0);
	is_the_tree();
	stop();
}

static void a_flip_in_a_closed_segment_is_refused(void **state ATTR_UNUSED)
{
	all_are_refused(newest("0", ""), 0, flips(500));
}

/* libraft would cut the log off there. */
static void a_flip_in_an_open_segment_is_refused(void **state ATTR_UNUSED)
{
	const char *name = "open-1";

	assert_true(used_length(name) > 1000);
	all_are_refused(name, used_length(name), flips(500));
}

static void a_flip_in_the_checkpoint_is_refused(void **state ATTR_UNUSED)
{
	const char *marker = newest("snapshot-", ".meta");
	unsigned long long term, index;
	char name[40];

	/* The one that the snapshot means, which need not be the newest. */
	assert_int_equal(sscanf(marker, "snapshot-%llu-%llu", &term, &index),
			 2);
	snprintf(name, sizeof(name), "ckpt-%020llu", index);
	all_are_refused(name, 0, flips(1000));
}

/* libraft would take the one before, and entries that do not belong to it. */
static void a_flip_in_the_snapshot_is_refused(void **state ATTR_UNUSED)
{
	all_are_refused(newest("snapshot-", ""), 0, flips(100));
	all_are_refused(newest("snapshot-", ".meta"), 0, flips(100));
}

static void a_flip_in_the_members_files_is_refused(void **state ATTR_UNUSED)
{
	all_are_refused("member", 0, flips(50));
	all_are_refused("metadata1", 0, flips(50));
}

/* Behind the last entry, and in what is kept for safety only: seen or not, the
 * tree is right. */
static void a_flip_where_nothing_is_does_no_harm(void **state ATTR_UNUSED)
{
	unsigned i, seen = 0, n = flips(100);

	for (i = 0; i < n; i++) {
		make_copy();
		flip(i % 2 ? "open-1" : "open-2", 0);
		if (start() == 0)
			is_the_tree();
		else
			seen++;
		stop();
	}
	print_message("%u flips in unused room: %u seen\n", n, seen);
}

static void is_refused_cut_short(const char *name)
{
	char *path, *good = mem_printf("%s/%s", f.good, name);
	struct stat st;

	assert_int_equal(stat(good, &st), 0);
	make_copy();
	path = mem_printf("%s/%s", f.dir, name);
	assert_int_equal(
		truncate(path, (off_t)(next_random() % (uint64_t)st.st_size)),
		0);
	if (start() == 0)
		fail_msg("%s cut short was not seen", name);
	stop();
	free(path);
	free(good);
}

static void what_is_cut_short_is_refused(void **state ATTR_UNUSED)
{
	const char *marker = newest("snapshot-", ".meta");
	unsigned long long term, index;
	char name[40];
	unsigned i;

	assert_int_equal(sscanf(marker, "snapshot-%llu-%llu", &term, &index),
			 2);
	snprintf(name, sizeof(name), "ckpt-%020llu", index);
	for (i = 0; i < flips(50) + 1; i++) {
		is_refused_cut_short(newest("0", ""));
		is_refused_cut_short(name);
		is_refused_cut_short(marker);
		is_refused_cut_short(newest("snapshot-", ""));
		is_refused_cut_short("member");
	}
}

/* So a segment ends that was filled but for eight bytes: libraft aborts. */
static void an_end_without_room_for_a_header_is_mended(void **state ATTR_UNUSED)
{
	char *path;

	make_copy();
	path = mem_printf("%s/open-1", f.dir);
	assert_int_equal(truncate(path, (off_t)used_length("open-1") + 8), 0);
	if (start())
		fail_msg("%s", f.j.err.msg);
	is_the_tree();
	stop();
	free(path);
}

/* The last write. */

/* The open segment that was left behind. */
static struct segment {
	uint8_t bytes[(size_t)2 << 20];
	size_t size;
} segment;

static void read_segment(void)
{
	char *path = mem_printf("%s/open-1", f.good);
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, segment.bytes, sizeof(segment.bytes));

	assert_true(n > 0);
	segment.size = (size_t)n;
	close(fd);
	free(path);
}

/* Where the batch of one entry at `at` ends; 0: there is none. */
static size_t end_of_batch(size_t at)
{
	uint64_t entries;
	uint32_t len;

	memcpy(&entries, segment.bytes + at + 8, sizeof(entries));
	memcpy(&len, segment.bytes + at + 28, sizeof(len));
	return entries ? at + 32 + le32toh(len) : 0;
}

/* A copy whose segment has nothing behind `end`, and zeroes from `from` to
 * `to`. */
static void make_cut(size_t end, size_t from, size_t to)
{
	char *path;
	int fd;

	make_copy();
	path = mem_printf("%s/open-1", f.dir);
	fd = open(path, O_WRONLY | O_TRUNC);
	assert_int_equal(pwrite(fd, segment.bytes, from, 0), from);
	if (to < end)
		assert_int_equal(
			pwrite(fd, segment.bytes + to, end - to, (off_t)to),
			end - to);
	assert_int_equal(ftruncate(fd, (off_t)segment.size), 0);
	close(fd);
	free(path);
}

static uint64_t digest_of_cut(void)
{
	uint64_t digest;

	if (start())
		fail_msg("%s", f.j.err.msg);
	digest = namespace_digest(journal_namespace(f.j.journal));
	stop();
	return digest;
}

/* The last batch is that from `begin` to `end`: what of its sectors is lost
 * makes no difference. */
static void lose_sectors(size_t begin, size_t end)
{
	const size_t next = (begin / SECTOR + 1) * SECTOR;
	uint64_t without;

	make_cut(end, begin, end);
	without = digest_of_cut();
	make_cut(end, begin, next);
	assert_int_equal(digest_of_cut(), without);
	if (next >= end)
		return;
	make_cut(end, next, end);
	assert_int_equal(digest_of_cut(), without);
}

/* A batch of 520 bytes begins at each place in a sector once. */
static void a_last_write_that_lost_sectors_is_dropped(void **state ATTR_UNUSED)
{
	size_t at = 8, end, crossing = 0, i;

	read_segment();
	for (i = 0; (end = end_of_batch(at)); i++, at = end) {
		/* Its header is in two sectors. */
		if (at / SECTOR != (at + 31) / SECTOR)
			crossing++;
		else if (i % 10)
			continue;
		lose_sectors(at, end);
	}
	assert_true(i >= LAST);
	assert_true(crossing >= 3);
}

/* That would look as if its sectors were lost. */
static void a_flip_in_the_number_of_the_last_entries_is_refused(
	void **state ATTR_UNUSED)
{
	size_t at = 8, end;
	unsigned bit;

	read_segment();
	for (bit = 0; (end = end_of_batch(at));
	     bit = (bit + 1) % 18, at = end) {
		make_cut(end, end, end);
		flip_bit("open-1", 8 * (at + 8) + bit);
		assert_int_not_equal(start(), 0);
		assert_true(names("open-1"));
		stop();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_a_flip_the_tree_is_right),
		TEST(a_flip_in_a_closed_segment_is_refused),
		TEST(a_flip_in_an_open_segment_is_refused),
		TEST(a_flip_in_the_checkpoint_is_refused),
		TEST(a_flip_in_the_snapshot_is_refused),
		TEST(a_flip_in_the_members_files_is_refused),
		TEST(a_flip_where_nothing_is_does_no_harm),
		TEST(what_is_cut_short_is_refused),
		TEST(an_end_without_room_for_a_header_is_mended),
		TEST(a_last_write_that_lost_sectors_is_dropped),
		TEST(a_flip_in_the_number_of_the_last_entries_is_refused),
	};

	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0); /* nothing here needs a disk */
	return cmocka_run_group_tests(tests, setup, teardown);
}
