/*
 * A disk fails while files move to it or from it: each call, for each reason.
 * What comes is right, what is on the other disks stays, nothing is leaked.
 */

#include "tiers_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/sim.h"
#include "runtime/log.h"

#define SMALL (100 * KIB)

enum { FILES = 50, MAX_CALLS = 200 };

enum { OPENS = 1, CREATES = 2, WRITES = 4, READS = 8, REMOVES = 16 };

/* The `at`-th of these calls from now on fails, and those after it if `stays`.
 */
static struct {
	bool on, stays;
	unsigned which;
	unsigned at, calls;
	int error;
} fault;

static bool strikes(unsigned which)
{
	if (!fault.on || !(fault.which & which))
		return false;
	fault.calls++;
	if (fault.calls < fault.at || (fault.calls > fault.at && !fault.stays))
		return false;
	errno = fault.error;
	return true;
}

int __real_openat(int dir, const char *path, int flags, unsigned mode);
int __wrap_openat(int dir, const char *path, int flags, unsigned mode);
int __real_mkdirat(int dir, const char *path, mode_t mode);
int __wrap_mkdirat(int dir, const char *path, mode_t mode);
int __real_unlinkat(int dir, const char *path, int flags);
int __wrap_unlinkat(int dir, const char *path, int flags);
ssize_t __real_write(int fd, const void *buf, size_t len);
ssize_t __wrap_write(int fd, const void *buf, size_t len);
ssize_t __real_pwrite(int fd, const void *buf, size_t len, off_t at);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t at);
ssize_t __real_pread(int fd, void *buf, size_t len, off_t at);
ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t at);

int __wrap_openat(int dir, const char *path, int flags, unsigned mode)
{
	return strikes(flags & O_CREAT ? CREATES : OPENS)
		       ? -1
		       : __real_openat(dir, path, flags, mode);
}

int __wrap_mkdirat(int dir, const char *path, mode_t mode)
{
	return strikes(CREATES) ? -1 : __real_mkdirat(dir, path, mode);
}

int __wrap_unlinkat(int dir, const char *path, int flags)
{
	return strikes(REMOVES) ? -1 : __real_unlinkat(dir, path, flags);
}

ssize_t __wrap_write(int fd, const void *buf, size_t len)
{
	return strikes(WRITES) ? -1 : __real_write(fd, buf, len);
}

ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t at)
{
	return strikes(WRITES) ? -1 : __real_pwrite(fd, buf, len, at);
}

ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t at)
{
	return strikes(READS) ? -1 : __real_pread(fd, buf, len, at);
}

static unsigned read_everything(void)
{
	unsigned n = 0;
	uint64_t i;

	for (i = 0; i < FILES; i++)
		n += read_all(i, SMALL) == SMALL;
	return n;
}

static struct {
	unsigned points, kept;
} found;

struct reason {
	int error;
	unsigned which;
};

/* Files come up and go down while the fault strikes; whether it did. */
static bool strikes_at(unsigned at, const struct reason *r, bool stays)
{
	unsigned failed, n;
	uint64_t i;
	bool struck;

	tiers_setup(NULL);
	tf.capacity[TIER_MEMORY] = 2 * MIB;
	tf.capacity[TIER_SSD] = 0;
	tf.capacity[TIER_HDD] = 16 * MIB;
	tiers_start();
	for (i = 0; i < FILES; i++)
		assert_int_equal(fill(i, SMALL), SMALL);
	memset(&fault, 0, sizeof(fault));
	fault.at = at;
	fault.error = r->error;
	fault.which = r->which;
	fault.stays = stays;
	fault.on = true;
	for (i = FILES - 3; i < FILES; i++) {
		store_touch(f.store, i);
		store_touch(f.store, i);
	}
	sim_run(f.loop, 60000);
	fault.on = false;
	struck = fault.calls >= at;
	failed = totals().dirs_failed;
	n = read_everything();
	/* What cannot be read is damaged; the rest of a disk that is lost. */
	if (r->error != EIO)
		assert_int_equal(totals().corrupt, 0);
	if (!failed)
		assert_int_equal(n + totals().corrupt, FILES);
	if (r->error == EMFILE)
		assert_int_equal(failed, 0);
	found.kept += n;
	store_stop();
	tiers_start();
	/* A record that the disk did not take is lost. */
	assert_true(read_everything() +
			    (r->error == ENOSPC || r->error == EROFS) >=
		    n);
	sim_run(f.loop, 60000);
	assert_int_equal(copies_of(UINT64_MAX), totals().files);
	assert_int_equal(totals().unverified, 0);
	tiers_are_within();
	found.points++;
	tiers_teardown(NULL);
	return struck;
}

static void at_each_call(const struct reason *r, bool stays)
{
	unsigned at = 1;

	while (at < MAX_CALLS && strikes_at(at, r, stays))
		at++;
	assert_in_range(at, 8, MAX_CALLS - 1);
}

static void each_call_fails_while_files_move(void **state ATTR_UNUSED)
{
	static const struct reason reasons[] = {
		{ EIO, OPENS | CREATES | WRITES | READS | REMOVES },
		{ ENOSPC, CREATES | WRITES },
		{ EROFS, CREATES | WRITES | REMOVES },
		{ EMFILE, OPENS | CREATES },
	};
	size_t i;

	if (!getenv("TMPDIR") && access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 1);
	log_set_level(LOG_LEVEL_ERROR);
	for (i = 0; i < ARRAY_SIZE(reasons); i++) {
		at_each_call(&reasons[i], false);
		at_each_call(&reasons[i], true);
	}
	print_message("disks failed at %u points while files moved: %u of %u "
		      "files kept, none wrong\n",
		      found.points, found.kept, found.points * FILES);
}

TEST_MAIN(TEST(each_call_fails_while_files_move))
