/*
 * What the files of client/ share.  call.c makes calls and repeats them,
 * workers.c knows who serves, grants.c keeps descriptors, read.c reads.
 */
#pragma once

#include <stdatomic.h>

#include "base/map.h"
#include "client/client.h"

#define LOG_MODULE "client"

#define CLIENT_WAIT_MS  30000
#define CLIENT_READ_MAX (4u << 20) /* bytes of one read call */
#define CLIENT_BLOCK    (256ull << 20)
#define MAX_ORDER       8 /* workers tried for a block */

struct worker {
	struct list link;
	struct client *client;
	uint32_t id;
	char **addresses;
	unsigned n_addresses;
	unsigned current;  /* the address in use */
	unsigned refused;  /* times in a row that nobody listened there */
	uint64_t moved_ms; /* when we left the first address */
	bool listed;       /* in the set that is known */
	bool away;         /* says nothing: others are asked meanwhile */
	uint64_t vain_ms;  /* first try in vain since it was there; 0 */
	uint64_t last_vain_ms;
	struct rpc_client *rpc; /* NULL: not yet used */
};

/* One address of a master. */
struct master {
	char *address;
	struct rpc_client *rpc;
};

struct client {
	struct loop *loop;
	struct rpc_identity identity;
	char *host;
	uint64_t wait_ms;
	uint64_t id, sequence;
	struct master *masters;
	unsigned n_masters, current;
	bool closed;
	unsigned refs;     /* our owner, and each call and read */
	struct list calls; /* that do not wait for the worker set */
	struct list reads; /* of granted files */
	/* By target: waits that ended in vain since it last answered. */
	struct vain {
		bool logged;
		uint64_t at_ms; /* the last; 0: none */
	} vain[CLIENT_HOME + 1];

	/* The worker set. */
	struct list workers;
	struct map by_id; /* the same */
	struct worker_set set;
	struct placement_worker *live;
	uint64_t block_size;
	bool known, asking;
	struct client_call ask;
	struct list waiting; /* calls */

	/* Granted descriptors, least recently used first. */
	struct workpool *disk;
	unsigned max_grants, n_grants;
	struct map grants;
	struct list lru;
	struct timer sweep;
	bool sweeping;
	struct list opened; /* since the workers were told */
	struct timer tell;
	bool telling;
};

void client_put(struct client *c);

/* ---- call.c ---- */

/* A call of ours: the fields that say where to are set. */
void call_start(struct client *c, struct client_call *call,
		const struct rpc_method *method, const void *request,
		client_done_fn done);
/* The worker set that it waited for has come, or will not (`code`). */
void call_workers_known(struct client_call *call, int code,
			const struct err *err);
void call_encode(struct client_call *call, const void *request);
void calls_cancel(struct client *c);
/* This worker is away: what others can answer too goes to them. */
void calls_move(struct client *c, uint32_t worker);
/* What waits to try it again does so at once. */
void calls_hurry(struct client *c, uint32_t worker);

/* ---- workers.c ---- */

void client_workers_close(struct client *c);
/* Asks the master for the set, if that is not being done. */
void workers_refresh(struct client *c);
/* Has it called back by call_workers_known(), with a set that is newer than
 * that of call->epoch if there is one; `told`: call->worker has one. */
void workers_wait(struct client_call *call, bool told);
struct worker *workers_find(struct client *c, uint32_t id);
/* Who to ask for a block: the first in its order that is not away; of those
 * that all are, another each time (`unreached`).  *home: who would be asked if
 * nobody were away.  NULL: there is nobody. */
struct worker *workers_for(struct client *c, struct block_id block,
			   unsigned unreached, uint32_t *home);
/* Its connection. */
struct rpc_client *worker_rpc(struct worker *w);
bool worker_is_local(const struct worker *w);
/* Could not be reached: another address the next time, perhaps. */
void worker_next_address(struct worker *w, int code);
/* Was tried in vain; after a second of that it is away: whether it is so now,
 * and was not before. */
bool worker_in_vain(struct worker *w);

/* ---- read.c ---- */

void reads_cancel(struct client *c);

/* ---- grants.c ---- */

void client_grants_close(struct client *c);
/* Takes `fd`. */
void grants_add(struct client *c, uint64_t id, uint32_t worker, int fd);
/* The worker has taken them all back. */
void grants_forget(struct client *c, uint32_t worker);
void client_grants_let_go(struct client *c, struct worker *w,
			  const struct let_go_notice *notice);
