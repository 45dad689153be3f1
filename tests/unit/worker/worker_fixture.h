/*
 * Workers on the simulated net, with a master that answers from a table and an
 * under-storage in memory.  Files have ids from 1; their bytes are compared.
 */
#pragma once

#include "lib/test.h"

#include "lib/fake_ufs.h"
#include "lib/sim_net.h"
#include "rpc/client.h"
#include "rpc/method.h"
#include "rpc/server.h"
#include "worker/worker.h"

#define KIB       UINT64_C(1024)
#define MIB       (KIB * KIB)
#define N_WORKERS 2
#define N_FILES   64

struct node {
	struct loop *loop;
	char *dir;
	struct store *store;
	struct worker *worker;
	struct rpc_client *client; /* of ours, to it */
	struct rpc_identity identity;
	uint8_t uuid[16];
	char address[40];
	bool stopped;
};

struct fixture {
	struct sim_net *net;
	struct fake_ufs *ufs;
	struct loop *loop; /* of the clients */
	struct rpc_identity identity;
	char *parent;
	uint64_t capacity, max_fetching, max_filling;
	const char *evictor;
	int (*open_ufs)(struct ufs **out, const struct ufs_env *env,
			const char *uri, struct err *err); /* NULL: fake */
	struct node nodes[N_WORKERS];

	struct loop *master_loop;
	struct rpc_server *master;
	struct rpc_identity master_identity;
	uint8_t cluster[16];
	uint64_t epoch;
	bool live[N_WORKERS];
	bool report, register_again; /* asked for with the next heartbeat */
	bool forgetful;       /* a report is never known when one registers */
	uint64_t life, heard; /* of the last report */
	uint32_t holders[N_FILES]; /* told of; 0: none */
	unsigned registered, heartbeats, fulls, mounts_asked, files_asked;
	unsigned suspected[N_FILES];
	unsigned added[N_FILES], complete[N_FILES], removed[N_FILES];
	const char *mount_option; /* the value of one */
	uint64_t mount_changes;   /* as told with a heartbeat */
	int file_code;            /* what call file answers, if not 0 */
	bool tells_next;          /* of the files behind it too */

	struct {
		uint64_t size, content;
	} files[N_FILES];

	uint64_t let_go[8];
	size_t n_let_go;
};

extern struct fixture f;

int setup(void **state); /* one worker, registered */
int teardown(void **state);

void master_begin(void);
void master_end(void);
void node_start(unsigned i);
void node_stop(unsigned i);
void run(uint64_t ms);

/* Puts a file into under-storage and tells the master's table. */
void put_file(uint64_t id, uint64_t size);

/* A call of read on its way. */
struct reading {
	struct rpc_pending pending;
	uint64_t id, offset;
	char *buf;
	int calls, code;
	uint32_t source;
	size_t n;
};

void read_begin(struct reading *r, unsigned node, uint64_t id, uint64_t offset,
		size_t len);
extern uint32_t instead_of; /* of the reads to come */
/* The bytes have been compared. */
void read_end(struct reading *r);
/* Both, with time for it in between: the bytes read or a code. */
ssize_t read_some(uint64_t id, uint64_t offset, size_t len);
ssize_t read_file(uint64_t id);

/* Any call to a worker: its code; *reply is copied out of the answer. */
int call_worker(unsigned node, const struct rpc_method *method,
		const void *request, void *reply, size_t size);
struct open_reply open_file(uint64_t id);

/* Of under-storage. */
const struct fake_ufs_numbers *numbers(void);
/* How many bytes of a file the first worker has. */
uint64_t in_store(uint64_t id);
