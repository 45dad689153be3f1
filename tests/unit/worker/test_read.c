#include "worker_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sim.h"

static void a_small_file_is_fetched_once_and_whole(void **state ATTR_UNUSED)
{
	put_file(1, 100 * KIB);
	assert_int_equal(read_some(1, 5000, 77), 77);
	assert_int_equal(numbers()->reads, 1);
	assert_int_equal(numbers()->bytes, 100 * KIB);
	assert_int_equal(in_store(1), 100 * KIB);
	assert_int_equal(read_file(1), 100 * KIB);
	assert_int_equal(read_some(1, 100 * KIB - 10, 100), 10);
	assert_int_equal(read_some(1, 200 * KIB, 100), 0);
	assert_int_equal(numbers()->reads, 1);
	assert_int_equal(f.files_asked, 1);
}

static void an_empty_file(void **state ATTR_UNUSED)
{
	put_file(1, 0);
	assert_int_equal(read_some(1, 0, 100), 0);
	assert_int_equal(numbers()->reads, 0);
}

static void a_large_file_comes_in_ranges(void **state ATTR_UNUSED)
{
	uint64_t at;

	put_file(1, 13 * MIB + 5);
	for (at = 0; at < f.files[1].size; at += 512 * KIB)
		assert_true(read_some(1, at, 512 * KIB) > 0);
	assert_int_equal(in_store(1), 13 * MIB + 5);
	assert_int_equal(numbers()->bytes, 13 * MIB + 5);
	assert_in_range(numbers()->reads, 4, 5);
}

static void a_read_across_ranges(void **state ATTR_UNUSED)
{
	put_file(1, 13 * MIB + 5);
	assert_int_equal(read_some(1, MIB - 7, 10 * MIB), 10 * MIB);
	/* It reads from the front, so the rest of the range comes too. */
	assert_int_equal(numbers()->bytes, 12 * MIB);
	assert_int_equal(read_file(1), 13 * MIB + 5);
	assert_int_equal(numbers()->bytes, 13 * MIB + 5);
}

static void a_random_read_fetches_its_pages_only(void **state ATTR_UNUSED)
{
	put_file(1, 50 * MIB);
	assert_int_equal(read_some(1, 30 * MIB + 100, 10), 10);
	assert_int_equal(numbers()->bytes, MIB);
}

/* An under-storage whose one read goes on as the test says. */
static struct {
	struct ufs ufs;
	struct ufs_req *req;
	unsigned reads, cancels;
} slow;

static void slow_close(struct ufs *u ATTR_UNUSED)
{
}

static void slow_read(struct ufs *u ATTR_UNUSED, struct ufs_req *req,
		      ufs_done_fn done)
{
	req->done = done;
	slow.req = req;
	slow.reads++;
}

static void slow_cancel(struct ufs *u ATTR_UNUSED,
			struct ufs_req *req ATTR_UNUSED)
{
	slow.cancels++;
}

static const struct ufs_ops slow_ops = {
	.scheme = "slow",
	.close = slow_close,
	.read = slow_read,
	.cancel = slow_cancel,
};

static int slow_open(struct ufs **out, const struct ufs_env *env ATTR_UNUSED,
		     const char *uri ATTR_UNUSED, struct err *err ATTR_UNUSED)
{
	slow.ufs.ops = &slow_ops;
	*out = &slow.ufs;
	return 0;
}

static void slow_bytes(size_t from, size_t to)
{
	fake_ufs_bytes(f.files[1].content, from, (char *)slow.req->buf + from,
		       to - from);
	slow.req->progress(slow.req, to);
	run(100);
}

/* Who wants the beginning of a range need not wait for its end. */
static void bytes_are_served_as_they_come(void **state ATTR_UNUSED)
{
	struct reading a, b;

	node_stop(0);
	f.open_ufs = slow_open;
	node_start(0);
	put_file(1, 4 * MIB);
	read_begin(&a, 0, 1, 0, 1000);
	read_begin(&b, 0, 1, 3 * MIB, MIB);
	run(100);
	slow_bytes(0, 999);
	assert_int_equal(a.calls, 0);
	slow_bytes(999, 1000);
	assert_int_equal(a.calls, 1);
	slow_bytes(1000, 4 * MIB - 1);
	assert_int_equal(b.calls, 0);
	slow_bytes(4 * MIB - 1, 4 * MIB);
	assert_int_equal(b.calls, 1);
	assert_int_equal(in_store(1), 0);
	slow.req->done(slow.req, 4 * MIB);
	run(100);
	read_end(&a);
	read_end(&b);
	assert_int_equal(a.n, 1000);
	assert_int_equal(b.n, MIB);
	assert_int_equal(slow.reads, 1);
	assert_int_equal(in_store(1), 4 * MIB);
}

static void what_is_not_admitted_is_served(void **state ATTR_UNUSED)
{
	uint64_t at;

	node_stop(0);
	f.capacity = MIB;
	f.evictor = "retain";
	node_start(0);
	put_file(1, 2 * MIB);
	for (at = 0; at < 2 * MIB; at += 128 * KIB)
		assert_int_equal(read_some(1, at, 128 * KIB), 128 * KIB);
	assert_int_equal(in_store(1), 0);
	/* Small pieces do not fetch the whole again each. */
	assert_int_equal(numbers()->reads, 1);
	run(20000);
	assert_int_equal(read_some(1, 0, 1), 1);
	assert_int_equal(numbers()->reads, 2);
}

static void a_changed_file_is_stale_and_suspected(void **state ATTR_UNUSED)
{
	uint64_t old;

	put_file(1, 300 * KIB);
	old = f.files[1].content;
	put_file(1, 300 * KIB);
	f.files[1].content = old; /* the master does not know yet */
	assert_int_equal(read_some(1, 0, 10), -ESTALE);
	assert_int_equal(f.suspected[1], 1);
	assert_int_equal(in_store(1), 0);
}

static void a_removed_file_is_stale(void **state ATTR_UNUSED)
{
	put_file(1, 300 * KIB);
	fake_ufs_remove(f.ufs, "dir/file-1");
	assert_int_equal(read_some(1, 0, 10), -ESTALE);
	assert_int_equal(f.suspected[1], 1);
}

static void a_version_that_the_master_does_not_know_is_stale(
	void **state ATTR_UNUSED)
{
	assert_int_equal(read_some(9, 0, 10), -ESTALE);
}

static void blocks_of_a_version_that_changed_go(void **state ATTR_UNUSED)
{
	put_file(1, 20 * MIB);
	assert_int_equal(read_some(1, 0, 10), 10);
	assert_true(in_store(1) > 0);
	fake_ufs_remove(f.ufs, "dir/file-1");
	assert_int_equal(read_some(1, 10 * MIB, 10), -ESTALE);
	assert_int_equal(in_store(1), 0);
}

static void under_storage_that_fails_is_told(void **state ATTR_UNUSED)
{
	put_file(1, 300 * KIB);
	fake_ufs_fail(f.ufs, 0, 1, -EIO);
	assert_int_equal(read_file(1), -EIO);
	assert_int_equal(f.suspected[1], 0);
	assert_int_equal(read_file(1), -EIO); /* just now; not asked again */
	run(250);
	assert_int_equal(read_file(1), 300 * KIB);
}

/* Opens for who has the new key. */
static int open_with_key(struct ufs **out, const struct ufs_env *env,
			 const char *uri, struct err *err)
{
	assert_int_equal(env->n_options, 1);
	if (strcmp(env->options[0].value, "new") != 0)
		return slow_open(out, env, uri, err);
	return fake_ufs_open(out, env, uri, err);
}

static void keys_that_were_changed_are_fetched(void **state ATTR_UNUSED)
{
	struct reading r;

	node_stop(0);
	f.open_ufs = open_with_key;
	f.mount_option = "old";
	node_start(0);
	put_file(1, 300 * KIB);
	read_begin(&r, 0, 1, 0, 300 * KIB);
	run(100);
	f.mount_option = "new";
	slow.req->done(slow.req, -EACCES);
	run(100);
	read_end(&r);
	assert_int_equal(r.n, 300 * KIB);
}

static void keys_that_are_refused_are_not_asked_for_ever(
	void **state ATTR_UNUSED)
{
	struct reading r;
	unsigned asked;

	node_stop(0);
	f.open_ufs = slow_open;
	node_start(0);
	put_file(1, 300 * KIB);
	read_begin(&r, 0, 1, 0, 300 * KIB);
	run(100);
	asked = f.mounts_asked;
	slow.req->done(slow.req, -EACCES);
	run(100);
	assert_int_equal(r.calls, 0);
	slow.req->done(slow.req, -EACCES);
	run(100);
	read_end(&r);
	assert_int_equal(r.code, -EACCES);
	assert_int_equal(f.mounts_asked, asked + 1);
}

/* Over 256 KiB bytes are sent from the file. */
static void what_is_lent_can_be_dropped_meanwhile(void **state ATTR_UNUSED)
{
	struct reading r;
	struct store_totals t;

	put_file(1, 9 * MIB);
	read_some(1, 0, 9 * MIB);
	assert_int_equal(numbers()->reads, 3);
	assert_int_equal(read_some(1, 100, 5 * MIB), 5 * MIB);
	assert_int_equal(read_some(1, 8 * MIB, 5 * MIB), MIB);
	read_begin(&r, 0, 1, 4 * MIB + 1, 4 * MIB);
	sim_run(f.loop, 1);
	store_drop(f.nodes[0].store, 1);
	run(100);
	read_end(&r);
	assert_int_equal(r.n, 4 * MIB);
	assert_int_equal(numbers()->reads, 3);
	run(100);
	store_totals(f.nodes[0].store, &t);
	assert_true(t.used < MIB);
}

/* A byte of each file of the store. */
static void flip(const char *dir)
{
	char command[600];

	snprintf(command, sizeof(command),
		 "find %s -type f -name '*.*' -exec sh -c 'printf X | dd "
		 "of=$0 bs=1 seek=700000 conv=notrunc 2>&-' {} \\;",
		 dir);
	assert_int_equal(system(command), 0);
}

static void damage_is_not_lent(void **state ATTR_UNUSED)
{
	put_file(1, 3 * MIB);
	read_file(1);
	flip(f.nodes[0].dir);
	assert_int_equal(read_some(1, 0, 3 * MIB), 3 * MIB);
	assert_int_equal(numbers()->reads, 2);
}

static void what_is_cached_needs_nobody_else(void **state ATTR_UNUSED)
{
	put_file(1, 300 * KIB);
	read_file(1);
	master_end();
	fake_ufs_hold(f.ufs, true);
	run(60000);
	assert_int_equal(read_file(1), 300 * KIB);
	assert_true(open_file(1).complete);
	fake_ufs_hold(f.ufs, false);
}

static void what_is_not_cached_waits_for_the_master(void **state ATTR_UNUSED)
{
	struct reading r;

	put_file(1, 300 * KIB);
	master_end();
	read_begin(&r, 0, 1, 0, 10);
	run(3000);
	assert_int_equal(r.calls, 0);
	master_begin();
	run(5000);
	read_end(&r);
	assert_int_equal(r.n, 10);
}

/* As one that stops would: the reader asks again, perhaps another worker. */
static void a_worker_that_reaches_no_master_says_so(void **state ATTR_UNUSED)
{
	struct reading r;

	put_file(1, 300 * KIB);
	master_end();
	read_begin(&r, 0, 1, 0, 10);
	run(15000);
	read_end(&r);
	assert_int_equal(r.code, -ESHUTDOWN);
	master_begin();
	run(5000);
	assert_int_equal(read_some(1, 0, 10), 10);
}

static void an_old_epoch_is_told_so(void **state ATTR_UNUSED)
{
	put_file(1, 300 * KIB);
	put_file(2, 300 * KIB);
	read_file(1);
	f.epoch++;
	run(3000);
	f.epoch--;
	/* What is here is right in any epoch. */
	assert_int_equal(read_file(1), 300 * KIB);
	assert_int_equal(read_file(2), ERR_WRONG_EPOCH);
	f.epoch++;
	assert_int_equal(read_file(2), 300 * KIB);
}

static struct known_set_reply known;
static size_t known_n;

static void on_known(struct rpc_pending *p ATTR_UNUSED, int code,
		     const void *reply)
{
	assert_int_equal(code, 0);
	known = *(const struct known_set_reply *)reply;
	known_n = known.workers.n;
	assert_int_equal(known.workers.at[1].id, 2);
	assert_int_equal(known.workers.at[1].addresses.n, 1);
	assert_memory_equal(known.workers.at[1].addresses.at[0].ptr,
			    f.nodes[1].address, strlen(f.nodes[1].address));
}

static void the_set_is_told_as_it_is_known(void **state ATTR_UNUSED)
{
	const struct known_set_request req = { 0 };
	struct rpc_pending p = { .fd = -1 };

	node_start(1);
	rpc_call(f.nodes[0].client, RPC_WORKER_METHOD(known_set), &p, &req,
		 on_known);
	run(100);
	assert_int_equal(known_n, 2);
	assert_int_equal(known.epoch, f.epoch);
	assert_int_equal(known.block_size, 256 * MIB);
}

static void a_read_too_long_is_refused(void **state ATTR_UNUSED)
{
	struct reading r;

	put_file(1, 100 * MIB);
	read_begin(&r, 0, 1, 0, 17 * MIB);
	run(100);
	read_end(&r);
	assert_int_equal(r.code, -EINVAL);
}

TEST_MAIN(TEST_WITH(a_small_file_is_fetched_once_and_whole),
	  TEST_WITH(an_empty_file), TEST_WITH(a_large_file_comes_in_ranges),
	  TEST_WITH(a_read_across_ranges),
	  TEST_WITH(a_random_read_fetches_its_pages_only),
	  TEST_WITH(bytes_are_served_as_they_come),
	  TEST_WITH(what_is_not_admitted_is_served),
	  TEST_WITH(a_changed_file_is_stale_and_suspected),
	  TEST_WITH(a_removed_file_is_stale),
	  TEST_WITH(a_version_that_the_master_does_not_know_is_stale),
	  TEST_WITH(blocks_of_a_version_that_changed_go),
	  TEST_WITH(under_storage_that_fails_is_told),
	  TEST_WITH(keys_that_were_changed_are_fetched),
	  TEST_WITH(keys_that_are_refused_are_not_asked_for_ever),
	  TEST_WITH(what_is_lent_can_be_dropped_meanwhile),
	  TEST_WITH(damage_is_not_lent),
	  TEST_WITH(what_is_cached_needs_nobody_else),
	  TEST_WITH(what_is_not_cached_waits_for_the_master),
	  TEST_WITH(a_worker_that_reaches_no_master_says_so),
	  TEST_WITH(an_old_epoch_is_told_so),
	  TEST_WITH(the_set_is_told_as_it_is_known),
	  TEST_WITH(a_read_too_long_is_refused))
