/*
 * The workers: who is there, what they hold, and how to reach them.
 *
 * Soft state, rebuilt when workers register and report; only their ids are in
 * the journal.  The epoch grows whenever the set of live workers or one of
 * their addresses changes; its upper part is where in the journal this master
 * began to lead, so that it grows over restarts and changes of the leader too,
 * whatever the clock says.
 *
 * Reports are increments with a number.  What a worker has reported stays when
 * it is lost, for a while; when it is back it goes on from there.  Master's
 * loop.
 */
#pragma once

#include "core/namespace.h"
#include "core/placement.h"
#include "core/tiers.h"
#include "master/holders.h"
#include "rpc/client.h"
#include "rpc/method.h"

#define WORKERS_HEARTBEAT_MS 1000
#define WORKERS_DEAD_MS      9000 /* noticed within 500 ms more */

struct workers_options {
	struct loop *loop;
	const struct rpc_identity *identity;
	struct namespace *(*tree)(void *owner);
	uint64_t (*wall_ms)(void *owner);
	void *owner;
	const char *host; /* ours; a worker here is reached by its socket */
};

struct worker {
	uint32_t id;
	bool live;
	char **addresses;
	size_t n_addresses;
	char *host;
	uint64_t capacity, used;
	struct tier_info tiers[N_TIERS]; /* as it has said */
	unsigned n_tiers;
	uint64_t seen_ms;      /* loop's time */
	uint64_t seen_wall_ms; /* for reports */

	/* private */
	uint64_t life, heard; /* its run, and the number of its last report */
	struct rpc_client *client;
	uint64_t *drops; /* ids it shall drop */
	size_t n_drops, room, sent;
	struct rpc_pending pending;
	struct timer again;
	struct workers *w;
};

struct workers {
	struct workers_options o;
	uint64_t epoch;
	struct worker **at;
	size_t n;
	struct placement_worker *live; /* those that are */
	unsigned n_live;
	struct holders holders;
	struct timer check;
};

void workers_init(struct workers *w, const struct workers_options *o);
/* Ends calls under way; their callbacks come on the next turns, then: */
void workers_stop(struct workers *w);
void workers_close(struct workers *w);

/* This master leads from now on, see journal_numbers.begun: call it before the
 * others. */
void workers_lead(struct workers *w, uint64_t begun);

/* `id` is what the journal gave it.  The number of the last report that needs
 * not be sent again, for the reply. */
uint64_t workers_register(struct workers *w, uint32_t id,
			  const struct register_worker_request *req);
void workers_heartbeat(struct workers *w, const struct heartbeat_request *req,
		       struct heartbeat_reply *reply);

/* NULL: none of this id. */
struct worker *workers_get(const struct workers *w, uint32_t id);
/* The live ones. */
struct worker_set workers_set(const struct workers *w);
/* Live holders of a file. */
unsigned workers_holders(const struct workers *w, uint64_t file, uint32_t *out,
			 unsigned max);
/* How much of the file they have, as far as they have said: dirent.cached. */
unsigned workers_cached(const struct workers *w, uint64_t file,
			const uint32_t *holders, unsigned n);
/* To call it; the workers' own.  It may be gone on the next turn. */
struct rpc_client *workers_client(struct workers *w, struct worker *worker);

/* These versions are no more: whoever holds them is told to drop them. */
void workers_stale(struct workers *w, const uint64_t *ids, size_t n);
