/* The scrubber: finds what rots while nobody looks, and does not get in the
 * way. */

#include "store_fixture.h"

#include <errno.h>
#include <unistd.h>

#include "lib/sim.h"

#define HOUR UINT64_C(3600000)

static struct store_totals totals(void)
{
	struct store_totals t;

	store_totals(f.store, &t);
	return t;
}

static struct store_scrub_state scrub(void)
{
	struct store_scrub_state st;

	store_scrub_state(f.store, &st);
	return st;
}

static void restart_with(uint64_t rate, uint64_t interval_ms)
{
	store_stop();
	f.scrub_rate = rate;
	f.scrub_interval_ms = interval_ms;
	store_start();
}

static void it_finds_what_nobody_reads(void **state ATTR_UNUSED)
{
	uint64_t i;

	for (i = 0; i < 10; i++)
		fill(i, 300 * KIB + i);
	fill(10, 3 * MIB + 5);
	fill_range(11, 3 * MIB, MIB, MIB);
	close(store_grant(f.store, 3));
	flip_bit(backing_path(3), 299 * KIB);
	flip_bit(backing_path(10), 3 * MIB + 4);
	flip_bit(backing_path(11), MIB);
	store_scrub(f.store, 0);
	sim_run(f.loop, 0);
	assert_int_equal(scrub().running, 0);
	assert_int_equal(scrub().passes, 1);
	assert_int_equal(scrub().files, 12);
	assert_int_equal(scrub().damaged, 3);
	assert_int_equal(totals().corrupt, 3);
	assert_int_equal(totals().files, 9);
	assert_int_equal(f.n_let_go, 1);
	assert_int_equal(f.let_go[0], 3);
	store_release(f.store, 3);
	assert_null(backing_path(3));
	assert_int_equal(read_all(4, 300 * KIB + 4), 300 * KIB + 4);
	assert_int_equal(read_all(10, 3 * MIB + 5), -ENOENT);
	assert_int_equal(fill(10, 3 * MIB + 5), 3 * MIB + 5);

	/* The next pass counts anew. */
	store_scrub(f.store, 0);
	sim_run(f.loop, 0);
	assert_int_equal(scrub().passes, 2);
	assert_int_equal(scrub().files, 10);
	assert_int_equal(scrub().damaged, 0);
	assert_int_equal(totals().scrubbed_files, 22);
}

static void its_rate_is_bounded(void **state ATTR_UNUSED)
{
	const uint64_t rate = 4 * MIB;
	uint64_t i, ms, bytes = 0;

	for (i = 0; i < 10; i++)
		fill(i, 500 * KIB);
	fill(10, 20 * MIB);
	for (i = 11; i < 300; i++)
		fill(i, 100);
	restart_with(rate, 0);
	store_scrub(f.store, 0);
	for (ms = 0; scrub().running; ms += 50) {
		assert_true(ms < 10000);
		bytes = scrub().bytes;
		assert_true(bytes <= 2 * MIB + rate * ms / 1000);
		/* In the way of nobody else. */
		assert_int_equal(read_all(200, 100), 100);
		sim_run(f.loop, 50);
	}
	/* A file costs at least a read. */
	assert_in_range(ms, 6000, 8500);
	assert_true(scrub().bytes > 24 * MIB);
	assert_int_equal(scrub().files, 300);
}

static const struct loop_ops *punctual;
static uint64_t late_ms;

static uint64_t late_now_ms(const struct loop *l)
{
	return punctual->now_ms(l) + late_ms;
}

/* A process that was stopped for a while. */
static void lost_time_is_not_made_up_for(void **state ATTR_UNUSED)
{
	const uint64_t rate = 4 * MIB;
	struct loop_ops late;
	uint64_t ms, before;

	fill(1, 40 * MIB);
	restart_with(rate, 0);
	punctual = f.loop->ops;
	late = *punctual;
	late.now_ms = late_now_ms;
	late_ms = 0;
	f.loop->ops = &late;
	store_scrub(f.store, 0);
	sim_run(f.loop, 1000);
	before = scrub().bytes;
	late_ms = 8000;
	for (ms = 0; ms < 3000; ms += 50) {
		sim_run(f.loop, 50);
		assert_true(scrub().bytes - before <= rate + rate * ms / 1000);
	}
	assert_true(scrub().bytes - before >= 2 * rate);
	f.loop->ops = punctual;
	sim_run(f.loop, 20000);
	assert_int_equal(scrub().passes, 1);
}

static void another_rate_on_demand(void **state ATTR_UNUSED)
{
	fill(1, 20 * MIB);
	restart_with(MIB, 0);
	store_scrub(f.store, 0);
	sim_run(f.loop, 3000);
	assert_in_range(scrub().bytes, 3 * MIB, 5 * MIB);
	assert_in_range(scrub().to_do, 15 * MIB, 18 * MIB);
	store_scrub(f.store, 100 * MIB);
	sim_run(f.loop, 1200);
	assert_int_equal(scrub().passes, 1);
	assert_int_equal(scrub().bytes, 20 * MIB);
}

static void it_begins_by_itself(void **state ATTR_UNUSED)
{
	fill(1, MIB);
	restart_with(MIB, 24 * HOUR);
	sim_run(f.loop, HOUR - 1);
	assert_int_equal(scrub().passes, 0);
	sim_run(f.loop, 5000);
	assert_int_equal(scrub().passes, 1);
	sim_run(f.loop, 24 * HOUR);
	assert_int_equal(scrub().passes, 2);
	/* One that was asked for puts the next one off. */
	sim_run(f.loop, 12 * HOUR);
	store_scrub(f.store, 0);
	sim_run(f.loop, 13 * HOUR);
	assert_int_equal(scrub().passes, 3);
	sim_run(f.loop, 12 * HOUR);
	assert_int_equal(scrub().passes, 4);
}

static void files_may_come_and_go_meanwhile(void **state ATTR_UNUSED)
{
	uint64_t i;

	f.capacity = 40 * MIB;
	restart_with(2 * MIB, 0);
	for (i = 0; i < 10; i++)
		fill(i, 3 * MIB);
	store_scrub(f.store, 0);
	for (i = 0; i < 60; i++) {
		sim_run(f.loop, 300);
		switch (i % 4) {
		case 0:
			store_drop(f.store, i / 4);
			break;
		case 1:
			fill(i / 4, 3 * MIB);
			break;
		case 2:
			fill(20 + i, 2 * MIB); /* and others go for it */
			break;
		}
	}
	sim_run(f.loop, 60000);
	assert_int_equal(scrub().passes, 1);
	assert_int_equal(totals().corrupt, 0);
}

static void after_an_unclean_stop_it_waits_for_the_check(
	void **state ATTR_UNUSED)
{
	fill(1, MIB);
	fill(2, MIB);
	store_crash();
	store_start();
	store_scrub(f.store, 0);
	assert_int_equal(scrub().running, 1);
	assert_int_equal(scrub().files, 0);
	sim_run(f.loop, 0);
	assert_int_equal(totals().unverified, 0);
	assert_int_equal(scrub().passes, 1);
	assert_int_equal(scrub().files, 2);
}

static void a_stop_in_the_middle_is_clean(void **state ATTR_UNUSED)
{
	fill(1, 8 * MIB);
	restart_with(MIB, 0);
	store_scrub(f.store, 0);
	sim_run(f.loop, 3000);
	assert_int_equal(scrub().running, 1);
	store_stop();
	store_start();
	assert_int_equal(totals().unverified, 0);
	assert_int_equal(read_all(1, 8 * MIB), 8 * MIB);
}

TEST_MAIN(TEST_WITH(it_finds_what_nobody_reads), TEST_WITH(its_rate_is_bounded),
	  TEST_WITH(lost_time_is_not_made_up_for),
	  TEST_WITH(another_rate_on_demand), TEST_WITH(it_begins_by_itself),
	  TEST_WITH(files_may_come_and_go_meanwhile),
	  TEST_WITH(after_an_unclean_stop_it_waits_for_the_check),
	  TEST_WITH(a_stop_in_the_middle_is_clean))
