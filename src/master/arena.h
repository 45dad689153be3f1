/*
 * Memory for the namespace: zeroed, aligned to 2 MiB and on huge pages where
 * the kernel gives them, so that a fork copies few page tables.
 *
 * The size is an upper bound; what is not touched costs nothing, except the
 * next few pages: to clear a huge page can take the kernel 5 ms, so a thread
 * has it done before the loop gets there.
 *
 * Thread safety: all calls on one loop's thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "runtime/workpool.h"

struct arena {
	void *base;
	size_t size; /* bytes, a multiple of 2 MiB */

	/* Pages ahead of what is used. */
	struct workpool *pool; /* NULL: none */
	struct loop *loop;
	struct task task;
	size_t used;  /* bytes from the base on */
	size_t ready; /* bytes from the base on that have pages */
	bool busy;    /* `task` is under way */
};

int arena_map(struct arena *a, size_t size, struct err *err) MUST_CHECK;

/* Before the loop runs: from now on pages are had ahead, by a thread of the
 * pool.  The arena stays until the pool is closed. */
void arena_populate(struct arena *a, struct workpool *pool, struct loop *loop);

/* So many bytes are used, from the base on. */
void arena_used(struct arena *a, size_t used);

void arena_unmap(struct arena *a);
