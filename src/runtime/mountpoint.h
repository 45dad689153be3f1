/*
 * The acached mountpoints of this machine, as the kernel lists them
 * (/proc/self/mountinfo, proc(5)).
 *
 * Their type is "fuse.acached" and their source says where they come from:
 * "MASTER[,MASTER...]:/PATH", as `mount -t fuse.acached` takes it.
 */

#pragma once

#include <stdbool.h>

#include "base/err.h"

#define MOUNTPOINT_TYPE "fuse.acached"

struct mountpoint {
	char *point;   /* where it is mounted */
	char *masters; /* addresses, with commas between */
	char *path;    /* of the namespace, that it shows */
};

/* Takes "MASTERS:/PATH" apart; -EINVAL if it has no such shape.  `m->point` is
 * left alone. */
int mountpoint_parse_source(const char *source, struct mountpoint *m,
			    struct err *err) MUST_CHECK;

/* A line of mountinfo: its mount point, type and source (fields 5, and 1 and 2
 * after "-"), inside `line`, which it changes; false if it is none. */
bool mountpoint_split_line(char *line, char **point, char **type,
			   char **source);

/*
 * The mountpoint that the absolute path `path` lies in: the topmost mount
 * there, if it is ours.  -ENOENT if not.  `mountinfo` is the file to read,
 * NULL: the kernel's.  On success mountpoint_close() frees what *out has.
 */
int mountpoint_of(const char *path, const char *mountinfo,
		  struct mountpoint *out) MUST_CHECK;
void mountpoint_close(struct mountpoint *m);
