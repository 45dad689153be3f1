/*
 * The processes of a cluster, as a command may choose them: the master, the
 * workers that are alive, and the mountpoints whose state directory is on this
 * machine.
 */

#pragma once

#include "cli/cli.h"

enum process_kind { PROCESS_MASTER, PROCESS_WORKER, PROCESS_FUSE };

struct process {
	enum process_kind kind;
	char *name; /* "master", "worker:1", "fuse:/mnt/data" */
	uint32_t worker;
	char *address; /* NULL: the master's, which client/ finds */
	bool silent;   /* it did not answer when it was asked last */
};

struct processes {
	struct process *at;
	size_t n;
};

/* What --target takes, for the table of commands. */
#define PROCESS_TARGETS "master, worker[:ID], fuse[:MOUNTPOINT]"

/* `target` is one of those, or NULL for all.  -ENOENT: there is none. */
int processes_find(struct cli *cli, const char *target, struct processes *out);
void processes_free(struct processes *all);

/* Calls one and waits, as cli_call() does; for one that is not the master 3 s
 * at most. */
int process_call(struct cli *cli, struct process *p,
		 const struct rpc_method *method, const void *request,
		 cli_reply_fn fn, void *arg);
