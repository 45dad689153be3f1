/*
 * How many names of under-storage cannot be shown, by directory: of the last
 * whole listing of each since this master began.  Their names are in the log.
 */
#pragma once

#include "base/map.h"
#include "core/namespace.h"

struct skipped {
	struct map by_dir; /* numbers, as pointers */
};

void skipped_init(struct skipped *s);
void skipped_close(struct skipped *s);

/* What a listing of `dir` left out. */
void skipped_set(struct skipped *s, uint64_t dir, size_t n);

/* All of them; forgets directories that are no more. */
uint64_t skipped_total(struct skipped *s, const struct namespace *ns);
