#include "fuse/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOOK_MS = 50 };

#define BIT(sig) (UINT64_C(1) << ((sig)-1))

/* 33 is the C library's own, with which setuid() reaches all threads. */
#define HOUSEKEEPING                                                 \
	(BIT(SIGCHLD) | BIT(SIGURG) | BIT(SIGWINCH) | BIT(SIGCONT) | \
	 BIT(SIGPROF) | BIT(SIGVTALRM) | BIT(33))

static uint64_t mask(const char *status, const char *name)
{
	const char *at = strstr(status, name);

	return at ? strtoull(at + strlen(name), NULL, 16) : 0;
}

/* A signal that ends the program is pending as SIGKILL in each thread. */
bool wait_is_ended_by(const char *status)
{
	uint64_t pending =
		mask(status, "\nSigPnd:") | mask(status, "\nShdPnd:");

	pending &= ~mask(status, "\nSigBlk:") & ~mask(status, "\nSigIgn:");
	return (pending & ~HOUSEKEEPING) != 0;
}

/* Who cannot be looked at (another pid namespace) is taken at its word. */
static bool should_end(int pid)
{
	char path[32], status[4096];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (pid <= 0 || fd < 0)
		return true;
	n = read(fd, status, sizeof(status) - 1);
	close(fd);
	if (n <= 0)
		return true;
	status[n] = '\0';
	return wait_is_ended_by(status);
}

static void look(struct timer *t)
{
	struct wait *w = container_of(t, struct wait, timer);
	fuse_req_t req = w->req;

	if (!should_end(w->pid)) {
		loop_timer_start(w->loop, t, LOOK_MS, look);
		return;
	}
	/* The answer is due at once, however long the cancelling takes. */
	w->req = NULL;
	fuse_reply_err(req, EINTR);
	if (w->begun)
		w->cancel(w);
}

static void on_interrupt(fuse_req_t req ATTR_UNUSED, void *owner)
{
	struct wait *w = owner;

	w->interrupted = true;
	if (!w->starting)
		look(&w->timer);
}

bool wait_init(struct wait *w, struct loop *loop, fuse_req_t req,
	       void (*cancel)(struct wait *w))
{
	w->req = req;
	w->loop = loop;
	w->cancel = cancel;
	w->pid = fuse_req_ctx(req)->pid;
	w->begun = w->interrupted = false;
	list_init(&w->timer.link);
	/* Who answers within it frees what libfuse goes on to use. */
	w->starting = true;
	fuse_req_interrupt_func(req, on_interrupt, w);
	w->starting = false;
	if (w->interrupted)
		look(&w->timer);
	return w->req != NULL;
}

void wait_begun(struct wait *w)
{
	w->begun = true;
	if (w->interrupted && list_empty(&w->timer.link))
		loop_timer_start(w->loop, &w->timer, LOOK_MS, look);
}

void wait_over(struct wait *w)
{
	loop_timer_stop(&w->timer);
	w->begun = false;
}
