#include "rpc/handshake.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "runtime/secret.h"

const char *rpc_role_name(enum rpc_role role)
{
	static const char *const names[] = {
		[RPC_CLIENT] = "client",
		[RPC_MASTER] = "master",
		[RPC_WORKER] = "worker",
		[RPC_FUSE] = "fuse",
	};

	return role > 0 && (size_t)role < ARRAY_SIZE(names) ? names[role]
							    : "peer";
}

struct fixed_buffer {
	uint8_t *to;
	size_t len;
};

static int put_fixed(void *data, const char *bytes, size_t len)
{
	struct fixed_buffer *b = data;

	memcpy(b->to + b->len, bytes, len);
	b->len += len;
	return 0;
}

static bool is_known(const uint8_t cluster[16])
{
	static const uint8_t none[16];

	return memcmp(cluster, none, sizeof(none)) != 0;
}

size_t handshake_hello(const struct rpc_identity *me, const uint8_t *nonce,
		       bool prove, uint8_t *out)
{
	const struct hello hello = {
		.version = RPC_VERSION,
		.oldest = RPC_OLDEST_VERSION,
		.role = me->role,
		.cluster = { me->cluster, is_known(me->cluster) ? 16 : 0 },
		.nonce = { nonce, CONN_NONCE_LEN },
		.prove = prove,
	};
	struct fixed_buffer b = { out, 0 };
	msgpack_packer packer;

	msgpack_packer_init(&packer, &b, put_fixed);
	hello_encode(&hello, &packer);
	return b.len;
}

static int check(const struct rpc_identity *me, const struct hello *h,
		 struct err *err)
{
	if (h->oldest > RPC_VERSION || h->version < RPC_OLDEST_VERSION)
		return err_set(err, -EPROTO,
			       "speaks protocol %u to %u, here it is %u to %u",
			       h->oldest, h->version, RPC_OLDEST_VERSION,
			       RPC_VERSION);
	if (h->nonce.len != CONN_NONCE_LEN ||
	    (h->cluster.len != 0 && h->cluster.len != 16))
		return err_set(err, -EPROTO, "bad hello");
	if (h->cluster.len && is_known(me->cluster) &&
	    memcmp(h->cluster.ptr, me->cluster, 16) != 0)
		return err_set(err, -EPROTO, "belongs to another cluster");
	return 0;
}

int handshake_check(const struct rpc_identity *me, const void *hello,
		    size_t len, struct rpc_peer *peer, bool *prove,
		    struct err *err)
{
	msgpack_zone zone;
	struct hello h;
	int rv;

	if (!msgpack_zone_init(&zone, 1024))
		return err_set(err, -ENOMEM, "no memory");
	rv = hello_decode(&h, hello, len, &zone, err);
	if (!rv)
		rv = check(me, &h, err);
	if (!rv) {
		peer->role = (enum rpc_role)h.role;
		*prove = h.prove;
	}
	msgpack_zone_destroy(&zone);
	return rv == ERR_BAD_MESSAGE ? -EPROTO : rv;
}

bool handshake_trusts(const struct peer *peer)
{
	return peer->local && (peer->uid == 0 || peer->uid == geteuid());
}

void handshake_mac(const struct rpc_identity *me, bool server,
		   const struct conn *c, uint8_t out[32])
{
	uint8_t said[6 + 2 * CONN_HELLO_MAX], key[SECRET_KEY_LEN];
	size_t n = 6;

	memcpy(said, server ? "server" : "client", 6);
	memcpy(said + n, c->hello[0], c->hello_len[0]);
	n += c->hello_len[0];
	memcpy(said + n, c->hello[1], c->hello_len[1]);
	n += c->hello_len[1];
	secret_derive(me->key, "handshake", key);
	secret_mac(key, said, n, out);
	secret_wipe(key, sizeof(key));
}
