/* What the handlers of the master share.  Private to master/. */
#pragma once

#include "master/jobs.h"
#include "master/journal.h"
#include "master/loader.h"
#include "master/master.h"
#include "master/mounts.h"
#include "master/resolve.h"
#include "master/workers.h"
#include "rpc/server.h"

#define LISTEN_MAX    16
#define LIST_MAX      1000 /* entries a reply */
#define REPLY_BYTES   ((size_t)512 << 10)
#define ENTRY_HOLDERS 3 /* named for each entry of a listing */
#define FILE_HOLDERS  4 /* told to a worker that wants the file */

struct master {
	struct master_options o;
	struct rpc_identity identity;
	struct journal *journal;
	struct mounts mounts;
	struct loader loader;
	struct workers workers;
	struct jobs jobs;
	struct rpc_server *server;
	char addresses[LISTEN_MAX][300];
	unsigned n_addresses;
	uint64_t started_ms;
	bool serving;
	uint64_t mount_changes; /* another number after each */
	bool fscking;           /* a check of the tree is under way */
	unsigned asking; /* calls of mount and check that ask under-storage */

	/* After a restart, until the workers have come back: who asks for the
	 * set waits, so that nobody takes a part of it for the whole. */
	bool gathering;
	uint64_t known_workers;
	struct timer gather_timer;
	struct list gatherers;    /* calls for the set */
	char *block_size_warning; /* or NULL */

	/* scratch of one reply */
	struct dirent entries[LIST_MAX];
	uint32_t holders[LIST_MAX * ENTRY_HOLDERS];

	/* stopping */
	struct timer stop_timer;
	uint64_t stop_at_ms;
	bool drained;
	void (*stopped)(void *owner, bool clean);
	void *stopped_owner;
	struct task task;
};

struct attr attr_of(const struct inode_view *v);

/* The handlers, by topic. */
void serve_lookup(void *role, struct rpc_call *call, const void *req);
void serve_getattr(void *role, struct rpc_call *call, const void *req);
void serve_stat(void *role, struct rpc_call *call, const void *req);
void serve_list(void *role, struct rpc_call *call, const void *req);
void serve_file(void *role, struct rpc_call *call, const void *req);
void serve_probe(void *role, struct rpc_call *call, const void *req);
void serve_check(void *role, struct rpc_call *call, const void *req);
void serve_paths(void *role, struct rpc_call *call, const void *req);
void serve_suspect(void *role, struct rpc_call *call, const void *req);

void serve_mount(void *role, struct rpc_call *call, const void *req);
void serve_unmount(void *role, struct rpc_call *call, const void *req);
void serve_update_mount(void *role, struct rpc_call *call, const void *req);
void serve_mounts(void *role, struct rpc_call *call, const void *req);

void serve_register_worker(void *role, struct rpc_call *call, const void *req);
void serve_heartbeat(void *role, struct rpc_call *call, const void *req);
void serve_workers(void *role, struct rpc_call *call, const void *req);

void serve_submit_job(void *role, struct rpc_call *call, const void *req);
void serve_jobs(void *role, struct rpc_call *call, const void *req);
void serve_cancel_job(void *role, struct rpc_call *call, const void *req);
void serve_free(void *role, struct rpc_call *call, const void *req);

void serve_report(void *role, struct rpc_call *call, const void *req);
void serve_journal_dump(void *role, struct rpc_call *call, const void *req);
void serve_fsck_tree(void *role, struct rpc_call *call, const void *req);
void serve_holdings(void *role, struct rpc_call *call, const void *req);
void serve_leader(void *role, struct rpc_call *call, const void *req);

/* Begins to wait for the workers; ends it, and answers who waits. */
void gather_begin(struct master *m);
void gather_end(struct master *m);

/* The workers as they travel; the caller frees both. */
struct worker_info *describe_workers(const struct workers *w,
				     schema_str **strings);
schema_str str_of(const char *s);
