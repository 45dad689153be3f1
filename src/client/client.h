/*
 * The client library: metadata from the master, bytes from workers.
 *
 * Belongs to one loop, real or simulated.  Every call waits for a missing role,
 * trying again, for `wait_ms` at most, then ends with -ETIMEDOUT and one log
 * line that says what was missing.  Mutations carry (client id, sequence), so a
 * retry is applied once.
 *
 * fuse/, cli/ and the later faces use it and nothing below it.
 */
#pragma once

#include "rpc/client.h"
#include "rpc/method.h"
#include "runtime/workpool.h"

struct client;

struct client_options {
	const char *const *masters; /* addresses, NULL-terminated */
	struct rpc_identity identity;
	uint64_t wait_ms;      /* 30,000 by default */
	struct workpool *disk; /* for reads of granted files; NULL: no
				  grants are asked for */
	unsigned max_grants;   /* descriptors kept at most */
};

struct client *client_new(struct loop *loop, const struct client_options *o);
void client_close(struct client *c); /* fails what is in flight: -ECANCELED */

struct client_call;
typedef void (*client_done_fn)(struct client_call *call, int code,
			       const void *reply);

/* A call to the master.  The caller's memory, until the callback. */
struct client_call {
	client_done_fn done;
	struct err err;

	/* private */
	struct client *client;
	const struct rpc_method *method;
	void *request; /* a copy of its bytes, to send again */
	size_t request_len;
	uint64_t deadline_ms;
	struct rpc_pending pending;
	struct timer timer;
	struct list link;
	bool cancelled;
};

/* `request` is of the method's request struct and is encoded at once. */
void client_master(struct client *c, const struct rpc_method *method,
		   struct client_call *call, const void *request,
		   client_done_fn done);
void client_cancel(struct client_call *call);

/* The next (client id, sequence), for a mutation's `origin`. */
struct origin client_origin(struct client *c);

struct client_read;
/* `n`: the bytes read, short only at the end of the file, or a negative code:
 * -ESTALE (ERR_CHANGED) if that version is no more. */
typedef void (*client_read_fn)(struct client_read *read, ssize_t n);

/* Bytes of one version of a file, from wherever they are nearest.  The caller's
 * memory, until the callback. */
struct client_read {
	uint64_t id;
	uint64_t length; /* of the file, if the caller knows; else UINT64_MAX */
	uint64_t offset;
	void *buf;
	size_t len;
	client_read_fn done;
	struct err err;

	/* private */
	struct client *client;
	void *state;
};

void client_read(struct client *c, struct client_read *read,
		 client_read_fn done);
void client_read_cancel(struct client_read *read);

/*
 * Tells the home worker that the file is being opened (heat, hit or miss) and
 * gets a grant if it can.  Need not be called before reading; never fails for
 * want of a worker.
 */
struct client_open;
typedef void (*client_open_fn)(struct client_open *open, int code);
struct client_open {
	uint64_t id;
	uint64_t length;
	client_open_fn done;
	struct err err;

	/* private */
	struct client *client;
	void *state;
};
void client_open(struct client *c, struct client_open *open,
		 client_open_fn done);
void client_open_cancel(struct client_open *open);

/*
 * The granted descriptor of a file that lies whole and verified on this host,
 * if it is held already: pread() it on any thread, then put it back, on any
 * thread.  NULL: read through client_read().
 */
struct client_grant;
struct client_grant *client_grant_get(struct client *c, uint64_t id);
int client_grant_fd(const struct client_grant *g);
void client_grant_put(struct client_grant *g);

/* A call to one worker, by its id in the worker set: for explain and report. */
void client_worker(struct client *c, uint32_t worker,
		   const struct rpc_method *method, struct client_call *call,
		   const void *request, client_done_fn done);
