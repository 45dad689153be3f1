#include "core/placement.h"

#include <stdbool.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/*
 * A worker's score for a block is weight / -log2(u), where u in (0, 1] is a
 * hash of both: the greatest wins with a chance in proportion to its weight.
 * The distance -log2(u) is in units of 2^-32, at least 1; scores are compared
 * by multiplying crosswise, so nothing is rounded.
 */
#define ONE        (UINT64_C(1) << 32)
#define MOST_ORDER 16

/* log2(1 + f) is between f and f + this. */
#define LOG_EXCESS (ONE * 87 / 1000)

struct rank {
	uint32_t id;
	uint64_t weight;
	uint64_t distance;
};

static void put_le(unsigned char *to, uint64_t n, unsigned bytes)
{
	for (; bytes--; n >>= 8)
		*to++ = (unsigned char)n;
}

static uint64_t hash(struct block_id block, uint32_t worker)
{
	unsigned char key[16];

	put_le(key, block.file, 8);
	put_le(key + 8, block.index, 4);
	put_le(key + 12, worker, 4);
	return XXH3_64bits(key, sizeof(key));
}

/* -log2(h / 2^64), if log2 of the mantissa were as small as can be. */
static uint64_t distance_above(uint64_t h)
{
	const unsigned zeros = (unsigned)__builtin_clzll(h);
	const uint64_t fraction = h << zeros << 1 >> 32;

	return (zeros + 1) * ONE - fraction;
}

/* -log2(h / 2^64), by squaring: a bit of the logarithm each time. */
static uint64_t distance(uint64_t h)
{
	const unsigned zeros = (unsigned)__builtin_clzll(h);
	uint64_t x = h << zeros; /* 1 to 2, the point behind the first bit */
	uint64_t log = 0;
	unsigned bit;

	for (bit = 32; bit-- > 0;) {
		const __uint128_t square = (__uint128_t)x * x;

		x = (uint64_t)(square >> 63);
		if (square >> 127) {
			log |= UINT64_C(1) << bit;
			x = (uint64_t)(square >> 64);
		}
	}
	return (zeros + 1) * ONE - log;
}

static bool better(const struct rank *a, const struct rank *b)
{
	const __uint128_t x = (__uint128_t)a->weight * b->distance;
	const __uint128_t y = (__uint128_t)b->weight * a->distance;

	return x > y || (x == y && a->id < b->id);
}

/* Its rank; false if that is sure to be behind `bar`. */
static bool rank_of(struct rank *r, const struct placement_worker *w,
		    struct block_id block, const struct rank *bar)
{
	uint64_t h = hash(block, w->id), above;

	if (!h)
		h = 1;
	r->id = w->id;
	r->weight = w->weight;
	if (bar) {
		above = distance_above(h);
		r->distance = above > LOG_EXCESS ? above - LOG_EXCESS : 1;
		if (!better(r, bar))
			return false;
	}
	r->distance = distance(h);
	if (!r->distance)
		r->distance = 1;
	return !bar || better(r, bar);
}

unsigned placement_order(const struct worker_set *set, struct block_id block,
			 uint32_t *out, unsigned max)
{
	struct rank best[MOST_ORDER], r;
	unsigned n = 0, i, at;

	if (max > MOST_ORDER)
		max = MOST_ORDER;
	for (i = 0; max && i < set->n; i++) {
		if (!set->workers[i].weight ||
		    !rank_of(&r, &set->workers[i], block,
			     n == max ? &best[n - 1] : NULL))
			continue;
		if (n < max)
			n++;
		for (at = n - 1; at > 0 && better(&r, &best[at - 1]); at--)
			best[at] = best[at - 1];
		best[at] = r;
	}
	for (i = 0; i < n; i++)
		out[i] = best[i].id;
	return n;
}

uint32_t placement_home(const struct worker_set *set, struct block_id block)
{
	uint32_t home = 0;

	placement_order(set, block, &home, 1);
	return home;
}
