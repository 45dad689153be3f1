/*
 * A request of the kernel that asks the master (or then a worker): calls, one
 * after the other, and an answer.
 *
 * Takes care of what they have in common: the id of node 1, EINTR on INTERRUPT,
 * errors.  Freed after its answer.
 */
#pragma once

#include "fuse/fs.h"
#include "fuse/wait.h"

struct request;

/* What a kind of request does. */
struct request_ops {
	const char *name;
	/* Calls request_call() once, with request_id(). */
	void (*ask)(struct request *r);
	/* Answers r->req; `reply` is valid until it returns.  It may call
	 * request_call() instead, to ask more. */
	void (*answer)(struct request *r, const void *reply);
	/* May be NULL: the errno.  Answers. */
	void (*fail)(struct request *r, int code);
};

struct request {
	struct fs *fs;
	fuse_req_t req; /* in its callbacks; while it waits, `wait` has it */
	struct wait wait;
	const struct request_ops *ops;
	struct client_call call;
	fuse_ino_t node;
	uint64_t asked_ms; /* when the last call was made */
	bool calling, retried;

	/* of some kinds */
	char *text;
	size_t size;
	uint64_t offset;
	struct fuse_file_info fi;
	bool plus;
	unsigned kind;
	uint32_t mount;
};

/* `text`: copied, NULL for none. */
struct request *request_new(fuse_req_t req, const struct request_ops *ops,
			    fuse_ino_t node, const char *text);
/* Last of all: may free it. */
void request_start(struct request *r);
/* One that was answered without a start. */
void request_free(struct request *r);

/* The master's id of the node. */
uint64_t request_id(const struct request *r);
void request_call(struct request *r, const struct rpc_method *method,
		  const void *request);
/* The same of a worker. */
void request_call_worker(struct request *r, uint32_t worker,
			 const struct rpc_method *method, const void *request);
