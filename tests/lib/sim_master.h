/*
 * A master as a simulated process: on a loop of its own, its raft log and
 * checkpoints on a simulated disk, its under-storage a fake one.
 *
 * The disk outlives it: start it again after stop or crash.
 */
#pragma once

#include "lib/sim_net.h"
#include "lib/sim_raft.h"
#include "master/arena.h"
#include "master/master.h"

#define SIM_MASTER_ADDRESS "unix:/master/sock"
#define SIM_MASTER_TCP     "master:1"

struct sim_master {
	/* the caller's: */
	struct sim_net *net;
	struct loop *near;  /* a loop on the clock to be used */
	const uint8_t *key; /* 32 bytes, or NULL */
	uint64_t block_size;
	uint64_t checkpoint_bytes; /* 0: the default */
	uint64_t clock_back_ms;    /* its wall clock is so much behind */

	struct sim_disk *disk;
	struct loop *loop; /* NULL: it does not run */
	struct workpool *pool;
	struct arena arena;
	struct raft_io *io;
	struct master *master;
	bool ready, broken, stopped;
	int code;
	struct err err;
};

/* Sets what is not the caller's. */
void sim_master_init(struct sim_master *s);
void sim_master_close(struct sim_master *s); /* it does not run */

/* Begins; `ready` is set when it serves. */
void sim_master_start(struct sim_master *s);
/* In good order; runs the clock. */
void sim_master_stop(struct sim_master *s);
/* At once; then runs the clock until under-storage has answered, to free it. */
void sim_master_crash(struct sim_master *s);
