#include "rpc/handshake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/secret.h"

#define LOG_MODULE "rpc"
#include "runtime/log.h"

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

static int check_hello(const struct rpc_identity *me, const void *hello,
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

/* The proof of the server or the client, over both hellos. */
static void make_mac(const struct conn *c, bool server, uint8_t out[32])
{
	uint8_t said[6 + 2 * CONN_HELLO_MAX], key[SECRET_KEY_LEN];
	size_t n = 6;

	memcpy(said, server ? "server" : "client", 6);
	memcpy(said + n, c->hello[0], c->hello_len[0]);
	n += c->hello_len[0];
	memcpy(said + n, c->hello[1], c->hello_len[1]);
	n += c->hello_len[1];
	secret_derive(c->me->key, "handshake", key);
	secret_mac(key, said, n, out);
	secret_wipe(key, sizeof(key));
}

/* Tells the other end, where somebody waits, and ends it. */
static void refuse(struct conn *c, int code, const char *sentence)
{
	const struct failure failure = { { sentence, strlen(sentence) } };
	msgpack_packer body;
	struct out *o = conn_begin(c, FRAME_REFUSED, 0, (uint32_t)-code, &body);

	log_warn("connection refused", "peer=\"%s\" role=%s reason=\"%s\"",
		 c->peer.address, rpc_role_name(c->peer.role), sentence);
	failure_encode(&failure, &body);
	conn_finish(c, o);
	conn_close(c, code, "%s", sentence);
}

static void say_hello(struct conn *c, bool prove)
{
	uint8_t nonce[CONN_NONCE_LEN], *said = c->hello[c->server];
	msgpack_packer body;
	struct out *o = conn_begin(c, FRAME_HELLO, 0, 0, &body);

	secret_random(nonce, sizeof(nonce));
	c->hello_len[c->server] = handshake_hello(c->me, nonce, prove, said);
	body.callback(body.data, (char *)said, c->hello_len[c->server]);
	conn_finish(c, o);
}

static void say_proof(struct conn *c)
{
	uint8_t mac[32];
	const struct proof proof = { { mac, sizeof(mac) } };
	msgpack_packer body;
	struct out *o = conn_begin(c, FRAME_PROOF, 0, 0, &body);

	make_mac(c, c->server, mac);
	proof_encode(&proof, &body);
	conn_finish(c, o);
}

static void become_ready(struct conn *c)
{
	c->phase = CONN_READY;
	c->peer.has_key = true; /* or is trusted as its holder */
	loop_timer_stop(&c->timer);
	c->ops->ready(c->owner);
}

static void on_hello(struct conn *c, const struct envelope *e)
{
	bool want = c->server ? !c->trusted : !c->peer.local, asked = false;
	uint8_t *heard = c->hello[!c->server];
	struct err err = { 0 };
	int rv;

	if (e->body_len > CONN_HELLO_MAX) {
		refuse(c, -EPROTO, "hello is too long");
		return;
	}
	memcpy(heard, e->body, e->body_len);
	c->hello_len[!c->server] = e->body_len;
	rv = check_hello(c->me, e->body, e->body_len, &c->peer, &asked, &err);
	if (!rv && (want || asked) && !c->me->key)
		rv = err_set(&err, -EACCES,
			     "the %s has no cluster key to prove itself by",
			     rpc_role_name(c->me->role));
	if (rv) {
		refuse(c, rv, err.msg);
		return;
	}
	if (c->server)
		say_hello(c, want);
	if (asked)
		say_proof(c);
	if (want)
		c->phase = CONN_PROOF;
	else
		become_ready(c);
}

static void on_proof(struct conn *c, const struct envelope *e)
{
	struct proof proof = { 0 };
	msgpack_zone zone;
	uint8_t mac[32];
	bool good;

	if (!msgpack_zone_init(&zone, 256))
		abort();
	make_mac(c, !c->server, mac);
	good = proof_decode(&proof, e->body, e->body_len, &zone, NULL) == 0 &&
	       proof.mac.len == sizeof(mac) &&
	       secret_equal(proof.mac.ptr, mac, sizeof(mac));
	msgpack_zone_destroy(&zone);
	if (good)
		become_ready(c);
	else
		refuse(c, -EACCES, "holds another cluster key");
}

/* The other end gives a reason and closes. */
static void on_refused(struct conn *c, const struct envelope *e)
{
	struct failure failure = { { "refused", 7 } };
	int code = e->number < 10000 ? -(int)e->number : -EPROTO;
	msgpack_zone zone;

	if (!msgpack_zone_init(&zone, 256))
		abort();
	if (failure_decode(&failure, e->body, e->body_len, &zone, NULL))
		failure.message.len = 0;
	conn_close(c, code ? code : -EPROTO, "refused this %s: %.*s",
		   rpc_role_name(c->me->role), (int)failure.message.len,
		   failure.message.ptr);
	msgpack_zone_destroy(&zone);
}

static void on_late(struct timer *t)
{
	struct conn *c = container_of(t, struct conn, timer);

	if (c->server)
		log_warn("connection closed in its handshake",
			 "peer=\"%s\" waited_ms=%d", c->peer.address,
			 CONN_HANDSHAKE_MS);
	conn_close(c, -ETIMEDOUT, "no answer to our hello for %d ms",
		   CONN_HANDSHAKE_MS);
}

void handshake_start(struct conn *c)
{
	loop_timer_start(c->loop, &c->timer, CONN_HANDSHAKE_MS, on_late);
	if (!c->server)
		say_hello(c, !c->peer.local);
}

int handshake_frame(struct conn *c, const struct frame *f)
{
	switch (f->e.kind) {
	case FRAME_HELLO:
		if (c->phase != CONN_HELLO)
			return ERR_BAD_MESSAGE;
		on_hello(c, &f->e);
		return 0;
	case FRAME_PROOF:
		if (c->phase != CONN_PROOF)
			return ERR_BAD_MESSAGE;
		on_proof(c, &f->e);
		return 0;
	case FRAME_REFUSED:
		on_refused(c, &f->e);
		return 0;
	}
	return ERR_BAD_MESSAGE;
}
