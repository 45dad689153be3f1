/*
 * Starting a program with exactly the descriptors it should have.
 *
 * For processes of one thread: it forks.  The child has a process group of its
 * own (Ctrl-C is its parent's business), no signal blocked, and dies with its
 * parent.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#define SPAWN_MAX_FDS  6
#define SPAWN_FIRST_FD 3

struct spawn {
	const char *program; /* with a /, or looked for in PATH */
	char *const *argv;
	const char *variable; /* NAME=VALUE added to the environment, or NULL */
	/* What the child has as 3, 4, ...; -1 leaves that one closed. */
	int fds[SPAWN_MAX_FDS];
	unsigned n_fds;
	int out_fd, err_fd; /* its 1 and 2; -1: as ours */
};

/* The child's pid or -errno.  It ends with 127 if there is no such program. */
pid_t spawn(const struct spawn *s);

/* Waits for the end of a child; what waitpid() says, or -errno. */
int spawn_wait(pid_t pid);
