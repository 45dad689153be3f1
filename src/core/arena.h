/*
 * An allocator over one piece of memory that is its own image.
 *
 * What is allocated is named by a `ref`, its offset in units of 8 bytes (so 32
 * bits reach 32 GiB), and never moves; 0 is none.  Sizes are rounded up to size
 * classes with a free list each; nothing is split or joined.  The same calls
 * give the same refs and the same bytes, padding too.
 *
 * Units: bytes.  The caller knows the size of what it frees.  Thread safety:
 * none.
 */

#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/defs.h"

#define ARENA_MAX     (UINT64_C(8) << 32)
#define ARENA_CLASSES 160

/* Lies in the image. */
struct arena_state {
	uint64_t used; /* from the start on; all that was ever allocated */
	uint64_t live; /* allocated and not freed, rounded as allocated */
	uint32_t free[ARENA_CLASSES]; /* of the same size, linked */
};

/* A handle; lies outside. */
struct arena {
	unsigned char *base;
	struct arena_state *state;
};

static inline void *arena_at(const struct arena *a, uint32_t ref)
{
	assert(ref && (uint64_t)ref * 8 < a->state->used);
	return a->base + (uint64_t)ref * 8;
}

/* Zeroed, aligned to 8 bytes, from 4 KiB on to 64.  The caller has made sure
 * that there is room. */
uint32_t arena_alloc(struct arena *a, size_t size) MUST_CHECK;
void arena_free(struct arena *a, uint32_t ref, size_t size);

/* What an allocation of `size` takes. */
size_t arena_round(size_t size);
