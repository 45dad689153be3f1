#include "lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/tempdir.h"
#include "master/arena.h"
#include "master/journal.h"
#include "master/raft_disk.h"
#include "runtime/loop_uv.h"

#define ARENA    ((size_t)64 << 20)
#define GUARD_MS 30000
#define MANY     20000 /* bytes a checkpoint: so many that some are cut off */

/* A journal on a real disk. */
static struct fixture {
	char *dir;
	struct loop *loop;
	struct workpool *pool;
	struct raft_disk *disk;
	struct checkpoints *checkpoints;
	struct arena arena;
	struct journal *journal;
	struct timer guard;
	uint64_t checkpoint_bytes;
	bool ready;
	int code;
	struct err err;

	/* of a child that writes for ever */
	int said;
	struct journal_req reqs[64];
	uint64_t numbers[64], next;

	bool acknowledged[100000];
	uint64_t last;
} f;

static uint64_t wall_ms(void *owner ATTR_UNUSED)
{
	return 1000000;
}

static void on_ready(void *owner ATTR_UNUSED, int code, const struct err *err)
{
	f.ready = true;
	f.code = code;
	f.err = *err;
	loop_uv_stop(f.loop);
}

static void on_broken(void *owner ATTR_UNUSED, const struct err *err)
{
	fprintf(stderr, "broken: %s\n", err->msg);
	abort();
}

static void on_guard(struct timer *t ATTR_UNUSED)
{
	abort();
}

/* Runs until something stops the loop. */
static void run(void)
{
	loop_timer_start(f.loop, &f.guard, GUARD_MS, on_guard);
	loop_uv_run(f.loop);
	loop_timer_stop(&f.guard);
}

static void start(void)
{
	struct journal_options o = {
		.wall_ms = wall_ms,
		.block_size = 1 << 28,
		.ready = on_ready,
		.broken = on_broken,
		.checkpoint_bytes = f.checkpoint_bytes,
	};
	const struct raft_member *member;

	f.ready = false;
	f.loop = loop_uv_new();
	assert_int_equal(workpool_new(&f.pool, "ckpt", 1), 0);
	assert_int_equal(arena_map(&f.arena, ARENA, &f.err), 0);
	assert_int_equal(checkpoints_open(&f.checkpoints, f.dir, &f.err), 0);
	assert_int_equal(raft_disk_open(&f.disk, f.loop, f.dir, &f.err), 0);
	member = raft_disk_member(f.disk);
	o.loop = f.loop;
	o.pool = f.pool;
	o.io = raft_disk_io(f.disk);
	o.member = member->id;
	o.empty = member->empty;
	memcpy(o.uuid, member->uuid, sizeof(o.uuid));
	o.checkpoints = f.checkpoints;
	o.arena = &f.arena;
	f.journal = journal_start(&o);
	run();
	assert_true(f.ready);
}

static void on_closed(void *owner ATTR_UNUSED)
{
	loop_uv_stop(f.loop);
}

static void stop(void)
{
	journal_close(f.journal, on_closed, NULL);
	run();
	raft_disk_close(f.disk);
	checkpoints_close(f.checkpoints);
	workpool_close(f.pool);
	arena_unmap(&f.arena);
	loop_uv_free(f.loop);
}

static int setup(void **state ATTR_UNUSED)
{
	f = (struct fixture){ .dir = tempdir_make() };
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	tempdir_remove(f.dir);
	return 0;
}

static void mount_number(struct journal_req *req, uint64_t number,
			 void (*done)(struct journal_req *req,
				      const struct namespace_result *res))
{
	struct journal_record r = { .type = JOURNAL_mount };
	char path[32];

	r.mount.path.len = (size_t)snprintf(path, sizeof(path), "/%llu",
					    (unsigned long long)number);
	r.mount.path.ptr = path;
	r.mount.uri = (schema_str){ "file:///d", 9 };
	journal_submit(f.journal, &r, req, done);
}

static void on_one(struct journal_req *req ATTR_UNUSED,
		   const struct namespace_result *res)
{
	f.code = res->code;
	loop_uv_stop(f.loop);
}

static void mount_and_wait(uint64_t number)
{
	struct journal_req req;

	mount_number(&req, number, on_one);
	run();
	assert_int_equal(f.code, 0);
}

static bool has(uint64_t number)
{
	struct inode_view v;
	char path[32];
	size_t rest;
	int len = snprintf(path, sizeof(path), "/%llu",
			   (unsigned long long)number);

	return namespace_find(journal_namespace(f.journal), path, (size_t)len,
			      &v, &rest) == 0;
}

static void a_restart_gives_the_same_tree(void **state ATTR_UNUSED)
{
	struct namespace_totals t, again;
	uint64_t before;

	start();
	assert_int_equal(f.code, 0);
	mount_and_wait(1);
	mount_and_wait(2);
	before = namespace_digest(journal_namespace(f.journal));
	namespace_totals(journal_namespace(f.journal), &t);
	stop();
	start();
	assert_int_equal(f.code, 0);
	assert_int_equal(namespace_digest(journal_namespace(f.journal)),
			 before);
	namespace_totals(journal_namespace(f.journal), &again);
	assert_memory_equal(t.uuid, again.uuid, 16);
	stop();
}

static void a_missing_checkpoint_is_refused_with_its_name(
	void **state ATTR_UNUSED)
{
	struct journal_numbers n = { 0 };
	uint64_t i;
	char *command;

	f.checkpoint_bytes = 100;
	start();
	for (i = 1; i < 1000 && n.checkpoints < 2; i++) {
		mount_and_wait(i);
		journal_numbers(f.journal, &n);
	}
	assert_true(n.checkpoints >= 2);
	stop();
	command = mem_printf("rm %s/ckpt-*", f.dir);
	assert_int_equal(system(command), 0);
	free(command);
	start();
	assert_int_not_equal(f.code, 0);
	assert_non_null(strstr(f.err.msg, "ckpt-"));
	stop();
}

/* An open segment whose first sector is of `first`, as no entry is, and the
 * second of a batch. */
static void make_segment(const char *name, int first)
{
	char *path = mem_printf("%s/%s", f.dir, name), sector[512];
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	memset(sector, first, sizeof(sector));
	assert_int_equal(pwrite(fd, sector, sizeof(sector), 0), 512);
	memset(sector, 0xab, sizeof(sector));
	assert_int_equal(pwrite(fd, sector, sizeof(sector), 512), 512);
	assert_int_equal(pwrite(fd, sector, sizeof(sector), 1536), 512);
	close(fd);
	free(path);
}

/* The power went in the middle of a segment's first write: its header is not
 * there, some of the rest is. */
static void a_segment_that_lost_its_first_sector_is_dropped(
	void **state ATTR_UNUSED)
{
	start();
	assert_int_equal(f.code, 0);
	mount_and_wait(1);
	stop();
	make_segment("open-7", 0);
	start();
	assert_int_equal(f.code, 0);
	assert_true(has(1));
	mount_and_wait(2);
	stop();
	start();
	assert_int_equal(f.code, 0);
	assert_true(has(2));
	stop();
}

/* A disk writes whole sectors: this is no power cut, though one is zero. */
static void a_segment_with_a_wrong_header_is_refused(void **state ATTR_UNUSED)
{
	struct loop *l = loop_uv_new();

	start();
	assert_int_equal(f.code, 0);
	stop();
	make_segment("open-7", 0x41);
	assert_int_equal(raft_disk_open(&f.disk, l, f.dir, &f.err), -EBADMSG);
	assert_non_null(strstr(f.err.msg, "/open-7: byte 0: damaged entry"));
	loop_uv_free(l);
}

/* The child: mounts without end, and says what was acknowledged. */
static void on_acknowledged(struct journal_req *req,
			    const struct namespace_result *res)
{
	size_t i = (size_t)(req - f.reqs);

	if (res->code || write(f.said, &f.numbers[i], 8) != 8)
		_exit(1);
	f.numbers[i] = f.next++;
	mount_number(req, f.numbers[i], on_acknowledged);
}

static int mount_for_ever(char **argv)
{
	size_t i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	f.dir = argv[1];
	f.said = atoi(argv[2]);
	f.next = (uint64_t)atoll(argv[3]);
	f.checkpoint_bytes = MANY;
	start();
	for (i = 0; i < ARRAY_SIZE(f.reqs); i++) {
		f.numbers[i] = f.next++;
		mount_number(&f.reqs[i], f.numbers[i], on_acknowledged);
	}
	loop_uv_run(f.loop);
	return 1;
}

/* A program of its own: this one has threads by now. */
static pid_t start_child(int said, uint64_t from)
{
	char *fd = mem_printf("%d", said);
	char *number = mem_printf("%llu", (unsigned long long)from);
	pid_t pid = fork();

	if (pid == 0) {
		execl("/proc/self/exe", "child", f.dir, fd, number, NULL);
		_exit(1);
	}
	free(fd);
	free(number);
	return pid;
}

static void note(uint64_t number)
{
	assert_true(number < ARRAY_SIZE(f.acknowledged));
	f.acknowledged[number] = true;
	f.last = number > f.last ? number : f.last;
}

/* Starts a child, lets it get `n` acknowledgements, and kills it. */
static void kill_after(int n)
{
	uint64_t number;
	int said[2];
	pid_t pid;

	assert_int_equal(pipe(said), 0);
	/* Not what the one before had in flight. */
	pid = start_child(said[1], f.last + 100);
	close(said[1]);
	while (n-- > 0) {
		assert_int_equal(read(said[0], &number, 8), 8);
		note(number);
	}
	kill(pid, SIGKILL);
	while (read(said[0], &number, 8) == 8)
		note(number);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(said[0]);
}

static void what_was_acknowledged_survives_kill_9(void **state ATTR_UNUSED)
{
	uint64_t i;
	int round;

	f.checkpoint_bytes = MANY;
	for (round = 0; round < 5; round++) {
		kill_after(500 + 137 * round);
		start();
		assert_int_equal(f.code, 0);
		namespace_check(journal_namespace(f.journal));
		for (i = 0; i <= f.last; i++)
			if (f.acknowledged[i])
				assert_true(has(i));
		stop();
	}
}

static bool checkpoint_is_being_written(void)
{
	char *pattern = mem_printf("%s/*.part", f.dir);
	glob_t found;
	bool any = glob(pattern, 0, NULL, &found) == 0;

	globfree(&found);
	free(pattern);
	return any;
}

/* Kills a child that is in the middle of a checkpoint, as its unfinished file
 * shows; false if none was met, or the child was faster. */
static bool kill_in_mid_checkpoint(void)
{
	uint64_t number;
	int said[2], n = 2000;
	pid_t pid;

	assert_int_equal(pipe(said), 0);
	pid = start_child(said[1], f.last + 100);
	close(said[1]);
	do {
		assert_int_equal(read(said[0], &number, 8), 8);
		note(number);
	} while (--n > 0 && !checkpoint_is_being_written());
	kill(pid, SIGKILL);
	while (read(said[0], &number, 8) == 8)
		note(number);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(said[0]);
	return checkpoint_is_being_written();
}

static void killed_in_mid_checkpoint_it_starts_at_once(void **state ATTR_UNUSED)
{
	int caught = 0, round;
	uint64_t i;

	f.checkpoint_bytes = MANY;
	for (round = 0; round < 60 && caught < 3; round++) {
		caught += kill_in_mid_checkpoint();
		start();
		assert_int_equal(f.code, 0);
		namespace_check(journal_namespace(f.journal));
		for (i = 0; i <= f.last; i++)
			if (f.acknowledged[i])
				assert_true(has(i));
		stop();
	}
	assert_int_equal(caught, 3);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(a_restart_gives_the_same_tree),
		TEST_WITH(a_missing_checkpoint_is_refused_with_its_name),
		TEST_WITH(a_segment_that_lost_its_first_sector_is_dropped),
		TEST_WITH(a_segment_with_a_wrong_header_is_refused),
		TEST_WITH(what_was_acknowledged_survives_kill_9),
		TEST_WITH(killed_in_mid_checkpoint_it_starts_at_once),
	};

	if (argc == 4)
		return mount_for_ever(argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
