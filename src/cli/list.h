/* Directories, page by page. */

#pragma once

#include "cli/cli.h"

/* `e` is valid during the call; 0 to go on. */
typedef int (*list_entry_fn)(void *arg, const struct dirent *e);

/* Which entries: those there are; after under-storage was asked again; or only
 * those that the master knows already. */
enum list_how { LIST_ALL, LIST_REFRESHED, LIST_KNOWN };

/* Every entry of the directory `path`, in the master's order.  -ENOTDIR for a
 * file. */
int list_directory(struct cli *cli, const char *path, enum list_how how,
		   list_entry_fn fn, void *arg);

/* The same of one file, or of the directory itself. */
int list_self(struct cli *cli, const char *path, bool refresh, list_entry_fn fn,
	      void *arg);

/* "/a" and "b": "/a/b"; to be freed. */
char *list_join(const char *dir, const schema_bytes *name);

/* `path` is that of the entry. */
typedef int (*list_visit_fn)(void *arg, const struct dirent *e,
			     const char *path);
/* As strcmp(), of two entries of one directory. */
typedef int (*list_compare_fn)(const struct dirent *a, const struct dirent *b);

/*
 * A walk: the entries of a directory, then, if `recursive`, those of each
 * directory in it, in the same order.  A file is visited itself.
 */
struct list_walk {
	struct cli *cli;
	bool refresh, recursive;
	bool backwards;          /* the order that `compare` gives */
	list_compare_fn compare; /* NULL: the master's order */
	list_visit_fn visit;
	void *arg;

	/* private */
	const char *dir;
	char **below; /* directories still to be walked, last in first out */
	size_t n_below;
	struct list_item *items; /* to be sorted */
	size_t n_items, room;
};

int list_walk(struct list_walk *w, const char *path);

/* By the bytes of the names. */
int list_compare_names(const struct dirent *a, const struct dirent *b);
