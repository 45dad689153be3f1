/*
 * The power goes while files move between tiers, and what was not synced goes
 * with it, of each directory other things: no byte is served that was not
 * written there, and what a clean stop left is all there, once.
 */

#include "powercut.h"
#include "tiers_fixture.h"
#include "workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/sim.h"
#include "lib/tempdir.h"
#include "runtime/log.h"
#include "runtime/loop_uv.h"

enum { FILES = 40, STEPS = 70, SEEDS = 4, POINTS = 52, CLEAN = 4 };

static struct {
	unsigned points, kept;
	uint64_t damaged, promoted, demoted;
} found;

static struct timer pause_timer;

static uint64_t size_of(uint64_t file)
{
	static const uint64_t sizes[] = { 50 * KIB, 100 * KIB, 4096, 200 * KIB,
					  MIB + 5 };

	return sizes[file % ARRAY_SIZE(sizes)];
}

static unsigned random_below(uint64_t *state, unsigned n)
{
	return (unsigned)(next_random(state) % n);
}

static void on_pause_over(struct timer *t ATTR_UNUSED)
{
	loop_uv_stop(f.loop);
}

static void let_move(void)
{
	loop_timer_start(f.loop, &pause_timer, 2, on_pause_over);
	loop_uv_run(f.loop);
}

static void count_moves(void)
{
	struct store_totals t = totals();

	found.promoted += t.tiers[TIER_MEMORY].promoted;
	found.demoted += t.tiers[TIER_MEMORY].demoted;
}

static void step(uint64_t *random, unsigned n)
{
	unsigned what = random_below(random, 24), i;
	uint64_t file = random_below(random, FILES), size = size_of(file);

	if (what < 14) {
		if (size > MIB)
			fill_range(file, size, 0, MIB);
		fill(file, size);
	} else if (what < 16) {
		store_drop(f.store, file);
	} else if (what == 16) {
		count_moves();
		store_stop();
		tiers_start();
	}
	for (i = 0; i < 30; i++)
		store_touch(f.store,
			    (n / 5 * 9 + random_below(random, 6)) % FILES);
	let_move();
}

/* Three directories below one that is watched. */
static void use_root(char *root)
{
	enum tier t;

	for (t = TIER_FASTEST; t < N_TIERS; t++) {
		free(tf.dirs[t]);
		tf.dirs[t] = mem_printf("%s/%s", root, tier_name(t));
	}
	tf.capacity[TIER_MEMORY] = 2 * MIB;
	tf.capacity[TIER_SSD] = 4 * MIB;
	tf.capacity[TIER_HDD] = 32 * MIB;
}

static void play(uint64_t seed, enum tier *last)
{
	uint64_t random = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15), file;
	char *root;
	unsigned i;

	tiers_setup(NULL);
	sim_free(f.loop);
	f.loop = loop_uv_new();
	f.threads = 1;
	list_init(&pause_timer.link);
	root = mem_printf("%s/root", tf.parents[TIER_HDD]);
	use_root(root);
	tf.evictor = seed % 2 ? "retain" : "lru";
	powercut_begin(root);
	mkdir(root, 0700);
	tiers_start();
	for (i = 0; i < STEPS; i++)
		step(&random, i);
	count_moves();
	for (i = 0; i < 20; i++)
		let_move();
	for (file = 0; file < FILES; file++)
		last[file] = tier_of(file);
	store_stop();
	powercut_end();
	loop_uv_free(f.loop);
	f.threads = 0;
	f.loop = sim_new();
	free(root);
	tiers_teardown(NULL);
}

static void begin_after(size_t calls, uint64_t seed)
{
	char *root;

	tiers_setup(NULL);
	root = mem_printf("%s/root", tf.parents[TIER_HDD]);
	use_root(root);
	powercut_build(root, calls, seed);
	free(root);
	tiers_start();
}

/* What comes is right; read_range() compares it. */
static void read_everything(void)
{
	uint64_t file, at;

	for (file = 0; file < FILES; file++)
		for (at = 0; at < size_of(file); at += MIB)
			if (store_present(f.store, file, at, 1))
				read_range(file, size_of(file), at, MIB);
}

static void is_sound(size_t calls, uint64_t seed)
{
	begin_after(calls, seed);
	tiers_are_within();
	read_everything();
	sim_run(f.loop, 10000);
	assert_int_equal(totals().unverified, 0);
	read_everything();
	assert_int_equal(copies_of(UINT64_MAX), totals().files);
	tiers_are_within();
	found.damaged += totals().corrupt;
	found.kept += totals().files > 0;
	store_stop();
	tiers_start();
	assert_int_equal(totals().unverified, 0);
	read_everything();
	assert_int_equal(totals().corrupt, 0);
	assert_int_equal(copies_of(UINT64_MAX), totals().files);
	found.points++;
	tiers_teardown(NULL);
}

static void all_is_there(uint64_t seed, const enum tier *last)
{
	uint64_t file;

	begin_after(powercut_calls(), seed);
	assert_int_equal(totals().unverified, 0);
	for (file = 0; file < FILES; file++)
		assert_int_equal(tier_of(file), last[file]);
	read_everything();
	assert_int_equal(totals().corrupt, 0);
	assert_int_equal(copies_of(UINT64_MAX), totals().files);
	found.points++;
	tiers_teardown(NULL);
}

static void the_power_may_go_while_files_move(void **state ATTR_UNUSED)
{
	enum tier last[FILES];
	uint64_t seed, i, n;

	workload_use_memory();
	log_set_level(LOG_LEVEL_ERROR);
	for (seed = 0; seed < SEEDS; seed++) {
		play(seed, last);
		n = powercut_calls();
		assert_true(n > POINTS);
		for (i = 0; i < POINTS; i++)
			is_sound(n * i / POINTS + 1, seed * POINTS + i);
		for (i = 0; i < CLEAN; i++)
			all_is_there(i, last);
		powercut_free();
	}
	print_message("power cut at %u points of %u seeds with three tiers, %u "
		      "files up, %u down: files kept at %u, %u found damaged, "
		      "none served\n",
		      found.points, SEEDS, (unsigned)found.promoted,
		      (unsigned)found.demoted, found.kept,
		      (unsigned)found.damaged);
	assert_true(found.points >= 200 && found.damaged > 100 &&
		    found.kept > 100 && found.promoted > 20);
}

TEST_MAIN(TEST(the_power_may_go_while_files_move))
