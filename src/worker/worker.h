/*
 * A worker: holds cached blocks and fills them, from a peer that has them or
 * from under-storage, and serves both to clients and peers.
 *
 * All of it lives on one loop, real or simulated; the store's disk threads do
 * what blocks.  What is cached is served without a master and without
 * under-storage.
 */
#pragma once

#include "rpc/auth.h"
#include "rpc/server.h"
#include "store/store.h"
#include "ufs/ufs.h"

struct worker;

struct worker_options {
	struct loop *loop;   /* with its transport */
	struct store *store; /* opened by the caller, on this loop */
	const struct rpc_identity *identity;
	const char *const *masters; /* addresses, NULL-terminated */
	const char *const *listen;  /* addresses, unix sockets first */
	const uint8_t *uuid;        /* 16 bytes, always the same */
	const char *host;           /* its name, for people */
	struct workpool *pool;      /* for under-storages that block */
	const char *const *own;     /* as ufs_env has it */
	/* How under-storage is opened; NULL: ufs_open(). */
	int (*open_ufs)(struct ufs **out, const struct ufs_env *env,
			const char *uri, struct err *err);
	uint64_t (*wall_ms)(void); /* NULL: the system's clock */
	uint64_t max_fetching;     /* bytes under way at once; 0: 256 MiB */
	uint64_t max_kept;    /* bytes not cached, kept a while; 0: 64 MiB */
	uint64_t max_filling; /* bytes that wait for disks; 0: 512 MiB */
	/* May be NULL: the master knows us, from now on or again. */
	void (*registered)(void *owner);
	void *owner;
};

/* The options are copied, what they point to must stay.  The store's let_go is
 * the worker's from now on. */
int worker_start(struct worker **out, const struct worker_options *o,
		 struct err *err) MUST_CHECK;

/* Where it listens on the i-th of its addresses; NULL after the last. */
const char *worker_address(const struct worker *w, unsigned i);

/* Refuses new calls, lets those in flight end (5 s at most), ends everything
 * else, cuts off who takes no answer (1 s later), tells the master nothing;
 * then `stopped`, on the loop.  Not `all`: an under-storage does not give its
 * threads back; what is left is for the end of the process to free, but the
 * store. */
void worker_stop(struct worker *w, void (*stopped)(void *owner, bool all),
		 void *owner);

/* After `stopped` and store_close(): the store's threads may be calling us
 * until then.  The store stays the caller's. */
void worker_free(struct worker *w);
