/*
 * Tiers: directories of different speed on one worker, and what goes between
 * them.
 *
 * Each directory has an eviction policy of its own.  To the policy of a fast
 * directory a file that lies in a slower one is a file that is not here: it is
 * told of each want by missed(), and asked whether what it holds is worth less.
 * So the same rules decide what is admitted, what comes up and what goes down,
 * and what withstands scans does so here too.
 *
 * A part of each tier but the last, its reserve, is not for new files: what
 * comes up goes there first, which makes room for what goes down in exchange.
 *
 * Pure; units are bytes.  Not thread-safe: the owner serialises calls.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/evictor.h"

/* The fastest first. */
enum tier { TIER_AUTO, TIER_MEMORY, TIER_SSD, TIER_HDD, N_TIERS };

#define TIER_FASTEST TIER_MEMORY

/* As written in worker.dirs: "memory", "ssd", "hdd". */
const char *tier_name(enum tier t);
/* TIER_AUTO: there is no such tier. */
enum tier tier_find(const char *name);

/* The room of one directory. */
struct tier_room {
	uint64_t capacity, used;
};

/* What is left for files that come up. */
uint64_t tier_reserve(uint64_t capacity);

/* Whether a new file of `size` goes here, if there are slower tiers. */
bool tier_has_room(const struct tier_room *r, uint64_t size);

/* What should go down, so that the reserve is free again. */
uint64_t tier_excess(const struct tier_room *r);

/*
 * Whether `n`, which lies in a slower tier and was wanted just now, is to come
 * up: there is room, or all that would have to go is worth less.  `e` has been
 * told of the want.
 */
bool tier_promotes(struct evictor *e, const struct tier_room *r,
		   const struct evict_node *n);

/* How long to pause after `bytes` were moved; `rate` in bytes a second, 0: as
 * fast as it goes. */
uint64_t tier_pause_ms(uint64_t bytes, uint64_t rate);
