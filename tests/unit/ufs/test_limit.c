#include "lib/test.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "lib/sim.h"
#include "ufs/limit.h"

/*
 * A storage on the simulated clock: `slots` requests are worked on at once,
 * each for `work_ms`, the others wait; `far_ms` away; what is more than
 * `refuses` at once is refused.  A client has always more to ask than it may.
 */
static struct fixture {
	struct loop *loop;
	struct limit limit;
	unsigned slots, work_ms, far_ms, refuses;
	bool down;
	uint64_t *free_at; /* of each slot */
	unsigned in_flight, backlog;
	unsigned answered, refused, lowered;
	uint64_t waited_ms;
} f;

struct request {
	struct timer timer;
	uint64_t sent_ms;
	bool refused;
};

enum { MAX = 512, MAX_SLOTS = 1024 };

static void send_more(void);

static void on_answer(struct timer *t)
{
	struct request *r = container_of(t, struct request, timer);
	uint64_t now = loop_now_ms(f.loop);
	enum limit_change change;

	f.in_flight--;
	if (r->refused) {
		f.refused++;
		f.backlog++;
		change = limit_refused(&f.limit, now, r->sent_ms);
	} else {
		f.answered++;
		f.waited_ms += now - r->sent_ms;
		change = limit_answered(&f.limit, now, r->sent_ms,
					(uint32_t)(now - r->sent_ms) * 1000,
					f.backlog > 0);
	}
	f.lowered += change == LIMIT_SLOW || change == LIMIT_REFUSED;
	assert_in_range(f.limit.now, f.limit.min, f.limit.max);
	free(r);
	send_more();
}

/* When a request that is sent now has its answer. */
static uint64_t serve(void)
{
	uint64_t start = loop_now_ms(f.loop) + f.far_ms / 2;
	unsigned i, best = 0;

	for (i = 1; i < f.slots; i++)
		if (f.free_at[i] < f.free_at[best])
			best = i;
	if (f.free_at[best] > start)
		start = f.free_at[best];
	f.free_at[best] = start + f.work_ms;
	return f.free_at[best] + f.far_ms / 2;
}

static void send_more(void)
{
	uint64_t now = loop_now_ms(f.loop);
	struct request *r;

	while (f.backlog && f.in_flight < f.limit.now) {
		r = mem_alloc(sizeof(*r));
		r->sent_ms = now;
		r->refused = f.down || (f.refuses && f.in_flight >= f.refuses);
		f.in_flight++;
		f.backlog--;
		loop_timer_start(f.loop, &r->timer,
				 r->refused ? f.far_ms : serve() - now,
				 on_answer);
	}
}

static int setup(void **state ATTR_UNUSED)
{
	f = (struct fixture){ .loop = sim_new(), .slots = MAX_SLOTS };
	f.free_at = mem_array(MAX_SLOTS, sizeof(*f.free_at));
	f.backlog = 1000000;
	limit_init(&f.limit, 2, 64, MAX);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	f.backlog = 0;
	sim_run(f.loop, 100000);
	free(f.free_at);
	sim_free(f.loop);
	return 0;
}

static void storage(unsigned slots, unsigned work_ms, unsigned far_ms)
{
	f.slots = slots;
	f.work_ms = work_ms;
	f.far_ms = far_ms;
}

/* What comes of the next `ms`. */
static void run(uint64_t ms)
{
	f.answered = f.refused = f.lowered = 0;
	f.waited_ms = 0;
	send_more();
	sim_run(f.loop, ms);
}

static void a_storage_far_away_gets_all_there_may_be(void **state ATTR_UNUSED)
{
	storage(MAX_SLOTS, 5, 200);
	run(1000); /* some five round trips */
	assert_int_equal(f.limit.now, MAX);
	run(10000);
	assert_int_equal(f.lowered, 0);
	assert_true(f.answered > 20000);
}

static void a_busy_storage_gets_what_it_can_do(void **state ATTR_UNUSED)
{
	storage(16, 20, 2); /* 800 a second */
	run(10000);
	run(10000);
	assert_true(f.answered > 7900);
	/* the queue there costs little more than what is worth waiting for */
	assert_in_range(f.waited_ms / f.answered, 40, 160);
	assert_in_range(f.limit.now, 33, 128);
}

static void a_single_slow_disk_keeps_the_floor(void **state ATTR_UNUSED)
{
	storage(1, 50, 0); /* 20 a second: even the floor waits for long */
	run(60000);
	assert_int_equal(f.limit.now, 32);
}

static void who_refuses_is_asked_less(void **state ATTR_UNUSED)
{
	storage(MAX_SLOTS, 20, 10);
	f.refuses = 40;
	run(5000);
	run(20000);
	assert_in_range(f.limit.now, 15, 48);
	/* nearly all are taken, and nearly as many as could be */
	assert_true(f.refused * 15 < f.answered);
	assert_true(f.answered > 20000 / 30 * 40 * 6 / 10);
}

static void who_is_down_is_hardly_asked_and_comes_back(void **state ATTR_UNUSED)
{
	storage(MAX_SLOTS, 5, 5);
	f.down = true;
	run(1000);
	assert_int_equal(f.limit.now, 2);
	f.down = false;
	run(3000);
	assert_true(f.limit.now > 300);
}

static void what_was_sent_before_lowers_it_once(void **state ATTR_UNUSED)
{
	struct limit l;
	unsigned i;

	limit_init(&l, 1, 100, 100);
	for (i = 0; i < 100; i++)
		limit_refused(&l, 1000 + i, 900 + i);
	/* those sent from 1001 on are the next flight's */
	assert_int_equal(l.now, 50);
	assert_int_equal(limit_refused(&l, 1200, 1001), LIMIT_REFUSED);
	assert_int_equal(l.now, 25);
}

static void what_does_not_wait_needs_no_more(void **state ATTR_UNUSED)
{
	struct limit l;
	unsigned i;

	limit_init(&l, 1, 8, 100);
	for (i = 0; i < 1000; i++)
		assert_int_equal(limit_answered(&l, i, i, 1000, false),
				 LIMIT_SAME);
	assert_int_equal(l.now, 8);
	assert_int_equal(limit_answered(&l, i, i, 1000, true), LIMIT_MORE);
	assert_int_equal(l.now, 9);
}

static void a_storage_that_gets_slow_for_good_is_learnt(
	void **state ATTR_UNUSED)
{
	storage(MAX_SLOTS, 10, 10);
	run(5000);
	assert_int_equal(f.limit.now, MAX);
	storage(MAX_SLOTS, 1000, 10);
	run(50000);
	assert_in_range(f.limit.now, 32, 200);
	run(240000); /* it is not that too much is asked */
	assert_true(f.limit.now > 300);
}

static void bounds_may_be_equal(void **state ATTR_UNUSED)
{
	struct limit l;

	limit_init(&l, 2, 64, 1);
	assert_int_equal(l.now, 1);
	assert_int_equal(limit_refused(&l, 5, 4), LIMIT_SAME);
	assert_int_equal(limit_answered(&l, 9, 8, 1, true), LIMIT_SAME);
	assert_int_equal(l.now, 1);
}

TEST_MAIN(TEST_WITH(a_storage_far_away_gets_all_there_may_be),
	  TEST_WITH(a_busy_storage_gets_what_it_can_do),
	  TEST_WITH(a_single_slow_disk_keeps_the_floor),
	  TEST_WITH(who_refuses_is_asked_less),
	  TEST_WITH(who_is_down_is_hardly_asked_and_comes_back),
	  TEST_WITH(what_was_sent_before_lowers_it_once),
	  TEST_WITH(what_does_not_wait_needs_no_more),
	  TEST_WITH(a_storage_that_gets_slow_for_good_is_learnt),
	  TEST_WITH(bounds_may_be_equal))
