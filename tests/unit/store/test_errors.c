/*
 * Each system call of a store fails, once or from then on, because the disk is
 * full, broken or has become read-only; while it starts, works or stops.  What
 * can go on goes on, the rest is said once, nothing wrong is read; and when the
 * disk is well again, the next start finds a sound store.
 */

#include "workload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/tempdir.h"
#include "runtime/log.h"
#include "runtime/loop_uv.h"

enum call {
	CREATE, /* openat() with O_CREAT */
	OPEN,
	MKDIR,
	UNLINK,
	RENAME,
	WRITE,
	PWRITE,
	PREAD,
	TRUNCATE,
	STAT,
	FSYNC,
	FDATASYNC,
	SYNCFS,
	N_CALLS
};

#define CHANGES                                                     \
	(1u << CREATE | 1u << MKDIR | 1u << UNLINK | 1u << RENAME | \
	 1u << WRITE | 1u << PWRITE | 1u << TRUNCATE)
#define TAKES_ROOM (1u << CREATE | 1u << MKDIR | 1u << WRITE | 1u << PWRITE)

/* Calls of these kinds fail: the next ones, as many as there are `left`. */
static struct {
	atomic_uint calls; /* a bit each */
	atomic_int left, error;
	atomic_uint hits;
} fault;

static void break_disk(unsigned calls, int error, int times)
{
	fault.error = error;
	fault.left = times;
	fault.hits = 0;
	fault.calls = calls;
}

static void mend_disk(void)
{
	fault.calls = 0;
}

static bool strikes(enum call call)
{
	if (!(fault.calls & 1u << call) || fault.left-- <= 0)
		return false;
	fault.hits++;
	errno = fault.error;
	return true;
}

#define WRAP(type, name, args)   \
	type __real_##name args; \
	type __wrap_##name args; \
	type __wrap_##name args

WRAP(int, openat, (int dir, const char *path, int flags, unsigned mode))
{
	if (strikes(flags & O_CREAT ? CREATE : OPEN))
		return -1;
	return __real_openat(dir, path, flags, mode);
}

WRAP(int, mkdirat, (int dir, const char *path, mode_t mode))
{
	return strikes(MKDIR) ? -1 : __real_mkdirat(dir, path, mode);
}

WRAP(int, unlinkat, (int dir, const char *path, int flags))
{
	return strikes(UNLINK) ? -1 : __real_unlinkat(dir, path, flags);
}

WRAP(int, renameat,
     (int from_dir, const char *from, int to_dir, const char *to))
{
	return strikes(RENAME) ? -1
			       : __real_renameat(from_dir, from, to_dir, to);
}

WRAP(ssize_t, write, (int fd, const void *buf, size_t len))
{
	return strikes(WRITE) ? -1 : __real_write(fd, buf, len);
}

/* A part is written before it fails. */
WRAP(ssize_t, pwrite, (int fd, const void *buf, size_t len, off_t at))
{
	if (!strikes(PWRITE))
		return __real_pwrite(fd, buf, len, at);
	(void)!__real_pwrite(fd, buf, len / 2, at);
	errno = fault.error;
	return -1;
}

WRAP(ssize_t, pread, (int fd, void *buf, size_t len, off_t at))
{
	return strikes(PREAD) ? -1 : __real_pread(fd, buf, len, at);
}

WRAP(ssize_t, preadv2,
     (int fd, const struct iovec *to, int n, off_t at, int flags))
{
	return strikes(PREAD) ? -1 : __real_preadv2(fd, to, n, at, flags);
}

WRAP(int, ftruncate, (int fd, off_t len))
{
	return strikes(TRUNCATE) ? -1 : __real_ftruncate(fd, len);
}

WRAP(int, fstat, (int fd, struct stat *st))
{
	return strikes(STAT) ? -1 : __real_fstat(fd, st);
}

WRAP(int, fsync, (int fd ATTR_UNUSED))
{
	return strikes(FSYNC) ? -1 : 0;
}

WRAP(int, fdatasync, (int fd ATTR_UNUSED))
{
	return strikes(FDATASYNC) ? -1 : 0;
}

WRAP(int, syncfs, (int fd ATTR_UNUSED))
{
	return strikes(SYNCFS) ? -1 : 0;
}

/* ---- a store with a disk thread ---- */

static struct store_totals totals(void)
{
	struct store_totals t;

	store_totals(f.store, &t);
	return t;
}

static int begin(void **state ATTR_UNUSED)
{
	mend_disk();
	workload_use_memory();
	log_set_level(LOG_LEVEL_ERROR);
	f = (struct fixture){
		.capacity = 8 * MIB,
		.evictor = "lru",
		.threads = 1,
		.loop = loop_uv_new(),
		.parent = tempdir_make(),
	};
	f.dir = mem_printf("%s/cache", f.parent);
	store_start();
	return 0;
}

static int end(void **state ATTR_UNUSED)
{
	mend_disk();
	if (f.store)
		store_stop();
	loop_uv_free(f.loop);
	free(f.dir);
	tempdir_remove(f.parent);
	return 0;
}

static void fill_some(uint64_t from)
{
	uint64_t i;

	for (i = from; i < from + 6; i++)
		fill(i, workload_size(i));
}

/* How many files are read in full. */
static unsigned read_some(uint64_t from)
{
	unsigned n = 0;
	uint64_t i;

	for (i = from; i < from + 6; i++)
		n += read_all(i, workload_size(i)) == (ssize_t)workload_size(i);
	return n;
}

/* The first thing that it does is to write a new index. */
static void work(void)
{
	const uint8_t cluster[16] = "one";

	store_bind(f.store, cluster);
	fill_some(6);
	read_some(0);
	store_drop(f.store, 1);
	store_drop(f.store, 7);
	fill_some(12);
	fill_some(18);
	read_some(12);
}

enum phase { STARTING, WORKING, STOPPING, N_PHASES };

static void restart_and_look(void)
{
	mend_disk();
	f.failures = 0;
	if (f.store)
		store_stop();
	store_start();
	assert_int_equal(f.failures, 0);
	workload_read_all();
	workload_check_space();
	assert_int_equal(fill(30, 700), 700);
	assert_int_equal(read_all(30, 700), 700);
}

static void break_at(enum phase phase, unsigned calls, int error, int times)
{
	fill_some(0);
	if (phase == STARTING)
		store_stop();
	break_disk(calls, error, times);
	if (phase == STARTING) {
		store_start();
		read_some(0);
	}
	if (phase == WORKING)
		work();
	if (phase == STOPPING)
		store_stop();
	/* One sentence, or two: full first, then broken. */
	assert_in_range(f.failures, 0, 1);
	if (f.store)
		read_some(0);
}

enum { N_ERRORS = 3, N_CASES = N_CALLS * N_ERRORS * N_PHASES * 2 };

/* The i-th of them; whether there was such a call. */
static bool a_case(unsigned i)
{
	static const int errors[N_ERRORS] = { ENOSPC, EIO, EROFS };
	const int times = i % 2 ? 1 << 30 : 1;
	const enum phase phase = (enum phase)(i / 2 % N_PHASES);
	const int error = errors[i / 2 / N_PHASES % N_ERRORS];
	bool hit;

	begin(NULL);
	break_at(phase, 1u << i / 2 / N_PHASES / N_ERRORS, error, times);
	hit = fault.hits > 0;
	restart_and_look();
	end(NULL);
	return hit;
}

static void any_call_fails_anywhere(void **state ATTR_UNUSED)
{
	const unsigned step = 100 / workload_share(100);
	unsigned i, n = 0, hit = 0;

	for (i = 0; i < N_CASES; i += step, n++)
		hit += a_case(i);
	print_message("%u faults (%u kinds of calls, %u errors, %u phases, "
		      "once and for good), %u of them met\n",
		      n, N_CALLS, N_ERRORS, N_PHASES, hit);
	assert_true(hit > n / 3);
}

static void a_disk_that_is_full_is_read_and_tells_once(void **state ATTR_UNUSED)
{
	fill_some(0);
	break_disk(TAKES_ROOM, ENOSPC, 1 << 30);
	work();
	assert_int_equal(f.failures, 1);
	assert_int_equal(read_some(0), 5); /* one was dropped */
	restart_and_look();
	assert_int_equal(read_some(0), 5);
}

static void a_disk_that_turns_read_only_is_read_and_tells_once(
	void **state ATTR_UNUSED)
{
	int fd;

	fill_some(0);
	break_disk(CHANGES, EROFS, 1 << 30);
	work();
	assert_int_equal(f.failures, 1);
	assert_int_equal(totals().dirs_failed, 1);
	assert_int_equal(read_some(0), 5);
	fd = store_grant(f.store, 2);
	assert_true(fd >= 0);
	close(fd);
	store_release(f.store, 2);
	/* It stops without a mark: what was dropped may be there again. */
	restart_and_look();
	assert_true(read_some(0) >= 5);
}

static void a_stop_that_cannot_write_is_no_clean_one(void **state ATTR_UNUSED)
{
	static const enum call calls[] = { SYNCFS, WRITE };
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		fill_some(0);
		break_disk(1u << calls[i], EIO, 1);
		store_stop();
		assert_int_equal(fault.hits, 1);
		mend_disk();
		store_start();
		/* Not before the loop turns is anything checked. */
		assert_int_equal(totals().unverified, totals().files);
		assert_int_equal(read_some(0), 6);
	}
}

static void what_cannot_be_removed_is_removed_later(void **state ATTR_UNUSED)
{
	const uint8_t one[16] = "one", other[16] = "other";

	store_bind(f.store, one);
	fill_some(0);
	break_disk(1u << UNLINK, ENOSPC, 2);
	assert_true(store_bind(f.store, other));
	assert_int_equal(read_some(0), 0);
	restart_and_look();
	assert_int_equal(totals().files, 1);
}

TEST_MAIN(
	TEST(any_call_fails_anywhere),
	cmocka_unit_test_setup_teardown(
		a_disk_that_is_full_is_read_and_tells_once, begin, end),
	cmocka_unit_test_setup_teardown(
		a_disk_that_turns_read_only_is_read_and_tells_once, begin, end),
	cmocka_unit_test_setup_teardown(
		a_stop_that_cannot_write_is_no_clean_one, begin, end),
	cmocka_unit_test_setup_teardown(what_cannot_be_removed_is_removed_later,
					begin, end))
