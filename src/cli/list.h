/* Directories, page by page. */

#pragma once

#include "cli/cli.h"

/* `e` is valid during the call; 0 to go on. */
typedef int (*list_entry_fn)(void *arg, const struct dirent *e);

/* Every entry of the directory `path`, in the master's order; asks
 * under-storage first if `refresh`.  -ENOTDIR for a file. */
int list_directory(struct cli *cli, const char *path, bool refresh,
		   list_entry_fn fn, void *arg);

/* The same of one file, or of the directory itself. */
int list_self(struct cli *cli, const char *path, bool refresh, list_entry_fn fn,
	      void *arg);

/* "/a" and "b": "/a/b"; to be freed. */
char *list_join(const char *dir, const schema_bytes *name);
