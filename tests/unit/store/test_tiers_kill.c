/*
 * The process is killed at any of its system calls while files move between
 * tiers: none is lost, none is there twice, no space is leaked.
 *
 * A seed's workload runs once to its end; then, for each point, in a child that
 * dies at its n-th call, in the middle of it if that is a write.
 */

#include "tiers_fixture.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/sim.h"
#include "runtime/log.h"

enum { FILES = 48, STEPS = 60, SEEDS = 4, POINTS = 55 };

/* Seen by the child and its parent. */
static struct shared {
	unsigned calls;   /* so far */
	unsigned kill_at; /* 0: never */
	unsigned steps;   /* finished */
	uint64_t promoted, demoted;
	uint64_t there[STEPS + 1]; /* a bit a file, after as many steps */
} * shared;

static bool counting;

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
int __real_mkdirat(int dir, const char *path, mode_t mode);
int __wrap_mkdirat(int dir, const char *path, mode_t mode);
int __real_unlinkat(int dir, const char *path, int flags);
int __wrap_unlinkat(int dir, const char *path, int flags);
int __real_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);
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
	return __real_renameat(from_dir, from, to_dir, to);
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

/* Some need more than one turn of the mover, some come in parts. */
static uint64_t size_of(uint64_t file)
{
	static const uint64_t sizes[] = { 50 * KIB,  100 * KIB, 4096,
					  200 * KIB, 700,       MIB + 5 };

	return file == 7 ? 5 * MIB + 3 : sizes[file % ARRAY_SIZE(sizes)];
}

static uint64_t there(void)
{
	uint64_t bits = 0, file;

	for (file = 0; file < FILES; file++)
		bits |= (uint64_t)is_complete(file) << file;
	return bits;
}

static void fill_in_parts(uint64_t file)
{
	uint64_t at, size = size_of(file), len;

	for (at = 0; at < size; at += len) {
		len = size - at < MIB ? size - at : MIB;
		assert_int_equal(fill_range(file, size, at, len), len);
	}
}

static unsigned random_below(uint64_t *state, unsigned n)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (unsigned)(*state % n);
}

static void count_moves(void)
{
	struct store_totals t = totals();

	shared->promoted += t.tiers[TIER_MEMORY].promoted;
	shared->demoted += t.tiers[TIER_MEMORY].demoted;
}

static void step(uint64_t *random)
{
	unsigned what = random_below(random, 20), i;
	uint64_t file = random_below(random, FILES);

	if (what < 9) {
		fill_in_parts(file);
	} else if (what < 11) {
		assert_int_equal(fill(file, size_of(file)), size_of(file));
	} else if (what == 11) {
		store_drop(f.store, file);
	} else if (what == 12) {
		count_moves();
		store_stop();
		tiers_start();
	}
	/* Some files are always hotter than others. */
	for (i = 0; i < 30; i++)
		store_touch(f.store,
			    (shared->steps / 4 * 7 + random_below(random, 6)) %
				    FILES);
	sim_run(f.loop, 3000);
}

/* In a child: the whole workload, or up to its n-th call. */
static void run(uint64_t seed)
{
	uint64_t random = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);

	counting = true;
	tiers_start();
	shared->there[0] = there();
	for (shared->steps = 0; shared->steps < STEPS; shared->steps++) {
		step(&random);
		shared->there[shared->steps + 1] = there();
	}
	count_moves();
	store_stop();
	_exit(0);
}

static int run_in_child(uint64_t seed, unsigned kill_at)
{
	int status;
	pid_t pid;

	shared->calls = 0;
	shared->kill_at = kill_at;
	shared->steps = 0;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		run(seed);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static unsigned n_points, n_kept;

/* Nothing was evicted: there is room for all in the slowest tier. */
static void is_sound(uint64_t before, uint64_t after)
{
	uint64_t file, now, n = 0;

	tiers_start();
	now = there();
	assert_true((before & after & ~now) == 0);
	assert_true((now & ~(before | after)) == 0);
	for (file = 0; file < FILES; file++) {
		if (tier_of(file) == TIER_AUTO)
			continue;
		n++;
		if (now >> file & 1)
			assert_int_equal(read_all(file, size_of(file)),
					 size_of(file));
	}
	assert_int_equal(copies_of(UINT64_MAX), n);
	tiers_are_within();
	sim_run(f.loop, 10000);
	assert_true((now & ~there()) == 0);
	assert_int_equal(totals().corrupt, 0);
	assert_int_equal(totals().unverified, 0);
	assert_int_equal(totals().evictions, 0);
	store_stop();
	/* What another start finds is the same. */
	tiers_start();
	assert_true((now & ~there()) == 0);
	assert_int_equal(totals().unverified, 0);
	assert_int_equal(copies_of(UINT64_MAX), totals().files);
	tiers_are_within();
	store_stop();
	n_kept += (unsigned)n;
}

static void prepare(uint64_t seed)
{
	tiers_setup(NULL);
	tf.evictor = seed % 2 ? "retain" : "lru";
	tf.capacity[TIER_MEMORY] = 2 * MIB;
	/* Two tiers and three. */
	tf.capacity[TIER_SSD] = seed % 4 < 2 ? 8 * MIB : 0;
	tf.move_rate = 4 * MIB;
}

/* `after`: what is there after as many steps. */
static void killed_at(uint64_t seed, unsigned point, const uint64_t *after)
{
	unsigned s;

	prepare(seed);
	assert_true(WIFSIGNALED(run_in_child(seed, point)));
	s = shared->steps;
	is_sound(after[s], after[s < STEPS ? s + 1 : s]);
	n_points++;
	tiers_teardown(NULL);
}

static void killed_with(uint64_t seed)
{
	uint64_t after[STEPS + 1];
	unsigned i, total;

	prepare(seed);
	shared->promoted = shared->demoted = 0;
	assert_int_equal(run_in_child(seed, 0), 0);
	tiers_teardown(NULL);
	assert_true(shared->promoted + shared->demoted > 12);
	total = shared->calls;
	memcpy(after, shared->there, sizeof(after));
	assert_true(total > 2 * POINTS);
	for (i = 0; i < POINTS; i++)
		killed_at(seed, 1 + total * i / POINTS, after);
}

static void at_any_call_while_files_move(void **state ATTR_UNUSED)
{
	uint64_t seed;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(shared != MAP_FAILED);
	if (!getenv("TMPDIR") && access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 1);
	log_set_level(LOG_LEVEL_ERROR);
	for (seed = 0; seed < SEEDS; seed++)
		killed_with(seed);
	munmap(shared, sizeof(*shared));
	print_message("killed at %u points of %u seeds while files moved "
		      "between tiers: %u files kept\n",
		      n_points, SEEDS, n_kept);
	assert_true(n_points >= 200 && n_kept > n_points);
}

TEST_MAIN(TEST(at_any_call_while_files_move))
