#include "lib/test.h"

#include <errno.h>
#include <string.h>

#include "fake.h"
#include "lib/sim.h"

static struct fixture {
	struct fake fake;
	struct client_call call;
	int done, code;
	uint64_t id;
} f;

static int setup(void **state ATTR_UNUSED)
{
	f = (struct fixture){ 0 };
	fake_init(&f.fake);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	fake_close(&f.fake);
	return 0;
}

static void on_getattr(struct client_call *call, int code, const void *reply)
{
	const struct getattr_reply *r = reply;

	assert_ptr_equal(call, &f.call);
	f.code = code;
	f.id = r ? r->attr.id : 0;
	f.done++;
}

static void getattr(uint64_t id)
{
	const struct getattr_request req = { .id = id };

	f.done = 0;
	client_master(f.fake.client, RPC_MASTER_METHOD(getattr), &f.call, &req,
		      on_getattr);
	assert_int_equal(f.done, 0);
}

static void on_mount(struct client_call *call ATTR_UNUSED, int code,
		     const void *reply ATTR_UNUSED)
{
	f.code = code;
	f.done++;
}

static void mount(const char *path)
{
	const struct mount_request req = {
		.origin = client_origin(f.fake.client),
		.path = { path, strlen(path) },
	};

	f.done = 0;
	client_master(f.fake.client, RPC_MASTER_METHOD(mount), &f.call, &req,
		      on_mount);
}

static void a_call_reaches_the_master(void **state ATTR_UNUSED)
{
	getattr(42);
	fake_run(&f.fake, 20);
	assert_int_equal(f.done, 1);
	assert_int_equal(f.code, 0);
	assert_int_equal(f.id, 42);
}

static void a_refusal_is_passed_on(void **state ATTR_UNUSED)
{
	getattr(FAKE_GONE);
	fake_run(&f.fake, 20);
	assert_int_equal(f.code, -ESTALE);
	assert_string_equal(f.call.err.msg, "that version is no more");
	assert_int_equal(f.fake.master[0].calls, 1);
}

static void who_does_not_lead_is_not_asked_again(void **state ATTR_UNUSED)
{
	f.fake.master[0].not_leader = true;
	getattr(1);
	fake_run(&f.fake, 100);
	assert_int_equal(f.code, 0);
	getattr(2);
	fake_run(&f.fake, 100);
	assert_int_equal(f.done, 1);
	assert_int_equal(f.fake.master[0].calls, 1);
	assert_int_equal(f.fake.master[1].calls, 2);
}

static void a_master_that_is_down_is_passed_over(void **state ATTR_UNUSED)
{
	fake_stop(&f.fake.master[0]);
	getattr(1);
	fake_run(&f.fake, 1000);
	assert_int_equal(f.done, 1);
	assert_int_equal(f.code, 0);
}

static void a_retry_carries_the_same_sequence(void **state ATTR_UNUSED)
{
	struct fake_node *first = &f.fake.master[0];
	struct fake_node *second = &f.fake.master[1];

	mount("/one");
	fake_run(&f.fake, 20);
	assert_int_equal(first->sequence[0], 1);
	first->hold = true;
	mount("/a/path/that/is/long/enough/not/to/lie/in/the/call/itself/"
	      "but/in/a/buffer/of/its/own/because/it/has/over/a/hundred/bytes");
	fake_run(&f.fake, 20);
	assert_int_equal(f.done, 0);
	fake_stop(first);
	fake_run(&f.fake, 1000);
	assert_int_equal(f.done, 1);
	assert_int_equal(f.code, 0);
	assert_int_equal(first->sequence[1], 2);
	assert_int_equal(second->mounts, 1);
	assert_int_equal(second->sequence[0], 2);
	mount("/two");
	fake_run(&f.fake, 20);
	assert_int_equal(second->sequence[1], 3);
}

static void without_any_master_it_waits_and_gives_up(void **state ATTR_UNUSED)
{
	fake_stop(&f.fake.master[0]);
	fake_stop(&f.fake.master[1]);
	getattr(1);
	fake_run(&f.fake, 29900);
	assert_int_equal(f.done, 0);
	fake_run(&f.fake, 200);
	assert_int_equal(f.done, 1);
	assert_int_equal(f.code, -ETIMEDOUT);
	assert_non_null(strstr(f.call.err.msg, "waited 30000 ms for the "
					       "master: unix:/m"));
}

static void who_asks_again_at_once_has_waited_already(void **state ATTR_UNUSED)
{
	fake_stop(&f.fake.master[0]);
	fake_stop(&f.fake.master[1]);
	getattr(1);
	fake_run(&f.fake, 30100);
	assert_int_equal(f.done, 1);
	getattr(1);
	fake_run(&f.fake, 1100);
	assert_int_equal(f.done, 1);
	assert_int_equal(f.code, -ETIMEDOUT);
	fake_run(&f.fake, 6000);
	getattr(1); /* a new patience */
	fake_run(&f.fake, 20000);
	assert_int_equal(f.done, 0);
	fake_start(&f.fake.master[0]);
	fake_run(&f.fake, 1000);
	assert_int_equal(f.code, 0);
	fake_stop(&f.fake.master[0]);
	getattr(1);
	fake_run(&f.fake, 20000);
	assert_int_equal(f.done, 0);
}

static void a_master_that_comes_back_in_time_answers(void **state ATTR_UNUSED)
{
	fake_stop(&f.fake.master[0]);
	fake_stop(&f.fake.master[1]);
	getattr(1);
	fake_run(&f.fake, 25000);
	fake_start(&f.fake.master[1]);
	fake_run(&f.fake, 2000);
	assert_int_equal(f.done, 1);
	assert_int_equal(f.code, 0);
}

/* A long call to a master that is there is no missing master. */
static void a_slow_answer_is_waited_for(void **state ATTR_UNUSED)
{
	const struct mount_reply reply = { .id = 1 };
	struct fake_node *m = &f.fake.master[0];

	m->hold = true;
	mount("/slow");
	fake_run(&f.fake, 120000);
	assert_int_equal(f.done, 0);
	assert_int_equal(m->mounts, 1);
	rpc_reply(m->held, &reply);
	m->held = NULL;
	fake_run(&f.fake, 20);
	assert_int_equal(f.done, 1);
	assert_int_equal(f.code, 0);
}

static void a_master_cut_off_is_noticed(void **state ATTR_UNUSED)
{
	getattr(1);
	fake_run(&f.fake, 20);
	sim_net_part(f.fake.net, f.fake.loop, f.fake.master[0].loop, true);
	getattr(2);
	fake_run(&f.fake, 25000);
	assert_int_equal(f.done, 1);
	assert_int_equal(f.code, 0);
	assert_int_equal(f.fake.master[1].calls, 1);
	sim_net_part(f.fake.net, f.fake.loop, f.fake.master[0].loop, false);
}

static void a_waiting_call_can_be_cancelled(void **state ATTR_UNUSED)
{
	fake_stop(&f.fake.master[0]);
	fake_stop(&f.fake.master[1]);
	getattr(1);
	fake_run(&f.fake, 5000);
	client_cancel(&f.call);
	assert_int_equal(f.done, 0);
	fake_run(&f.fake, 0);
	assert_int_equal(f.done, 1);
	assert_int_equal(f.code, -ECANCELED);
}

static void a_call_in_flight_can_be_cancelled(void **state ATTR_UNUSED)
{
	struct fake_node *m = &f.fake.master[0];

	m->hold = true;
	mount("/slow");
	fake_run(&f.fake, 20);
	client_cancel(&f.call);
	assert_int_equal(f.done, 0);
	fake_run(&f.fake, 20);
	assert_int_equal(f.done, 1);
	assert_int_equal(f.code, -ECANCELED);
	assert_int_equal(m->cancelled, 1);
}

static void closing_ends_every_call(void **state ATTR_UNUSED)
{
	f.fake.master[0].hold = true;
	mount("/slow");
	fake_run(&f.fake, 20);
	client_close(f.fake.client);
	f.fake.client = NULL;
	assert_int_equal(f.done, 0);
	fake_run(&f.fake, 0);
	assert_int_equal(f.done, 1);
	assert_int_equal(f.code, -ECANCELED);
}

static void on_release(struct client_call *call ATTR_UNUSED, int code,
		       const void *reply ATTR_UNUSED)
{
	f.code = code;
	f.done++;
}

static void ask_worker(uint32_t worker)
{
	const uint64_t id = 3;
	const struct release_request req = { .ids = { &id, 1 } };

	f.done = 0;
	client_worker(f.fake.client, worker, RPC_WORKER_METHOD(release),
		      &f.call, &req, on_release);
}

static void one_worker_can_be_asked(void **state ATTR_UNUSED)
{
	f.fake.n_workers = 3;
	ask_worker(2);
	fake_run(&f.fake, 20);
	assert_int_equal(f.done, 1);
	assert_int_equal(f.code, 0);
	assert_int_equal(f.fake.worker[1].released, 1);
	assert_int_equal(f.fake.worker[0].released, 0);
}

static void a_worker_that_does_not_exist_is_waited_for(void **state ATTR_UNUSED)
{
	ask_worker(2);
	fake_run(&f.fake, 10000);
	assert_int_equal(f.done, 0);
	f.fake.n_workers = 2;
	fake_run(&f.fake, 1500);
	assert_int_equal(f.done, 1);
	assert_int_equal(f.code, 0);
	ask_worker(77);
	fake_run(&f.fake, 31000);
	assert_int_equal(f.done, 1);
	assert_int_equal(f.code, -ETIMEDOUT);
	assert_string_equal(f.call.err.msg, "waited 30000 ms for a worker: "
					    "there is no such worker");
}

TEST_MAIN(TEST_WITH(a_call_reaches_the_master),
	  TEST_WITH(a_refusal_is_passed_on),
	  TEST_WITH(who_does_not_lead_is_not_asked_again),
	  TEST_WITH(a_master_that_is_down_is_passed_over),
	  TEST_WITH(a_retry_carries_the_same_sequence),
	  TEST_WITH(without_any_master_it_waits_and_gives_up),
	  TEST_WITH(who_asks_again_at_once_has_waited_already),
	  TEST_WITH(a_master_that_comes_back_in_time_answers),
	  TEST_WITH(a_slow_answer_is_waited_for),
	  TEST_WITH(a_master_cut_off_is_noticed),
	  TEST_WITH(a_waiting_call_can_be_cancelled),
	  TEST_WITH(a_call_in_flight_can_be_cancelled),
	  TEST_WITH(closing_ends_every_call),
	  TEST_WITH(one_worker_can_be_asked),
	  TEST_WITH(a_worker_that_does_not_exist_is_waited_for))
