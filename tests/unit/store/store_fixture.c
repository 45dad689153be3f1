#include "store_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/sim.h"
#include "lib/tempdir.h"
#include "runtime/loop_uv.h"

struct fixture f;

static const uint8_t cluster[16] = "cluster of tests";

static void on_failed(void *owner ATTR_UNUSED, const char *dir,
		      const struct err *err)
{
	assert_string_equal(dir, f.dir);
	assert_true(err->code < 0 && err->msg[0]);
	f.failures++;
}

static void on_let_go(void *owner ATTR_UNUSED, const uint64_t *files, size_t n)
{
	size_t i;

	for (i = 0; i < n && f.n_let_go < ARRAY_SIZE(f.let_go); i++)
		f.let_go[f.n_let_go++] = files[i];
}

void store_start(void)
{
	const struct store_dir dir = { .path = f.dir, .capacity = f.capacity };
	const struct store_options options = {
		.dirs = &dir,
		.n_dirs = 1,
		.block_size = 256 * MIB,
		.cluster = f.cluster,
		.evictor = f.evictor,
		.threads = f.threads,
		.scrub_rate = f.scrub_rate,
		.scrub_interval_ms = f.scrub_interval_ms,
		.loop = f.loop,
		.failed = on_failed,
	};
	struct err err = { 0 };

	if (store_open(&f.store, &options, &err) != 0)
		fail_msg("%s", err.msg);
	store_on_let_go(f.store, on_let_go, NULL);
}

static void on_last(struct task *t ATTR_UNUSED)
{
	loop_uv_stop(f.loop);
}

/* All that is to come now comes. */
static void run_loop(void)
{
	struct task last;

	if (!f.threads) {
		sim_run(f.loop, 0);
		return;
	}
	loop_post(f.loop, &last, on_last);
	loop_uv_run(f.loop);
}

void store_stop(void)
{
	store_close(f.store);
	f.store = NULL;
	run_loop();
}

/* What a killed process leaves: the directory as it was when it had the store
 * open. */
void store_crash(void)
{
	char command[1024];

	snprintf(command, sizeof(command), "cp -a --sparse=always %s %s.now",
		 f.dir, f.dir);
	assert_int_equal(system(command), 0);
	store_stop();
	snprintf(command, sizeof(command), "rm -r %s && mv %s.now %s", f.dir,
		 f.dir, f.dir);
	assert_int_equal(system(command), 0);
}

int setup(void **state ATTR_UNUSED)
{
	f = (struct fixture){
		.capacity = 64 * MIB,
		.evictor = "lru",
		.cluster = cluster,
	};
	f.loop = sim_new();
	f.parent = tempdir_make();
	f.dir = mem_printf("%s/cache", f.parent);
	store_start();
	return 0;
}

int teardown(void **state ATTR_UNUSED)
{
	if (f.store)
		store_stop();
	sim_free(f.loop);
	free(f.dir);
	tempdir_remove(f.parent);
	return 0;
}

void pattern(uint64_t file, uint64_t offset, void *buf, size_t len)
{
	uint8_t *to = buf;
	uint64_t word = 0;
	size_t i;

	for (i = 0; i < len; i++, word >>= 8) {
		if (i == 0 || (offset + i) % 8 == 0)
			word = ((file * 1000003 + (offset + i) / 8 + 1) *
				UINT64_C(0x9e3779b97f4a7c15)) >>
			       (offset + i) % 8 * 8;
		to[i] = (uint8_t)word;
	}
}

struct one {
	struct store_req req;
	ssize_t result;
	int calls;
};

static void on_done(struct store_req *req, ssize_t result)
{
	struct one *one = container_of(req, struct one, req);

	one->result = result;
	one->calls++;
}

static void prepare(struct one *one, uint64_t file, uint64_t size,
		    uint64_t offset, size_t len)
{
	*one = (struct one){
		.req = {
			.loop = f.loop,
			.file = file,
			.file_size = size,
			.offset = offset,
			.buf = mem_alloc(len),
			.len = len,
		},
	};
}

static void await(const struct one *one)
{
	assert_int_equal(one->calls, 0);
	run_loop();
	while (f.threads && !one->calls)
		loop_uv_run_once(f.loop);
	assert_int_equal(one->calls, 1);
}

static ssize_t finish(struct one *one)
{
	await(one);
	free(one->req.buf);
	return one->result;
}

ssize_t fill_range(uint64_t file, uint64_t size, uint64_t offset, size_t len)
{
	struct one one;

	prepare(&one, file, size, offset, len);
	pattern(file, offset, one.req.buf, len);
	store_fill(f.store, &one.req, on_done);
	return finish(&one);
}

ssize_t fill(uint64_t file, uint64_t size)
{
	return fill_range(file, size, 0, size);
}

static void is_right(const struct one *one, ssize_t n)
{
	char *want = mem_alloc((size_t)n);

	pattern(one->req.file, one->req.offset, want, (size_t)n);
	assert_memory_equal(one->req.buf, want, n);
	free(want);
}

ssize_t read_range(uint64_t file, uint64_t size, uint64_t offset, size_t len)
{
	struct one one;
	ssize_t now;

	prepare(&one, file, size, offset, len);
	now = store_try_read(f.store, &one.req);
	if (now > 0)
		is_right(&one, now);
	memset(one.req.buf, 0, len);
	store_read(f.store, &one.req, on_done);
	await(&one);
	if (one.result > 0)
		is_right(&one, one.result);
	if (now != -EAGAIN)
		assert_int_equal(now, one.result);
	free(one.req.buf);
	return one.result;
}

ssize_t read_all(uint64_t file, uint64_t size)
{
	return read_range(file, size, 0, size);
}

bool is_complete(uint64_t file)
{
	struct store_file_state st;

	return store_file_state(f.store, file, &st) == 0 && st.complete;
}

static char found[512], wanted[32];

static int match(const char *path, const struct stat *st ATTR_UNUSED,
		 int type ATTR_UNUSED, struct FTW *ftw)
{
	if (strncmp(path + ftw->base, wanted, strlen(wanted)) == 0)
		snprintf(found, sizeof(found), "%s", path);
	return 0;
}

const char *backing_path(uint64_t file)
{
	snprintf(wanted, sizeof(wanted), "%016" PRIx64 ".", file);
	found[0] = '\0';
	nftw(f.dir, match, 8, FTW_PHYS);
	return found[0] ? found : NULL;
}

void flip_bit(const char *path, uint64_t offset)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
	byte ^= 4;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
	close(fd);
}

static uint64_t usage;

static int add_usage(const char *path ATTR_UNUSED, const struct stat *st,
		     int type ATTR_UNUSED, struct FTW *ftw ATTR_UNUSED)
{
	usage += (uint64_t)st->st_blocks * 512;
	return 0;
}

uint64_t disk_usage(void)
{
	usage = 0;
	nftw(f.dir, add_usage, 8, FTW_PHYS);
	return usage;
}
