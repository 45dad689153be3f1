#include "worker_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sim.h"

static const struct fake_ufs_numbers *numbers(void)
{
	return fake_ufs_numbers(f.ufs);
}

static uint64_t in_store(uint64_t id)
{
	return store_present(f.nodes[0].store, id, 0, f.files[id].size);
}

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

static void what_is_read_in_order_is_fetched_ahead(void **state ATTR_UNUSED)
{
	uint64_t at;

	put_file(1, 60 * MIB);
	assert_int_equal(read_some(1, 0, MIB), MIB);
	run(100);
	assert_int_equal(numbers()->bytes, 4 * MIB);
	assert_int_equal(read_some(1, 4 * MIB, MIB), MIB);
	run(100);
	assert_int_equal(numbers()->bytes, (4 + 4 + 2 * 4) * MIB);
	assert_int_equal(read_some(1, 8 * MIB, MIB), MIB);
	run(100);
	assert_int_equal(numbers()->bytes, (8 + 4 + 4 * 4) * MIB);
	/* Not more than that, and nothing for who jumps. */
	assert_int_equal(read_some(1, 9 * MIB, MIB), MIB);
	assert_int_equal(read_some(1, 50 * MIB, MIB), MIB);
	run(100);
	assert_int_equal(numbers()->bytes, (28 + 1) * MIB);
	for (at = 0; at < 60 * MIB; at += MIB)
		assert_int_equal(read_some(1, at, MIB), MIB);
	assert_int_equal(numbers()->bytes, 60 * MIB);
}

/* What failed and nobody waited for is nobody's failure. */
static void what_was_fetched_ahead_in_vain_is_no_readers_error(
	void **state ATTR_UNUSED)
{
	put_file(1, 60 * MIB);
	assert_int_equal(read_some(1, 0, MIB), MIB);
	run(100);
	/* The unit that is wanted comes, those after it do not. */
	fake_ufs_fail(f.ufs, 1, 2, -EIO);
	assert_int_equal(read_some(1, 4 * MIB, MIB), MIB);
	assert_int_equal(numbers()->failed, 2);
	assert_int_equal(read_some(1, 50 * MIB, MIB), MIB);
	assert_int_equal(read_some(1, 8 * MIB, MIB), MIB);
}

/* What cannot be cached is fetched ahead as far as it is still kept when it is
 * wanted. */
static void what_is_pushed_out_is_not_fetched_ahead(void **state ATTR_UNUSED)
{
	const uint64_t size = 40 * MIB, files = 8;
	uint64_t at, id;

	node_stop(0);
	f.capacity = MIB;
	f.evictor = "retain";
	node_start(0);
	for (id = 1; id <= files; id++)
		put_file(id, size);
	for (at = 0; at < size; at += MIB)
		for (id = 1; id <= files; id++)
			assert_int_equal(read_some(id, at, MIB), MIB);
	assert_true(numbers()->bytes < (files + 1) * size);
	/* One alone is fetched ahead. */
	put_file(9, size);
	at = numbers()->bytes;
	for (id = 0; id < 6; id++)
		assert_int_equal(read_some(9, id * 4 * MIB, 4 * MIB), 4 * MIB);
	run(100);
	assert_true(numbers()->bytes > at + 24 * MIB);
	for (; id < 10; id++)
		assert_int_equal(read_some(9, id * 4 * MIB, 4 * MIB), 4 * MIB);
	assert_int_equal(numbers()->bytes, at + size);
}

/* A disk that takes nothing until it is told to. */
static struct {
	bool on;
	struct store *store;
	struct store_req *reqs[256];
	store_done_fn done[256];
	size_t n;
	uint64_t bytes;
} held;

void __real_store_fill(struct store *s, struct store_req *req,
		       store_done_fn done);
void __wrap_store_fill(struct store *s, struct store_req *req,
		       store_done_fn done);

void __wrap_store_fill(struct store *s, struct store_req *req,
		       store_done_fn done)
{
	if (!held.on) {
		__real_store_fill(s, req, done);
		return;
	}
	assert_true(held.n < ARRAY_SIZE(held.reqs));
	held.store = s;
	held.reqs[held.n] = req;
	held.done[held.n++] = done;
	held.bytes += req->len;
}

static void a_disk_that_is_slow_holds_so_much_memory(void **state ATTR_UNUSED)
{
	const struct load_request req = { .id = 1 };
	const uint64_t size = 60 * MIB;
	struct load_reply reply;
	uint64_t at;
	size_t i;

	node_stop(0);
	f.capacity = 80 * MIB;
	f.max_filling = 30 * MIB;
	node_start(0);
	put_file(1, size);
	held.on = true;
	for (at = 0; at < size; at += MIB)
		assert_int_equal(read_some(1, at, MIB), MIB);
	assert_in_range(held.bytes, 20 * MIB, 30 * MIB);
	held.on = false;
	for (i = 0; i < held.n; i++)
		__real_store_fill(held.store, held.reqs[i], held.done[i]);
	run(100);
	assert_in_range(in_store(1), 4 * MIB, 30 * MIB);
	/* What was left out is cached for who asks for that. */
	assert_int_equal(call_worker(0, RPC_WORKER_METHOD(load), &req, &reply,
				     sizeof(reply)),
			 0);
	assert_true(reply.complete);
	assert_int_equal(in_store(1), size);
	for (at = 0; at < size; at += 4 * MIB)
		assert_int_equal(read_some(1, at, 4 * MIB), 4 * MIB);
}

/* However much there is to fetch ahead. */
static void what_is_wanted_does_not_wait_for_what_may_be(
	void **state ATTR_UNUSED)
{
	const struct fake_ufs_faults slow = { .min_ms = 100, .max_ms = 100 };
	struct reading r[4];
	unsigned ms = 0;
	uint64_t at, id;

	node_stop(0);
	f.capacity = 300 * MIB;
	f.max_fetching = 32 * MIB;
	node_start(0);
	for (id = 1; id <= 4; id++)
		put_file(id, 60 * MIB);
	/* Without its own reading ahead. */
	for (id = 1; id <= 3; id++)
		for (at = 16 * MIB; at > 0; at -= MIB)
			assert_int_equal(read_some(id, at - MIB, MIB), MIB);
	run(100);
	fake_ufs_set(f.ufs, &slow);
	for (id = 1; id <= 4; id++) {
		read_begin(&r[id - 1], 0, id, id < 4 ? 16 * MIB : 0, MIB);
		run(3);
	}
	for (; !r[3].calls && ms < 1000; ms++)
		run(1);
	assert_true(ms < 250);
	run(2000);
	for (id = 1; id <= 4; id++)
		read_end(&r[id - 1]);
}

static void a_random_read_fetches_its_pages_only(void **state ATTR_UNUSED)
{
	put_file(1, 50 * MIB);
	assert_int_equal(read_some(1, 30 * MIB + 100, 10), 10);
	assert_int_equal(numbers()->bytes, MIB);
}

static void however_many_ask_one_fetch(void **state ATTR_UNUSED)
{
	struct reading r[20];
	unsigned i;

	put_file(1, 300 * KIB);
	fake_ufs_hold(f.ufs, true);
	for (i = 0; i < ARRAY_SIZE(r); i++)
		read_begin(&r[i], 0, 1, i * 10 * KIB, 100 * KIB);
	run(100);
	for (i = 0; i < ARRAY_SIZE(r); i++)
		assert_int_equal(r[i].calls, 0);
	fake_ufs_hold(f.ufs, false);
	run(100);
	for (i = 0; i < ARRAY_SIZE(r); i++) {
		read_end(&r[i]);
		assert_int_equal(r[i].n, 100 * KIB);
		assert_int_equal(r[i].source, 2);
	}
	assert_int_equal(numbers()->reads, 1);
	assert_int_equal(f.files_asked, 1);
	assert_int_equal(f.mounts_asked, 1);
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

static void a_reader_that_goes_does_not_stop_the_fetch(void **state ATTR_UNUSED)
{
	struct reading a, b;

	put_file(1, 300 * KIB);
	fake_ufs_hold(f.ufs, true);
	read_begin(&a, 0, 1, 0, 300 * KIB);
	read_begin(&b, 0, 1, 0, 300 * KIB);
	run(100);
	rpc_cancel(&a.pending);
	run(100);
	read_end(&a);
	assert_int_equal(a.code, -ECANCELED);
	assert_int_equal(b.calls, 0);
	fake_ufs_hold(f.ufs, false);
	run(100);
	read_end(&b);
	assert_int_equal(b.n, 300 * KIB);
	assert_int_equal(in_store(1), 300 * KIB);
	assert_int_equal(numbers()->reads, 1);
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

static void fetches_are_bounded(void **state ATTR_UNUSED)
{
	struct reading r[40];
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(r); i++)
		put_file(i, 16 * MIB);
	fake_ufs_hold(f.ufs, true);
	for (i = 0; i < ARRAY_SIZE(r); i++)
		read_begin(&r[i], 0, i, 0, 16 * MIB);
	run(1000);
	assert_in_range(numbers()->reading, 1, 64);
	fake_ufs_hold(f.ufs, false);
	run(10000);
	for (i = 0; i < ARRAY_SIZE(r); i++) {
		read_end(&r[i]);
		assert_int_equal(r[i].n, 16 * MIB);
	}
	assert_int_equal(numbers()->overlaps, 0);
}

static void memory_of_readers_is_bounded(void **state ATTR_UNUSED)
{
	struct reading r[50];
	unsigned i;

	put_file(1, 16 * MIB);
	fake_ufs_hold(f.ufs, true);
	for (i = 0; i < ARRAY_SIZE(r); i++)
		read_begin(&r[i], 0, 1, 0, 16 * MIB);
	run(100);
	rpc_cancel(&r[45].pending); /* one that has not begun */
	rpc_cancel(&r[3].pending);
	run(100);
	fake_ufs_hold(f.ufs, false);
	run(2000);
	for (i = 0; i < ARRAY_SIZE(r); i++) {
		read_end(&r[i]);
		if (i == 45 || i == 3)
			assert_int_equal(r[i].code, -ECANCELED);
		else
			assert_int_equal(r[i].n, 16 * MIB);
	}
	assert_int_equal(numbers()->bytes, 16 * MIB);
}

static void a_file_is_loaded_whole(void **state ATTR_UNUSED)
{
	const struct load_request req = { .id = 1 };
	struct load_reply reply;

	put_file(1, 23 * MIB + 1);
	assert_int_equal(call_worker(0, RPC_WORKER_METHOD(load), &req, &reply,
				     sizeof(reply)),
			 0);
	assert_int_equal(reply.bytes, 23 * MIB + 1);
	assert_int_equal(reply.fetched, 23 * MIB + 1);
	assert_true(reply.complete);
	assert_int_equal(in_store(1), 23 * MIB + 1);
	assert_int_equal(call_worker(0, RPC_WORKER_METHOD(load), &req, &reply,
				     sizeof(reply)),
			 0);
	assert_int_equal(reply.fetched, 0);
	assert_true(reply.complete);
}

static void a_file_that_does_not_fit_is_not_loaded(void **state ATTR_UNUSED)
{
	const struct load_request req = { .id = 1 };
	struct load_reply reply;

	put_file(1, 100 * MIB);
	assert_int_equal(call_worker(0, RPC_WORKER_METHOD(load), &req, &reply,
				     sizeof(reply)),
			 0);
	assert_false(reply.complete);
	assert_in_range(in_store(1), 1, 64 * MIB);
}

static void a_load_replaces_what_is_not_used(void **state ATTR_UNUSED)
{
	struct load_request req = { .id = 30 };
	struct load_reply reply;
	uint64_t id;

	node_stop(0);
	f.evictor = "retain";
	node_start(0);
	for (id = 1; id <= 8; id++) {
		put_file(id, 10 * MIB);
		read_file(id);
	}
	assert_int_equal(in_store(8), 0);
	put_file(30, 20 * MIB);
	assert_int_equal(call_worker(0, RPC_WORKER_METHOD(load), &req, &reply,
				     sizeof(reply)),
			 0);
	assert_true(reply.complete);
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

/* Two workers: who is not the home asks the home, and keeps nothing. */
static void the_home_is_asked_before_under_storage(void **state ATTR_UNUSED)
{
	struct reading r;
	unsigned i, asked = 0;

	node_start(1);
	for (i = 0; i < 20; i++) {
		put_file(i, 100 * KIB);
		read_begin(&r, 1, i, 0, 100 * KIB);
		run(1000);
		read_end(&r);
		assert_int_equal(r.n, 100 * KIB);
		read_begin(&r, 0, i, 0, 100 * KIB);
		run(1000);
		read_end(&r);
		assert_int_equal(r.n, 100 * KIB);
		asked += r.source == 1;
		/* At one of the two, never at both. */
		assert_int_equal(in_store(i) + store_present(f.nodes[1].store,
							     i, 0, 100 * KIB),
				 100 * KIB);
	}
	assert_in_range(asked, 3, 17);
}

static void what_the_home_before_has_is_not_fetched(void **state ATTR_UNUSED)
{
	struct reading r;
	unsigned i, moved = 0;

	for (i = 0; i < 20; i++) {
		put_file(i, 100 * KIB);
		read_file(i);
	}
	assert_int_equal(numbers()->reads, 20);
	node_start(1);
	/* The second knows no epoch before its first: tell it of one. */
	f.epoch++;
	run(3000);
	for (i = 0; i < 20; i++) {
		read_begin(&r, 1, i, 0, 100 * KIB);
		run(1000);
		read_end(&r);
		assert_int_equal(r.n, 100 * KIB);
		moved += r.source == 1;
	}
	assert_true(moved > 0);
}

/* The one before is not asked for ever: the master knows by then. */
static void who_holds_it_by_the_masters_word_is_asked(void **state ATTR_UNUSED)
{
	struct reading r;
	unsigned i;

	for (i = 0; i < 20; i++) {
		put_file(i, 100 * KIB);
		read_file(i);
	}
	node_start(1);
	run(70000);
	for (i = 0; i < 20; i++) {
		f.holders[i] = i < 10;
		read_begin(&r, 1, i, 0, 100 * KIB);
		run(100);
		read_end(&r);
		assert_int_equal(r.n, 100 * KIB);
		if (i < 10)
			assert_int_equal(r.source, 1);
	}
	assert_in_range(numbers()->reads, 21, 28);
}

/* A new set is asked about once more. */
static void a_file_that_is_known_has_its_holders_of_each_set(
	void **state ATTR_UNUSED)
{
	struct reading r;

	node_start(1);
	put_file(1, 9 * MIB);
	read_begin(&r, 1, 1, 0, 10);
	run(1000);
	read_end(&r);
	f.files_asked = 0;
	read_begin(&r, 1, 1, 5 * MIB, 10);
	run(1000);
	read_end(&r);
	assert_int_equal(f.files_asked, 0);
	f.epoch++;
	run(3000);
	read_begin(&r, 1, 1, 8 * MIB, 10);
	run(1000);
	read_end(&r);
	assert_in_range(f.files_asked, 1, 2);
}

static void a_peer_that_says_nothing_costs_a_second_once(
	void **state ATTR_UNUSED)
{
	struct reading r;
	unsigned i, waited = 0;

	node_start(1);
	sim_net_part(f.net, f.nodes[0].loop, f.nodes[1].loop, true);
	for (i = 0; i < 20; i++) {
		put_file(i, 100 * KIB);
		read_begin(&r, 0, i, 0, 100 * KIB);
		run(100);
		if (!r.calls) {
			waited++;
			run(1200);
		}
		read_end(&r);
		assert_int_equal(r.n, 100 * KIB);
	}
	assert_int_equal(waited, 1);
	sim_net_part(f.net, f.nodes[0].loop, f.nodes[1].loop, false);
}

/* Files whose home is node 1, of which nothing is cached. */
static void files_at_home(uint64_t *ids, unsigned n)
{
	struct reading r;
	uint64_t id;

	for (id = 1; n; id++) {
		put_file(id, 100 * KIB);
		read_begin(&r, 1, id, 0, 100 * KIB);
		run(100);
		read_end(&r);
		if (store_drop(f.nodes[1].store, id))
			ids[--n] = id;
	}
}

/* It answers pings: what else it was asked for is waited for. */
static void a_peer_that_takes_long_for_a_file_is_not_away(
	void **state ATTR_UNUSED)
{
	struct fake_ufs_faults faults = { .min_ms = 7000, .max_ms = 7000 };
	struct reading here[2], home[2];
	uint64_t ids[2], reads;
	unsigned i;

	node_start(1);
	f.epoch++;
	run(3000); /* both know the set */
	files_at_home(ids, 2);
	reads = numbers()->reads;
	fake_ufs_set(f.ufs, &faults);
	for (i = 0; i < 2; i++) {
		read_begin(&home[i], 1, ids[i], 0, 100 * KIB);
		run(10);
		read_begin(&here[i], 0, ids[i], 0, 100 * KIB);
		run(4000);
		faults.min_ms = faults.max_ms = 3000;
		fake_ufs_set(f.ufs, &faults);
	}
	/* The first took too long for us: then it was fetched here too. */
	run(10000);
	for (i = 0; i < 2; i++) {
		read_end(&home[i]);
		read_end(&here[i]);
		assert_int_equal(here[i].n, 100 * KIB);
		assert_int_equal(here[i].source, i == 0 ? 2 : 1);
	}
	assert_int_equal(numbers()->reads, reads + 3);
}

/* And does not ask whom it stands in for. */
static void who_stands_in_keeps_what_it_fetches(void **state ATTR_UNUSED)
{
	struct reading r;
	unsigned i, home;

	node_start(1);
	for (i = 0; i < 20; i++) {
		put_file(i, 100 * KIB);
		read_begin(&r, 0, i, 0, 100 * KIB);
		run(100);
		read_end(&r);
		home = store_present(f.nodes[0].store, i, 0, 1) ? 0 : 1;
		instead_of = home + 1;
		read_begin(&r, !home, i, 0, 100 * KIB);
		instead_of = 0;
		run(100);
		read_end(&r);
		assert_int_equal(r.n, 100 * KIB);
		if (home == 1) /* its answer is still at hand */
			continue;
		assert_int_equal(r.source, 2);
		assert_true(store_present(f.nodes[1].store, i, 0, 1) > 0);
	}
}

/* An under-storage whose files have all just changed. */
static struct ufs_ops unsettled_ops;
static const struct ufs_ops *settled_ops;
static ufs_done_fn unsettled_done;

static void on_unsettled(struct ufs_req *req, ssize_t n)
{
	req->stat.unsettled = true;
	unsettled_done(req, n);
}

static void unsettled_read(struct ufs *u, struct ufs_req *req, ufs_done_fn done)
{
	unsettled_done = done;
	settled_ops->read(u, req, on_unsettled);
}

static int unsettled_open(struct ufs **out, const struct ufs_env *env,
			  const char *uri, struct err *err)
{
	int rv = fake_ufs_open(out, env, uri, err);

	if (rv)
		return rv;
	settled_ops = (*out)->ops;
	unsettled_ops = *settled_ops;
	unsettled_ops.read = unsettled_read;
	(*out)->ops = &unsettled_ops;
	return 0;
}

static void what_is_unsettled_is_not_given_to_a_peer_to_cache(
	void **state ATTR_UNUSED)
{
	struct reading r[20];
	unsigned i;

	node_stop(0);
	f.open_ufs = unsettled_open;
	node_start(0);
	for (i = 0; i < 20; i++) {
		put_file(i, 100 * KIB);
		read_begin(&r[i], 0, i, 0, 100 * KIB);
	}
	run(100);
	node_start(1);
	f.epoch++;
	run(3000);
	for (i = 0; i < 20; i++) {
		read_end(&r[i]);
		read_begin(&r[i], 1, i, 0, 100 * KIB);
	}
	run(1000);
	for (i = 0; i < 20; i++) {
		read_end(&r[i]);
		assert_int_equal(r[i].n, 100 * KIB);
		assert_int_equal(r[i].source, 2);
		assert_int_equal(store_present(f.nodes[1].store, i, 0, 1), 0);
	}
}

static void a_home_that_is_gone_is_no_obstacle(void **state ATTR_UNUSED)
{
	struct reading r;
	unsigned i;

	node_start(1);
	node_stop(1); /* and the master has not noticed */
	f.live[1] = true;
	for (i = 0; i < 10; i++) {
		put_file(i, 100 * KIB);
		read_begin(&r, 0, i, 0, 100 * KIB);
		run(10000);
		read_end(&r);
		assert_int_equal(r.n, 100 * KIB);
	}
}

TEST_MAIN(TEST_WITH(a_small_file_is_fetched_once_and_whole),
	  TEST_WITH(an_empty_file), TEST_WITH(a_large_file_comes_in_ranges),
	  TEST_WITH(a_read_across_ranges),
	  TEST_WITH(what_is_read_in_order_is_fetched_ahead),
	  TEST_WITH(what_was_fetched_ahead_in_vain_is_no_readers_error),
	  TEST_WITH(what_is_pushed_out_is_not_fetched_ahead),
	  TEST_WITH(a_disk_that_is_slow_holds_so_much_memory),
	  TEST_WITH(what_is_wanted_does_not_wait_for_what_may_be),
	  TEST_WITH(a_random_read_fetches_its_pages_only),
	  TEST_WITH(however_many_ask_one_fetch),
	  TEST_WITH(bytes_are_served_as_they_come),
	  TEST_WITH(a_reader_that_goes_does_not_stop_the_fetch),
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
	  TEST_WITH(fetches_are_bounded),
	  TEST_WITH(memory_of_readers_is_bounded),
	  TEST_WITH(a_file_is_loaded_whole),
	  TEST_WITH(a_file_that_does_not_fit_is_not_loaded),
	  TEST_WITH(a_load_replaces_what_is_not_used),
	  TEST_WITH(a_read_too_long_is_refused),
	  TEST_WITH(the_home_is_asked_before_under_storage),
	  TEST_WITH(what_the_home_before_has_is_not_fetched),
	  TEST_WITH(who_holds_it_by_the_masters_word_is_asked),
	  TEST_WITH(a_file_that_is_known_has_its_holders_of_each_set),
	  TEST_WITH(a_peer_that_says_nothing_costs_a_second_once),
	  TEST_WITH(a_peer_that_takes_long_for_a_file_is_not_away),
	  TEST_WITH(who_stands_in_keeps_what_it_fetches),
	  TEST_WITH(what_is_unsettled_is_not_given_to_a_peer_to_cache),
	  TEST_WITH(a_home_that_is_gone_is_no_obstacle))
