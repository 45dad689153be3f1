/* Adding and removing children: indexes and counts stay right. */

#include "core/index.h"

bool tree_is_mount_point(const struct namespace *ns, uint32_t slot)
{
	const uint32_t ref = attrs_of(ns, inode_at(ns, slot))->mount;
	const struct mount *m;

	if (!ref)
		return false;
	m = at_ref(ns, ref);
	return m->root == slot;
}

bool tree_leads_to_mount(const struct namespace *ns, uint32_t slot)
{
	return is_dir(ns, slot) && (tree_is_mount_point(ns, slot) ||
				    dir_of(ns, slot)->mounts_below);
}

bool tree_has_room(const struct namespace *ns, uint64_t bytes, uint64_t ids)
{
	const struct image *im = ns->image;
	const uint64_t files = im->n_inodes - im->n_directories;

	return im->arena.used + bytes + (files + ids) * sizeof(*ns->stale) <=
	       ns->room;
}

uint32_t tree_child(const struct namespace *ns, uint32_t dir, const void *name,
		    size_t len)
{
	struct index_place p;

	if (!index_seek(ns, dir_of(ns, dir), name, len, &p))
		return 0;
	return index_at(ns, &p);
}

uint32_t tree_add(struct namespace *ns, uint32_t dir, schema_bytes name,
		  const struct content *c)
{
	struct dir *d = dir_of(ns, dir);
	struct index_place p;
	bool known = index_seek(ns, d, name.ptr, name.len, &p);
	uint32_t slot;

	assert(!known);
	slot = inode_new(ns, dir, name, c);
	index_insert(ns, d, &p, slot);
	d->n_children++;
	return slot;
}

void tree_drop_rival(struct namespace *ns, struct dir *d)
{
	if (!d->rival)
		return;
	arena_free(&ns->arena, d->rival, rival_size(at_ref(ns, d->rival)));
	d->rival = 0;
}

/* Takes an inode with nothing below it out of its directory. */
static void remove_leaf(struct namespace *ns, uint32_t slot)
{
	struct dir *d = dir_of(ns, inode_at(ns, slot)->parent);
	const schema_bytes name = inode_name(ns, slot);
	struct index_place p;
	bool known = index_seek(ns, d, name.ptr, name.len, &p);

	assert(known);
	index_remove(ns, d, &p);
	d->n_children--;
	if ((d->flags & DIR_SWEEPING) && inode_seen(ns, slot) == d->sweep)
		d->n_seen--;
	inode_free(ns, slot);
}

/* The child behind the place of `after`'s name (0: the first), 0 at the end. */
static uint32_t child_after(const struct namespace *ns, uint32_t dir,
			    uint32_t after, struct index_place *p)
{
	schema_bytes name = { "", 0 };

	if (after)
		name = inode_name(ns, after);
	if (index_seek(ns, dir_of(ns, dir), name.ptr, name.len, p) && after)
		index_step(p);
	return index_at(ns, p);
}

/*
 * A walk in depth first, without recursion: `dir` is where we are.  A directory
 * below which there is no mount goes as a whole: children are taken off the end
 * of its index, which asks for no names (a removed inode keeps its own only for
 * a while).  In another one, `after` is the child that was dealt with last,
 * gone or not.
 */
void tree_clear(struct namespace *ns, uint32_t top)
{
	uint32_t dir = top, after = 0, slot;
	struct index_place p;
	bool whole;

	for (;;) {
		whole = !dir_of(ns, dir)->mounts_below;
		slot = whole ? index_pop(ns, dir_of(ns, dir))
			     : child_after(ns, dir, after, &p);
		if (slot && is_dir(ns, slot) &&
		    !tree_is_mount_point(ns, slot)) {
			dir = slot;
			after = 0;
			continue;
		}
		if (!slot) {
			if (whole)
				dir_of(ns, dir)->n_seen = 0;
			if (dir == top)
				return;
			slot = dir;
			dir = inode_at(ns, dir)->parent;
			whole = !dir_of(ns, dir)->mounts_below;
		}
		if (whole)
			inode_free(ns, slot);
		else if (!tree_leads_to_mount(ns, slot))
			remove_leaf(ns, slot);
		after = slot;
	}
}

void tree_remove(struct namespace *ns, uint32_t slot)
{
	if (is_dir(ns, slot))
		tree_clear(ns, slot);
	if (!tree_leads_to_mount(ns, slot))
		remove_leaf(ns, slot);
}
