/*
 * The last entries of the journal, copied, at most RECENT_BYTES of them: what
 * `admin journal dump` shows without reading the log on disk.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

#define RECENT_BYTES ((size_t)8 << 20)

struct recent {
	struct list entries; /* oldest first */
	size_t bytes;
};

void recent_init(struct recent *r);
void recent_close(struct recent *r);
void recent_add(struct recent *r, uint64_t index, const void *buf, size_t len);
/* The first above `after`; NULL: there is none. */
const void *recent_after(const struct recent *r, uint64_t after,
			 uint64_t *index, size_t *len);
