/* The namespace's face: the image, applying, looking. */

#include "core/namespace.h"

#include <errno.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/path.h"
#include "core/index.h"

#define BYTE_ORDER_MARK 0x01020304U
#define LEAST_ARENA     (16U << 20)
/* What dedup, jobs' ends and the like may take when learning is refused. */
#define RESERVE (4U << 20)

static const char magic[8] = "acached";

/* The handle, at the end of the arena. */
static struct namespace *handle(void *arena, size_t size)
{
	struct namespace *ns;

	assert(size >= LEAST_ARENA);
	size -= sizeof(*ns);
	size &= ~(size_t)63;
	if (size > ARENA_MAX)
		size = ARENA_MAX;
	ns = (void *)((unsigned char *)arena + size);
	memset(ns, 0, sizeof(*ns));
	ns->image = arena;
	ns->arena.base = arena;
	ns->arena.state = &ns->image->arena;
	ns->room = size - RESERVE;
	ns->cursor = &ns->cursor_space;
	return ns;
}

struct namespace *namespace_create(void *arena, size_t size)
{
	const struct content c = { .mode = MODE_DIR | 0755 };
	const schema_bytes no_name = { NULL, 0 };
	struct namespace *ns = handle(arena, size);
	struct image *im = ns->image;
	uint32_t root;

	memset(im, 0, sizeof(*im));
	memcpy(im->magic, magic, sizeof(magic));
	im->version = TREE_VERSION;
	im->byte_order = BYTE_ORDER_MARK;
	im->arena.used = arena_round(sizeof(*im));
	im->n_slots = ROOT_SLOT;
	root = inode_new(ns, ROOT_SLOT, no_name, &c);
	assert(root == ROOT_SLOT);
	return ns;
}

size_t namespace_image(const struct namespace *ns, const void **image)
{
	*image = ns->arena.base;
	return ns->image->arena.used;
}

/* Whether the totals can be those of a tree of `len` bytes. */
static bool totals_ok(const struct image *im, size_t len)
{
	const uint64_t segments =
		(im->n_slots + (uint64_t)SEGMENT_SLOTS - 1) >> SEGMENT_BITS;
	uint64_t i;

	if (im->arena.used != len || im->arena.live > len ||
	    im->n_slots <= ROOT_SLOT || segments > MAX_SEGMENTS)
		return false;
	for (i = 0; i < segments; i++)
		if (!im->segment[i] ||
		    (uint64_t)im->segment[i] * 8 +
				    SEGMENT_SLOTS * sizeof(struct inode) >
			    len)
			return false;
	return (uint64_t)im->n_inodes + im->n_free + im->n_retired + 1 ==
		       im->n_slots &&
	       im->n_directories <= im->n_inodes && im->n_tombs <= im->n_free &&
	       im->n_clients <= DEDUP_CLIENTS;
}

int namespace_open(struct namespace **out, void *arena, size_t size,
		   size_t image_len, struct err *err)
{
	const struct image *im = arena;
	struct namespace *ns;

	if (image_len < sizeof(*im) ||
	    memcmp(im->magic, magic, sizeof(magic)) != 0)
		return err_set(err, -EBADMSG, "not an image of a namespace");
	if (im->version != TREE_VERSION || im->byte_order != BYTE_ORDER_MARK)
		return err_set(err, -EPROTONOSUPPORT,
			       "an image of version %u, not %u, or of another "
			       "byte order",
			       im->version, TREE_VERSION);
	if (!totals_ok(im, image_len))
		return err_set(err, -EBADMSG,
			       "a damaged image: its totals do not agree");
	if (size < LEAST_ARENA || image_len > size - LEAST_ARENA / 2)
		return err_set(err, -ENOSPC,
			       "an image of %zu bytes has no room in %zu",
			       image_len, size);
	ns = handle(arena, size);
	if (!is_dir(ns, ROOT_SLOT))
		return err_set(err, -EBADMSG, "a damaged image: no root");
	*out = ns;
	return 0;
}

static int cluster_apply(struct namespace *ns, const struct cluster_record *r)
{
	static const uint8_t unset[sizeof(ns->image->uuid)];

	if (r->uuid.len != sizeof(unset) || !r->block_size ||
	    memcmp(r->uuid.ptr, unset, sizeof(unset)) == 0)
		return -EINVAL;
	if (memcmp(ns->image->uuid, unset, sizeof(unset)) != 0)
		return -EEXIST;
	memcpy(ns->image->uuid, r->uuid.ptr, sizeof(unset));
	ns->image->block_size = r->block_size;
	return 0;
}

static int apply(struct namespace *ns, const struct journal_record *r,
		 struct namespace_result *res)
{
	const uint64_t time_ms = r->stamp.time_ms;

	switch (r->type) {
	case JOURNAL_cluster:
		return cluster_apply(ns, &r->cluster);
	case JOURNAL_mount:
		return mount_apply(ns, &r->mount, time_ms, res);
	case JOURNAL_unmount:
		return unmount_apply(ns, &r->unmount, res);
	case JOURNAL_learn:
		return learn_apply(ns, &r->learn, time_ms);
	case JOURNAL_forget:
		return forget_apply(ns, &r->forget);
	case JOURNAL_job:
		return job_apply(ns, &r->job, time_ms, res);
	case JOURNAL_job_end:
		return job_end_apply(ns, &r->job_end, time_ms, res);
	case JOURNAL_worker:
		return worker_apply(ns, &r->worker, res);
	}
	return -EINVAL;
}

void namespace_apply(struct namespace *ns, const struct journal_record *record,
		     struct namespace_result *res)
{
	const struct dedup_result *known = NULL;
	const uint64_t client = record->stamp.client;

	ns->image->applied++;
	ns->cursor->dir = 0;
	ns->stale = (uint64_t *)(void *)ns;
	ns->n_stale = 0;
	*res = (struct namespace_result){ 0 };
	if (client)
		known = dedup_find(ns, client, record->stamp.sequence);
	if (known) {
		res->code = known->code;
		res->id = known->id;
		res->updated = known->updated;
		return;
	}
	res->code = apply(ns, record, res);
	res->stale = ns->stale;
	res->n_stale = ns->n_stale;
	if (client)
		dedup_remember(ns, client, record->stamp.sequence, res);
}

static void view(const struct namespace *ns, uint32_t slot,
		 struct inode_view *out)
{
	const struct inode *i = inode_at(ns, slot);
	const struct attrs *a = attrs_of(ns, i);
	const struct mount *m = a->mount ? at_ref(ns, a->mount) : NULL;
	const bool dir = mode_is_dir(a->mode);

	out->id = (uint64_t)i->generation << 32 | slot;
	out->parent = inode_id(ns, i->parent);
	out->mode = a->mode;
	out->uid = a->uid;
	out->gid = a->gid;
	out->length = dir ? 0 : i->length;
	out->mtime_ns = i->mtime_ns;
	out->name = inode_name(ns, slot);
	inode_strings(ns, i, &out->version, &out->target);
	out->mount = m ? m->id : 0;
	out->is_mount_point = m && m->root == slot;
	out->complete_ms = dir ? dir_of(ns, slot)->complete_ms : 0;
}

int namespace_get(const struct namespace *ns, uint64_t id,
		  struct inode_view *out)
{
	uint32_t slot;
	int rv = inode_lookup(ns, id, &slot);

	if (!rv)
		view(ns, slot, out);
	return rv;
}

int namespace_child(const struct namespace *ns, uint64_t parent,
		    const void *name, size_t len, struct inode_view *out)
{
	uint32_t slot;
	int rv = inode_lookup(ns, parent, &slot);

	if (rv)
		return rv;
	if (!is_dir(ns, slot))
		return -ENOTDIR;
	slot = tree_child(ns, slot, name, len);
	if (!slot)
		return -ENOENT;
	view(ns, slot, out);
	return 0;
}

int namespace_find(const struct namespace *ns, const void *path, size_t len,
		   struct inode_view *out, size_t *rest)
{
	uint32_t slot = ROOT_SLOT, child;
	const char *name;
	size_t n;
	int rv = 0;

	if (!path_ok(path, len))
		return -EINVAL;
	for (*rest = 0; (name = path_component(path, len, rest, &n));
	     *rest += n) {
		if (!is_dir(ns, slot)) {
			rv = -ENOTDIR;
			break;
		}
		child = tree_child(ns, slot, name, n);
		if (!child) {
			rv = -ENOENT;
			break;
		}
		slot = child;
	}
	view(ns, slot, out);
	return rv;
}

/* The place behind `after` in the directory of `slot`. */
static int seek_after(const struct namespace *ns, uint32_t slot, uint64_t after,
		      struct index_place *p)
{
	const uint32_t a = (uint32_t)after;
	schema_bytes name = { "", 0 };
	const struct inode *i;

	if (after) {
		if (a == 0 || a >= ns->image->n_slots)
			return -ESTALE;
		i = inode_at(ns, a);
		if (i->parent != slot || !i->data ||
		    i->generation >> 16 != after >> 48)
			return -ESTALE;
		name = inode_name(ns, a);
	}
	if (index_seek(ns, dir_of(ns, slot), name.ptr, name.len, p) && after)
		index_step(p);
	return 0;
}

int namespace_next(const struct namespace *ns, uint64_t dir, uint64_t after,
		   struct inode_view *out)
{
	struct cursor *c = ns->cursor;
	uint32_t slot;
	int rv = inode_lookup(ns, dir, &slot);

	if (rv)
		return rv;
	if (!is_dir(ns, slot))
		return -ENOTDIR;
	if (c->dir != dir || c->after != after || !after) {
		c->dir = 0;
		rv = seek_after(ns, slot, after, &c->place);
		if (rv)
			return rv;
	}
	slot = index_at(ns, &c->place);
	if (!slot)
		return -ENOENT;
	view(ns, slot, out);
	index_step(&c->place);
	c->dir = dir;
	c->after = out->id;
	return 0;
}

/* Writes the names from `slot` up to below `top`, from the end of `buf` on;
 * where they begin.  Each has a "/" before it. */
static ssize_t names_up(const struct namespace *ns, uint32_t slot,
			bool to_mount, char *buf, size_t size)
{
	schema_bytes name;
	size_t at = size;

	while (slot != ROOT_SLOT &&
	       !(to_mount && tree_is_mount_point(ns, slot))) {
		name = inode_name(ns, slot);
		if (at < name.len + 1)
			return -ENAMETOOLONG;
		at -= name.len;
		memcpy(buf + at, name.ptr, name.len);
		buf[--at] = '/';
		slot = inode_at(ns, slot)->parent;
	}
	return (ssize_t)at;
}

ssize_t namespace_path(const struct namespace *ns, uint64_t id, char *buf,
		       size_t size)
{
	uint32_t slot;
	ssize_t at;
	int rv = inode_lookup(ns, id, &slot);

	if (rv)
		return rv;
	if (size < 2)
		return -ENAMETOOLONG;
	at = names_up(ns, slot, false, buf, size - 1);
	if (at < 0)
		return at;
	if ((size_t)at == size - 1)
		buf[--at] = '/';
	memmove(buf, buf + at, size - 1 - (size_t)at);
	buf[size - 1 - (size_t)at] = '\0';
	return (ssize_t)size - 1 - at;
}

ssize_t namespace_ufs_path(const struct namespace *ns, uint64_t id, char *buf,
			   size_t size)
{
	uint32_t slot;
	ssize_t at;
	int rv = inode_lookup(ns, id, &slot);

	if (rv)
		return rv;
	if (!attrs_of(ns, inode_at(ns, slot))->mount)
		return -ENODEV;
	if (size < 2)
		return -ENAMETOOLONG;
	at = names_up(ns, slot, true, buf, size);
	if (at < 0)
		return at;
	at++; /* the first "/" */
	if ((size_t)at > size) {
		buf[0] = '\0';
		return 0;
	}
	memmove(buf, buf + at, size - (size_t)at);
	buf[size - (size_t)at] = '\0';
	return (ssize_t)size - at;
}

void namespace_totals(const struct namespace *ns, struct namespace_totals *out)
{
	const struct image *im = ns->image;

	memcpy(out->uuid, im->uuid, sizeof(out->uuid));
	out->block_size = im->block_size;
	out->inodes = im->n_inodes;
	out->directories = im->n_directories;
	out->files = im->n_inodes - im->n_directories;
	out->mounts = im->n_mounts;
	out->applied = im->applied;
	out->workers = im->last_worker;
}

uint64_t namespace_digest(const struct namespace *ns)
{
	return XXH3_64bits(ns->arena.base, ns->image->arena.used);
}
