/* Files that are cached by order. */

#include "worker_fixture.h"

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

TEST_MAIN(TEST_WITH(a_file_is_loaded_whole),
	  TEST_WITH(a_file_that_does_not_fit_is_not_loaded),
	  TEST_WITH(a_load_replaces_what_is_not_used))
