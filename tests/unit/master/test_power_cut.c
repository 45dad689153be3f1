#include "lib/test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/disk_journal.h"
#include "lib/fault_dir.h"
#include "lib/tempdir.h"
#include "runtime/loop_uv.h"

#define MOUNTS     3000
#define AT_ONCE    3
#define CHECKPOINT 200000
/* raft wants some room prepared, or takes no entries. */
#define SEGMENT ((size_t)2 << 20)

/* One run of a journal on a disk that keeps a log of what it was told. */
static struct fixture {
	struct fault_dir *disk;
	struct disk_journal j;

	/* what it was worth: by records applied */
	uint64_t digests[MOUNTS + 16];
	/* when mount number i was acknowledged, in calls; 0: never */
	uint64_t acknowledged[MOUNTS + 1];

	struct journal_req reqs[AT_ONCE];
	uint64_t numbers[AT_ONCE], next, until, mounts;
	unsigned flying;

	/* the power cut that is looked at */
	uint64_t call, seed;
	bool looking;
} f;

static uint64_t applied(void)
{
	struct namespace_totals t;

	namespace_totals(journal_namespace(f.j.journal), &t);
	return t.applied;
}

static void note_digest(void *owner ATTR_UNUSED)
{
	uint64_t n;

	if (!f.j.journal)
		return; /* it is being read, which was noted before */
	n = applied();
	assert_true(n < ARRAY_SIZE(f.digests));
	f.digests[n] = namespace_digest(journal_namespace(f.j.journal));
}

static void mount_next(struct journal_req *req);

static void on_mounted(struct journal_req *req,
		       const struct namespace_result *res)
{
	uint64_t number = f.numbers[req - f.reqs];

	assert_int_equal(res->code, 0);
	f.acknowledged[number] = fault_dir_calls(f.disk);
	f.flying--;
	mount_next(req);
}

static void mount_next(struct journal_req *req)
{
	/* Some take many sectors, some many blocks. */
	static const size_t padding[] = { 1, 40, 300, 2000, 1, 4000, 120 };

	if (f.next <= f.until) {
		f.numbers[req - f.reqs] = f.next;
		disk_journal_mount(&f.j, f.next,
				   padding[f.next % ARRAY_SIZE(padding)], req,
				   on_mounted);
		f.flying++;
		f.next++;
	} else if (f.flying == 0) {
		loop_uv_stop(f.j.loop);
	}
}

static void mount_until(uint64_t until)
{
	size_t i;

	f.until = until;
	for (i = 0; i < ARRAY_SIZE(f.reqs); i++)
		mount_next(&f.reqs[i]);
	disk_journal_run(&f.j);
}

/* As many as tests/run wants; few in a hurry. */
static unsigned points(void)
{
	const char *seeds = getenv("SIM_SEEDS");
	const int n = seeds ? atoi(seeds) : 0;

	return n >= 20000 ? 1000 : n >= 500 ? 200 : 5;
}

/* Three lives of a journal, with checkpoints and many segments. */
static int record(void **state ATTR_UNUSED)
{
	int life;

	f.disk = fault_dir_start();
	if (!f.disk)
		return 0;
	f.j.dir = fault_dir_path(f.disk);
	f.j.segment_bytes = SEGMENT;
	f.j.applied = note_digest;
	f.next = 1;
	f.mounts = points() > 5 ? MOUNTS : MOUNTS / 10;
	for (life = 1; life <= 3; life++) {
		/* The second fills a segment. */
		f.j.checkpoint_bytes = life == 2 ? 0 : CHECKPOINT;
		if (disk_journal_start(&f.j)) {
			fprintf(stderr, "%s\n", f.j.err.msg);
			return -1;
		}
		mount_until(f.mounts * (uint64_t)life / 3);
		disk_journal_stop(&f.j);
	}
	f.j.applied = NULL;
	fault_dir_stop(f.disk);
	return 0;
}

static int drop(void **state ATTR_UNUSED)
{
	if (f.disk)
		fault_dir_free(f.disk);
	return 0;
}

/* All that was acknowledged by then, and the tree of a beginning of the log. */
static void check_tree(uint64_t call)
{
	const uint64_t n = applied();
	uint64_t i;

	namespace_check(journal_namespace(f.j.journal));
	for (i = 1; i <= MOUNTS; i++)
		if (f.acknowledged[i] && f.acknowledged[i] <= call)
			assert_true(disk_journal_has(&f.j, i));
	if (n > 1) /* else a cluster has only just begun, or begins anew */
		assert_int_equal(
			namespace_digest(journal_namespace(f.j.journal)),
			f.digests[n]);
}

static void cut_at(uint64_t call, uint64_t seed)
{
	char *dir = tempdir_make();

	f.call = call;
	f.seed = seed;
	f.looking = true;
	fault_dir_cut(f.disk, call, seed, dir);
	f.j.dir = dir;
	if (disk_journal_start(&f.j))
		fail_msg("%s", f.j.err.msg);
	check_tree(call);
	/* It goes on, and that stays too. */
	assert_int_equal(disk_journal_mount_one(&f.j, 1000000, 1), 0);
	disk_journal_stop(&f.j);
	if (seed % 4 == 0) {
		assert_int_equal(disk_journal_start(&f.j), 0);
		assert_true(disk_journal_has(&f.j, 1000000));
		disk_journal_stop(&f.j);
	}
	tempdir_remove(dir);
	f.looking = false;
}

static int say_which(void **state ATTR_UNUSED)
{
	if (f.looking)
		print_message("again: POWER_CUT=%llu,%llu\n",
			      (unsigned long long)f.call,
			      (unsigned long long)f.seed);
	return 0;
}

static void what_was_acknowledged_is_there_after_a_power_cut(
	void **state ATTR_UNUSED)
{
	const char *only = getenv("POWER_CUT"); /* CALL,SEED */
	unsigned long long call, seed;
	uint64_t calls, i;

	if (!f.disk) {
		print_message("no FUSE here\n");
		skip();
	}
	calls = fault_dir_calls(f.disk);
	if (only && sscanf(only, "%llu,%llu", &call, &seed) == 2) {
		cut_at(call, seed);
		return;
	}
	for (i = 0; i < points(); i++)
		cut_at(i * calls / points() + i % 7, i);
	print_message("%u power cuts in %llu calls\n", points(),
		      (unsigned long long)calls);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(
			what_was_acknowledged_is_there_after_a_power_cut,
			say_which),
	};

	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0); /* nothing here needs a disk */
	return cmocka_run_group_tests(tests, record, drop);
}
