/*
 * Where blocks go, and which workers there are.  Pure.
 *
 * Every block has one home: weighted rendezvous hashing over the live workers,
 * so that all clients, workers and masters of one epoch name the same one, and
 * a worker that comes or goes moves its own share only.  Scores are integers
 * (fixed-point logarithm): hosts with different C libraries must agree.
 *
 * A request carries the epoch; who knows a newer one answers ERR_WRONG_EPOCH.
 */
#pragma once

#include <stdint.h>

struct block_id {
	uint64_t file;  /* the master's, of (inode, version) */
	uint32_t index; /* of the block in the file */
};

struct placement_worker {
	uint32_t id;     /* never 0 */
	uint64_t weight; /* bytes of capacity; 0: gets no block */
};

/* The live workers of one epoch; the array is the caller's, in any order. */
struct worker_set {
	uint64_t epoch;
	const struct placement_worker *workers;
	unsigned n;
};

/* The worker that serialises the block; 0 if there is none. */
uint32_t placement_home(const struct worker_set *set, struct block_id block);

/* Up to `max` workers (16 at most), best first, the home at their head; how
 * many. */
unsigned placement_order(const struct worker_set *set, struct block_id block,
			 uint32_t *out, unsigned max);
