/*
 * The master's part of `admin fsck`: the tree, and the checkpoints on disk.
 *
 * A forked child looks at its copy of the memory, so that the master goes on
 * meanwhile, and a tree that is damaged badly ends only the child.  It says
 * what it found in lines; there is a pool thread that reads them.
 */
#pragma once

#include <sys/types.h>

#include "core/namespace.h"
#include "master/checkpoint.h"
#include "runtime/workpool.h"

#define FSCK_FINDINGS    100 /* named, of those that there are */
#define FSCK_CHECKPOINTS 8

struct fsck {
	/* Set by the caller, which owns it until `done`. */
	struct loop *loop;
	struct workpool *pool;
	const struct namespace *tree;
	struct checkpoints *checkpoints; /* NULL: not to be looked at */

	/* What came out. */
	uint64_t found;
	char *findings[FSCK_FINDINGS];
	unsigned n_findings;
	unsigned n_checkpoints;
	uint64_t bytes; /* of the image and the checkpoints */
	bool damaged_checkpoint;

	/* private */
	uint64_t indexes[FSCK_CHECKPOINTS];
	int fd;
	pid_t child;
	char *text;
	size_t len;
	int status;
	struct task task;
	void (*done)(struct fsck *f);
};

/* On the loop's thread; `done` comes on the loop unless this fails. */
int fsck_start(struct fsck *f, void (*done)(struct fsck *f),
	       struct err *err) MUST_CHECK;
void fsck_clear(struct fsck *f);
