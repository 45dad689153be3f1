/*
 * A simulated master with a mounted bucket of FILES files, a client of it, and
 * workers that only say that they cache.  What a call answered is in `f`.
 */
#pragma once

#include "lib/test.h"

#include "base/map.h"
#include "lib/fake_ufs.h"
#include "lib/sim.h"
#include "lib/sim_master.h"
#include "master/jobs.h"
#include "rpc/client.h"
#include "rpc/method.h"
#include "rpc/server.h"

#define URI       "fake://bucket"
#define WORKERS   2
#define FILES     300
#define SECOND_MS 1000

/* Answers as a worker would, and keeps account. */
struct fake_worker {
	struct loop *loop;
	char address[32];
	struct rpc_identity me;
	struct rpc_server *server;
	struct rpc_client *master;
	struct rpc_pending pending;
	uint32_t id;
	bool register_again;
	struct map has; /* files */
	uint64_t loads, drops;
	int failing; /* loads that shall fail */
	int parts;   /* loads that shall be of a part only */
	int damaged; /* files that prove to be, when read again */
	uint64_t verified;
	bool incomplete; /* explain says so */
	bool hold;       /* loads are not answered */
	struct rpc_call *held[2 * JOBS_PARALLEL];
	unsigned n_held;
	unsigned most_held;
};

struct fixture {
	struct loop *loop;
	struct sim_net *net;
	struct sim_master master;
	struct rpc_identity me;
	struct rpc_client *client;
	struct fake_ufs *bucket;
	struct fake_worker workers[WORKERS];
	uint64_t sequence;

	struct rpc_pending pending;
	int calls, code;
	uint64_t id, epoch, n_live;
	uint64_t files, done, failed, bytes;
	char state[16], error[256];
};

extern struct fixture f;

int setup(void **state); /* no worker is registered */
int teardown(void **state);

schema_str str(const char *s);
schema_bytes bytes(const char *s);

/* Before a call is made by hand, and until it has ended: its code. */
void begin(struct rpc_pending *p);
int await(void);
/* For what a call is answered with: counts it and keeps its code. */
void on_any(struct rpc_pending *p, int code, const void *reply);

int register_as(struct rpc_client *client, const char *address, int number);
void worker_register(int n);
int heartbeat(int n, const uint64_t *added, size_t n_added);

/* Its id; f.files: how many hold it. */
uint64_t stat_path(const char *path, bool refresh);
