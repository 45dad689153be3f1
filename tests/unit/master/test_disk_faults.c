#include "lib/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/disk_journal.h"
#include "lib/fault_dir.h"
#include "runtime/loop_uv.h"

#define SEGMENT    ((size_t)2 << 20)
#define CHECKPOINT 3000
#define PADDING    4000

/* A journal on a disk that fails.  Each scenario is a process of its own: where
 * a master would end, there is no way to go on. */
static struct fixture {
	struct fault_dir *disk;
	struct disk_journal j;
	struct timer timer;
	uint64_t last; /* number that was acknowledged */
} f;

/* In a child: says what went wrong and gives up. */
#define CHECK(condition)                                                      \
	do {                                                                  \
		if (!(condition)) {                                           \
			fprintf(stderr, "%s:%d: not so: %s (%s)\n", __FILE__, \
				__LINE__, #condition, f.j.err.msg);           \
			_exit(1);                                             \
		}                                                             \
	} while (0)

static bool is_thorough(void)
{
	const char *seeds = getenv("SIM_SEEDS");

	return seeds && atoi(seeds) >= 500;
}

static void run_child(void (*scenario)(void))
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		f.disk = fault_dir_start();
		if (!f.disk)
			_exit(77);
		f.j.dir = fault_dir_path(f.disk);
		f.j.segment_bytes = SEGMENT;
		scenario();
		fault_dir_free(f.disk);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip(); /* no FUSE here */
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void on_timer(struct timer *t ATTR_UNUSED)
{
	loop_uv_stop(f.j.loop);
}

static void turn_for(uint64_t ms)
{
	list_init(&f.timer.link);
	loop_timer_start(f.j.loop, &f.timer, ms, on_timer);
	disk_journal_run(&f.j);
	loop_timer_stop(&f.timer);
}

/* One more; its code. */
static int mount_more(size_t padding)
{
	int rv = disk_journal_mount_one(&f.j, f.last + 1, padding);

	if (rv == 0)
		f.last++;
	return rv;
}

static void begin(uint64_t checkpoint_bytes)
{
	f.j.checkpoint_bytes = checkpoint_bytes;
	CHECK(disk_journal_start(&f.j) == 0);
	CHECK(mount_more(1) == 0);
}

/* All that was acknowledged is there after a restart, and it goes on. */
static void check_all(void)
{
	uint64_t i;

	CHECK(disk_journal_start(&f.j) == 0);
	for (i = 1; i <= f.last; i++)
		CHECK(disk_journal_has(&f.j, i));
	CHECK(mount_more(1) == 0);
	disk_journal_stop(&f.j);
}

static struct journal_numbers numbers(void)
{
	struct journal_numbers n;

	journal_numbers(f.j.journal, &n);
	return n;
}

/* The log. */

static void log_fails(int error, const char *sentence)
{
	struct disk_journal dead;

	begin(0);
	fault_dir_fail(f.disk, FAULT_WRITE, error, "open-");
	CHECK(mount_more(1) == -error);
	CHECK(f.j.broken);
	CHECK(strstr(f.j.err.msg, "the log cannot be written"));
	CHECK(strstr(f.j.err.msg, sentence));
	fault_dir_heal(f.disk);
	/* As after the end of the process; libraft cannot be closed now. */
	dead = f.j;
	f.j = (struct disk_journal){ .dir = dead.dir,
				     .segment_bytes = SEGMENT };
	check_all();
}

static void log_eio(void)
{
	log_fails(EIO, "Input/output error");
}

static void log_full(void)
{
	log_fails(ENOSPC, "No space left on device");
}

static void log_read_only(void)
{
	log_fails(EROFS, "Read-only file system");
}

static void a_log_that_cannot_be_written_stops_it_with_one_sentence(
	void **state ATTR_UNUSED)
{
	run_child(log_eio);
	run_child(log_full);
	run_child(log_read_only);
}

/* Segments are made ahead: commands go on as long as there is room in them,
 * then are refused after ten seconds, and taken again when there is room. */
static void no_more_segments(unsigned calls, int error)
{
	int rv, i;

	begin(0);
	fault_dir_fail(f.disk, calls, error, "");
	for (i = 0; i < 2000 && !(rv = mount_more(PADDING)); i++)
		;
	CHECK(rv == -ENOSPC && !f.j.broken);
	CHECK(i > 100);
	CHECK(mount_more(1) == -ENOSPC);
	fault_dir_heal(f.disk);
	/* raft looks every ten seconds. */
	for (i = 0; i < 200 && mount_more(1); i++)
		turn_for(100);
	CHECK(i < 200);
	fprintf(stderr, "taken again after %d ms\n", i * 100);
	disk_journal_stop(&f.j);
	check_all();
}

static void disk_full(void)
{
	no_more_segments(FAULT_CREATE | FAULT_ALLOCATE, ENOSPC);
}

static void no_directory_sync(void)
{
	no_more_segments(FAULT_SYNC_DIR, EIO);
}

static void a_full_disk_refuses_commands_until_there_is_room(
	void **state ATTR_UNUSED)
{
	run_child(disk_full);
	run_child(no_directory_sync);
}

/* Checkpoints. */

static void checkpoint_fails(unsigned calls, int error, const char *name)
{
	int i;

	begin(CHECKPOINT);
	fault_dir_fail(f.disk, calls, error, name);
	for (i = 0; i < 3000 && !numbers().checkpoint_failures; i++)
		CHECK(mount_more(1) == 0);
	CHECK(numbers().checkpoint_failures == 1);
	CHECK(numbers().checkpoints == 0);
	for (i = 0; i < 20; i++)
		CHECK(mount_more(1) == 0);
	fault_dir_heal(f.disk);
	for (i = 0; i < 200 && !numbers().checkpoints; i++) {
		CHECK(mount_more(1) == 0);
		turn_for(20);
	}
	CHECK(numbers().checkpoints == 1);
	disk_journal_stop(&f.j);
	check_all();
}

static void checkpoint_full(void)
{
	checkpoint_fails(FAULT_WRITE, ENOSPC, "ckpt-");
}

static void checkpoint_eio(void)
{
	checkpoint_fails(FAULT_WRITE, EIO, "ckpt-");
}

static void checkpoint_read_only(void)
{
	checkpoint_fails(FAULT_CREATE, EROFS, "ckpt-");
}

static void checkpoint_sync(void)
{
	checkpoint_fails(FAULT_SYNC, EIO, "ckpt-");
}

static void checkpoint_rename(void)
{
	checkpoint_fails(FAULT_RENAME, EIO, "ckpt-");
}

static void checkpoint_sync_dir(void)
{
	checkpoint_fails(FAULT_SYNC_DIR, EIO, "");
}

static void a_checkpoint_that_fails_is_tried_again_and_commands_go_on(
	void **state ATTR_UNUSED)
{
	run_child(checkpoint_full);
	if (!is_thorough())
		return;
	run_child(checkpoint_eio);
	run_child(checkpoint_read_only);
	run_child(checkpoint_sync);
	run_child(checkpoint_rename);
	run_child(checkpoint_sync_dir);
}

/* raft's own, the marker behind the checkpoint; it tries again by itself. */
static void marker_fails(void)
{
	int i;

	begin(CHECKPOINT);
	fault_dir_fail(f.disk, FAULT_WRITE, EIO, ".tmpfile");
	for (i = 0; i < 3000 && !fault_dir_failed(f.disk); i++)
		CHECK(mount_more(1) == 0);
	for (i = 0; i < 100; i++)
		CHECK(mount_more(1) == 0);
	CHECK(numbers().checkpoints == 0);
	disk_journal_stop(&f.j);
	fault_dir_heal(f.disk);
	check_all();
}

static void a_snapshot_that_fails_stops_nothing(void **state ATTR_UNUSED)
{
	run_child(marker_fails);
}

/* The start. */

static void start_fails(unsigned calls, int error, const char *sentence)
{
	begin(CHECKPOINT);
	while (numbers().checkpoints < 2)
		CHECK(mount_more(1) == 0);
	disk_journal_stop(&f.j);
	fault_dir_fail(f.disk, calls, error, "");
	CHECK(disk_journal_start(&f.j) != 0);
	CHECK(f.j.err.msg[0]);
	CHECK(strstr(f.j.err.msg, sentence));
	CHECK(!strchr(f.j.err.msg, '\n'));
	fprintf(stderr, "a start is refused: %s\n", f.j.err.msg);
	disk_journal_stop(&f.j);
	fault_dir_heal(f.disk);
	check_all();
}

static void start_unreadable(void)
{
	start_fails(FAULT_READ, EIO, "Input/output error");
}

static void start_full(void)
{
	start_fails(FAULT_GROWTH, ENOSPC, "no space left on device");
}

static void start_read_only(void)
{
	start_fails(FAULT_CHANGES, EROFS, "read-only file system");
}

static void a_start_on_a_disk_that_fails_is_refused_with_one_sentence(
	void **state ATTR_UNUSED)
{
	run_child(start_unreadable);
	run_child(start_full);
	run_child(start_read_only);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_log_that_cannot_be_written_stops_it_with_one_sentence),
		TEST(a_checkpoint_that_fails_is_tried_again_and_commands_go_on),
		TEST(a_snapshot_that_fails_stops_nothing),
		TEST(a_start_on_a_disk_that_fails_is_refused_with_one_sentence),
		/* Half a minute of waiting: not in a hurry. */
		TEST(a_full_disk_refuses_commands_until_there_is_room),
	};
	const size_t n = ARRAY_SIZE(tests) - !is_thorough();

	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0); /* nothing here needs a disk */
	return _cmocka_run_group_tests("tests", tests, n, NULL, NULL);
}
