/*
 * The simulation: a master, three workers and four clients in one thread, over
 * a net, an under-storage and disks that are simulated, on one clock.  All that
 * happens follows from the seed.
 *
 * Times are simulated ms, sizes bytes.  What breaks a promise of the system
 * ends the process with a sentence, by fail(): each seed has one of its own.
 */

#pragma once

#include "client/client.h"
#include "lib/fake_ufs.h"
#include "lib/sim_master.h"
#include "lib/sim_net.h"
#include "worker/worker.h"

#define N_WORKERS 3
#define N_CLIENTS 4
#define BLOCK     (UINT64_C(2) << 20)
#define MAX_SIZE  (UINT64_C(5) << 20) /* of an object */
#define URI       "fake://bucket"
#define EXTRA_URI "fake://extra"

/* random.c: numbers that follow from the seed. */

void random_seed(uint64_t seed);
uint64_t random_below(uint64_t n);
/* Once in `n` times. */
bool random_once_in(uint64_t n);

/* What happened so far, as a number: the same seed, the same number. */
void trace(uint64_t what);
uint64_t trace_sum(void);

_Noreturn void fail(const char *fmt, ...) ATTR_PRINTF(1, 2);

/* model.c: what under-storage has and ever had. */

#define MAX_PATHS 48

struct version {
	uint64_t content, size;
	uint64_t gone_ms; /* when it was replaced or removed; UINT64_MAX */
	unsigned path;
};

struct model {
	struct loop *near; /* the clock */
	struct fake_ufs *storage, *extra;
	const char *paths[MAX_PATHS];  /* "a/b/f7" */
	uint64_t absent_ms[MAX_PATHS]; /* last; UINT64_MAX: it is */
	unsigned n_paths;
	struct version *versions; /* by content, which count from 1 */
	size_t n_versions;
};

void model_init(struct model *m, struct loop *near, uint64_t seed);
void model_close(struct model *m);
/* Puts, replaces or removes an object. */
void model_change(struct model *m);
/* The version that a file of this path is said to have, or it fails. */
const struct version *model_version(const struct model *m, const char *path,
				    const struct attr *attr);
/* Whether there was no object under this path at some time since then. */
bool model_absent_since(const struct model *m, const char *path,
			uint64_t since_ms);
/* Fails unless these bytes are those of the version. */
void model_check_bytes(const struct version *v, const char *path,
		       uint64_t offset, const void *buf, size_t len);

/* worker.c: a worker as a process, with a store in a real directory. */

struct sim_worker {
	unsigned number; /* from 1 */
	struct sim_net *net;
	struct loop *near;
	const uint8_t *key;
	uint64_t capacity;
	const char *evictor;

	char *dir;
	char addresses[2][32], host[16];
	const char *listen[3];
	struct rpc_identity identity;
	uint8_t uuid[16];
	struct loop *loop; /* NULL: it does not run */
	struct workpool *pool;
	struct store *store;
	struct worker *worker;
	bool stopped;
};

void sim_worker_init(struct sim_worker *w);
void sim_worker_close(struct sim_worker *w); /* it does not run */
void sim_worker_start(struct sim_worker *w);
/* These two run the clock until it has ended. */
void sim_worker_stop(struct sim_worker *w);
void sim_worker_crash(struct sim_worker *w);
/* Fails if its directory takes more than its capacity. */
void sim_worker_check(const struct sim_worker *w);

/* actor.c: a client and what it does. */

struct cluster;

struct actor {
	struct cluster *cluster;
	unsigned number; /* from 1 */
	struct loop *loop;
	struct workpool *pool;
	struct client *client;
	struct timer timer;
	bool stopping, idle, crashing;
	uint64_t began_ms; /* what it does now */
	uint64_t done;     /* operations */
	uint64_t checked;  /* bytes */

	/* the operation */
	struct client_call call;
	struct client_open open;
	struct client_read read;
	char path[64];
	struct version version;
	uint64_t id;
	bool refresh;
	unsigned left; /* reads or pages to do */
	uint64_t after, last_job;
	char last[64]; /* name that a listing gave */
	uint8_t *buf;
	bool mounted, unsure; /* the extra mount */
	struct timer cut;     /* from the master */
};

void actor_start(struct actor *a);
void actor_go(struct actor *a);    /* until `stopping`, then it gets idle */
void actor_close(struct actor *a); /* it is idle */
/* In the middle of whatever it does; another one goes on in its place. */
void actor_crash(struct actor *a);
/* A call that blocks the simulation until it is done: the code. */
int actor_call(struct actor *a, const struct rpc_method *method,
	       const void *request,
	       void (*reply)(void *owner, const void *reply), void *owner);
/* Reads a whole file and checks it; blocks. */
void actor_check_file(struct actor *a, const char *path,
		      const struct attr *attr);
/* Fails if it has been at one thing for too long. */
void actor_check(const struct actor *a);

/* cluster.c */

struct cluster {
	uint64_t seed;
	bool calm;   /* objects change, nothing fails */
	bool frees;  /* clients free files: who reads one then fetches it again,
		      * though the fetch that was dropped is under way */
	bool stormy; /* a lot does */
	bool roomy;  /* caches hold all there is */
	struct sim_net *net;
	struct loop *near; /* nobody's, for the clock */
	uint8_t key[32];
	struct model model;
	struct sim_master master;
	struct sim_worker workers[N_WORKERS];
	struct actor actors[N_CLIENTS];
	unsigned falls; /* of processes */
};

/* Runs a seed from beginning to end. */
void cluster_run(uint64_t seed);

/* faults.c */

/* Something goes wrong, perhaps; called now and then.  May run the clock. */
void faults_step(struct cluster *c);
/* Everything is repaired and runs. */
void faults_end(struct cluster *c);

/* final.c: the tree is the model's, every file is right, and the same again
 * after all were killed. */
void final_check(struct cluster *c);
