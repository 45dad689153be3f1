/*
 * A journal on a directory, as a master has it, for tests: its loop, pool, raft
 * and checkpoints.  Everything is called on one thread; waiting aborts after
 * half a minute.
 */
#pragma once

#include "base/err.h"
#include "master/arena.h"
#include "master/journal.h"
#include "master/raft_disk.h"
#include "runtime/loop.h"

struct disk_journal {
	/* The caller's, to be set before the start; the rest zero. */
	const char *dir;
	uint64_t checkpoint_bytes;
	size_t segment_bytes; /* of raft's log; 0: as a master has them */
	void *owner;
	/* After each record; may be NULL. */
	void (*applied)(void *owner);

	struct loop *loop;
	struct workpool *pool;
	struct raft_disk *disk;
	struct checkpoints *checkpoints;
	struct arena arena;
	struct journal *journal;
	struct timer guard;
	bool ready;  /* the tree is there */
	bool broken; /* it gave up */
	int code;    /* of the start, or of the last command */
	struct err err;
	struct journal_req req;
};

/* Starts and waits until it is ready or has failed: 0 or its code, the sentence
 * in err.  Stop it in any case. */
int disk_journal_start(struct disk_journal *j);
void disk_journal_stop(struct disk_journal *j);
/* Turns the loop until loop_uv_stop(). */
void disk_journal_run(struct disk_journal *j);

/* Mounts /NUMBER; its URI ends in `padding` bytes. */
void disk_journal_mount(struct disk_journal *j, uint64_t number, size_t padding,
			struct journal_req *req,
			void (*done)(struct journal_req *req,
				     const struct namespace_result *res));
/* The same and waits: its code. */
int disk_journal_mount_one(struct disk_journal *j, uint64_t number,
			   size_t padding);
bool disk_journal_has(struct disk_journal *j, uint64_t number);
