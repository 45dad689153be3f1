/* Disks that are full or fail: by wrapped system calls, on demand. */

#include "store_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/sim.h"

enum call { OPEN, WRITE, PWRITE, PREAD, TRUNCATE, N_CALLS };

/* After `after` more calls of one kind each fails with `error`; or is short, if
 * that is 0. */
static struct {
	bool on;
	enum call call;
	unsigned after;
	int error;
} fault;

static void fail_from_now(enum call call, unsigned after, int error)
{
	fault.on = true;
	fault.call = call;
	fault.after = after;
	fault.error = error;
}

/* Whether this call shall fail, or (errno 0) be short. */
static bool strikes(enum call call)
{
	if (!fault.on || fault.call != call)
		return false;
	if (fault.after > 0) {
		fault.after--;
		return false;
	}
	errno = fault.error;
	return true;
}

int __real_openat(int dir, const char *path, int flags, unsigned mode);
int __wrap_openat(int dir, const char *path, int flags, unsigned mode);
ssize_t __real_write(int fd, const void *buf, size_t len);
ssize_t __wrap_write(int fd, const void *buf, size_t len);
ssize_t __real_pwrite(int fd, const void *buf, size_t len, off_t at);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t at);
ssize_t __real_pread(int fd, void *buf, size_t len, off_t at);
ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t at);
ssize_t __wrap_preadv2(int fd, const struct iovec *to, int n, off_t at,
		       int flags);
int __real_ftruncate(int fd, off_t len);
int __wrap_ftruncate(int fd, off_t len);

int __wrap_openat(int dir, const char *path, int flags, unsigned mode)
{
	/* A full disk can still be read. */
	if ((fault.error != ENOSPC || flags & O_CREAT) && strikes(OPEN))
		return -1;
	return __real_openat(dir, path, flags, mode);
}

ssize_t __wrap_write(int fd, const void *buf, size_t len)
{
	if (!strikes(WRITE))
		return __real_write(fd, buf, len);
	return fault.error ? -1 : __real_write(fd, buf, len > 7 ? 7 : len);
}

ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t at)
{
	if (!strikes(PWRITE))
		return __real_pwrite(fd, buf, len, at);
	return fault.error ? -1 : __real_pwrite(fd, buf, (len + 1) / 2, at);
}

ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t at)
{
	return strikes(PREAD) ? -1 : __real_pread(fd, buf, len, at);
}

/* Nothing without waiting: all reads go the long way. */
ssize_t __wrap_preadv2(int fd ATTR_UNUSED, const struct iovec *to ATTR_UNUSED,
		       int n ATTR_UNUSED, off_t at ATTR_UNUSED,
		       int flags ATTR_UNUSED)
{
	errno = EAGAIN;
	return -1;
}

int __wrap_ftruncate(int fd, off_t len)
{
	return strikes(TRUNCATE) ? -1 : __real_ftruncate(fd, len);
}

static struct store_totals totals(void)
{
	struct store_totals t;

	store_totals(f.store, &t);
	return t;
}

static int setup_faults(void **state)
{
	fault.on = false;
	return setup(state);
}

static int teardown_faults(void **state)
{
	fault.on = false;
	return teardown(state);
}

#define FAULT_TEST(fn) \
	cmocka_unit_test_setup_teardown(fn, setup_faults, teardown_faults)

static void a_full_disk_is_still_read(enum call call)
{
	fill(1, 100 * KIB);
	fail_from_now(call, 0, ENOSPC);
	assert_int_equal(fill(2, 3 * MIB), -ENOSPC);
	assert_int_equal(f.failures, 1);
	assert_int_equal(read_all(2, 3 * MIB), -ENOENT);
	assert_null(backing_path(2));
	/* One line, not one a file. */
	assert_int_equal(fill(3, 100 * KIB), -ENOSPC);
	assert_int_equal(f.failures, 1);
	assert_int_equal(totals().dirs_failed, 1);
	assert_int_equal(read_all(1, 100 * KIB), 100 * KIB);

	fault.on = false;
	store_stop();
	store_start();
	assert_int_equal(read_all(1, 100 * KIB), 100 * KIB);
	assert_int_equal(fill(2, 100 * KIB), 100 * KIB);
}

static void a_disk_that_was_full_is_tried_again(void **state ATTR_UNUSED)
{
	fail_from_now(PWRITE, 0, ENOSPC);
	assert_int_equal(fill(1, 100 * KIB), -ENOSPC);
	fault.on = false;
	assert_int_equal(fill(1, 100 * KIB), -ENOSPC);
	sim_run(f.loop, 61000);
	assert_int_equal(fill(1, 100 * KIB), 100 * KIB);
	assert_int_equal(totals().dirs_failed, 0);
	assert_int_equal(read_all(1, 100 * KIB), 100 * KIB);

	/* Full again: one more line, and left alone for longer. */
	fail_from_now(PWRITE, 0, ENOSPC);
	assert_int_equal(fill(2, 100 * KIB), -ENOSPC);
	assert_int_equal(f.failures, 2);
	fault.on = false;
	assert_int_equal(fill(2, 100 * KIB), -ENOSPC);
	sim_run(f.loop, 61000);
	assert_int_equal(fill(2, 100 * KIB), -ENOSPC);
	sim_run(f.loop, 61000);
	assert_int_equal(fill(2, 100 * KIB), 100 * KIB);
}

static void no_space_to_write(void **state ATTR_UNUSED)
{
	a_full_disk_is_still_read(PWRITE);
}

static void no_space_to_create(void **state ATTR_UNUSED)
{
	a_full_disk_is_still_read(OPEN);
}

static void no_space_in_the_middle_of_a_write(void **state ATTR_UNUSED)
{
	fill(1, 100 * KIB);
	fill_range(2, 3 * MIB, 0, MIB);
	fail_from_now(PWRITE, 0, 0);
	/* A short write goes on until it fails or ends. */
	assert_int_equal(fill_range(2, 3 * MIB, MIB, MIB), MIB);
	assert_int_equal(read_range(2, 3 * MIB, 0, 2 * MIB), 2 * MIB);
	assert_int_equal(f.failures, 0);
}

static void no_space_for_the_index(void **state ATTR_UNUSED)
{
	fill(1, 100 * KIB);
	fail_from_now(WRITE, 0, ENOSPC);
	fill(2, 100 * KIB);
	assert_int_equal(f.failures, 1);
	assert_int_equal(fill(3, 100 * KIB), -ENOSPC);
	fault.on = false;
	store_stop();
	store_start();
	/* Its record was lost: it must be neither served nor take room. */
	assert_int_equal(read_all(1, 100 * KIB), 100 * KIB);
	assert_int_equal(read_all(2, 100 * KIB), -ENOENT);
	assert_null(backing_path(2));
}

static void short_writes_of_the_index(void **state ATTR_UNUSED)
{
	fail_from_now(WRITE, 0, 0);
	fill(1, 2 * MIB);
	fill(2, 100 * KIB);
	fault.on = false;
	assert_int_equal(f.failures, 0);
	store_crash();
	store_start();
	assert_int_equal(read_all(1, 2 * MIB), 2 * MIB);
	assert_int_equal(read_all(2, 100 * KIB), 100 * KIB);
}

static void a_disk_that_cannot_write_goes_out(enum call call)
{
	fill(1, 100 * KIB);
	fail_from_now(call, 0, EIO);
	assert_int_equal(fill(2, 3 * MIB), -EIO);
	assert_int_equal(f.failures, 1);
	assert_int_equal(totals().dirs_failed, 1);
	assert_int_equal(read_all(1, 100 * KIB), -ENOENT);
	assert_int_equal(read_all(2, 3 * MIB), -ENOENT);
	assert_int_equal(fill(3, 100 * KIB), -ENOSPC);
	assert_int_equal(store_grant(f.store, 1), -EAGAIN);
	assert_int_equal(f.failures, 1);
}

static void eio_of_a_write(void **state ATTR_UNUSED)
{
	a_disk_that_cannot_write_goes_out(PWRITE);
}

static void eio_of_an_open(void **state ATTR_UNUSED)
{
	a_disk_that_cannot_write_goes_out(OPEN);
}

static void eio_of_a_length(void **state ATTR_UNUSED)
{
	fill(1, 100 * KIB);
	fail_from_now(TRUNCATE, 0, EIO);
	assert_int_equal(fill_range(2, 3 * MIB, 0, MIB), -EIO);
	assert_int_equal(f.failures, 1);
}

static void a_bad_sector_costs_its_file(void **state ATTR_UNUSED)
{
	fill(1, 100 * KIB);
	fill(2, 100 * KIB);
	fail_from_now(PREAD, 0, EIO);
	assert_int_equal(read_all(1, 100 * KIB), -ENOENT);
	fault.on = false;
	assert_int_equal(f.failures, 0);
	assert_int_equal(totals().corrupt, 1);
	assert_null(backing_path(1));
	assert_int_equal(read_all(2, 100 * KIB), 100 * KIB);
	assert_int_equal(fill(1, 100 * KIB), 100 * KIB);
	assert_int_equal(read_all(1, 100 * KIB), 100 * KIB);
}

static void a_disk_that_cannot_read_goes_out(void **state ATTR_UNUSED)
{
	uint64_t i;

	for (i = 0; i < 20; i++)
		fill(i, 100 * KIB);
	fail_from_now(PREAD, 0, EIO);
	for (i = 0; i < 17; i++) {
		assert_int_equal(f.failures, 0);
		assert_int_equal(read_all(i, 100 * KIB), -ENOENT);
	}
	assert_int_equal(f.failures, 1);
	fault.on = false;
	assert_int_equal(read_all(18, 100 * KIB), -ENOENT);
	assert_int_equal(fill(30, 100 * KIB), -ENOSPC);
}

static void a_disk_that_fails_at_the_start(enum call call, int error)
{
	fill(1, 100 * KIB);
	store_stop();
	fail_from_now(call, 0, error);
	store_start();
	assert_int_equal(f.failures, 1);
	assert_int_equal(totals().dirs_failed, 1);
	assert_int_equal(totals().files, 0);
	fault.on = false;
	assert_int_equal(read_all(1, 100 * KIB), -ENOENT);
	assert_int_equal(fill(1, 100 * KIB), -ENOSPC);
	sim_run(f.loop, 100000);
	store_stop();
	/* What is there was left alone. */
	store_start();
	assert_int_equal(read_all(1, 100 * KIB), 100 * KIB);
}

static void eio_at_the_start(void **state ATTR_UNUSED)
{
	a_disk_that_fails_at_the_start(OPEN, EIO);
}

static void no_space_at_the_start(void **state ATTR_UNUSED)
{
	a_disk_that_fails_at_the_start(WRITE, ENOSPC);
}

static void too_many_files_is_not_the_disks_fault(void **state ATTR_UNUSED)
{
	fill(1, 100 * KIB);
	fail_from_now(OPEN, 0, EMFILE);
	assert_int_equal(read_all(1, 100 * KIB), -EMFILE);
	assert_int_equal(fill(2, 100 * KIB), -EMFILE);
	fault.on = false;
	assert_int_equal(f.failures, 0);
	assert_int_equal(read_all(1, 100 * KIB), 100 * KIB);
	assert_int_equal(fill(2, 100 * KIB), 100 * KIB);
}

static void granted_files_of_a_failed_disk_can_be_let_go(
	void **state ATTR_UNUSED)
{
	fill(1, 100 * KIB);
	close(store_grant(f.store, 1));
	fail_from_now(PWRITE, 0, EIO);
	fill(2, 100 * KIB);
	assert_int_equal(totals().granted, 1);
	store_release(f.store, 1);
	assert_int_equal(totals().granted, 0);
}

/* Each system call fails once, wherever it is: nothing wrong is ever read. */
static void any_failure_anywhere(void **state)
{
	const int errors[] = { EIO, ENOSPC, 0 };
	unsigned call, after, e;
	uint64_t i;
	ssize_t n;

	teardown(state);
	for (call = 0; call < N_CALLS; call++)
		for (after = 0; after < 12; after += 1 + after / 4)
			for (e = 0; e < 2 + (call == WRITE || call == PWRITE);
			     e++) {
				fault.on = false;
				setup(state);
				fail_from_now((enum call)call, after,
					      errors[e]);
				for (i = 0; i < 5; i++)
					fill(i, 100 * KIB + i * 700 * KIB);
				for (i = 0; i < 5; i++)
					read_all(i, 100 * KIB + i * 700 * KIB);
				fault.on = false;
				store_crash();
				store_start();
				for (i = 0; i < 5; i++) {
					n = read_all(i,
						     100 * KIB + i * 700 * KIB);
					assert_true(n == -ENOENT || n > 0);
				}
				sim_run(f.loop, 0);
				assert_int_equal(totals().corrupt, 0);
				teardown(state);
			}
	setup(state);
}

TEST_MAIN(FAULT_TEST(a_disk_that_was_full_is_tried_again),
	  FAULT_TEST(no_space_to_write), FAULT_TEST(no_space_to_create),
	  FAULT_TEST(no_space_in_the_middle_of_a_write),
	  FAULT_TEST(no_space_for_the_index),
	  FAULT_TEST(short_writes_of_the_index), FAULT_TEST(eio_of_a_write),
	  FAULT_TEST(eio_of_an_open), FAULT_TEST(eio_of_a_length),
	  FAULT_TEST(a_bad_sector_costs_its_file),
	  FAULT_TEST(a_disk_that_cannot_read_goes_out),
	  FAULT_TEST(eio_at_the_start), FAULT_TEST(no_space_at_the_start),
	  FAULT_TEST(too_many_files_is_not_the_disks_fault),
	  FAULT_TEST(granted_files_of_a_failed_disk_can_be_let_go),
	  FAULT_TEST(any_failure_anywhere))
