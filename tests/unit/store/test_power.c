/*
 * The power goes at any of the store's calls, and what was not synced goes with
 * it: no byte is served that was not written there, nothing is lent that was
 * not checked, and what a clean stop left is all there.
 */

#include "powercut.h"
#include "workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "lib/sim.h"
#include "lib/tempdir.h"
#include "runtime/log.h"
#include "runtime/loop_uv.h"

/* Points a seed: anywhere, and after a clean stop. */
enum { STEPS = 100, SEEDS = 4, POINTS = 60, CLEAN = 8 };

static struct {
	unsigned points, kept;
	uint64_t damaged;
} found;

static struct store_totals totals(void)
{
	struct store_totals t;

	store_totals(f.store, &t);
	return t;
}

/* As in a worker, with a disk thread. */
static void play(uint64_t seed, struct snapshot *last)
{
	f = (struct fixture){
		.capacity = 6 * MIB,
		.evictor = seed % 2 ? "retain" : "lru",
		.threads = 1,
	};
	f.loop = loop_uv_new();
	f.parent = tempdir_make();
	f.dir = mem_printf("%s/cache", f.parent);
	powercut_begin(f.dir);
	workload_begin(seed);
	store_start();
	for (unsigned i = 0; i < STEPS; i++)
		workload_step();
	workload_end();
	workload_snapshot(last);
	store_stop();
	powercut_end();
	loop_uv_free(f.loop);
	free(f.dir);
	tempdir_remove(f.parent);
}

static void begin_after(size_t calls, uint64_t seed)
{
	f.threads = 0;
	f.loop = sim_new();
	f.parent = tempdir_make();
	f.dir = mem_printf("%s/cache", f.parent);
	powercut_build(f.dir, calls, seed);
	store_start();
}

static void is_sound(size_t calls, uint64_t seed)
{
	ssize_t n;

	begin_after(calls, seed);
	workload_read_all();
	sim_run(f.loop, 0);
	assert_int_equal(totals().unverified, 0);
	workload_read_all();
	workload_check_space();
	found.damaged += totals().corrupt;
	found.kept += totals().files > 0;
	n = fill(4, workload_size(4));
	store_stop();
	store_start();
	assert_int_equal(totals().unverified, 0);
	if (n > 0)
		assert_int_equal(read_all(4, workload_size(4)), n);
	workload_read_all();
	assert_int_equal(totals().corrupt, 0);
	workload_check_space();
	found.points++;
	teardown(NULL);
}

static void all_is_there(uint64_t seed, const struct snapshot *last)
{
	struct snapshot now;

	begin_after(powercut_calls(), seed);
	assert_int_equal(totals().unverified, 0);
	workload_snapshot(&now);
	assert_memory_equal(&now, last, sizeof(now));
	workload_read_all();
	assert_int_equal(totals().corrupt, 0);
	workload_check_space();
	found.points++;
	teardown(NULL);
}

static void the_power_may_go_at_any_call(void **state ATTR_UNUSED)
{
	struct snapshot last;
	const unsigned points = workload_share(POINTS);
	uint64_t seed, i, n;

	workload_use_memory();
	log_set_level(LOG_LEVEL_ERROR);
	for (seed = 0; seed < SEEDS; seed++) {
		play(seed, &last);
		n = powercut_calls();
		assert_true(n > POINTS);
		for (i = 0; i < points; i++)
			is_sound(n * i / points + 1, seed * points + i);
		for (i = 0; i < workload_share(CLEAN); i++)
			all_is_there(i, &last);
		powercut_free();
	}
	print_message("power cut at %u points of %u seeds: files kept at %u, "
		      "%u files found damaged, none served\n",
		      found.points, SEEDS, found.kept, (unsigned)found.damaged);
	assert_true(found.points >= workload_share(200) &&
		    found.damaged > workload_share(80) &&
		    found.kept > workload_share(80));
}

TEST_MAIN(TEST(the_power_may_go_at_any_call))
