/*
 * A walk over a tree of the namespace, listing in under-storage what is not
 * known in full.
 *
 * Depth first, in the namespace's order, a bounded part at a time.  The
 * directories that come next are listed ahead, several at once: a tree of many
 * directories takes as long as a few of them.  Master's loop.
 */
#pragma once

#include "master/loader.h"

#define TREE_WALK_AHEAD 16 /* listings at once */

struct tree_walk_level;

struct tree_walk {
	struct loader *loader;
	bool refresh;   /* lists every directory again */
	bool recursive; /* goes into directories below the first */
	/* May be called: there is more to take, or an error, or a listing has
	 * ended. */
	void (*go_on)(struct tree_walk *w);

	/* private */
	struct tree_walk_level *levels;
	size_t n, room;
	struct map listings; /* begun and not yet walked into, by directory */
	unsigned listing;    /* of them under way */
	int code;
	struct err err;
};

/* The public fields are set; `root` is a directory. */
void tree_walk_start(struct tree_walk *w, uint64_t root);
/*
 * 1: *out is the next inode below the root; 0: the end; -EAGAIN: go_on() comes;
 * else why a directory could not be listed (tree_walk_error() has the sentence;
 * calling again goes on without that directory).
 */
int tree_walk_next(struct tree_walk *w, struct inode_view *out);
const char *tree_walk_error(const struct tree_walk *w);
/* Whether listings are under way: go_on() comes. */
bool tree_walk_busy(const struct tree_walk *w);
/* Not while it is busy. */
void tree_walk_close(struct tree_walk *w);
