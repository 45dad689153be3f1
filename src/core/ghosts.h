/*
 * Ghosts: when files that are not cached were last wanted, in 16 bytes each.
 *
 * A table of a bounded size that forgets the oldest of a bucket when it is
 * full, and knows files by 32 bits of hash: a mistake, one in a thousand, costs
 * a policy one bad guess and nothing else.  Times are the policy's own ticks,
 * modulo 2^32, never 0.  Pure; not thread-safe.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define GHOST_NO_GAP UINT32_MAX

struct ghost {
	uint32_t hash;
	uint32_t tick; /* when wanted last; 0: nobody lives here */
	/* Ticks between the last wants, the latest first. */
	uint32_t gap, gap_before;
};

struct ghosts {
	struct ghost *slots;
	size_t n_buckets; /* a power of two */
};

/* Room for `n` ghosts at least; keeps those it has. */
void ghosts_resize(struct ghosts *g, size_t n);
void ghosts_close(struct ghosts *g);

/* NULL: not known, or forgotten.  Valid until the next ghosts_add(). */
struct ghost *ghosts_find(const struct ghosts *g, uint64_t id);

/* Remembers one that ghosts_find() did not know; `now` is its tick. */
void ghosts_add(struct ghosts *g, uint64_t id, uint32_t now);
