/*
 * Who may talk to us: the handshake at the start of every connection.
 *
 * Each end says its protocol version, its role and the cluster's id; over TCP
 * each proves that it holds the cluster key by challenge and response (HMAC
 * SHA-256 over both nonces and both hellos), loopback included.  A unix socket
 * is trusted by SO_PEERCRED: our own uid or root.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum rpc_role { RPC_CLIENT = 1, RPC_MASTER, RPC_WORKER, RPC_FUSE };

/* What an end says of itself.  The strings are the caller's and live as long as
 * the server or client that uses it. */
struct rpc_identity {
	enum rpc_role role;
	const uint8_t *key;  /* 32 bytes: the cluster key; NULL: has none */
	uint8_t cluster[16]; /* all zero: not known yet, any will do */
};

/* What is known of the other end after the handshake. */
struct rpc_peer {
	enum rpc_role role;
	bool local;   /* a unix socket */
	bool has_key; /* proved it, or is local with our uid or root's */
	uint32_t uid; /* of a local peer */
	char address[128];
};
