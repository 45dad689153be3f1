/*
 * Metadata on demand: asks under-storage and journals what it says.
 *
 * A directory is listed page by page; each page becomes journal records of at
 * most LOADER_BATCH entries, and is freed when they are encoded.  Few are on
 * their way at a time, so memory stays bounded however large the directory is,
 * and the loop serves between them.  However many ask for one directory or one
 * name, under-storage is asked once.  Master's loop.
 */
#pragma once

#include "master/interest.h"
#include "master/journal.h"
#include "master/mounts.h"
#include "master/negative.h"
#include "master/skipped.h"

#define LOADER_BATCH 500 /* entries a record */

struct loader_options {
	struct loop *loop;
	struct journal *journal;
	struct mounts *mounts;
	uint64_t negative_ttl_ms;
	uint64_t (*wall_ms)(void *owner);
	void *owner;
};

struct loader {
	struct loader_options o;
	struct map listings; /* by directory */
	struct map stats;    /* by hash of directory and name */
	struct negative negative;
	struct interest interest;
	struct skipped skipped;
	uint64_t n_lists, n_stats; /* asked of under-storage */
	uint64_t n_asked;          /* requests, to know their order */
};

void loader_init(struct loader *l, const struct loader_options *o);
/* Nothing is under way. */
void loader_close(struct loader *l);
/* Whether nothing is. */
bool loader_idle(const struct loader *l);

/* Who waits; the caller's memory, the loader's until `done`. */
struct loader_wait {
	/* `err` has a sentence if `code` is not 0. */
	void (*done)(struct loader_wait *w, int code, const struct err *err);
	struct list link;
};

/* Lists a directory from its beginning.  Joins a listing under way, or with
 * `fresh` waits for it to end and joins the next one. */
void loader_list(struct loader *l, uint64_t dir, bool fresh,
		 struct loader_wait *w,
		 void (*done)(struct loader_wait *w, int code,
			      const struct err *err));

/* Asks for one name and journals the answer, unless a page of a listing has it
 * first.  0: it is there, and the namespace knows; -ENOENT: it is not.  Joins a
 * request under way (true), or with `fresh`, or where a page has answered that,
 * waits for it to end and joins the next one. */
bool loader_stat(struct loader *l, uint64_t dir, const void *name, size_t len,
		 bool fresh, struct loader_wait *w,
		 void (*done)(struct loader_wait *w, int code,
			      const struct err *err));

/* Whether what was found is what is known. */
bool loader_same(const struct inode_view *v, const struct found *f);

/* Whether a name that `dir` is not known to have need not be asked for. */
bool loader_absent(const struct loader *l, const struct inode_view *dir,
		   const void *name, size_t len);
