/* The bytes of files, for commands that print or sum them. */

#pragma once

#include "cli/cli.h"

/* A file as it was when it was opened. */
struct content {
	struct cli *cli;
	const char *path; /* the caller's */
	uint64_t id, length;

	/* private */
	uint32_t mode;
	struct client_read read;
	ssize_t n;
	bool done;
};

/* -EISDIR for a directory. */
int content_open(struct content *c, struct cli *cli, const char *path);

/* Calls fn for all bytes from `from` to before `to`, in order; what it returns,
 * if that is not 0, ends the reading.  The sentence is in cli->err. */
typedef int (*content_fn)(void *arg, const void *buf, size_t n);
int content_read(struct content *c, uint64_t from, uint64_t to, content_fn fn,
		 void *arg);
