/*
 * A frame on its way out: its bytes, and what is told when they have gone.
 *
 * Frames come from a pool and go back to it, so a small one costs no
 * allocation.  A pool belongs to one loop.
 */
#pragma once

#include <msgpack.h>

#include "rpc/transport.h"
#include "wire/frame.h"

#define OUT_SMALL 512

struct out {
	struct connection_write write; /* link is for who queues it */
	struct out_pool *pool;
	uint32_t id;
	uint8_t *buf; /* `small`, or on the heap */
	size_t len, size;
	void (*sent)(void *owner); /* or NULL */
	void *owner;
	struct task task;
	uint8_t small[OUT_SMALL];
};

struct out_pool {
	struct list free;
	unsigned n_free;
	unsigned busy; /* frames that are out */
	void (*idle)(struct out_pool *pool);
};

/* `idle`, or NULL, is called when the last frame has come back; the pool may be
 * closed inside. */
void out_pool_init(struct out_pool *pool, void (*idle)(struct out_pool *pool));
/* No frame of it is out any more. */
void out_pool_close(struct out_pool *pool);

/* A frame whose body is still to be packed by `*body`. */
struct out *out_new(struct out_pool *pool, const struct envelope *e,
		    msgpack_packer *body);
/* Ready to be sent with `payload` bytes behind it; -EMSGSIZE if the header is
 * too long: then free or drop it. */
int out_finish(struct out *o, size_t payload) MUST_CHECK;
/* Gives it back without a call of `sent`. */
void out_free(struct out *o);
/* As if it had been sent: tells `sent`, soon, and gives it back. */
void out_drop(struct out *o, struct loop *loop);
