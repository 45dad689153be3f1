/*
 * Follows a path that the namespace does not know in full, asking under-storage
 * for one name after the other.
 */
#pragma once

#include "master/loader.h"

struct resolve;

/* 0: `at` is what lies there, valid during the call. */
typedef void (*resolve_fn)(struct resolve *r, int code, const struct err *err);

/* The caller's memory until `done`. */
struct resolve {
	struct inode_view at;

	/* private */
	struct loader *loader;
	struct loader_wait wait;
	struct task task;
	struct err err;
	int code;
	bool refresh;
	resolve_fn done;
	char *path;
	size_t len;
};

/* What is known without asking: 0 with *at, a code that is final, or -EAGAIN:
 * resolve_start() has to ask. */
int resolve_known(const struct loader *l, const void *path, size_t len,
		  struct inode_view *at);

/* `refresh`: the last name is asked for even if it is known. */
void resolve_start(struct resolve *r, struct loader *l, const void *path,
		   size_t len, bool refresh, resolve_fn done);
