/*
 * Names that under-storage does not have, each for a time.
 *
 * Bounded: the oldest go first.  The caller gives the time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"

#define NEGATIVE_MAX 65536

struct negative {
	uint64_t ttl_ms;
	struct map by_hash;
	struct list entries; /* oldest first */
};

void negative_init(struct negative *n, uint64_t ttl_ms);
void negative_close(struct negative *n);
void negative_add(struct negative *n, uint64_t dir, const void *name,
		  size_t len, uint64_t now_ms);
/* Whether it was added less than the TTL ago. */
bool negative_has(const struct negative *n, uint64_t dir, const void *name,
		  size_t len, uint64_t now_ms);

/* The hash of a name in a directory, for those who keep such maps. */
uint64_t negative_hash(uint64_t dir, const void *name, size_t len);
