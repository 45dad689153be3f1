/*
 * The client library: metadata from the master, bytes from workers.
 *
 * Belongs to one loop, real or simulated.  Every call waits for a missing role,
 * trying again, for `wait_ms` at most, then ends with -ETIMEDOUT and one log
 * line that says what was missing; calls that follow at once wait a second.  A
 * role that is there may take its time.
 * Mutations carry (client id, sequence), so a retry is applied once.
 *
 * fuse/, cli/ and the later faces use it and nothing below it.
 */
#pragma once

#include "core/placement.h"
#include "rpc/client.h"
#include "rpc/method.h"
#include "runtime/workpool.h"

struct client;

struct client_options {
	const char *const *masters; /* addresses, NULL-terminated */
	struct rpc_identity identity;
	uint64_t wait_ms;      /* 0: 30,000 */
	struct workpool *disk; /* for reads of granted files; NULL: no
				  grants are asked for */
	unsigned max_grants;   /* descriptors kept at most */
	const char *host;      /* our name; NULL: what the system says.  Unix
				  sockets of workers on other hosts are not
				  tried */
};

/* All strings are copied; the key must stay. */
struct client *client_new(struct loop *loop, const struct client_options *o);
void client_close(struct client *c); /* fails what is in flight: -ECANCELED */

struct client_call;
typedef void (*client_done_fn)(struct client_call *call, int code,
			       const void *reply);

/* Which server a call is for. */
enum client_target { CLIENT_MASTER, CLIENT_WORKER, CLIENT_HOME };

/* What a call waits for. */
enum client_wait {
	CLIENT_WAIT_NOTHING, /* it is done, or about to tell so */
	CLIENT_WAIT_ANSWER,
	CLIENT_WAIT_RETRY,
	CLIENT_WAIT_WORKERS, /* the worker set */
};

#define CLIENT_REQUEST_SMALL 128

/* A call to the master.  The caller's memory, until the callback. */
struct client_call {
	client_done_fn done;
	struct err err;

	/* private */
	struct client *client;
	const struct rpc_method *method;
	uint8_t *request; /* its bytes, to send again: `small` or on the heap */
	size_t request_len, request_size;
	uint8_t small[CLIENT_REQUEST_SMALL];
	enum client_target target;
	enum client_wait wait;
	uint32_t worker;     /* the one that is or was asked */
	uint32_t instead_of; /* CLIENT_HOME: the home, if that is away; or 0 */
	uint64_t file, offset; /* CLIENT_HOME: of the block there */
	bool once;             /* not again if it is missing */
	bool expired;
	bool moved; /* its worker is away: another shall answer */
	unsigned tries, unreached; /* in all; that found nobody there */
	uint64_t deadline_ms;      /* 0: nothing is missing */
	uint64_t wait_ms;          /* until then */
	uint64_t epoch;            /* of the set by which it was asked */
	void (*prepare)(struct client_call *call); /* before each try */
	struct rpc_pending pending;
	struct timer retry, limit;
	struct task task;
	struct list link;
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
	bool complete; /* when done: it is known to be cached whole */
	client_open_fn done;
	struct err err;

	/* private */
	struct client *client;
	struct client_call call;
	struct task task;
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
/* Somebody opens a file: whether client_grant_get() gives something.  Its
 * worker hears within a second that it was wanted. */
bool client_grant_open(struct client *c, uint64_t id);
int client_grant_fd(const struct client_grant *g);
void client_grant_put(struct client_grant *g);

/* A call to one worker, by its id in the worker set: for explain and report. */
void client_worker(struct client *c, uint32_t worker,
		   const struct rpc_method *method, struct client_call *call,
		   const void *request, client_done_fn done);
