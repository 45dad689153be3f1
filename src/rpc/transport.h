/*
 * Bytes between processes, the one thing that a loop lends to rpc/ alone.
 *
 * Real: our own non-blocking TCP and unix sockets on the loop (libuv's streams
 * pass no file descriptors, its sendfile runs on the pool that raft needs).
 * Simulated: queues in memory, which drop, delay and cut as a seed says.
 * Callbacks come on the loop, never before the call returns.
 *
 * Addresses: "unix:PATH" (any length: a path over 107 bytes is bound and
 * reached through /proc/self/fd of its directory), "HOST:PORT", "[V6]:PORT"; a
 * port of 0 listens on one of the kernel's choosing.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "runtime/loop.h"

struct connection;
struct listener;

/* Who is at the other end, as the system says. */
struct peer {
	bool local; /* a unix socket: uid, gid and pid are known */
	uid_t uid;
	gid_t gid;
	pid_t pid;
	char address[128]; /* for logs */
};

struct connection_events {
	/* Where the next bytes shall go, and how many at most: a frame's
	 * payload lands where it is wanted, without a copy.  NULL: nothing is
	 * read until resume(). */
	void *(*room)(void *owner, size_t *len);

	/* `len` bytes have come into that room; `fd` is a descriptor that came
	 * with them, the owner's from now on, else -1 (unix sockets only). */
	void (*received)(void *owner, size_t len, int fd);

	/* Last, after each write's `sent`: cut by the other end or the network
	 * (-ECONNRESET, ...), or closed here (-ECANCELED). */
	void (*closed)(void *owner, int code);
};

/* The transport's until `sent`.  The range of `file`, unless -1, follows the
 * bytes by sendfile; `pass_fd`, unless -1, goes along as a descriptor. */
struct connection_write {
	struct list link;
	const void *buf;
	size_t len;
	const void *buf2; /* follows buf, without a copy */
	size_t len2;
	int file;
	uint64_t file_offset, file_len;
	int pass_fd;
	void (*sent)(struct connection_write *w, int code);
};

struct transport_ops {
	/* `bound`, of 300 bytes, gets the address as others reach it. */
	int (*listen)(struct transport *t, const char *address,
		      void (*accepted)(void *owner, struct connection *c,
				       const struct peer *peer),
		      void *owner, struct listener **out, char *bound,
		      struct err *err);
	void (*unlisten)(struct transport *t, struct listener *l);
	/* Never NULL: a failure comes by closed(). */
	struct connection *(*connect)(struct transport *t, const char *address);
	void (*start)(struct connection *c, const struct connection_events *ev,
		      void *owner);
	/* Goes out at the end of the loop's turn, with all others. */
	void (*write)(struct connection *c, struct connection_write *w);
	void (*resume)(struct connection *c); /* room() may be asked again */
	/* Sends what it can of what was written without waiting. */
	void (*close)(struct connection *c);
};

struct transport {
	const struct transport_ops *ops;
};

/* The real one, for a loop of libuv; sets loop->transport.  Close it when the
 * loop runs no more, before loop_uv_free(): it ends every connection that is
 * left, and its callbacks come inside. */
void transport_real_init(struct loop *l);
void transport_real_close(struct loop *l);
