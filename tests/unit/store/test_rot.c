/*
 * Bits that flip in the files of a store, while it is stopped, dead or at work:
 * each is found out and named, none is ever served, and what is not damaged
 * stays.
 */

#include "workload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/sim.h"
#include "runtime/log.h"

enum { FILES = 20, FLIPS = 8, ROUNDS = 126, INDEX_ROUNDS = 340 };

static uint64_t rnd;
static char log_text[1 << 16];

static uint64_t size_of(uint64_t file)
{
	static const uint64_t sizes[] = {
		700,    12293,     100000, 1, 4096,
		131072, 300 * KIB, 50000,  9, MIB + 70001,
	};

	return sizes[file % ARRAY_SIZE(sizes)];
}

static struct store_totals totals(void)
{
	struct store_totals t;

	store_totals(f.store, &t);
	return t;
}

/* ---- what was logged ---- */

static int log_fd = -1, stderr_fd = -1;

static void begin_log(void)
{
	char *path = mem_printf("%s/log", f.parent);

	fflush(stderr);
	log_fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC,
		      0600);
	stderr_fd = dup(STDERR_FILENO);
	assert_true(log_fd >= 0 && stderr_fd >= 0);
	assert_true(dup2(log_fd, STDERR_FILENO) >= 0);
	free(path);
}

static void end_log(void)
{
	fflush(stderr);
	dup2(stderr_fd, STDERR_FILENO);
	close(stderr_fd);
	close(log_fd);
}

static void forget_log(void)
{
	assert_int_equal(ftruncate(log_fd, 0), 0);
}

static void read_log(void)
{
	ssize_t n;

	fflush(stderr);
	n = pread(log_fd, log_text, sizeof(log_text) - 1, 0);
	assert_true(n >= 0);
	log_text[n] = '\0';
}

/* A line of this event about this path; its offset. */
static bool is_logged(const char *event, const char *path, uint64_t *offset)
{
	char *want = mem_printf("event=\"%s\" path=%s offset=", event, path);
	const char *at = strstr(log_text, want);

	if (at)
		*offset = strtoull(at + strlen(want), NULL, 10);
	free(want);
	return at != NULL;
}

/* ---- backing files ---- */

struct flip {
	uint64_t file, offset;
	char *path;
};

static void flip_files(struct flip flips[FLIPS])
{
	uint64_t file = next_random(&rnd);
	unsigned i;

	for (i = 0; i < FLIPS; i++, file += 3) {
		flips[i].file = file % FILES;
		flips[i].offset = next_random(&rnd) % size_of(file % FILES);
		flips[i].path = mem_str(backing_path(file % FILES));
		if (next_random(&rnd) % 16 == 0) /* the rest is gone */
			assert_int_equal(
				truncate(flips[i].path, (off_t)flips[i].offset),
				0);
		else
			flip_bit(flips[i].path, flips[i].offset);
	}
}

/* The chunk that has the bit is named, or what is before it in the page. */
static void is_named(struct flip *flip)
{
	uint64_t offset = 0;

	if (!is_logged("cached bytes are wrong, dropped", flip->path, &offset))
		fail_msg("%s: not in the log: %s", flip->path, log_text);
	assert_in_range(offset, flip->offset / (128 * KIB) * (128 * KIB),
			flip->offset);
	free(flip->path);
}

static void read_granted(uint64_t file)
{
	size_t size = size_of(file);
	int fd = store_grant(f.store, file);
	char *buf, *want;

	if (fd < 0)
		return;
	buf = mem_alloc(size + 1);
	want = mem_alloc(size);
	assert_int_equal(pread(fd, buf, size + 1, 0), size);
	pattern(file, 0, want, size);
	assert_memory_equal(buf, want, size);
	free(buf);
	free(want);
	close(fd);
	store_release(f.store, file);
}

/* Reads that see only a part, compared as all. */
static void read_parts(uint64_t file)
{
	uint64_t at, size = size_of(file), len = size / 5 + 1;

	for (at = 0; at < size; at += len)
		read_range(file, size, at, size - at < len ? size - at : len);
}

/* Finds all that is wrong by one of the ways there are. */
static void look(unsigned way)
{
	uint64_t file;

	if (way == 0)
		store_scrub(f.store, 0);
	for (file = 0; file < FILES && way > 0; file++) {
		if (way == 1)
			read_granted(file);
		else if (way == 2)
			read_parts(file);
		else
			read_all(file, size_of(file));
	}
	sim_run(f.loop, 0);
	for (file = 0; file < FILES; file++) {
		read_granted(file);
		read_parts(file);
		read_all(file, size_of(file));
	}
	sim_run(f.loop, 0);
}

static void refill(void)
{
	uint64_t file;

	for (file = 0; file < FILES; file++)
		assert_int_equal(fill(file, size_of(file)), size_of(file));
	assert_int_equal(totals().files, FILES);
}

static void begin_rot(uint64_t seed)
{
	workload_use_memory();
	setup(NULL);
	begin_log();
	rnd = seed;
	refill();
}

static void end_rot(void)
{
	end_log();
	teardown(NULL);
}

static void a_round(unsigned round)
{
	struct flip flips[FLIPS];
	uint64_t before;
	unsigned i;

	forget_log();
	if (round % 3 == 0)
		store_stop();
	if (round % 3 == 1)
		store_crash();
	before = f.store ? totals().corrupt : 0;
	flip_files(flips);
	if (!f.store)
		store_start();
	/* What was verified since the start may be lent as it is: a scrub, or a
	 * read of whole chunks, finds out. */
	look(round % 3 == 2 ? round % 2 * 3 : round % 4);
	assert_int_equal(totals().corrupt - before, FLIPS);
	assert_int_equal(totals().files, FILES - FLIPS);
	read_log();
	for (i = 0; i < FLIPS; i++)
		is_named(&flips[i]);
	refill();
}

static void of_backing_files(void **state ATTR_UNUSED)
{
	unsigned round;

	begin_rot(77);
	for (round = 0; round < workload_share(ROUNDS); round++)
		a_round(round);
	end_rot();
	print_message("%u flips in backing files: each named with file and "
		      "offset, none served\n",
		      round * FLIPS);
	assert_true(round * FLIPS >= workload_share(1000));
}

/* ---- the index ---- */

static uint64_t flip_index(void)
{
	char *path = mem_printf("%s/index", f.dir);
	struct stat st;
	uint64_t offset;

	assert_int_equal(stat(path, &st), 0);
	offset = next_random(&rnd) % (uint64_t)st.st_size;
	if (offset < 64 && next_random(&rnd) % 4) /* seldom the header */
		offset += 64;
	flip_bit(path, offset);
	free(path);
	return offset;
}

static void index_is_named(uint64_t flipped)
{
	char *path = mem_printf("%s/index", f.dir);
	uint64_t offset = 0;
	bool named;

	read_log();
	named = is_logged(flipped < 64
				  ? "cache of another layout, starting empty"
				  : "index damaged",
			  path, &offset);
	if (!named)
		fail_msg("%s at %lu: %s", path, (unsigned long)flipped,
			 log_text);
	/* A record is refused as a whole. */
	assert_in_range(offset, flipped > 200 ? flipped - 200 : 0, flipped);
	free(path);
}

static void of_the_index(void **state ATTR_UNUSED)
{
	unsigned round, i, flips = 0;
	uint64_t flipped, first;

	begin_rot(99);
	for (round = 0; round < workload_share(INDEX_ROUNDS); round++) {
		forget_log();
		if (round % 2)
			store_stop();
		else
			store_crash();
		first = UINT64_MAX;
		for (i = 0; i < 1 + round % 5; i++, flips++) {
			flipped = flip_index();
			if (flipped < first)
				first = flipped;
		}
		store_start();
		index_is_named(first);
		if (first >= 64)
			assert_true(totals().files + i >= FILES);
		look(round % 4);
		assert_int_equal(totals().corrupt, 0);
		refill();
	}
	end_rot();
	print_message("%u flips in the index: each found out, none served\n",
		      flips);
	assert_true(flips >= workload_share(1000));
}

TEST_MAIN(TEST(of_backing_files), TEST(of_the_index))
