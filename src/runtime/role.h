/*
 * A role: one child of the supervisor, or a process by itself.
 *
 * main.c gives each role its configuration and what the supervisor holds for
 * it; the role says `ready` once when it serves, and returns its exit status
 * after SIGTERM has drained it.
 */
#pragma once

#include <stdbool.h>

#include "runtime/config.h"

struct role_env {
	const struct config *config;
	const char *state_dir; /* of all roles: DIR; a role's own is below it */
	int ctl_fd;            /* to the supervisor; -1: none */
	/* fuse: */
	int fuse_fd;     /* /dev/fuse, mounted by the supervisor */
	int memory_fd;   /* memfd that outlives the role */
	unsigned starts; /* how many children came before this one */
	const char *mountpoint;
	const char *path; /* the subtree to show; "/" */
};

/* `addresses`: "key=ADDRESS ..." for the `ready` line. */
void role_ready(const struct role_env *env, const char *addresses);

int master_main(const struct role_env *env);
int worker_main(const struct role_env *env);
int fuse_main(const struct role_env *env);
