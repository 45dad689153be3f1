/*
 * Memory for the namespace: zeroed, aligned to 2 MiB and on huge pages where
 * the kernel gives them, so that a fork copies few page tables.
 *
 * The size is an upper bound; what is not touched costs nothing.
 */
#pragma once

#include <stddef.h>

#include "base/err.h"

struct arena {
	void *base;
	size_t size; /* bytes, a multiple of 2 MiB */
};

int arena_map(struct arena *a, size_t size, struct err *err) MUST_CHECK;
void arena_unmap(struct arena *a);
