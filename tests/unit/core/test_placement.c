#include "lib/test.h"

#include <string.h>

#include "core/placement.h"

#define BLOCKS 20000

static const struct placement_worker four[] = {
	{ .id = 1, .weight = UINT64_C(1) << 40 },
	{ .id = 2, .weight = UINT64_C(1) << 40 },
	{ .id = 3, .weight = UINT64_C(2) << 40 },
	{ .id = 4, .weight = UINT64_C(4) << 40 },
};
static const struct worker_set set = { .epoch = 1, .workers = four, .n = 4 };

static struct block_id block(unsigned i)
{
	return (struct block_id){ .file = (uint64_t)i << 32 | 77,
				  .index = i % 3 };
}

static void the_order_of_the_array_does_not_matter(void **state ATTR_UNUSED)
{
	struct placement_worker p[4];
	struct worker_set other = { .workers = p, .n = 4 };
	uint32_t a[4], b[4];
	unsigned i, turn;

	for (i = 0; i < 1000; i++) {
		assert_int_equal(placement_order(&set, block(i), a, 4), 4);
		assert_int_equal(placement_home(&set, block(i)), a[0]);
		for (turn = 0; turn < 24; turn++) {
			/* all permutations, by their factorial digits */
			unsigned left = turn, k, j;

			memcpy(p, four, sizeof(p));
			for (k = 0; k < 3; k++) {
				const struct placement_worker was = p[k];

				j = k + left % (4 - k);
				left /= 4 - k;
				p[k] = p[j];
				p[j] = was;
			}
			assert_int_equal(
				placement_order(&other, block(i), b, 4), 4);
			assert_memory_equal(a, b, sizeof(a));
		}
	}
}

static void shares_are_those_of_the_weights(void **state ATTR_UNUSED)
{
	unsigned got[5] = { 0 }, i, want;

	for (i = 0; i < BLOCKS; i++)
		got[placement_home(&set, block(i))]++;
	for (i = 0; i < 4; i++) {
		want = (unsigned)(BLOCKS * (four[i].weight >> 40) / 8);
		assert_in_range(got[four[i].id], want - want / 12,
				want + want / 12);
	}
}

static void a_worker_that_goes_moves_only_its_share(void **state ATTR_UNUSED)
{
	const struct worker_set three = { .workers = four + 1, .n = 3 };
	unsigned i, moved = 0;
	uint32_t order[4], home;

	for (i = 0; i < BLOCKS; i++) {
		placement_order(&set, block(i), order, 4);
		home = placement_home(&three, block(i));
		if (order[0] == 1) {
			moved++;
			assert_int_equal(home, order[1]); /* the next one */
		} else {
			assert_int_equal(home, order[0]);
		}
	}
	assert_in_range(moved, BLOCKS / 9, BLOCKS / 7);
}

static void more_weight_only_attracts(void **state ATTR_UNUSED)
{
	struct placement_worker p[4];
	const struct worker_set grown = { .workers = p, .n = 4 };
	unsigned i, moved = 0;
	uint32_t home;

	memcpy(p, four, sizeof(p));
	p[0].weight *= 2;
	for (i = 0; i < BLOCKS; i++) {
		home = placement_home(&grown, block(i));
		if (home == placement_home(&set, block(i)))
			continue;
		assert_int_equal(home, 1);
		moved++;
	}
	assert_in_range(moved, BLOCKS / 12, BLOCKS / 9); /* 2/9 - 1/8 */
}

static void without_weight_there_is_no_block(void **state ATTR_UNUSED)
{
	const struct placement_worker idle[] = { { .id = 5 },
						 { .id = 6, .weight = 1 } };
	const struct worker_set none = { .workers = idle, .n = 1 };
	const struct worker_set one = { .workers = idle, .n = 2 };
	uint32_t out[2];

	assert_int_equal(placement_home(&none, block(1)), 0);
	assert_int_equal(placement_order(&none, block(1), out, 2), 0);
	assert_int_equal(placement_order(&one, block(1), out, 2), 1);
	assert_int_equal(out[0], 6);
	assert_int_equal(placement_order(&one, block(1), out, 0), 0);
}

static void the_best_few_are_the_head_of_all(void **state ATTR_UNUSED)
{
	struct placement_worker many[300];
	const struct worker_set big = { .workers = many, .n = 300 };
	uint32_t all[16], few[16];
	unsigned i, n;

	for (i = 0; i < 300; i++)
		many[i] = (struct placement_worker){ .id = i + 1,
						     .weight = 1 + i % 7 };
	for (i = 0; i < 500; i++) {
		assert_int_equal(placement_order(&big, block(i), all, 99), 16);
		for (n = 1; n < 16; n++) {
			assert_int_equal(
				placement_order(&big, block(i), few, n), n);
			assert_memory_equal(few, all, n * sizeof(*few));
		}
	}
}

/* Hosts of all releases must agree: these never change.  They were computed
 * apart, in floating point. */
static void golden_picks(void **state ATTR_UNUSED)
{
	static const uint32_t homes[32] = { 1, 2, 4, 2, 3, 4, 2, 1, 2, 4, 2,
					    2, 4, 3, 3, 4, 2, 3, 1, 2, 1, 4,
					    3, 4, 3, 4, 4, 4, 3, 3, 3, 3 };
	unsigned i;

	for (i = 0; i < 32; i++)
		assert_int_equal(placement_home(&set, block(i)), homes[i]);
}

TEST_MAIN(TEST(the_order_of_the_array_does_not_matter),
	  TEST(shares_are_those_of_the_weights),
	  TEST(a_worker_that_goes_moves_only_its_share),
	  TEST(more_weight_only_attracts),
	  TEST(without_weight_there_is_no_block),
	  TEST(the_best_few_are_the_head_of_all), TEST(golden_picks))
