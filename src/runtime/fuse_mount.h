/*
 * Mounting for the supervisor, which holds /dev/fuse for the fuse role: with
 * mount(2) as root, else with fusermount3 (its _FUSE_COMMFD protocol:
 * fuse(4) and util/fusermount.c of libfuse).
 *
 * Nothing here touches a mounted file system: that could wait for ever.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"

struct fuse_mount {
	char *point;  /* absolute, without symbolic links */
	char *source; /* "MASTERS:/PATH" */
	char *words;  /* those of -o that are the role's, with commas between */
	unsigned long flags; /* MS_... */
	bool nonempty;
	int fd; /* /dev/fuse; -1 while not mounted */
};

/* Reads -o WORD,WORD...; a word that is not known is refused. */
int fuse_mount_options(struct fuse_mount *m, const char *options,
		       struct err *err) MUST_CHECK;

/* Sets m->point. */
int fuse_mount_resolve(struct fuse_mount *m, const char *arg,
		       struct err *err) MUST_CHECK;

/* Clears the directory of a dead mountpoint of ours; a busy or foreign one is
 * refused. */
int fuse_mount_prepare(struct fuse_mount *m, struct err *err) MUST_CHECK;

int fuse_mount_attach(struct fuse_mount *m, struct err *err) MUST_CHECK;

/* Whether somebody has unmounted it, or cut the connection. */
bool fuse_mount_is_gone(const struct fuse_mount *m);

/* Takes it away from the tree, if it is still there; who has files open keeps
 * them as long as the descriptor lives. */
void fuse_mount_detach(struct fuse_mount *m);
void fuse_mount_close(struct fuse_mount *m);
