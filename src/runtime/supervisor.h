/*
 * The supervisor: one child a role of the same binary, started again when it
 * dies, ended in order.  It knows no role, no libuv, no raft and no libfuse.
 *
 * A child has a socket to us as descriptor 3 (SUPERVISOR_CTL_FD): it sends the
 * packet "R" with its addresses once it serves, and "E" with a sentence for
 * each error that it logs (log_copy_errors()).  What else it inherits follows
 * as 4, 5, ...  When SIGTERM comes it drains and ends with 0.
 *
 * A child that dies is started again at once if it had served for a while, else
 * after a pause that doubles up to 0.8 s.  We give up when it fails to become
 * ready several times in a row, when it dies too often, or when its first start
 * ends with a status: that will not get better.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "runtime/spawn.h"

#define SUPERVISOR_CTL_FD   SPAWN_FIRST_FD
#define SUPERVISOR_CHILDREN 5

struct supervised {
	const char *name;
	char *const *argv; /* --starts=N is added to it */
	int fds[SPAWN_MAX_FDS - 1];
	unsigned n_fds;
	unsigned ready_ms; /* it must be ready after so long; 0: one minute */
	unsigned drain_ms; /* and gone so long after SIGTERM, else SIGKILL */

	/* Its first start waits until this one is ready; NULL: for nobody. */
	const char *after;
	/* Not a role but a command: it must end with 0, once, and what it
	 * writes last to its standard error says why if not. */
	bool command;

	/* What it is for can end from outside: then o->is_over() says so, and
	 * this child is not started again, and everything ends if it was the
	 * only one. */
	bool can_be_over;
};

struct supervisor_options {
	const char *program;               /* /proc/self/exe but in tests */
	const struct supervised *children; /* the last is ended first */
	unsigned n;
	void *owner;
	/* All are ready; `addresses` of all of them. */
	void (*ready)(void *owner, const char *addresses);
	/* For children that can_be_over; asked when one ends, and when the
	 * mounts of this machine change. */
	bool (*is_over)(void *owner);
	/* Before such a child is ended, or because it is over. */
	void (*ending)(void *owner);
};

/*
 * Runs until SIGTERM, SIGINT or SIGHUP, or until nothing is left to do: 0.  A
 * negative code and the reason if it gave up.  Then no child is left.  The
 * process has one thread, and its signals are ours meanwhile.
 */
int supervisor_run(const struct supervisor_options *o,
		   struct err *err) MUST_CHECK;
