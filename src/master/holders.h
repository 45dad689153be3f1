/*
 * Which workers have blocks of which file versions, as far as they have said.
 *
 * Soft: rebuilt from their reports, in no checkpoint.  Most files have one
 * holder, which lies in the map itself.
 */
#pragma once

#include <stdbool.h>

#include "base/map.h"

struct holders {
	struct map by_file;
};

void holders_init(struct holders *h);
void holders_close(struct holders *h);
/* It has a part of the file, and no more. */
void holders_add(struct holders *h, uint64_t file, uint32_t worker);
/* It has all of the file. */
void holders_complete(struct holders *h, uint64_t file, uint32_t worker);
bool holders_is_complete(const struct holders *h, uint64_t file,
			 uint32_t worker);
bool holders_has(const struct holders *h, uint64_t file, uint32_t worker);
void holders_remove(struct holders *h, uint64_t file, uint32_t worker);
/* All that a worker has: it begins its report anew, or is gone. */
void holders_remove_worker(struct holders *h, uint32_t worker);
void holders_forget(struct holders *h, uint64_t file);
/* Up to `max` of them; how many. */
unsigned holders_get(const struct holders *h, uint64_t file, uint32_t *out,
		     unsigned max);
