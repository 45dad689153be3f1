/* Seeds, each in a process of its own, two at a time. */

#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Runs `n` seeds from `first`, `all` of them or up to the first that fails;
 * how many failed, *bad the least of those.  `say` is told of each, unless
 * NULL; without it they run in silence. */
unsigned seeds_run(uint64_t first, uint64_t n, bool all, uint64_t *bad,
		   void (*say)(uint64_t seed));

/* Runs one; its trace_sum(), or 0 if it failed. */
uint64_t seeds_trace(uint64_t seed);
