/*
 * A real mountpoint of the file system over the fake client: this process is
 * the supervisor, which holds /dev/fuse, a child serves.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct mounted {
	char *dir;
	char point[4096];
	int device, memory;
	unsigned starts;
	pid_t child;

	/* before mounted_setup() */
	const char *path; /* NULL: "/" */
	unsigned ttl_ms;
	bool no_resend, xattr;
};

/* Skips the test where nothing can be mounted. */
void mounted_setup(struct mounted *m);
void mounted_teardown(struct mounted *m);

void mounted_kill(struct mounted *m); /* kill -9, and waits for its end */
void mounted_serve(struct mounted *m);

/* First in every process that a test forks: nobody but we and the child may
 * hold /dev/fuse, or what hangs could not be ended. */
void mounted_forked(const struct mounted *m);

/* "POINT/NAME", valid until the fourth call after. */
const char *mounted_path(const struct mounted *m, const char *name);
