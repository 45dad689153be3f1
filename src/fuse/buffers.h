/*
 * Buffers for the bytes of reads, used again: large allocations cost a mapping
 * and a page fault every 4 KiB.
 *
 * What was filled is present in memory, as answers must be (session.h).  On one
 * loop.
 */
#pragma once

#include <stddef.h>

#include "base/list.h"

struct buffers {
	struct {
		size_t size;
		unsigned free, keep;
		struct list list;
	} classes[3];
};

void buffers_init(struct buffers *b);
void buffers_close(struct buffers *b);

/* At least `size` bytes on a page's boundary; exits on out of memory. */
void *buffers_get(struct buffers *b, size_t size);
/* The same `size` as it was got with. */
void buffers_put(struct buffers *b, void *buf, size_t size);
