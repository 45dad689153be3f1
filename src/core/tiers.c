#include "core/tiers.h"

#include <string.h>

enum {
	RESERVE_PARTS = 16,  /* of the capacity, one is the reserve */
	MAX_VICTIMS = 1024,  /* for one file that comes up */
	MAX_PAUSE_MS = 10000 /* a slow rate is no standstill */
};

static const char *const names[N_TIERS] = {
	[TIER_AUTO] = "auto",
	[TIER_MEMORY] = "memory",
	[TIER_SSD] = "ssd",
	[TIER_HDD] = "hdd",
};

const char *tier_name(enum tier t)
{
	return names[t];
}

enum tier tier_find(const char *name)
{
	enum tier t;

	for (t = TIER_FASTEST; t < N_TIERS; t++)
		if (strcmp(names[t], name) == 0)
			return t;
	return TIER_AUTO;
}

uint64_t tier_reserve(uint64_t capacity)
{
	return capacity / RESERVE_PARTS;
}

bool tier_has_room(const struct tier_room *r, uint64_t size)
{
	const uint64_t full = r->capacity - tier_reserve(r->capacity);

	return size <= full && r->used <= full - size;
}

uint64_t tier_excess(const struct tier_room *r)
{
	const uint64_t full = r->capacity - tier_reserve(r->capacity);

	return r->used > full ? r->used - full : 0;
}

static bool is_worth_more(struct evictor *e, const struct evict_node *n,
			  uint64_t need)
{
	struct evict_node *v = evictor_victim(e, n, NULL);
	uint64_t have = 0;
	unsigned i;

	for (i = 0; v && have < need && i < MAX_VICTIMS; i++) {
		have += v->size;
		v = evictor_victim(e, n, v);
	}
	return have >= need;
}

bool tier_promotes(struct evictor *e, const struct tier_room *r,
		   const struct evict_node *n)
{
	/* A load wants its files cached, not cached here. */
	const struct evict_node wanted = { .id = n->id, .size = n->size };
	struct tier_room with = *r;

	if (tier_has_room(r, n->size))
		return true;
	with.used = 0;
	if (!tier_has_room(&with, n->size))
		return false;
	with.used = r->used + n->size;
	return evictor_promotes(e, &wanted) &&
	       is_worth_more(e, &wanted, tier_excess(&with));
}

uint64_t tier_pause_ms(uint64_t bytes, uint64_t rate)
{
	uint64_t ms;

	if (!rate)
		return 0;
	ms = bytes * 1000 / rate;
	return ms < MAX_PAUSE_MS ? ms : MAX_PAUSE_MS;
}
