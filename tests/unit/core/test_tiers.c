/* Traces of opens, played against two tiers that have room for a fixed number
 * of files of one size. */

#include "lib/test.h"

#include <string.h>

#include "core/tiers.h"

enum { FAST = 160, SLOW = 480, FILES = 640, IDS = 4 * FILES };

enum place { NOWHERE, IN_FAST, IN_SLOW };

static struct fixture {
	struct evictor *fast, *slow;
	struct evict_node nodes[IDS];
	enum place places[IDS];
	uint64_t n_fast, n_slow;
	unsigned promoted, demoted, dropped;
	uint64_t seed;
} f;

static void start(const char *policy)
{
	f = (struct fixture){ .seed = 88172645463325252u };
	f.fast = evictor_find(policy)->create();
	f.slow = evictor_find(policy)->create();
}

static int with_retain(void **state ATTR_UNUSED)
{
	start("retain");
	return 0;
}

static int with_lru(void **state ATTR_UNUSED)
{
	start("lru");
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	f.fast->ops->destroy(f.fast);
	f.slow->ops->destroy(f.slow);
	return 0;
}

static unsigned random_below(unsigned n)
{
	f.seed ^= f.seed << 13;
	f.seed ^= f.seed >> 7;
	f.seed ^= f.seed << 17;
	return (unsigned)(f.seed % n);
}

static struct tier_room fast_room(void)
{
	return (struct tier_room){ FAST, f.n_fast };
}

static void leave(struct evict_node *n)
{
	if (f.places[n->id] == IN_FAST) {
		evictor_remove(f.fast, n);
		f.n_fast--;
	} else {
		evictor_remove(f.slow, n);
		f.n_slow--;
	}
	f.places[n->id] = NOWHERE;
}

static void enter(struct evict_node *n, enum place to)
{
	f.places[n->id] = to;
	if (to == IN_FAST) {
		evictor_insert(f.fast, n);
		f.n_fast++;
	} else {
		evictor_insert(f.slow, n);
		f.n_slow++;
	}
}

/* The slow tier takes `n` if it has room, or something that is worth less. */
static bool enter_slow(struct evict_node *n)
{
	struct evict_node *v;

	if (f.n_slow == SLOW) {
		v = evictor_victim(f.slow, n, NULL);
		if (!v)
			return false;
		leave(v);
		f.dropped++;
	}
	enter(n, IN_SLOW);
	return true;
}

static void promote(struct evict_node *n)
{
	struct tier_room r;
	struct evict_node *v;

	leave(n);
	enter(n, IN_FAST);
	f.promoted++;
	for (r = fast_room(); tier_excess(&r); r = fast_room()) {
		v = evictor_victim(f.fast, NULL, NULL);
		leave(v);
		f.demoted += enter_slow(v);
	}
	assert_true(f.n_fast <= FAST);
}

/* As store/ does; where the file was. */
static enum place open_file(unsigned id)
{
	struct evict_node *n = &f.nodes[id];
	enum place was = f.places[id];
	struct tier_room r = fast_room();

	if (was == IN_FAST) {
		evictor_touch(f.fast, n);
		return was;
	}
	evictor_missed(f.fast, id);
	if (was == IN_SLOW) {
		evictor_touch(f.slow, n);
		if (tier_promotes(f.fast, &r, n))
			promote(n);
		return was;
	}
	evictor_missed(f.slow, id);
	*n = (struct evict_node){ .id = id, .size = 1 };
	if (tier_has_room(&r, 1))
		enter(n, IN_FAST);
	else
		enter_slow(n);
	return was;
}

/* Percent that was found in the fast tier. */
static unsigned epoch(unsigned from, unsigned n)
{
	unsigned order[IDS], i, j, swap, hits = 0;

	for (i = 0; i < n; i++)
		order[i] = from + i;
	for (i = n - 1; i > 0; i--) {
		j = random_below(i + 1);
		swap = order[i];
		order[i] = order[j];
		order[j] = swap;
	}
	for (i = 0; i < n; i++)
		hits += open_file(order[i]) == IN_FAST;
	return hits * 100 / n;
}

/* `rounds` opens, nine of ten of the first `hot` files from `from` on; the
 * percent of them that the fast tier had in the last half. */
static unsigned heat(unsigned from, unsigned hot, unsigned rounds)
{
	unsigned i, id, n = 0, hits = 0;
	enum place was;

	for (i = 0; i < rounds; i++) {
		if (random_below(10) == 0) {
			open_file(random_below(FILES));
			continue;
		}
		id = from + random_below(hot);
		was = open_file(id);
		if (i >= rounds / 2) {
			n++;
			hits += was == IN_FAST;
		}
	}
	return hits * 100 / n;
}

static void new_files_fill_the_fast_tier_but_its_reserve(
	void **state ATTR_UNUSED)
{
	unsigned i;

	for (i = 0; i < 400; i++)
		open_file(i);
	assert_int_equal(f.n_fast, FAST - FAST / 16);
	assert_int_equal(f.n_slow, 400 - f.n_fast);
	assert_int_equal(f.promoted, 0);
}

static void shuffled_epochs_move_nothing(void **state ATTR_UNUSED)
{
	unsigned i;

	for (i = 0; i < 8; i++)
		epoch(0, FILES);
	assert_int_equal(f.dropped, 0);
	assert_true(f.promoted < 8);
	assert_in_range(epoch(0, FILES), 22, 26);
}

static void hot_files_come_up_and_cold_ones_go_down(void **state ATTR_UNUSED)
{
	unsigned i;

	for (i = 0; i < 4; i++)
		epoch(0, 600);
	assert_true(heat(500, 100, 8000) >= 95);
	assert_in_range(f.promoted, 50, 500);
	assert_in_range(f.demoted + f.dropped, f.promoted - 10, f.promoted);
	assert_in_range(f.n_fast, 100, FAST - FAST / 16);
}

/* And once they are not wanted any more, others take their place. */
static void heat_passes(void **state ATTR_UNUSED)
{
	epoch(0, 600);
	epoch(0, 600);
	assert_true(heat(500, 100, 8000) >= 95);
	assert_true(heat(200, 100, 8000) >= 95);
}

static void reading_once_moves_nothing(void **state ATTR_UNUSED)
{
	unsigned i, promoted;

	epoch(0, 600);
	for (i = 0; i < 20; i++)
		epoch(0, 100);
	promoted = f.promoted;
	for (i = FILES; i < IDS; i++)
		open_file(i);
	assert_int_equal(f.promoted, promoted);
}

static void room_above_brings_files_up(void **state ATTR_UNUSED)
{
	unsigned i;

	for (i = 0; i < 400; i++)
		open_file(i);
	for (i = 0; i < 400; i++)
		if (f.places[i] == IN_FAST)
			leave(&f.nodes[i]);
	for (i = 0; i < 400; i++)
		open_file(i);
	assert_int_equal(f.n_fast, FAST - FAST / 16);
	for (i = 0; i < 400; i++)
		assert_int_not_equal(f.places[i], NOWHERE);
}

/* A file needs each of those that would go to be worth less. */
static void a_large_file_does_not_displace_hot_ones(void **state ATTR_UNUSED)
{
	struct evict_node n = { .id = 1000, .size = 100 };
	struct tier_room r;
	unsigned i;

	for (i = 0; i < FAST - 10; i++)
		open_file(i);
	for (i = 0; i < 20; i++)
		epoch(40, 60);
	r = fast_room();
	evictor_missed(f.fast, n.id);
	epoch(80, 20);
	evictor_missed(f.fast, n.id);
	/* A hundred are colder than it: as many as it needs, one less. */
	assert_true(tier_promotes(f.fast, &r, &n));
	n.size = FAST;
	assert_false(tier_promotes(f.fast, &r, &n));
}

static void what_does_not_fit_is_not_promoted(void **state ATTR_UNUSED)
{
	const struct tier_room empty = { 1600, 0 }, full = { 1600, 1500 };
	struct evict_node n = { .id = 1, .size = 1501 };

	assert_false(tier_promotes(f.fast, &empty, &n));
	n.size = 1500;
	assert_true(tier_promotes(f.fast, &empty, &n));
	assert_false(tier_promotes(f.fast, &full, &n));
}

static void room_and_excess(void **state ATTR_UNUSED)
{
	struct tier_room r = { 1600, 1400 };

	assert_int_equal(tier_reserve(1600), 100);
	assert_true(tier_has_room(&r, 100));
	assert_false(tier_has_room(&r, 101));
	assert_false(tier_has_room(&r, UINT64_MAX));
	assert_int_equal(tier_excess(&r), 0);
	r.used = 1501;
	assert_int_equal(tier_excess(&r), 1);
	assert_false(tier_has_room(&r, 0));
	r.used = 1700; /* its capacity was more */
	assert_int_equal(tier_excess(&r), 200);
}

static void names(void **state ATTR_UNUSED)
{
	enum tier t;

	for (t = TIER_FASTEST; t < N_TIERS; t++)
		assert_int_equal(tier_find(tier_name(t)), t);
	assert_int_equal(tier_find("auto"), TIER_AUTO);
	assert_int_equal(tier_find("tape"), TIER_AUTO);
	assert_true(TIER_MEMORY < TIER_SSD && TIER_SSD < TIER_HDD);
}

static void the_rate_is_kept(void **state ATTR_UNUSED)
{
	assert_int_equal(tier_pause_ms(4 << 20, 4 << 20), 1000);
	assert_int_equal(tier_pause_ms(100, 0), 0);
	assert_int_equal(tier_pause_ms(1 << 30, 1), 10000);
}

#define RETAIN(t) cmocka_unit_test_setup_teardown(t, with_retain, teardown)
#define LRU(t)    cmocka_unit_test_setup_teardown(t, with_lru, teardown)

TEST_MAIN(RETAIN(new_files_fill_the_fast_tier_but_its_reserve),
	  LRU(new_files_fill_the_fast_tier_but_its_reserve),
	  RETAIN(shuffled_epochs_move_nothing),
	  RETAIN(hot_files_come_up_and_cold_ones_go_down),
	  LRU(hot_files_come_up_and_cold_ones_go_down), RETAIN(heat_passes),
	  LRU(heat_passes), RETAIN(reading_once_moves_nothing),
	  LRU(reading_once_moves_nothing), RETAIN(room_above_brings_files_up),
	  LRU(room_above_brings_files_up),
	  LRU(a_large_file_does_not_displace_hot_ones),
	  RETAIN(what_does_not_fit_is_not_promoted), TEST(room_and_excess),
	  TEST(names), TEST(the_rate_is_kept))
