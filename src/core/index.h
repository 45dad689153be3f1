/*
 * A directory's index: a B+-tree of the slots of its children, ordered by the
 * bytes of their names.
 *
 * It lies in the arena and holds no name: one comparison looks at an inode and
 * its packed bytes.  Names that come in order, as listings give them, fill its
 * nodes; a small directory has one small node.
 */

#pragma once

#include "core/tree.h"

/* The place of a name, or where it belongs; whether it is there. */
bool index_seek(const struct namespace *ns, const struct dir *d,
		const void *name, size_t len, struct index_place *p);

/* The slot there; 0 at the end. */
uint32_t index_at(const struct namespace *ns, struct index_place *p);
void index_step(struct index_place *p);

/* `p` is where the name of `slot` belongs, as index_seek() left it. */
void index_insert(struct namespace *ns, struct dir *d, struct index_place *p,
		  uint32_t slot);
void index_remove(struct namespace *ns, struct dir *d, struct index_place *p);

/* Takes the last entry off, looking at no name; 0 if there is none. */
uint32_t index_pop(struct namespace *ns, struct dir *d);

/* Asserts its order and shape; what its nodes take. */
size_t index_check(const struct namespace *ns, const struct dir *d);
