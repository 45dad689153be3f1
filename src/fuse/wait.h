/*
 * A request of the kernel that waits for others, and may be interrupted.
 *
 * The kernel says INTERRUPT for any signal, once a request.  One that ends the
 * program, or that it may have asked for to end the wait, is answered with
 * EINTR at once.  One that programs get all the time and that never ends a read
 * of a file elsewhere (SIGCHLD, SIGPROF, SIGURG of Go's runtime, ...) is let
 * pass; then the program is looked at now and then, since the kernel will not
 * tell of the next signal.
 */
#pragma once

#include <stdbool.h>

#include "fuse/session.h"

/* Embed it in the request. */
struct wait {
	fuse_req_t req; /* to be answered; NULL: was, by an interrupt */

	/* private */
	struct loop *loop;
	void (*cancel)(struct wait *w);
	struct timer timer;
	int pid;
	bool starting, begun, interrupted;
};

/*
 * `cancel` is called after EINTR was answered, if wait_begun() had been called;
 * what was begun then still ends as usual.  False: interrupted already.
 */
bool wait_init(struct wait *w, struct loop *loop, fuse_req_t req,
	       void (*cancel)(struct wait *w)) MUST_CHECK;
/* Something was begun that `cancel` can end. */
void wait_begun(struct wait *w);
/* It has ended, before w->req is answered. */
void wait_over(struct wait *w);

/* Whether the signals that are pending for a thread should end its wait.
 * `status` is the text of /proc/PID/status. */
bool wait_is_ended_by(const char *status);
