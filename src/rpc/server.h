/*
 * Serving calls.  The server owns sockets, framing, limits and deadlines; a
 * role gives it a table of handlers, and it answers itself what is asked of
 * every process (PROCESS_CALLS).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "rpc/auth.h"
#include "rpc/method.h"
#include "runtime/loop.h"

struct rpc_server;
struct rpc_call;    /* one request being served, until it is answered */
struct rpc_session; /* one connection, until `lost` */

/*
 * `req` is the decoded request, valid until the call is answered.  Answer with
 * rpc_reply(), rpc_reply_data(), rpc_reply_file(), rpc_reply_fd() or
 * rpc_fail(), exactly once, now or later, on the call's loop.  A call whose
 * peer has gone must be answered all the same.
 */
typedef void (*rpc_handler)(void *role, struct rpc_call *call, const void *req);

struct rpc_service {
	const char *name;                 /* "master", for logs and metrics */
	const struct rpc_method *methods; /* rpc/method.h */
	const rpc_handler *handlers;      /* by call number; NULL: refused */
	unsigned n_methods;
	void *role;
	/* May be NULL: this session has ended, after its last call was
	 * answered; what it held is free. */
	void (*lost)(void *role, struct rpc_session *s);
};

struct rpc_server *rpc_server_new(struct loop *loop,
				  const struct rpc_service *service,
				  const struct rpc_identity *identity);
/* May be called several times.  `bound`, of 300 bytes, or NULL. */
int rpc_server_listen(struct rpc_server *s, const char *address, char *bound,
		      struct err *err) MUST_CHECK;
/* Refuses new calls, and calls back when those in flight are answered. */
void rpc_server_drain(struct rpc_server *s, void (*drained)(void *owner),
		      void *owner);
void rpc_server_close(struct rpc_server *s); /* cuts what is left */

/* `reply` is encoded at once. */
void rpc_reply(struct rpc_call *call, const void *reply);
/* With `len` raw bytes; `sent` comes when `data` may go. */
void rpc_reply_data(struct rpc_call *call, const void *reply, const void *data,
		    size_t len, void (*sent)(void *owner), void *owner);
/* With raw bytes of a file, by sendfile; fd must stay until `sent`. */
void rpc_reply_file(struct rpc_call *call, const void *reply, int fd,
		    uint64_t offset, size_t len, void (*sent)(void *owner),
		    void *owner);
/* With a descriptor (unix sockets; it is duplicated, the caller keeps his). */
void rpc_reply_fd(struct rpc_call *call, const void *reply, int fd);
void rpc_fail(struct rpc_call *call, int code, const char *fmt, ...)
	ATTR_PRINTF(3, 4);
void rpc_fail_err(struct rpc_call *call, int code, const struct err *err);

const struct rpc_peer *rpc_call_peer(const struct rpc_call *call);
struct rpc_session *rpc_call_session(const struct rpc_call *call);
struct loop *rpc_call_loop(const struct rpc_call *call);
/* The caller has cancelled, timed out or gone: `fn` comes once at most, and
 * never after the answer. */
void rpc_call_on_cancel(struct rpc_call *call, void (*fn)(void *owner),
			void *owner);

/* Sends a notice of wire/messages.h, already encoded. */
void rpc_notify(struct rpc_session *s, unsigned number, const void *body,
		size_t len);
