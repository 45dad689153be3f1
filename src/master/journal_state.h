/*
 * The inside of the journal, for its own files only: journal.c applies and has
 * the life of it, journal_write.c proposes, journal_image.c takes checkpoints.
 */
#pragma once

#include "master/entry.h"
#include "master/journal.h"
#include "master/recent.h"

/* Commands that go, or went, into one raft entry. */
struct batch {
	struct list link;
	struct list reqs;
	struct entry entry;
};

struct journal {
	struct journal_options o;
	struct raft raft;
	struct raft_fsm fsm;
	struct namespace *ns;
	msgpack_zone zone;
	struct recent recent;
	struct journal_numbers n;

	/* writing */
	struct list batches; /* to be proposed, oldest first */
	struct batch *flying;
	struct raft_apply apply; /* its */
	struct task flush;
	bool flushing;      /* `flush` is posted */
	struct timer retry; /* while raft has no room on disk */
	uint64_t full_ms;   /* since when it has none; 0: it has */
	bool refusing;      /* for as long that commands are refused */

	/* checkpoints */
	int (*put)(struct raft_io *io, unsigned trailing,
		   struct raft_io_snapshot_put *req,
		   const struct raft_snapshot *snapshot,
		   raft_io_snapshot_put_cb cb);
	struct {
		struct raft_io_snapshot_put *req;
		const struct raft_snapshot *snapshot;
		raft_io_snapshot_put_cb cb;
		unsigned trailing;
	} held;
	struct task waited;
	enum { IDLE, WRITING, PUTTING } checkpoint;
	bool wanted;            /* by journal_checkpoint() */
	uint64_t not_before_ms; /* after a failure */
	uint64_t at_bytes;      /* n.bytes when it began */
	struct timer late;      /* raft does not get done with its part */

	/* life */
	struct raft_barrier barrier;
	struct journal_req cluster;
	bool asked;   /* the barrier was sent */
	bool behind;  /* and applied */
	bool looking; /* `leader` is posted */
	bool started; /* raft is: close it */
	bool ready, broken, stopped, closing;
	struct task leader, tell;
	struct err err;
	void (*closed)(void *owner);
	void *closed_owner;
};

/* Calls back with `code`. */
void journal_finish(struct journal_req *req, int code);
void journal_finish_all(struct list *reqs, int code);
/* Nothing more is taken: `err` of the journal says why. */
void journal_broken(struct journal *j);

/* journal_write.c */

/* Proposes what waits, soon; if nothing is in flight. */
void journal_post_flush(struct journal *j);
void batch_free(struct batch *b);

/* journal_image.c */

#define JOURNAL_CHECKPOINT_ENTRIES 65536 /* at most between two checkpoints */

/* Whether it is time for raft to take a snapshot. */
void journal_watch_growth(struct journal *j);
int journal_snapshot(struct raft_fsm *fsm, struct raft_buffer *bufs[],
		     unsigned *n_bufs);
int journal_restore(struct raft_fsm *fsm, struct raft_buffer *buf);
/* raft_io's snapshot_put: waits until the checkpoint is durable. */
int journal_hold_put(struct raft_io *io, unsigned trailing,
		     struct raft_io_snapshot_put *req,
		     const struct raft_snapshot *snapshot,
		     raft_io_snapshot_put_cb cb);

/* journal.c: once nothing is under way any more. */
void journal_close_raft(struct journal *j);
