/* The mount table, and the directories that mounts bring along. */

#include <errno.h>
#include <string.h>

#include "base/path.h"
#include "core/index.h"

#define PATH_LIMIT    4096
#define URI_LIMIT     4096
#define OPTIONS_LIMIT (1U << 20) /* bytes */

/* An option in the image; the three strings follow, padded to 4 bytes. */
struct option_head {
	uint32_t key_len, value_len, sealed_len;
};

static size_t option_size(const struct option_head *h)
{
	return sizeof(*h) +
	       (((size_t)h->key_len + h->value_len + h->sealed_len + 3) &
		~(size_t)3);
}

static struct option_head head_of(const struct mount_option *o)
{
	return (struct option_head){
		.key_len = (uint32_t)o->key.len,
		.value_len = (uint32_t)o->value.len,
		.sealed_len = (uint32_t)o->sealed.len,
	};
}

static unsigned char *put(unsigned char *to, const void *from, size_t len)
{
	if (len)
		memcpy(to, from, len);
	return to + len;
}

/* What all options take; -E2BIG. */
static ssize_t options_size(const schema_mount_option_array *options)
{
	const struct mount_option *o;
	struct option_head h;
	size_t size = 0, i;

	for (i = 0; i < options->n; i++) {
		o = &options->at[i];
		if (o->key.len > OPTIONS_LIMIT ||
		    o->value.len > OPTIONS_LIMIT ||
		    o->sealed.len > OPTIONS_LIMIT)
			return -E2BIG;
		h = head_of(o);
		size += option_size(&h);
		if (size > OPTIONS_LIMIT)
			return -E2BIG;
	}
	return (ssize_t)size;
}

static void set_options(struct namespace *ns, struct mount *m,
			const schema_mount_option_array *options)
{
	struct option_head h;
	unsigned char *at, *to;
	size_t i;

	arena_free(&ns->arena, m->options, m->options_size);
	m->n_options = (uint32_t)options->n;
	m->options_size = (uint32_t)options_size(options);
	m->options = 0;
	if (!options->n)
		return;
	m->options = arena_alloc(&ns->arena, m->options_size);
	at = at_ref(ns, m->options);
	for (i = 0; i < options->n; i++, at += option_size(&h)) {
		h = head_of(&options->at[i]);
		to = put(at, &h, sizeof(h));
		to = put(to, options->at[i].key.ptr, h.key_len);
		to = put(to, options->at[i].value.ptr, h.value_len);
		put(to, options->at[i].sealed.ptr, h.sealed_len);
	}
}

/* The reference to the mount of this id; 0: none. */
static uint32_t find_mount(const struct namespace *ns, uint32_t id)
{
	const struct mount *m;
	uint32_t ref;

	for (ref = ns->image->mounts; ref; ref = m->next) {
		m = at_ref(ns, ref);
		if (m->id == id)
			return ref;
	}
	return 0;
}

/* Appends it, since ids only grow; its root is still to be set. */
static uint32_t new_mount(struct namespace *ns, const struct mount_record *r)
{
	uint32_t ref = arena_alloc(&ns->arena, sizeof(struct mount)), *at;
	struct mount *m = at_ref(ns, ref);

	m->id = ++ns->image->last_mount;
	m->uri = arena_alloc(&ns->arena, r->uri.len);
	m->uri_len = (uint32_t)r->uri.len;
	memcpy(at_ref(ns, m->uri), r->uri.ptr, r->uri.len);
	set_options(ns, m, &r->options);
	for (at = &ns->image->mounts; *at;)
		at = &((struct mount *)at_ref(ns, *at))->next;
	*at = ref;
	ns->image->n_mounts++;
	return ref;
}

static void free_mount(struct namespace *ns, uint32_t ref)
{
	struct mount *m = at_ref(ns, ref);
	uint32_t *at;

	for (at = &ns->image->mounts; *at != ref;)
		at = &((struct mount *)at_ref(ns, *at))->next;
	*at = m->next;
	arena_free(&ns->arena, m->options, m->options_size);
	arena_free(&ns->arena, m->uri, m->uri_len);
	arena_free(&ns->arena, ref, sizeof(*m));
	ns->image->n_mounts--;
}

/* Owner and permissions as the record says; the mount point's too. */
static void set_owner(struct mount *m, const struct mount_record *r,
		      struct content *c)
{
	m->uid = r->uid;
	m->gid = r->gid;
	m->umask = r->umask & 0777;
	c->mode = MODE_DIR | (0755 & ~m->umask);
	c->uid = r->uid;
	c->gid = r->gid;
}

static void count_mount(struct namespace *ns, uint32_t slot, int by)
{
	while (slot != ROOT_SLOT) {
		slot = inode_at(ns, slot)->parent;
		dir_of(ns, slot)->mounts_below += (uint32_t)by;
	}
}

/* Makes the directories of `path` from `at` on below `slot`; the last one. */
static uint32_t make_dirs(struct namespace *ns, uint32_t slot, schema_str path,
			  size_t at, const struct content *like)
{
	struct content c = *like;
	schema_bytes name;

	c.mount = attrs_of(ns, inode_at(ns, slot))->mount;
	while ((name.ptr =
			path_component(path.ptr, path.len, &at, &name.len))) {
		slot = tree_add(ns, slot, name, &c);
		dir_of(ns, slot)->flags |= DIR_MADE;
		at += name.len;
	}
	return slot;
}

static int check_mount(const struct namespace *ns, const struct mount_record *r)
{
	ssize_t options = options_size(&r->options);

	if (options < 0)
		return (int)options;
	if (!path_ok(r->path.ptr, r->path.len) || r->path.len > PATH_LIMIT ||
	    r->uri.len == 0 || r->uri.len > URI_LIMIT)
		return -EINVAL;
	/* 4,096 bytes of path are 2,048 directories at most. */
	return tree_has_room(ns, (UINT64_C(4) << 20) + (size_t)options, 0)
		       ? 0
		       : -ENOSPC;
}

/* The path exists: the same mount again gets new options, an empty root that is
 * no mount's may become one. */
static int mount_existing(struct namespace *ns, const struct mount_record *r,
			  const struct inode_view *v, struct content *c,
			  struct namespace_result *res)
{
	const uint32_t slot = (uint32_t)v->id;
	struct mount *m;

	if (v->is_mount_point) {
		m = at_ref(ns, attrs_of(ns, inode_at(ns, slot))->mount);
		if (m->uri_len != r->uri.len ||
		    memcmp(at_ref(ns, m->uri), r->uri.ptr, r->uri.len) != 0)
			return -EBUSY;
		set_options(ns, m, &r->options);
		set_owner(m, r, c);
		c->mount = attrs_of(ns, inode_at(ns, slot))->mount;
		c->mtime_ns = v->mtime_ns;
		inode_set_attrs(ns, slot, c);
		res->id = m->id;
		res->updated = true;
		return 0;
	}
	if (r->update)
		return -ENOENT;
	if (!mode_is_dir(v->mode) || v->mount)
		return -EEXIST;
	if (dir_of(ns, slot)->n_children)
		return -ENOTEMPTY;
	c->mount = new_mount(ns, r);
	m = at_ref(ns, c->mount);
	m->root = slot;
	set_owner(m, r, c);
	inode_set_attrs(ns, slot, c);
	count_mount(ns, slot, 1);
	res->id = m->id;
	return 0;
}

int mount_apply(struct namespace *ns, const struct mount_record *r,
		uint64_t time_ms, struct namespace_result *res)
{
	struct content c = { .mtime_ns = time_ms * 1000000,
			     .mode = MODE_DIR | 0755,
			     .uid = r->uid,
			     .gid = r->gid };
	struct inode_view v;
	struct mount *m;
	uint32_t slot;
	size_t rest;
	int rv = check_mount(ns, r);

	if (!rv)
		rv = namespace_find(ns, r->path.ptr, r->path.len, &v, &rest);
	if (!rv)
		return mount_existing(ns, r, &v, &c, res);
	if (rv != -ENOENT || r->update)
		return rv;
	slot = make_dirs(ns, (uint32_t)v.id, r->path, rest, &c);
	c.mount = new_mount(ns, r);
	m = at_ref(ns, c.mount);
	m->root = slot;
	set_owner(m, r, &c);
	inode_set_attrs(ns, slot, &c);
	count_mount(ns, slot, 1);
	res->id = m->id;
	return 0;
}

/* Removes the mount point and the directories above that were only made for
 * it.  Where it lay in another mount, that one may have had something there. */
static void remove_mount_point(struct namespace *ns, uint32_t slot)
{
	const struct dir *d;
	uint32_t up;

	do {
		up = inode_at(ns, slot)->parent;
		tree_remove(ns, slot);
		slot = up;
		d = dir_of(ns, slot);
	} while (slot != ROOT_SLOT && (d->flags & DIR_MADE) && !d->n_children &&
		 !tree_is_mount_point(ns, slot));
	dir_of(ns, slot)->complete_ms = 0;
}

int unmount_apply(struct namespace *ns, const struct unmount_record *r,
		  struct namespace_result *res)
{
	struct inode_view v;
	struct content c;
	uint32_t slot, ref;
	struct dir *d;
	size_t rest;
	int rv = namespace_find(ns, r->path.ptr, r->path.len, &v, &rest);

	if (rv)
		return rv;
	if (!v.is_mount_point)
		return -EINVAL;
	slot = (uint32_t)v.id;
	d = dir_of(ns, slot);
	if (d->mounts_below)
		return -EBUSY;
	ref = attrs_of(ns, inode_at(ns, slot))->mount;
	res->id = v.mount;
	tree_clear(ns, slot);
	count_mount(ns, slot, -1);
	c = (struct content){ .mode = MODE_DIR | 0755, .mtime_ns = v.mtime_ns };
	inode_set_attrs(ns, slot, &c); /* no mount's any more */
	d->flags = 0;
	d->complete_ms = 0;
	if (slot != ROOT_SLOT)
		remove_mount_point(ns, slot);
	free_mount(ns, ref);
	return 0;
}

static void view_mount(const struct namespace *ns, const struct mount *m,
		       struct mount_view *out)
{
	*out = (struct mount_view){
		.id = m->id,
		.root = inode_id(ns, m->root),
		.uri = { at_ref(ns, m->uri), m->uri_len },
		.uid = m->uid,
		.gid = m->gid,
		.umask = m->umask,
		.n_options = m->n_options,
	};
}

int namespace_next_mount(const struct namespace *ns, uint32_t after,
			 struct mount_view *out)
{
	const struct mount *m;
	uint32_t ref;

	for (ref = ns->image->mounts; ref; ref = m->next) {
		m = at_ref(ns, ref);
		if (m->id > after) {
			view_mount(ns, m, out);
			return 0;
		}
	}
	return -ENOENT;
}

int namespace_mount(const struct namespace *ns, uint32_t id,
		    struct mount_view *out)
{
	uint32_t ref = find_mount(ns, id);

	if (!ref)
		return -ENOENT;
	view_mount(ns, at_ref(ns, ref), out);
	return 0;
}

void namespace_mount_option(const struct namespace *ns, uint32_t mount,
			    uint32_t i, struct mount_option *out)
{
	const struct mount *m = at_ref(ns, find_mount(ns, mount));
	const unsigned char *at = at_ref(ns, m->options);
	struct option_head h;

	assert(i < m->n_options);
	for (;; i--) {
		memcpy(&h, at, sizeof(h));
		if (!i)
			break;
		at += option_size(&h);
	}
	at += sizeof(h);
	out->key = (schema_str){ (const char *)at, h.key_len };
	at += h.key_len;
	out->value = (schema_str){ (const char *)at, h.value_len };
	at += h.value_len;
	out->sealed = (schema_bytes){ at, h.sealed_len };
}
