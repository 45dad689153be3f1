/*
 * What a worker does with its store, by a seed: fills, drops, reads, grants,
 * restarts, another cluster; and what must be true of the directory that it
 * leaves, wherever it ends.  On the fixture's store.
 *
 * The same seed is the same calls, whatever the store answers.
 */
#pragma once

#include "store_fixture.h"

enum { WORKLOAD_FILES = 24 };

/* Which pages of which files are present. */
struct snapshot {
	uint32_t pages[WORKLOAD_FILES];
};

void workload_begin(uint64_t seed);
void workload_step(void);
/* Releases what is granted. */
void workload_end(void);

/* At most 32 pages. */
uint64_t workload_size(uint64_t file);
void workload_snapshot(struct snapshot *out);

/* Reads all that is said to be present, by all ways there are: what comes is
 * right.  What proves to be damaged is gone then. */
void workload_read_all(void);

/* The files in the directory take no more than the store reckons with, and
 * hardly less; nothing else lies there. */
void workload_check_space(void);

/* A fresh directory for tests like these: in memory, where there is such. */
void workload_use_memory(void);

/* As many of `n` points as there is time for: all, unless SIM_SEEDS (which
 * tests/run sets) is less than usual. */
unsigned workload_share(unsigned n);

/* A number that follows from `*state`. */
uint64_t next_random(uint64_t *state);
