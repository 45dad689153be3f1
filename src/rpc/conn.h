/*
 * One connection: the handshake, frames in and out, limits.  What frames mean
 * is known to server.c and client.c.
 *
 * It is embedded in its owner, who may free it in closed() and not before.
 */
#pragma once

#include "rpc/auth.h"
#include "rpc/out.h"
#include "rpc/transport.h"
#include "wire/messages.h"

#define RPC_VERSION        1 /* what we speak */
#define RPC_OLDEST_VERSION 1 /* what we still understand */

#define CONN_FDS          4   /* descriptors that wait for their frame */
#define CONN_HELLO_MAX    512 /* bytes of a hello */
#define CONN_NONCE_LEN    32
#define CONN_HANDSHAKE_MS 10000

struct conn;

/* A frame that came; valid during the call that shows it. */
struct frame {
	struct envelope e;
	uint32_t payload_len;
	int fd; /* a descriptor that came along, or -1; taken: set it to -1 */
};

struct conn_ops {
	/* The handshake is done. */
	void (*ready)(void *owner);

	/* Where the raw bytes of this frame go, all `payload_len` of them;
	 * NULL: nowhere. */
	void *(*payload)(void *owner, const struct frame *f);
	void (*progress)(void *owner, const struct frame *f, size_t got);

	/* Complete.  A negative code says it is no frame we can accept, and
	 * ends the connection. */
	int (*frame)(void *owner, struct frame *f, struct err *err);

	/* Whether more frames may come now; else conn_resume() later.  May be
	 * NULL: always. */
	bool (*hungry)(void *owner);

	/* Last.  `err` has a sentence. */
	void (*closed)(void *owner, int code, const struct err *err);
};

enum conn_phase {
	CONN_HELLO, /* the other's hello is awaited */
	CONN_PROOF, /* ... and now its proof */
	CONN_READY,
	CONN_CLOSED
};

struct conn {
	struct rpc_peer peer;
	enum conn_phase phase;
	uint64_t heard_ms; /* when bytes came last */

	/* private */
	struct loop *loop;
	struct connection *connection;
	const struct conn_ops *ops;
	void *owner;
	const struct rpc_identity *me;
	char *what; /* for sentences: its address */
	struct out_pool *pool;
	bool server;
	bool trusted; /* a local peer that need not prove itself */
	struct timer timer;
	struct err err;

	uint8_t *buf; /* start..end: came, and is not yet used */
	size_t start, end, size;
	struct frame frame; /* while its payload comes */
	size_t header_len;  /* of that frame; 0: none */
	uint8_t *sink;      /* its payload's place; NULL: nowhere */
	size_t got;
	uint8_t *scratch; /* where unwanted payload goes */
	int fds[CONN_FDS];
	unsigned n_fds;

	/* Both hellos, as they travelled, until they are proved. */
	uint8_t hello[2][CONN_HELLO_MAX];
	size_t hello_len[2];
};

/* Takes a fresh connection over: `peer`, if accepted, else NULL and `address`
 * is where it was connected to.  `me` and `pool` must stay. */
void conn_init(struct conn *c, struct loop *loop, struct connection *connection,
	       const struct peer *peer, const char *address,
	       const struct rpc_identity *me, struct out_pool *pool,
	       const struct conn_ops *ops, void *owner);

/* Takes a finished frame; it is given back when it has gone, or is dropped if
 * the connection is closed. */
void conn_send(struct conn *c, struct out *o);

/* A frame of a connection's own: pack its body, then finish it. */
struct out *conn_begin(struct conn *c, enum frame_kind kind, uint32_t id,
		       uint32_t number, msgpack_packer *body);
void conn_finish(struct conn *c, struct out *o);

/* A frame without a body worth mention: FRAME_CANCEL, FRAME_PING. */
void conn_send_bare(struct conn *c, enum frame_kind kind, uint32_t id);

/* Payload that is coming for the call `id` has no place any more. */
void conn_forget_payload(struct conn *c, uint32_t id);

void conn_resume(struct conn *c);

/* closed() comes with this code and sentence.  No effect if it is closed. */
void conn_close(struct conn *c, int code, const char *fmt, ...)
	ATTR_PRINTF(3, 4);

/* "master", "worker", ... */
const char *rpc_role_name(enum rpc_role role);
