/*
 * The journal: commands go through the raft log, in groups, and change the
 * namespace when they are committed.
 *
 * One raft entry is in flight; what arrives meanwhile goes into the next.  A
 * checkpoint is taken when the log since the last one has grown past
 * `checkpoint_bytes`: raft's own snapshot is a marker, written only after the
 * checkpoint is durable (checkpoint.h), so the log is never cut before.
 *
 * Everything is called, and calls back, on the loop given.  The raft_io comes
 * from outside: raft_uv in a process (raft_disk.h), a simulated one in tests.
 */
#pragma once

#include <raft.h>
#include <stdint.h>

#include "core/namespace.h"
#include "master/arena.h"
#include "master/checkpoint.h"
#include "runtime/workpool.h"

struct journal;

struct journal_options {
	struct loop *loop;
	struct workpool *pool; /* waits for checkpoints */
	struct raft_io *io;
	raft_id member;
	bool empty; /* nothing there yet: a cluster of this one member begins */
	struct checkpoints *checkpoints;
	struct arena *arena;           /* for the namespace; zeroed */
	uint64_t checkpoint_bytes;     /* 0: 32 MiB */
	uint64_t (*wall_ms)(void *at); /* time for the stamps */
	/* What a new cluster gets. */
	uint8_t uuid[16];
	uint64_t block_size;

	void *owner; /* of these, and wall_ms's argument: */
	/* 0: the tree is as it was, and commands are taken. */
	void (*ready)(void *owner, int code, const struct err *err);
	/* After each command, before its own callback; replays too. */
	void (*applied)(void *owner, const struct journal_record *record,
			const struct namespace_result *res);
	/* Nothing more is applied or taken: the process must end. */
	void (*broken)(void *owner, const struct err *err);
};

/* Reads what is on disk; ready() comes later, also with a failure. */
struct journal *journal_start(const struct journal_options *o);

/* Takes nothing more, and fails what is not committed with -ECANCELED (what is
 * in flight may be committed all the same). */
void journal_stop(struct journal *j);

/* Gives up a checkpoint under way, closes raft and its io, fails what was not
 * committed with -ECANCELED, frees the journal and calls back. */
void journal_close(struct journal *j, void (*closed)(void *owner), void *owner);

struct namespace *journal_namespace(struct journal *j);

/* A command on its way; the caller's memory, the journal's until `done`. */
struct journal_req {
	/* `res` is valid during the call, like what it points to.  A code that
	 * is the journal's own: -ECANCELED, ERR_NOT_LEADER, -EAGAIN (too much
	 * is waiting). */
	void (*done)(struct journal_req *req,
		     const struct namespace_result *res);
	struct list link;
};

/* Encodes the record at once; the stamp's time is set here. */
void journal_submit(struct journal *j, struct journal_record *record,
		    struct journal_req *req,
		    void (*done)(struct journal_req *req,
				 const struct namespace_result *res));

/* Takes a checkpoint soon, however short the log is. */
void journal_checkpoint(struct journal *j);

struct journal_numbers {
	uint64_t begun;       /* index that grows with each start and leader */
	uint64_t index;       /* last applied */
	uint64_t entries;     /* applied since the start */
	uint64_t records;     /* in them */
	uint64_t bytes;       /* of log since the last checkpoint */
	uint64_t checkpoints; /* taken since the start */
	uint64_t checkpoint_failures;
	uint64_t waiting; /* bytes of commands not yet proposed */
};

void journal_numbers(const struct journal *j, struct journal_numbers *out);

/*
 * The recent entries, for `admin journal dump`: the first one kept whose index
 * is above `after`; NULL if there is none.  Valid until the next turn.
 */
const void *journal_recent(const struct journal *j, uint64_t after,
			   uint64_t *index, size_t *len);
