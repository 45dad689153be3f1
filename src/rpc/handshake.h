/*
 * The handshake of rpc/auth.h: what is said, proved and refused at the start of
 * a connection.
 */
#pragma once

#include "rpc/conn.h"

/* Begins it: says hello, if it is our turn, and limits the time. */
void handshake_start(struct conn *c);

/* A frame of the handshake, or one that came before its end.  A negative code:
 * it is out of place. */
int handshake_frame(struct conn *c, const struct frame *f) MUST_CHECK;

/* Whether a local peer needs no proof: our own user, or root. */
bool handshake_trusts(const struct peer *peer);

/* Our hello, into `out` of CONN_HELLO_MAX bytes; its length.  `nonce` is of
 * CONN_NONCE_LEN. */
size_t handshake_hello(const struct rpc_identity *me, const uint8_t *nonce,
		       bool prove, uint8_t *out);
