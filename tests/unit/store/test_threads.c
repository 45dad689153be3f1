/* Many requests at once on a real loop and disk threads: bytes are right, the
 * directory stays within its capacity; and the thread sanitizer looks on. */

#include "store_fixture.h"

#include <errno.h>
#include <ftw.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/tempdir.h"
#include "runtime/loop_uv.h"

enum { FILES = 60, IN_FLIGHT = 24, STEPS = 3000 };

struct slot {
	struct store_req req;
	bool reads;
	char buf[2 << 20];
};

static struct {
	struct slot slots[IN_FLIGHT];
	unsigned grants[FILES];
	unsigned steps, busy;
	unsigned kill_at; /* step at which the process dies; 0: none */
	uint64_t seed;
	uint64_t hits, fills;
} t;

static uint64_t next_random(void)
{
	t.seed ^= t.seed << 13;
	t.seed ^= t.seed >> 7;
	t.seed ^= t.seed << 17;
	return t.seed;
}

/* Most are small, some have several pages. */
static uint64_t size_of(uint64_t file)
{
	return file % 7 == 0 ? 3 * MIB + file : 1000 + file * 5000;
}

static void next(struct slot *s);

static void on_done(struct store_req *req, ssize_t n)
{
	struct slot *s = container_of(req, struct slot, req);
	char *want;

	if (s->reads && n > 0) {
		want = mem_alloc((size_t)n);
		pattern(req->file, req->offset, want, (size_t)n);
		assert_memory_equal(s->buf, want, n);
		free(want);
		t.hits++;
	} else if (s->reads) {
		assert_int_equal(n, -ENOENT);
	} else {
		assert_true(n == (ssize_t)req->len || n == ERR_NOT_ADMITTED ||
			    n == -ENOSPC);
		t.fills += n > 0;
	}
	next(s);
}

static uint64_t names;

static int add_name(const char *path, const struct stat *st,
		    int type ATTR_UNUSED, struct FTW *ftw)
{
	uint64_t h = st->st_ino;

	for (path += ftw->base; *path; path++)
		h = (h ^ (uint8_t)*path) * UINT64_C(0x100000001b3);
	names += h;
	return 0;
}

static uint64_t names_there(void)
{
	names = 0;
	nftw(f.dir, add_name, 8, FTW_PHYS);
	return names;
}

/* A file that goes and one that comes for it may both be counted: a sum counts
 * only if no name has come or gone meanwhile. */
static bool stays_within_capacity(void)
{
	unsigned tries = 0;
	uint64_t before;

	do {
		before = names_there();
		if (disk_usage() <= f.capacity)
			return true;
	} while (names_there() != before && ++tries < 50);
	return false;
}

/* What comes between: opens, grants, releases, drops. */
static void meddle(uint64_t file)
{
	int fd;

	store_touch(f.store, file);
	switch (next_random() % 10) {
	case 0:
		store_drop(f.store, file);
		break;
	case 1:
	case 2:
		fd = store_grant(f.store, file);
		if (fd < 0)
			break;
		close(fd);
		t.grants[file]++;
		break;
	case 3:
		if (t.grants[file]) {
			store_release(f.store, file);
			t.grants[file]--;
		}
		break;
	}
	if (t.steps % 64 == 0)
		assert_true(stays_within_capacity());
}

static void next(struct slot *s)
{
	uint64_t file = next_random() % FILES, size = size_of(file), page;

	if (t.steps == STEPS) {
		if (--t.busy == 0)
			loop_uv_stop(f.loop);
		return;
	}
	t.steps++;
	if (t.steps == t.kill_at)
		raise(SIGKILL);
	meddle(file);
	page = next_random() % ((size + STORE_PAGE - 1) / STORE_PAGE);
	s->reads = next_random() % 2;
	s->req = (struct store_req){
		.loop = f.loop,
		.file = file,
		.file_size = size,
		.offset = page * STORE_PAGE,
		.buf = s->buf,
	};
	s->req.len = size - s->req.offset < STORE_PAGE
			     ? (size_t)(size - s->req.offset)
			     : STORE_PAGE;
	if (s->reads) {
		store_read(f.store, &s->req, on_done);
		return;
	}
	pattern(file, s->req.offset, s->buf, s->req.len);
	store_fill(f.store, &s->req, on_done);
}

static void start_store(const char *evictor)
{
	const struct store_dir dir = { .path = f.dir, .capacity = f.capacity };
	const struct store_options options = {
		.dirs = &dir,
		.n_dirs = 1,
		.evictor = evictor,
		.block_size = 256 * MIB,
		.threads = 4,
		.loop = f.loop,
	};
	struct err err;

	assert_int_equal(store_open(&f.store, &options, &err), 0);
}

static void begin(const char *evictor)
{
	unsigned i;

	start_store(evictor);
	t.busy = IN_FLIGHT;
	for (i = 0; i < IN_FLIGHT; i++)
		next(&t.slots[i]);
	loop_uv_run(f.loop);
}

static void play(const char *evictor, uint64_t seed)
{
	memset(&t, 0, sizeof(t));
	t.seed = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	f = (struct fixture){ .capacity = 12 * MIB };
	f.parent = tempdir_make();
	f.dir = mem_printf("%s/cache", f.parent);
	f.loop = loop_uv_new();
	begin(evictor);
	assert_int_equal(t.steps, STEPS);
	assert_true(t.hits > 100 && t.fills > 100);
}

static void on_last(struct task *task ATTR_UNUSED)
{
	loop_uv_stop(f.loop);
}

/* What the store did for itself has been answered, too. */
static void close_store(void)
{
	struct task last;

	store_close(f.store);
	loop_post(f.loop, &last, on_last);
	loop_uv_run(f.loop);
}

static void finish(void)
{
	struct store_totals totals;
	uint64_t i;

	for (i = 0; i < FILES; i++)
		for (; t.grants[i]; t.grants[i]--)
			store_release(f.store, i);
	store_totals(f.store, &totals);
	assert_int_equal(totals.granted, 0);
	assert_int_equal(totals.corrupt, 0);
	assert_true(disk_usage() <= f.capacity);
	close_store();

	/* All that is left can be read. */
	t.steps = STEPS - 500;
	begin("lru");
	store_totals(f.store, &totals);
	assert_int_equal(totals.corrupt, 0);
	close_store();
	loop_uv_free(f.loop);
	free(f.dir);
	tempdir_remove(f.parent);
}

static void many_at_once_with_lru(void **state ATTR_UNUSED)
{
	play("lru", 1);
	finish();
}

static void many_at_once_with_retain(void **state ATTR_UNUSED)
{
	play("retain", 2);
	finish();
}

static void on_filled(struct store_req *req ATTR_UNUSED, ssize_t n ATTR_UNUSED)
{
	if (--t.busy == 0)
		loop_uv_stop(f.loop);
}

static void what_is_being_filled_is_not_for_another_cluster(
	void **state ATTR_UNUSED)
{
	const uint8_t one[16] = "one", other[16] = "another";
	struct store_totals totals;
	struct store_req *req;

	memset(&t, 0, sizeof(t));
	f = (struct fixture){ .capacity = 100 * MIB };
	f.parent = tempdir_make();
	f.dir = mem_printf("%s/cache", f.parent);
	f.loop = loop_uv_new();
	start_store("lru");
	assert_false(store_bind(f.store, one));
	for (; t.busy < IN_FLIGHT; t.busy++) {
		req = &t.slots[t.busy].req;
		*req = (struct store_req){
			.loop = f.loop,
			.file = t.busy,
			.file_size = STORE_PAGE,
			.buf = t.slots[t.busy].buf,
			.len = STORE_PAGE,
		};
		store_fill(f.store, req, on_filled);
	}
	assert_true(store_bind(f.store, other));
	loop_uv_run(f.loop);
	store_totals(f.store, &totals);
	assert_int_equal(totals.files, 0);
	close_store();
	loop_uv_free(f.loop);
	free(f.dir);
	tempdir_remove(f.parent);
}

static sem_t asking, cleared;

static void on_asked_back(void *owner, const uint64_t *files, size_t n)
{
	assert_int_equal(n, 1);
	assert_int_equal(files[0], 1);
	sem_post(&asking);
	sem_wait(&cleared);
	*(char *)owner = 1;
}

/* On a disk thread, which has begun to ask when nobody is to be asked any more:
 * its owner may go when the store is closed. */
static void a_close_waits_for_who_asks_back(void **state ATTR_UNUSED)
{
	struct store_req req = { .file = 1, .file_size = STORE_PAGE };
	char *owner = mem_alloc(1);
	struct task last;

	sem_init(&asking, 0, 0);
	sem_init(&cleared, 0, 0);
	t.busy = 1;
	f = (struct fixture){ .capacity = 100 * MIB };
	f.parent = tempdir_make();
	f.dir = mem_printf("%s/cache", f.parent);
	req.loop = f.loop = loop_uv_new();
	req.buf = t.slots[0].buf;
	req.len = STORE_PAGE;
	start_store("lru");
	store_fill(f.store, &req, on_filled);
	loop_uv_run(f.loop);
	assert_true(close(store_grant(f.store, 1)) == 0);
	flip_bit(backing_path(1), 0);
	store_on_let_go(f.store, on_asked_back, owner);
	store_scrub(f.store, 0);
	while (sem_trywait(&asking)) {
		loop_post(f.loop, &last, on_last);
		loop_uv_run(f.loop);
	}
	store_on_let_go(f.store, NULL, NULL);
	sem_post(&cleared);
	close_store();
	assert_int_equal(*owner, 1);
	free(owner);
	loop_uv_free(f.loop);
	free(f.dir);
	tempdir_remove(f.parent);
}

/* Reads all that a store has; how many files had something. */
static unsigned read_everything(void)
{
	unsigned found = 0;
	uint64_t file, at, n;

	for (file = 0; file < FILES; file++) {
		for (at = n = 0; at < size_of(file); at += STORE_PAGE)
			n += store_present(f.store, file, at, 1);
		if (!n)
			continue;
		found++;
		for (at = 0; at < size_of(file); at += STORE_PAGE)
			if (store_present(f.store, file, at, 1))
				assert_true(read_range(file, size_of(file), at,
						       STORE_PAGE) > 0);
	}
	return found;
}

/* The process dies with all threads at work; what it leaves is right, known in
 * full, and within the capacity. */
static void a_killed_process_leaves_a_sound_store(void **state ATTR_UNUSED)
{
	struct store_totals totals;
	unsigned k, found = 0;
	int status;
	pid_t pid;

	for (k = 1; k <= 12; k++) {
		setup(NULL);
		store_stop();
		f.capacity = 12 * MIB;
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			f.loop = loop_uv_new();
			memset(&t, 0, sizeof(t));
			t.seed = k * UINT64_C(0x9e3779b97f4a7c15);
			t.kill_at = k * 61;
			begin("lru");
			_exit(1);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGKILL);
		f.evictor = "lru";
		store_start();
		assert_true(disk_usage() <= f.capacity);
		found += read_everything();
		store_totals(f.store, &totals);
		assert_int_equal(totals.corrupt, 0);
		assert_int_equal(totals.unverified, 0);
		teardown(NULL);
	}
	assert_true(found > 50);
}

TEST_MAIN(TEST(a_close_waits_for_who_asks_back),
	  TEST(what_is_being_filled_is_not_for_another_cluster),
	  TEST(a_killed_process_leaves_a_sound_store),
	  TEST(many_at_once_with_lru), TEST(many_at_once_with_retain))
