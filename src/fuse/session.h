/*
 * The session with the kernel: one descriptor of /dev/fuse, served by one
 * process after the other.
 *
 * The supervisor mounts, and holds the descriptor and a memory file for as long
 * as the mountpoint lives; a process that dies leaves both to the next.  What
 * the next must know lies in the memory file: the kernel's INIT, which comes
 * once and is given to libfuse again by every later process, and what was
 * answered.  Requests that were read and not answered the kernel sends again if
 * asked (FUSE_NOTIFY_RESEND, Linux 6.9); on older kernels each request is kept
 * in the memory file until its answer.  Either way a request may have been
 * carried out before: handlers must not mind.
 *
 * Requests are read and handed to the handlers (libfuse's, low level) on the
 * loop; replies may be sent from any thread.  Answers must lie in memory that
 * is present: a page fault during the copy, while the process is being killed,
 * ends the request with EIO.
 */
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "base/err.h"
#include "runtime/loop.h"

struct session;

struct session_options {
	int device;      /* of /dev/fuse, mounted */
	int memory;      /* a memory file, of any size */
	unsigned starts; /* how many served before us */
	bool no_resend;  /* for tests: as on a kernel without it */
	const struct fuse_lowlevel_ops *ops;
	void *owner; /* session_owner() */

	void (*mounted)(void *owner); /* INIT was answered; may be NULL */
	void (*ended)(void *owner);   /* the mountpoint is no more */
};

/* Fails if what the kernel was told by our predecessor is not what we would
 * tell it: the mountpoint must then be made anew. */
int session_new(struct session **out, struct loop *loop,
		const struct session_options *o, struct err *err) MUST_CHECK;

/* Reads no more: what is unread waits for the next process. */
void session_stop(struct session *s);

/* Requests that were read and not answered.  Any thread. */
unsigned session_in_flight(const struct session *s);

void *session_owner(fuse_req_t req);
