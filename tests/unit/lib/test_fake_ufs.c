#include "lib/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/fake_ufs.h"
#include "lib/sim.h"

static struct fixture {
	struct loop *loop;
	struct fake_ufs *storage;
	struct ufs *ufs;

	struct ufs_req req;
	char buf[1 << 20];
	char names[256]; /* of all pages */
	unsigned pages, calls, pieces;
	ssize_t result;
} f;

static int setup(void **state ATTR_UNUSED)
{
	struct ufs_env env = { 0 };

	memset(&f, 0, sizeof(f));
	f.loop = sim_new();
	f.storage = fake_ufs_new("fake://b", 1);
	env.loop = f.loop;
	return fake_ufs_open(&f.ufs, &env, "fake://b", NULL);
}

static int teardown(void **state ATTR_UNUSED)
{
	fake_ufs_drop(f.loop);
	fake_ufs_free(f.storage);
	sim_free(f.loop);
	return 0;
}

static void on_done(struct ufs_req *req, ssize_t result)
{
	size_t i;

	f.calls++;
	f.result = result;
	for (i = 0; i < req->n_entries; i++) {
		strcat(f.names, req->entries[i].name);
		strcat(f.names,
		       S_ISDIR(req->entries[i].stat.mode) ? "/ " : " ");
	}
}

static void on_progress(struct ufs_req *req ATTR_UNUSED, size_t n ATTR_UNUSED)
{
	f.pieces++;
}

static void set(const char *path, uint64_t offset, size_t len)
{
	memset(&f.req, 0, sizeof(f.req));
	f.req.path = path;
	f.req.offset = offset;
	f.req.buf = f.buf;
	f.req.len = len;
	f.req.progress = on_progress;
	f.calls = 0;
}

static ssize_t read_at(const char *path, uint64_t offset, size_t len)
{
	set(path, offset, len);
	f.ufs->ops->read(f.ufs, &f.req, on_done);
	assert_int_equal(f.calls, 0);
	sim_run(f.loop, 1000);
	assert_int_equal(f.calls, 1);
	return f.result;
}

static const char *list(const char *path)
{
	set(path, 0, 0);
	f.names[0] = '\0';
	f.pages = 0;
	do {
		f.calls = 0;
		f.ufs->ops->list(f.ufs, &f.req, on_done);
		sim_run(f.loop, 1000);
		assert_int_equal(f.calls, 1);
		f.pages++;
	} while (f.result == 0 && f.req.more);
	ufs_req_close(&f.req);
	return f.names;
}

static void bytes_follow_from_the_version(void **state ATTR_UNUSED)
{
	uint64_t one = fake_ufs_put(f.storage, "d/a", 1000000), two;
	struct ufs_version v;

	assert_int_equal(read_at("d/a", 7, 900000), 900000);
	assert_int_equal(f.pieces, 3);
	v = f.req.stat.version;
	assert_int_equal(fake_ufs_version(v.bytes, v.len), one);
	assert_int_equal(fake_ufs_compare(one, 7, f.buf, 900000), 900000);
	f.buf[800001] ^= 1;
	assert_int_equal(fake_ufs_compare(one, 7, f.buf, 900000), 800001);
	assert_int_equal(read_at("d/a", 999999, 10), 1);
	assert_int_equal(read_at("d/a", 1000000, 10), 0);
	two = fake_ufs_put(f.storage, "d/a", 50);
	assert_int_equal(read_at("d/a", 0, 100), 50);
	assert_int_equal(fake_ufs_compare(two, 0, f.buf, 50), 50);
	assert_int_not_equal(fake_ufs_compare(one, 0, f.buf, 50), 50);
	f.req.version = &v;
	f.ufs->ops->read(f.ufs, &f.req, on_done);
	sim_run(f.loop, 0);
	assert_int_equal(f.result, ERR_CHANGED);
	fake_ufs_remove(f.storage, "d/a");
	assert_int_equal(read_at("d/a", 0, 10), -ENOENT);
}

static void paths_make_directories(void **state ATTR_UNUSED)
{
	fake_ufs_put(f.storage, "b", 1);
	fake_ufs_put(f.storage, "a/x/1", 1);
	fake_ufs_put(f.storage, "a/x/2", 1);
	fake_ufs_put(f.storage, "a/y", 1);
	fake_ufs_put(f.storage, "a0", 1);
	assert_string_equal(list(""), "a/ a0 b ");
	assert_string_equal(list("a"), "x/ y ");
	assert_string_equal(list("a/x"), "1 2 ");
	assert_int_equal(f.pages, 1);
	fake_ufs_set(f.storage, &(struct fake_ufs_faults){ .page = 1 });
	assert_string_equal(list(""), "a/ a0 b ");
	assert_int_equal(f.pages, 3);
	list("q");
	assert_int_equal(f.result, -ENOENT);
}

static void a_stat_tells_files_from_directories(void **state ATTR_UNUSED)
{
	fake_ufs_put(f.storage, "a/x", 3);
	set("a", 0, 0);
	f.ufs->ops->stat(f.ufs, &f.req, on_done);
	sim_run(f.loop, 0);
	assert_int_equal(f.req.stat.mode, S_IFDIR);
	f.req.path = "a/x";
	f.ufs->ops->stat(f.ufs, &f.req, on_done);
	sim_run(f.loop, 0);
	assert_int_equal(f.req.stat.mode, S_IFREG);
	assert_int_equal(f.req.stat.size, 3);
	f.req.path = "a/";
	f.ufs->ops->stat(f.ufs, &f.req, on_done);
	sim_run(f.loop, 0);
	assert_int_equal(f.result, -ENOENT);
}

static void requests_take_time_and_fail_as_told(void **state ATTR_UNUSED)
{
	const struct fake_ufs_faults slow = { .min_ms = 10, .max_ms = 20 };

	fake_ufs_put(f.storage, "a", 1);
	fake_ufs_set(f.storage, &slow);
	set("a", 0, 1);
	f.ufs->ops->read(f.ufs, &f.req, on_done);
	sim_run(f.loop, 9);
	assert_int_equal(f.calls, 0);
	sim_run(f.loop, 11);
	assert_int_equal(f.calls, 1);
	fake_ufs_fail(f.storage, 1, 2, -ETIMEDOUT);
	assert_int_equal(read_at("a", 0, 1), 1);
	assert_int_equal(read_at("a", 0, 1), -ETIMEDOUT);
	assert_int_equal(read_at("a", 0, 1), -ETIMEDOUT);
	assert_int_equal(read_at("a", 0, 1), 1);
	set("a", 0, 1);
	f.ufs->ops->read(f.ufs, &f.req, on_done);
	f.ufs->ops->cancel(f.ufs, &f.req);
	assert_int_equal(f.calls, 0);
	sim_run(f.loop, 0);
	assert_int_equal(f.result, -ECANCELED);
	fake_ufs_hold(f.storage, true);
	set("a", 0, 1);
	f.ufs->ops->read(f.ufs, &f.req, on_done);
	sim_run(f.loop, 5000);
	assert_int_equal(f.calls, 0);
	fake_ufs_hold(f.storage, false);
	sim_run(f.loop, 0);
	assert_int_equal(f.result, 1);
}

static void overlapping_reads_are_counted(void **state ATTR_UNUSED)
{
	const struct fake_ufs_numbers *n = fake_ufs_numbers(f.storage);
	const uint64_t offsets[] = { 0, 10, 19 };
	struct ufs_req req[3];
	char buf[10];
	unsigned i;

	fake_ufs_put(f.storage, "a", 100);
	memset(req, 0, sizeof(req));
	for (i = 0; i < 3; i++) {
		req[i].path = "a";
		req[i].offset = offsets[i];
		req[i].buf = buf;
		req[i].len = 10;
		f.ufs->ops->read(f.ufs, &req[i], on_done);
		assert_int_equal(n->overlaps, i == 2);
	}
	assert_int_equal(n->reading, 3);
	sim_run(f.loop, 0);
	assert_int_equal(n->reading, 0);
	assert_int_equal(n->most_reading, 3);
	assert_int_equal(n->bytes, 30);
}

static void a_crash_ends_requests_unanswered(void **state ATTR_UNUSED)
{
	fake_ufs_put(f.storage, "a", 1);
	set("a", 0, 1);
	f.ufs->ops->read(f.ufs, &f.req, on_done);
	fake_ufs_drop(f.loop);
	sim_run(f.loop, 1000);
	assert_int_equal(f.calls, 0);
	assert_int_equal(fake_ufs_numbers(f.storage)->reading, 0);
}

TEST_MAIN(TEST_WITH(bytes_follow_from_the_version),
	  TEST_WITH(paths_make_directories),
	  TEST_WITH(a_stat_tells_files_from_directories),
	  TEST_WITH(requests_take_time_and_fail_as_told),
	  TEST_WITH(overlapping_reads_are_counted),
	  TEST_WITH(a_crash_ends_requests_unanswered))
