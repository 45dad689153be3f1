/*
 * Checkpoints: images of the namespace's arena, by raft index.
 *
 * A struct checkpoints is where they lie: files written by a forked child, or
 * memory in simulated tests.  begin() is called on the master's loop and takes
 * the image as it is at that moment; wait() may block and is called on a pool
 * thread; after its 0 the image is durable.  One is under way at a time.
 *
 * The child closes everything but its file, dies with its parent, and neither
 * allocates nor locks.  A file is named ckpt-INDEX, is ckpt-INDEX.part until it
 * is whole, and has a header with length and CRC32C.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct checkpoints;

struct checkpoint_ops {
	int (*begin)(struct checkpoints *c, uint64_t index, const void *image,
		     size_t len, struct err *err);
	/* 0 or a negative code; then end() on the loop. */
	int (*wait)(struct checkpoints *c);
	void (*end)(struct checkpoints *c);
	/* Makes wait() end soon; loop. */
	void (*cancel)(struct checkpoints *c);
	/* Removes all but the two newest. */
	void (*trim)(struct checkpoints *c);
	/* Reads an image into the arena; its length, or a negative code. */
	ssize_t (*load)(struct checkpoints *c, uint64_t index, void *arena,
			size_t size, struct err *err);
	/* NULL if there is nothing to look at: the indexes of up to `max` that
	 * are there, and whether one is whole: its bytes, or a negative code.
	 * verify() neither allocates nor needs a descriptor: for a child, only
	 * one of which may run in a process. */
	unsigned (*list)(struct checkpoints *c, uint64_t *out, unsigned max);
	ssize_t (*verify)(struct checkpoints *c, uint64_t index,
			  struct err *err);
};

struct checkpoints {
	const struct checkpoint_ops *ops;
};

/* Those in a directory, made by fork.  Removes what a crash left half done. */
int checkpoints_open(struct checkpoints **out, const char *dir,
		     struct err *err) MUST_CHECK;
void checkpoints_close(struct checkpoints *c); /* none under way */
