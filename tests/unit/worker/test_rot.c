/* Cached bytes that rot on a worker's disk: they are fetched again where
 * under-storage has them, and refused where it does not answer. */

#include "worker_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/log.h"
#include "runtime/metrics.h"

enum { FILES = 12 };

static char wanted[32], found[512];

static int match(const char *path, const struct stat *st ATTR_UNUSED,
		 int type ATTR_UNUSED, struct FTW *ftw)
{
	if (strncmp(path + ftw->base, wanted, strlen(wanted)) == 0)
		snprintf(found, sizeof(found), "%s", path);
	return 0;
}

/* Flips a bit in the backing file. */
static void flip(uint64_t id, uint64_t offset)
{
	uint8_t byte;
	int fd;

	snprintf(wanted, sizeof(wanted), "%016" PRIx64 ".", id);
	found[0] = '\0';
	nftw(f.nodes[0].dir, match, 8, FTW_PHYS);
	fd = open(found, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
	byte ^= 1 << offset % 8;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
	close(fd);
}

static uint64_t size_of(uint64_t id)
{
	return id % 4 ? id * 9000 : 2 * MIB + id;
}

static uint64_t fetches(void)
{
	return fake_ufs_numbers(f.ufs)->reads;
}

static void cache_all(void)
{
	uint64_t id;

	log_set_level(LOG_LEVEL_ERROR);
	for (id = 1; id <= FILES; id++) {
		put_file(id, size_of(id));
		assert_int_equal(read_file(id), size_of(id));
	}
	run(100);
}

static void it_is_fetched_again(void **state ATTR_UNUSED)
{
	uint64_t id, before, round;

	cache_all();
	for (round = 0; round < 6; round++) {
		if (round % 2)
			node_stop(0);
		for (id = 1 + round % 3; id <= FILES; id += 3)
			flip(id, (id * 7919 + round * 104729) % size_of(id));
		if (round % 2)
			node_start(0);
		for (id = 1; id <= FILES; id++) {
			before = fetches();
			assert_int_equal(read_file(id), size_of(id));
			assert_int_equal(fetches() > before,
					 id % 3 == (1 + round % 3) % 3);
		}
		run(100);
	}
	before = fetches();
	for (id = 1; id <= FILES; id++)
		assert_int_equal(read_file(id), size_of(id));
	assert_int_equal(fetches(), before);
}

static void it_is_refused_when_nobody_else_has_it(void **state ATTR_UNUSED)
{
	uint64_t id;

	cache_all();
	for (id = 1; id <= FILES; id += 2)
		flip(id, id * 1000);
	fake_ufs_fail(f.ufs, 0, 1000, -EIO);
	for (id = 1; id <= FILES; id++) {
		if (id % 2)
			assert_true(read_file(id) < 0);
		else
			assert_int_equal(read_file(id), size_of(id));
	}
}

static struct open_reply opened;

static void on_open(struct rpc_pending *p, int code, const void *reply)
{
	assert_int_equal(code, 0);
	assert_int_equal(p->fd, -1);
	opened = *(const struct open_reply *)reply;
}

static void it_is_not_granted_after_a_restart(void **state ATTR_UNUSED)
{
	const uint64_t id = FILES - 1;
	const struct open_request req = { .id = id, .grant = true };
	struct rpc_pending pending = { .fd = -1 };
	uint64_t before;

	cache_all();
	node_stop(0);
	flip(id, 5000);
	node_start(0);
	opened = (struct open_reply){ .complete = true };
	rpc_call(f.nodes[0].client, RPC_WORKER_METHOD(open), &pending, &req,
		 on_open);
	run(100);
	assert_int_equal(opened.length, size_of(id));
	assert_false(opened.complete);
	before = fetches();
	assert_int_equal(read_file(id), size_of(id));
	assert_int_equal(fetches(), before + 1);
}

static struct scrub_reply scrub(bool start, uint64_t rate)
{
	const struct scrub_request req = { .start = start, .rate = rate };
	struct scrub_reply reply;

	assert_int_equal(call_worker(0, RPC_WORKER_METHOD(scrub), &req, &reply,
				     sizeof(reply)),
			 0);
	return reply;
}

static void a_scrub_is_called_for_and_counted(void **state ATTR_UNUSED)
{
	uint64_t damaged = metric_value(METRIC_damaged_files);
	uint64_t files = metric_value(METRIC_scrubbed_files);
	uint64_t bytes = metric_value(METRIC_scrubbed_bytes), before;
	struct scrub_reply r;

	cache_all();
	flip(5, 100);
	flip(8, 2 * MIB);
	r = scrub(false, 0);
	assert_int_equal(r.running + r.passes, 0);
	r = scrub(true, MIB);
	assert_int_equal(r.running, 1);
	assert_true(r.to_do > 4 * MIB);
	run(20000);
	r = scrub(false, 0);
	assert_int_equal(r.running, 0);
	assert_int_equal(r.passes, 1);
	assert_int_equal(r.files, FILES);
	assert_int_equal(r.damaged, 2);
	assert_int_equal(r.to_do, 0);
	assert_int_equal(metric_value(METRIC_damaged_files) - damaged, 2);
	assert_int_equal(metric_value(METRIC_scrubbed_files) - files, FILES);
	assert_true(metric_value(METRIC_scrubbed_bytes) - bytes > 4 * MIB);
	before = fetches();
	assert_int_equal(read_file(8), size_of(8));
	assert_true(fetches() > before);
}

TEST_MAIN(TEST_WITH(it_is_fetched_again),
	  TEST_WITH(it_is_refused_when_nobody_else_has_it),
	  TEST_WITH(it_is_not_granted_after_a_restart),
	  TEST_WITH(a_scrub_is_called_for_and_counted))
