/* What under-storage has: LEARN and FORGET. */

#include <errno.h>
#include <string.h>

#include "base/path.h"
#include "core/index.h"

/* More than an entry can take beside its bytes: the inode's share of a segment,
 * attributes, a directory, nodes of its index. */
#define ENTRY_ROOM 4096

static bool same_bytes(schema_bytes a, schema_bytes b)
{
	return a.len == b.len &&
	       (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static struct content content_of(const struct found *f, uint32_t mount)
{
	return (struct content){
		.mode = f->mode,
		.uid = f->uid,
		.gid = f->gid,
		.mount = mount,
		.length = mode_is_dir(f->mode) ? 0 : f->length,
		.mtime_ns = f->mtime_ns,
		.version = f->version,
		.target = f->target,
	};
}

/* Notes that it was found, if there is a listing. */
static void saw(struct namespace *ns, struct dir *d, uint32_t slot)
{
	if (!(d->flags & DIR_SWEEPING) || inode_seen(ns, slot) == d->sweep)
		return;
	inode_set_seen(ns, slot, d->sweep);
	d->n_seen++;
}

/* Whether the record also has a directory of this name. */
static bool has_dir(const struct learn_record *r, schema_bytes name)
{
	size_t i;

	for (i = 0; i < r->found.n; i++)
		if (mode_is_dir(r->found.at[i].mode) &&
		    same_bytes(r->found.at[i].name, name))
			return true;
	return false;
}

static void keep_rival(struct namespace *ns, struct dir *d, uint8_t sweep,
		       const struct found *f)
{
	struct rival *r;

	tree_drop_rival(ns, d);
	d->rival = arena_alloc(&ns->arena,
			       sizeof(*r) + f->version.len + f->target.len);
	r = at_ref(ns, d->rival);
	r->sweep = sweep;
	r->mode = f->mode;
	r->uid = f->uid;
	r->gid = f->gid;
	r->length = f->length;
	r->mtime_ns = f->mtime_ns;
	r->version_len = (uint8_t)f->version.len;
	r->target_len = (uint16_t)f->target.len;
	if (f->version.len)
		memcpy(r->bytes, f->version.ptr, f->version.len);
	if (f->target.len)
		memcpy(r->bytes + f->version.len, f->target.ptr, f->target.len);
}

/* A file was found where we know a directory.  If both are there the directory
 * wins, so a listing decides at its end. */
static void file_over_dir(struct namespace *ns, uint32_t dir, uint32_t slot,
			  const struct learn_record *r, const struct found *f,
			  const struct content *c)
{
	struct dir *d = dir_of(ns, dir);

	if (tree_leads_to_mount(ns, slot))
		return;
	if (d->flags & DIR_SWEEPING) {
		if (inode_seen(ns, slot) != d->sweep)
			keep_rival(ns, dir_of(ns, slot), d->sweep, f);
		return;
	}
	if (has_dir(r, f->name))
		return;
	tree_remove(ns, slot);
	tree_add(ns, dir, f->name, c);
}

static void dir_over_dir(struct namespace *ns, uint32_t slot,
			 const struct content *c)
{
	struct dir *d = dir_of(ns, slot);

	if (tree_is_mount_point(ns, slot))
		return;
	d->flags &= (uint8_t)~DIR_MADE;
	tree_drop_rival(ns, d);
	inode_set_attrs(ns, slot, c);
}

/* A known file was found: the slot, another one if need be. */
static uint32_t file_over_file(struct namespace *ns, uint32_t slot,
			       const struct found *f, const struct content *c)
{
	const struct inode *i = inode_at(ns, slot);
	const uint32_t dir = i->parent;
	schema_bytes version, target;

	inode_strings(ns, i, &version, &target);
	if (((attrs_of(ns, i)->mode ^ c->mode) & MODE_TYPE) == 0 &&
	    i->length == c->length && same_bytes(version, c->version) &&
	    (!mode_is_link(c->mode) || same_bytes(target, c->target))) {
		inode_set_attrs(ns, slot, c);
		return slot;
	}
	if (inode_renew(ns, slot, c))
		return slot;
	tree_remove(ns, slot);
	return tree_add(ns, dir, f->name, c);
}

static void learn_one(struct namespace *ns, uint32_t dir,
		      const struct learn_record *r, const struct found *f)
{
	const struct content c =
		content_of(f, attrs_of(ns, inode_at(ns, dir))->mount);
	uint32_t slot = tree_child(ns, dir, f->name.ptr, f->name.len);

	if (slot && is_dir(ns, slot) && !mode_is_dir(f->mode)) {
		file_over_dir(ns, dir, slot, r, f, &c);
		return;
	}
	if (slot && is_dir(ns, slot)) {
		dir_over_dir(ns, slot, &c);
	} else if (slot && !mode_is_dir(f->mode)) {
		slot = file_over_file(ns, slot, f, &c);
	} else {
		if (slot)
			tree_remove(ns, slot);
		slot = tree_add(ns, dir, f->name, &c);
	}
	saw(ns, dir_of(ns, dir), slot);
}

static void begin_sweep(struct namespace *ns, struct dir *d)
{
	struct index_place p;
	uint32_t slot;

	d->flags |= DIR_SWEEPING;
	d->n_seen = 0;
	if (++d->sweep)
		return;
	/* It wrapped: marks of the sweep before the last 255 are still there.
	 */
	d->sweep = 1;
	index_seek(ns, d, "", 0, &p);
	for (; (slot = index_at(ns, &p)); index_step(&p)) {
		inode_set_seen(ns, slot, 0);
		if (is_dir(ns, slot))
			tree_drop_rival(ns, dir_of(ns, slot));
	}
}

/* The directory was not found in this sweep, but a file of its name was. */
static void become_rival(struct namespace *ns, uint32_t slot)
{
	const uint32_t dir = inode_at(ns, slot)->parent;
	const struct rival *r = at_ref(ns, dir_of(ns, slot)->rival);
	unsigned char bytes[VERSION_MAX + TARGET_MAX], name[PATH_NAME_MAX];
	schema_bytes n = inode_name(ns, slot);
	struct content c = {
		.mode = r->mode,
		.uid = r->uid,
		.gid = r->gid,
		.mount = attrs_of(ns, inode_at(ns, dir))->mount,
		.length = r->length,
		.mtime_ns = r->mtime_ns,
		.version = { bytes, r->version_len },
		.target = { bytes + r->version_len, r->target_len },
	};

	memcpy(bytes, r->bytes, (size_t)r->version_len + r->target_len);
	memcpy(name, n.ptr, n.len);
	n.ptr = name;
	tree_remove(ns, slot);
	slot = tree_add(ns, dir, n, &c);
	saw(ns, dir_of(ns, dir), slot);
}

static bool has_rival(const struct namespace *ns, uint32_t slot, uint8_t sweep)
{
	const struct rival *r;

	if (!is_dir(ns, slot) || !dir_of(ns, slot)->rival)
		return false;
	r = at_ref(ns, dir_of(ns, slot)->rival);
	return r->sweep == sweep && !tree_leads_to_mount(ns, slot);
}

/* Removes what was not seen, and ends the listing. */
static void end_sweep(struct namespace *ns, uint32_t dir)
{
	struct dir *d = dir_of(ns, dir);
	struct index_place p;
	schema_bytes name;
	uint32_t slot;

	index_seek(ns, d, "", 0, &p);
	while (d->n_seen < d->n_children && (slot = index_at(ns, &p))) {
		if (inode_seen(ns, slot) == d->sweep ||
		    tree_is_mount_point(ns, slot)) {
			index_step(&p);
			continue;
		}
		if (has_rival(ns, slot, d->sweep))
			become_rival(ns, slot);
		else
			tree_remove(ns, slot);
		name = inode_name(ns, slot); /* a removed one has it yet */
		if (index_seek(ns, d, name.ptr, name.len, &p))
			index_step(&p);
	}
	d->flags &= (uint8_t)~DIR_SWEEPING;
}

/* The directory that a record is about, if it is one in a mount. */
static int find_dir(const struct namespace *ns, uint64_t id, uint32_t *slot)
{
	int rv = inode_lookup(ns, id, slot);

	if (rv)
		return rv;
	if (!is_dir(ns, *slot))
		return -ENOTDIR;
	return attrs_of(ns, inode_at(ns, *slot))->mount ? 0 : -EINVAL;
}

static bool found_ok(const struct found *f)
{
	return path_name_ok(f->name.ptr, f->name.len) &&
	       (f->mode & MODE_TYPE) && f->version.len <= VERSION_MAX &&
	       f->target.len <= TARGET_MAX;
}

int learn_apply(struct namespace *ns, const struct learn_record *r,
		uint64_t time_ms)
{
	uint64_t room = SEGMENT_SLOTS * sizeof(struct inode);
	struct dir *d;
	uint32_t slot;
	size_t i;
	int rv = find_dir(ns, r->dir, &slot);

	if (rv)
		return rv;
	for (i = 0; i < r->found.n; i++) {
		if (!found_ok(&r->found.at[i]))
			return -EINVAL;
		room += ENTRY_ROOM + 2 * (r->found.at[i].name.len +
					  r->found.at[i].target.len);
	}
	if (!tree_has_room(ns, room, r->found.n))
		return -ENOSPC;
	d = dir_of(ns, slot);
	if (r->last && !r->first && !(d->flags & DIR_SWEEPING))
		return -EINVAL;
	if (r->first)
		begin_sweep(ns, d);
	for (i = 0; i < r->found.n; i++)
		learn_one(ns, slot, r, &r->found.at[i]);
	if (r->last) {
		end_sweep(ns, slot);
		d->complete_ms = time_ms;
	}
	if (r->whole) {
		d->flags &= (uint8_t)~DIR_SWEEPING;
		d->complete_ms = time_ms;
	}
	return 0;
}

int forget_apply(struct namespace *ns, const struct forget_record *r)
{
	uint32_t dir, slot;
	size_t i;
	int rv = find_dir(ns, r->dir, &dir);

	if (rv)
		return rv;
	for (i = 0; i < r->names.n; i++) {
		slot = tree_child(ns, dir, r->names.at[i].ptr,
				  r->names.at[i].len);
		if (slot && !tree_is_mount_point(ns, slot))
			tree_remove(ns, slot);
	}
	return 0;
}
