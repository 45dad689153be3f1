#include "core/ghosts.h"

#include <stdlib.h>

#include "base/mem.h"

enum { WAYS = 8 };

static uint32_t hash_of(uint64_t id)
{
	id ^= id >> 33;
	id *= UINT64_C(0xff51afd7ed558ccd);
	id ^= id >> 33;
	id *= UINT64_C(0xc4ceb9fe1a85ec53);
	return (uint32_t)(id >> 32);
}

static struct ghost *bucket(const struct ghosts *g, uint32_t hash)
{
	return g->slots + (hash & (g->n_buckets - 1)) * WAYS;
}

/* A free slot, or the one that was wanted longest ago. */
static struct ghost *worst(const struct ghosts *g, uint32_t hash, uint32_t now)
{
	struct ghost *at = bucket(g, hash), *found = at;
	unsigned i;

	for (i = 0; i < WAYS; i++) {
		if (!at[i].tick)
			return &at[i];
		if (now - at[i].tick > now - found->tick)
			found = &at[i];
	}
	return found;
}

void ghosts_resize(struct ghosts *g, size_t n)
{
	struct ghosts old = *g;
	size_t i;

	g->n_buckets = old.n_buckets ? old.n_buckets : 16;
	while (g->n_buckets * WAYS < n)
		g->n_buckets *= 2;
	if (g->n_buckets == old.n_buckets)
		return;
	g->slots = mem_array(g->n_buckets * WAYS, sizeof(*g->slots));
	for (i = 0; i < old.n_buckets * WAYS; i++)
		if (old.slots[i].tick)
			*worst(g, old.slots[i].hash, old.slots[i].tick) =
				old.slots[i];
	free(old.slots);
}

void ghosts_close(struct ghosts *g)
{
	free(g->slots);
	*g = (struct ghosts){ 0 };
}

struct ghost *ghosts_find(const struct ghosts *g, uint64_t id)
{
	uint32_t hash = hash_of(id);
	struct ghost *at = bucket(g, hash);
	unsigned i;

	for (i = 0; i < WAYS; i++)
		if (at[i].tick && at[i].hash == hash)
			return &at[i];
	return NULL;
}

void ghosts_add(struct ghosts *g, uint64_t id, uint32_t now)
{
	uint32_t hash = hash_of(id);

	*worst(g, hash, now) = (struct ghost){
		.hash = hash,
		.tick = now,
		.gap = GHOST_NO_GAP,
		.gap_before = GHOST_NO_GAP,
	};
}
