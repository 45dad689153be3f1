/*
 * The process is killed at any of its system calls: no block that was committed
 * is lost, nothing half-written is there, no space is leaked.
 *
 * A seed's workload runs once to its end; then, for each point, in a child that
 * dies at its n-th call, in the middle of it if that is a write.  What the
 * parent finds then is what was there before the step that was not finished, or
 * what is there after it.
 */

#include "workload.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/sim.h"
#include "lib/tempdir.h"
#include "runtime/log.h"

/* Points a seed: some everywhere, and each while an index is written anew. */
enum { STEPS = 48, SEEDS = 4, POINTS = 60, REWRITE = 6 };

/* Seen by the child and its parent. */
static struct shared {
	unsigned calls;   /* so far */
	unsigned kill_at; /* 0: never */
	unsigned steps;   /* finished */
	unsigned rename;  /* the last call that put a new index in place */
	struct snapshot after[STEPS + 1];
} * shared;

static bool counting;

/* Whether this call is the last one, which then may be done by half. */
static bool is_last(void)
{
	return counting && ++shared->calls == shared->kill_at;
}

static void die_if_last(void)
{
	if (is_last())
		raise(SIGKILL);
}

int __real_openat(int dir, const char *path, int flags, unsigned mode);
int __wrap_openat(int dir, const char *path, int flags, unsigned mode);
int __real_open(const char *path, int flags, unsigned mode);
int __wrap_open(const char *path, int flags, unsigned mode);
int __real_mkdirat(int dir, const char *path, mode_t mode);
int __wrap_mkdirat(int dir, const char *path, mode_t mode);
int __real_unlinkat(int dir, const char *path, int flags);
int __wrap_unlinkat(int dir, const char *path, int flags);
int __real_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __real_ftruncate(int fd, off_t len);
int __wrap_ftruncate(int fd, off_t len);
int __real_close(int fd);
int __wrap_close(int fd);
ssize_t __real_write(int fd, const void *buf, size_t len);
ssize_t __wrap_write(int fd, const void *buf, size_t len);
ssize_t __real_pwrite(int fd, const void *buf, size_t len, off_t at);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t at);

int __wrap_openat(int dir, const char *path, int flags, unsigned mode)
{
	die_if_last();
	return __real_openat(dir, path, flags, mode);
}

int __wrap_open(const char *path, int flags, unsigned mode)
{
	die_if_last();
	return __real_open(path, flags, mode);
}

int __wrap_mkdirat(int dir, const char *path, mode_t mode)
{
	die_if_last();
	return __real_mkdirat(dir, path, mode);
}

int __wrap_unlinkat(int dir, const char *path, int flags)
{
	die_if_last();
	return __real_unlinkat(dir, path, flags);
}

int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	die_if_last();
	if (counting)
		shared->rename = shared->calls;
	return __real_renameat(from_dir, from, to_dir, to);
}

int __wrap_ftruncate(int fd, off_t len)
{
	die_if_last();
	return __real_ftruncate(fd, len);
}

int __wrap_close(int fd)
{
	die_if_last();
	return __real_close(fd);
}

ssize_t __wrap_write(int fd, const void *buf, size_t len)
{
	if (is_last()) {
		if (__real_write(fd, buf, shared->calls * 31 % len) < 0)
			_exit(1);
		raise(SIGKILL);
	}
	return __real_write(fd, buf, len);
}

ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t at)
{
	if (is_last()) {
		if (__real_pwrite(fd, buf, shared->calls * 7919 % len, at) < 0)
			_exit(1);
		raise(SIGKILL);
	}
	return __real_pwrite(fd, buf, len, at);
}

/* A directory whose index is about to be written anew: records of a file that
 * came and went, again and again, which need not be made one by one. */
static void make_old_index(void)
{
	enum { TIMES = 20000 };
	char path[512], buf[4096];
	int fd;
	off_t from;
	ssize_t n;
	unsigned i;

	snprintf(path, sizeof(path), "%s/index", f.dir);
	fill(0, workload_size(0));
	fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC);
	assert_true(fd >= 0);
	from = lseek(fd, 0, SEEK_END);
	fill(WORKLOAD_FILES, 10);
	store_drop(f.store, WORKLOAD_FILES);
	n = pread(fd, buf, sizeof(buf), from);
	assert_in_range(n, 1, sizeof(buf));
	store_stop();
	for (i = 0; i < TIMES; i++) {
		if (lseek(fd, 0, SEEK_END) + n > (off_t)MIB - 800)
			break;
		assert_int_equal(write(fd, buf, (size_t)n), n);
	}
	assert_true(i < TIMES);
	close(fd);
}

static void prepare(uint64_t seed)
{
	setup(NULL);
	store_stop();
	f.capacity = 6 * MIB;
	f.cluster = NULL;
	f.evictor = seed % 2 ? "retain" : "lru";
	store_start();
	if (seed % 4 >= 2)
		make_old_index();
	else
		store_stop();
}

static void copy_dir(const char *from, const char *to)
{
	char command[1024];

	snprintf(command, sizeof(command),
		 "rm -rf %s && cp -a --sparse=always %s %s", to, from, to);
	assert_int_equal(system(command), 0);
}

/* In a child: the whole workload, or up to its n-th call. */
static void run(uint64_t seed)
{
	workload_begin(seed);
	counting = true;
	store_start();
	workload_snapshot(&shared->after[0]);
	for (shared->steps = 0; shared->steps < STEPS; shared->steps++) {
		workload_step();
		workload_snapshot(&shared->after[shared->steps + 1]);
	}
	workload_end();
	store_stop();
	_exit(0);
}

static int run_in_child(uint64_t seed, unsigned kill_at)
{
	int status;
	pid_t pid;

	shared->calls = 0;
	shared->kill_at = kill_at;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		run(seed);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static unsigned n_kept;

/* What is there is what was there before the last step or is there after it. */
static void nothing_is_lost_or_invented(const struct snapshot *before,
					const struct snapshot *after)
{
	struct snapshot now;
	uint32_t lost, invented;
	unsigned i;

	workload_snapshot(&now);
	for (i = 0; i < WORKLOAD_FILES; i++) {
		lost = before->pages[i] & after->pages[i] & ~now.pages[i];
		invented = now.pages[i] & ~(before->pages[i] | after->pages[i]);
		if (lost || invented)
			fail_msg("file %u: lost %x, invented %x", i, lost,
				 invented);
		n_kept += now.pages[i] != 0;
	}
}

static void is_sound(const struct snapshot *before,
		     const struct snapshot *after)
{
	struct store_totals t;
	ssize_t n;

	store_start();
	nothing_is_lost_or_invented(before, after);
	workload_check_space();
	workload_read_all();
	sim_run(f.loop, 0);
	nothing_is_lost_or_invented(before, after);
	store_totals(f.store, &t);
	assert_int_equal(t.corrupt, 0);
	assert_int_equal(t.unverified, 0);
	workload_check_space();
	/* And it goes on. */
	n = fill(2, workload_size(2));
	store_stop();
	store_start();
	if (n > 0)
		assert_int_equal(read_all(2, workload_size(2)), n);
	workload_check_space();
	store_stop();
}

static unsigned n_points;

static void killed_at(uint64_t seed, const char *fresh, unsigned point,
		      const struct snapshot *after)
{
	unsigned step;

	copy_dir(fresh, f.dir);
	shared->steps = 0;
	assert_true(WIFSIGNALED(run_in_child(seed, point)));
	step = shared->steps;
	is_sound(&after[step], &after[step < STEPS ? step + 1 : STEPS]);
	n_points++;
}

static void killed_with(uint64_t seed)
{
	struct snapshot *after = mem_array(STEPS + 1, sizeof(*after));
	unsigned i, total, rename, points = workload_share(POINTS);
	char *fresh;

	prepare(seed);
	fresh = mem_printf("%s/fresh", f.parent);
	copy_dir(f.dir, fresh);
	shared->rename = 0;
	assert_int_equal(run_in_child(seed, 0), 0);
	total = shared->calls;
	rename = shared->rename;
	memcpy(after, shared->after, (STEPS + 1) * sizeof(*after));
	assert_true(total > 2 * POINTS);
	for (i = 0; i < points; i++)
		killed_at(seed, fresh, 1 + total * i / points, after);
	for (i = 0; i < REWRITE && rename > REWRITE; i++)
		killed_at(seed, fresh, rename + 1 - i, after);
	assert_true(seed % 4 < 2 || rename > REWRITE);
	free(fresh);
	free(after);
	teardown(NULL);
}

static void at_any_call_of_a_seeded_workload(void **state ATTR_UNUSED)
{
	uint64_t seed;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(shared != MAP_FAILED);
	workload_use_memory();
	log_set_level(LOG_LEVEL_ERROR);
	for (seed = 0; seed < SEEDS; seed++)
		killed_with(seed);
	munmap(shared, sizeof(*shared));
	print_message("killed at %u points of %u seeds: %u files kept\n",
		      n_points, SEEDS, n_kept);
	assert_true(n_points >= workload_share(200) && n_kept > n_points);
}

TEST_MAIN(TEST(at_any_call_of_a_seeded_workload))
