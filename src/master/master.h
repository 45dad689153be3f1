/*
 * The master: the namespace, served.
 *
 * It runs on the loop it is given, real or simulated, and owns nothing of the
 * machine: raft's io, the checkpoints, the arena and the loops come from
 * outside (master_main.c in a process).  All callbacks come on its loop.
 */
#pragma once

#include <raft.h>

#include "core/namespace.h"
#include "master/arena.h"
#include "master/checkpoint.h"
#include "master/storage.h"

struct master;

struct master_options {
	struct loop *loop;
	struct storage_env storage; /* its `loop` is set by master_start() */

	/* see struct journal_options */
	struct workpool *pool;
	struct raft_io *io;
	raft_id member;
	bool empty;
	struct checkpoints *checkpoints;
	struct arena *arena;
	uint64_t checkpoint_bytes;
	const char *raft_dir; /* for dumps of what is only there; or NULL */
	uint8_t uuid[16];
	uint64_t block_size; /* of a new cluster */

	const uint8_t *key;        /* 32 bytes: the cluster's; or NULL */
	const char *const *listen; /* NULL-terminated, sockets first */
	const char *host;          /* this machine's name */
	uint64_t negative_ttl_ms;

	void *owner; /* of these: */
	uint64_t (*wall_ms)(void *owner);
	/* It serves, or it never will. */
	void (*ready)(void *owner, int code, const struct err *err);
	/* It cannot go on: the process must end. */
	void (*broken)(void *owner, const struct err *err);
};

/* Strings and key stay the caller's and must stay. */
struct master *master_start(const struct master_options *o);

/* Answers what it has taken, for 5 s at most, then closes all and calls back;
 * `m` is gone then.  Not `clean`: under-storage has not answered by then, and
 * the loop may not turn again. */
void master_end(struct master *m, void (*stopped)(void *owner, bool clean),
		void *owner);

/* The same, without waiting for what it has taken. */
void master_kill(struct master *m, void (*stopped)(void *owner, bool clean),
		 void *owner);

/* Where it serves, as others reach it: "unix:PATH" first; NULL at the end. */
const char *master_address(const struct master *m, unsigned i);

struct namespace *master_namespace(struct master *m);
