/*
 * The handshake of rpc/auth.h: what is said, what is proved, what is refused.
 * Pure but for the nonce; conn.c carries the frames.
 */
#pragma once

#include "rpc/conn.h"

/* Our hello, into `out` of CONN_HELLO_MAX bytes; its length.  `nonce` is of
 * CONN_NONCE_LEN. */
size_t handshake_hello(const struct rpc_identity *me, const uint8_t *nonce,
		       bool prove, uint8_t *out);

/* Reads the other's hello and decides whether we can talk. */
int handshake_check(const struct rpc_identity *me, const void *hello,
		    size_t len, struct rpc_peer *peer, bool *prove,
		    struct err *err) MUST_CHECK;

/* Whether a local peer needs no proof: our own user, or root. */
bool handshake_trusts(const struct peer *peer);

/* The proof of the server or the client, over both hellos. */
void handshake_mac(const struct rpc_identity *me, bool server,
		   const struct conn *c, uint8_t out[32]);
