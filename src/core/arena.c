#include "core/arena.h"

#include <string.h>

#define FINE     512 /* classes are 8 bytes apart up to here, */
#define QUARTERS 4   /* then so many to a power of two */

/* A size's class, and the size that the class has. */
static unsigned class_of(size_t size, size_t *rounded)
{
	unsigned shift;
	size_t steps;

	if (size <= FINE) {
		steps = size ? (size + 7) / 8 : 1;
		*rounded = steps * 8;
		return (unsigned)steps - 1;
	}
	shift = 61 - (unsigned)__builtin_clzll(size - 1); /* a quarter */
	steps = ((size - 1) >> shift) + 1;                /* 5 to 8 */
	*rounded = steps << shift;
	return FINE / 8 + (shift - 7) * QUARTERS + (unsigned)(steps - 5);
}

size_t arena_round(size_t size)
{
	size_t rounded;

	class_of(size, &rounded);
	return rounded;
}

uint32_t arena_alloc(struct arena *a, size_t size)
{
	struct arena_state *s = a->state;
	size_t rounded;
	unsigned c = class_of(size, &rounded);
	uint32_t ref;

	assert(c < ARENA_CLASSES);
	s->live += rounded;
	ref = s->free[c];
	if (ref) {
		s->free[c] = *(uint32_t *)arena_at(a, ref);
	} else {
		if (rounded >= 4096)
			s->used = (s->used + 63) & ~UINT64_C(63);
		ref = (uint32_t)(s->used / 8);
		s->used += rounded;
		assert(s->used <= ARENA_MAX);
	}
	memset(arena_at(a, ref), 0, rounded);
	return ref;
}

void arena_free(struct arena *a, uint32_t ref, size_t size)
{
	struct arena_state *s = a->state;
	size_t rounded;
	unsigned c = class_of(size, &rounded);

	if (!ref)
		return;
	assert(s->live >= rounded);
	s->live -= rounded;
	*(uint32_t *)arena_at(a, ref) = s->free[c];
	s->free[c] = ref;
}
