/*
 * A hash map from 64-bit numbers to pointers, by open addressing.
 *
 * It owns its table, never what the pointers point to; NULL is no value.  The
 * order of a walk is that of the hash and must not be seen by anyone who has to
 * be deterministic.  Not thread-safe.
 */

#pragma once

#include <stddef.h>
#include <stdint.h>

struct map_slot {
	uint64_t key;
	void *value; /* NULL: free */
};

struct map {
	struct map_slot *slots;
	size_t size; /* a power of two, or 0 */
	size_t used;
};

void map_init(struct map *m);
void map_close(struct map *m);

void *map_get(const struct map *m, uint64_t key);        /* NULL: none */
void *map_put(struct map *m, uint64_t key, void *value); /* the old one */
void *map_remove(struct map *m, uint64_t key);           /* the old one */

/* The next occupied slot from *at on, which it moves past; NULL at the end.
 * Start with *at = 0; the map must not change meanwhile. */
struct map_slot *map_next(const struct map *m, size_t *at);
