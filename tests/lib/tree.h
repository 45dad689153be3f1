/*
 * A namespace in memory of its own, and commands in one line each.
 *
 * Every command asserts that the code is `want`; what else became of it is in
 * `t->res`.  Names, versions and paths are NUL-terminated here.
 */

#pragma once

#include "core/namespace.h"

#define TREE_ARENA (UINT64_C(256) << 20)

struct tree {
	struct namespace *ns;
	void *arena;
	size_t size;
	uint64_t now_ms, client, sequence; /* the stamp of the next command */
	struct namespace_result res;
};

void tree_open(struct tree *t, size_t size);
void tree_close(struct tree *t);

/* Writes an image and opens it in another place, as a restart does. */
void tree_reopen(struct tree *t, size_t size);

void tree_apply(struct tree *t, struct journal_record *r, int want);

void tree_mount(struct tree *t, const char *path, const char *uri, int want);
void tree_unmount(struct tree *t, const char *path, int want);

/* "name/" is a directory, "name@target" a link, "name=version" a file whose
 * length is the number after a ":", or 1; NULL ends the list. */
#define tree_learn(t, dir, first, last, want, ...) \
	tree_learn_list(t, dir, first, last, want, \
			(const char *const[]){ __VA_ARGS__, NULL })
void tree_learn_list(struct tree *t, const char *dir, bool first, bool last,
		     int want, const char *const *found);
void tree_forget(struct tree *t, const char *dir, const char *name, int want);

/* The id of a path; 0 if there is none. */
uint64_t tree_id(const struct tree *t, const char *path);

/* Whether the command made this id stale. */
bool tree_stale(const struct tree *t, uint64_t id);

/* The names in a directory, each followed by a space, "/" behind directories;
 * until the next call. */
const char *tree_names(const struct tree *t, const char *path);
