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

/* Exit statuses of a role besides 0 (drained) and 1 (failed: it is started
 * again, if it had been ready before). */
enum {
	/* fuse: reading /dev/fuse said ENODEV; nothing is mounted any more. */
	ROLE_EXIT_UNMOUNTED = 4
};

struct role_env {
	const struct config *config;
	const char *state_dir; /* of all roles: DIR; a role's own is below it */
	const char *dir;       /* this role's own, locked: DIR/master, ... */
	const char *key_file;  /* cluster.key-file or DIR/cluster.key; exists */
	/* Where masters are: master.addresses, or the socket in DIR/master. */
	const char *const *masters;
	int ctl_fd; /* to the supervisor; -1: none */
	/* fuse: */
	int fuse_fd;     /* /dev/fuse, mounted by the supervisor */
	int memory_fd;   /* memfd that outlives the role */
	unsigned starts; /* how many children came before this one */
	const char *mountpoint;
	const char *path;    /* the subtree to show; "/" */
	const char *options; /* -o that mount(2) does not know: "xattr"; "" */
};

/* The role serves.  `addresses`: "key=ADDRESS ..." for the `ready` line; they
 * are also kept in env->dir/address, a line each, for who looks for them. */
void role_ready(const struct role_env *env, const char *addresses);

int master_main(const struct role_env *env);
int worker_main(const struct role_env *env);
int fuse_main(const struct role_env *env);
