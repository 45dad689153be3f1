/* A store of three tiers on the fixture's simulated loop: one in memory, where
 * there is such, and two directories that are called SSD and HDD. */
#pragma once

#include "store_fixture.h"

struct tiers_fixture {
	char *parents[N_TIERS], *dirs[N_TIERS];
	uint64_t capacity[N_TIERS]; /* 0: there is no such tier */
	uint64_t move_rate;
	const char *evictor;
};

extern struct tiers_fixture tf;

/* 4, 8 and 64 MiB with LRU, not started. */
int tiers_setup(void **state);
/* Stops the store if it runs. */
int tiers_teardown(void **state);
void tiers_start(void);

/* As a kill leaves them, but nothing runs any more. */
void tiers_crash(void);

enum tier tier_of(uint64_t file); /* TIER_AUTO: it is not there */
struct store_totals totals(void);

/* Backing files of `file`, of all if UINT64_MAX, in all tiers. */
unsigned copies_of(uint64_t file);
/* Each tier takes no more than it may, and than it says. */
void tiers_are_within(void);
