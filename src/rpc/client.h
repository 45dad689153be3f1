/*
 * Making calls.  One client per peer address and loop; it connects when first
 * used, pipelines calls, and reconnects.  It never retries: whether a call may
 * be repeated is known to client/, not here.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "rpc/auth.h"
#include "runtime/loop.h"

struct rpc_client;
struct rpc_pending;
struct rpc_method;

/*
 * `code` is 0 and `reply` decoded, or `code` is the peer's or the transport's
 * error and `reply` NULL; p->err has the sentence.  `reply` is valid during the
 * callback.  Comes once, never before the call returns; p may be freed or
 * reused inside.
 */
typedef void (*rpc_done_fn)(struct rpc_pending *p, int code, const void *reply);

/* A call in flight.  The caller's memory, the client's until the callback. */
struct rpc_pending {
	uint64_t deadline_ms; /* by loop_now_ms(); 0: none.  Then -ETIMEDOUT */
	void *data;           /* where the raw bytes of the reply go, or NULL */
	size_t data_len;      /* room */
	size_t data_got;      /* how many came */
	/* May be NULL: the first `got` bytes of data have come. */
	void (*progress)(struct rpc_pending *p, size_t got);
	int fd;        /* a descriptor that came: the caller's; or -1 */
	bool answered; /* by the peer: the code is its own, not ours */
	struct err err;
	rpc_done_fn done;

	/* private */
	struct rpc_client *client;
	const struct rpc_method *method;
	uint32_t id;
	struct list link;
	struct timer timer;
	struct task task;
};

/* A notice came: `number`, and its decoded fields, valid during the call. */
typedef void (*rpc_notice_fn)(void *owner, unsigned number, const void *notice);

/* `identity` is copied; its key must stay. */
struct rpc_client *rpc_client_new(struct loop *loop, const char *address,
				  const struct rpc_identity *identity);
void rpc_client_on_notice(struct rpc_client *c, rpc_notice_fn fn, void *owner);
/* The connection was lost, and with it what the peer held for us (grants); may
 * be NULL.  Not called by close. */
void rpc_client_on_lost(struct rpc_client *c, void (*fn)(void *owner),
			void *owner);
/*
 * Notices soon whether the peer is there: a call in flight and not a byte heard
 * for a second, pings unanswered, and `fn` comes with true; the calls go on.
 * From then on it is looked for, and `fn` comes with false when it is heard of.
 * For peers whose work another can do meanwhile.
 */
void rpc_client_watch(struct rpc_client *c, void (*fn)(void *owner, bool away),
		      void *owner);
/* It was tried in vain to reach it: as if it had been silent, at once. */
void rpc_client_doubt(struct rpc_client *c);
void rpc_client_close(struct rpc_client *c); /* fails calls with -ECANCELED */

/* Encodes `request` at once: it need not live on. */
void rpc_call(struct rpc_client *c, const struct rpc_method *method,
	      struct rpc_pending *p, const void *request, rpc_done_fn done);

/* The same with a request that is encoded already. */
void rpc_call_encoded(struct rpc_client *c, const struct rpc_method *method,
		      struct rpc_pending *p, const void *request, size_t len,
		      rpc_done_fn done);

/* Connected, and the handshake done: as far as we know, the peer is there. */
bool rpc_client_is_ready(const struct rpc_client *c);
/* No call is in flight. */
bool rpc_client_is_idle(const struct rpc_client *c);

/* The callback comes with -ECANCELED, or with the result if that was too
 * late.  The peer is told. */
void rpc_cancel(struct rpc_pending *p);

#define RPC_MASTER_METHOD(name) (&rpc_master_methods[MASTER_CALL_##name])
#define RPC_WORKER_METHOD(name) (&rpc_worker_methods[WORKER_CALL_##name])
#define RPC_PROCESS_METHOD(name) \
	(&rpc_process_methods[PROCESS_CALL_##name - PROCESS_CALLS_FROM])
