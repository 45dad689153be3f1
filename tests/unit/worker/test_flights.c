/* Fetches: how many there are, who waits for them, and what they hold. */

#include "worker_fixture.h"

#include <errno.h>

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

TEST_MAIN(TEST_WITH(a_disk_that_is_slow_holds_so_much_memory),
	  TEST_WITH(however_many_ask_one_fetch),
	  TEST_WITH(a_reader_that_goes_does_not_stop_the_fetch),
	  TEST_WITH(fetches_are_bounded),
	  TEST_WITH(memory_of_readers_is_bounded))
