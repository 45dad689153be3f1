/* Inodes: slots, packed bytes, shared attributes. */

#include <errno.h>
#include <string.h>

#include "core/tree.h"

/* Lengths are one byte up to 127, else two. */
static unsigned char *put_bytes(unsigned char *to, schema_bytes b)
{
	if (b.len > 127)
		*to++ = (unsigned char)(0x80 | b.len >> 8);
	*to++ = (unsigned char)b.len;
	if (b.len)
		memcpy(to, b.ptr, b.len);
	return to + b.len;
}

static const unsigned char *get_bytes(const unsigned char *from,
				      schema_bytes *b)
{
	b->len = *from++;
	if (b->len > 127)
		b->len = (b->len & 0x7f) << 8 | *from++;
	b->ptr = from;
	return from + b->len;
}

static size_t packed_size(schema_bytes b)
{
	return (b.len > 127 ? 2 : 1) + b.len;
}

static uint32_t pack(struct namespace *ns, schema_bytes name,
		     const struct content *c)
{
	const schema_bytes none = { NULL, 0 };
	const schema_bytes target = mode_is_link(c->mode) ? c->target : none;
	size_t size = sizeof(struct packed) + packed_size(name) +
		      packed_size(c->version) + packed_size(target);
	uint32_t ref = arena_alloc(&ns->arena, size);
	struct packed *p = at_ref(ns, ref);

	put_bytes(put_bytes(put_bytes(p->bytes, name), c->version), target);
	return ref;
}

schema_bytes inode_name(const struct namespace *ns, uint32_t slot)
{
	const struct packed *p = at_ref(ns, inode_at(ns, slot)->data);
	schema_bytes name;

	get_bytes(p->bytes, &name);
	return name;
}

size_t inode_data_size(const struct namespace *ns, const struct inode *i)
{
	const struct packed *p = at_ref(ns, i->data);
	const unsigned char *end;
	schema_bytes b;

	end = get_bytes(get_bytes(get_bytes(p->bytes, &b), &b), &b);
	return (size_t)(end - (const unsigned char *)p);
}

void inode_strings(const struct namespace *ns, const struct inode *i,
		   schema_bytes *version, schema_bytes *target)
{
	const struct packed *p = at_ref(ns, i->data);

	get_bytes(get_bytes(get_bytes(p->bytes, version), version), target);
}

uint8_t inode_seen(const struct namespace *ns, uint32_t slot)
{
	const struct packed *p = at_ref(ns, inode_at(ns, slot)->data);

	return p->seen;
}

void inode_set_seen(struct namespace *ns, uint32_t slot, uint8_t sweep)
{
	struct packed *p = at_ref(ns, inode_at(ns, slot)->data);

	p->seen = sweep;
}

static uint32_t *attrs_bucket(struct namespace *ns, const struct attrs *a)
{
	uint64_t h = a->mode;

	h = h * 0x9e3779b97f4a7c15 + a->uid;
	h = h * 0x9e3779b97f4a7c15 + a->gid;
	h = h * 0x9e3779b97f4a7c15 + a->mount;
	h *= 0x9e3779b97f4a7c15;
	return &ns->image->attrs_bucket[h >> 32 & (BUCKETS - 1)];
}

/* One more reference to the attributes of `c`. */
static uint32_t attrs_get(struct namespace *ns, const struct content *c)
{
	const struct attrs key = { c->mode, c->uid, c->gid, c->mount, 0, 0 };
	uint32_t *bucket = attrs_bucket(ns, &key), ref;
	struct attrs *a;

	for (ref = *bucket; ref; ref = a->next) {
		a = at_ref(ns, ref);
		if (memcmp(a, &key, offsetof(struct attrs, refs)) == 0)
			break;
	}
	if (!ref) {
		ref = arena_alloc(&ns->arena, sizeof(*a));
		a = at_ref(ns, ref);
		*a = key;
		a->next = *bucket;
		*bucket = ref;
	}
	a->refs++;
	return ref;
}

static void attrs_put(struct namespace *ns, uint32_t ref)
{
	struct attrs *a = at_ref(ns, ref), *other;
	uint32_t *at;

	if (--a->refs)
		return;
	for (at = attrs_bucket(ns, a); *at != ref; at = &other->next)
		other = at_ref(ns, *at);
	*at = a->next;
	arena_free(&ns->arena, ref, sizeof(*a));
}

static uint32_t slot_new(struct namespace *ns)
{
	struct image *im = ns->image;
	uint32_t slot = im->first_free, *segment;
	struct inode *i;

	if (im->n_free > TOMBS) { /* the first has lost its name */
		i = inode_at(ns, slot);
		im->first_free = i->next_free;
		im->n_free--;
		i->generation = ((i->generation >> 16) + 1) << 16;
		return slot;
	}
	slot = im->n_slots++;
	segment = &im->segment[slot >> SEGMENT_BITS];
	if (!*segment)
		*segment = arena_alloc(&ns->arena,
				       SEGMENT_SLOTS * sizeof(struct inode));
	return slot;
}

static void drop_name(struct namespace *ns, struct inode *i)
{
	arena_free(&ns->arena, i->data, inode_data_size(ns, i));
	i->data = 0;
}

static void slot_free(struct namespace *ns, uint32_t slot)
{
	struct image *im = ns->image;
	struct inode *i = inode_at(ns, slot);

	if (i->generation >> 16 == 0xffff) {
		im->n_retired++;
		return;
	}
	if (im->n_free++)
		inode_at(ns, im->last_free)->next_free = slot;
	else
		im->first_free = slot;
	im->last_free = slot;
	if (!im->n_tombs++)
		im->first_tomb = slot;
	if (im->n_tombs <= TOMBS)
		return;
	i = inode_at(ns, im->first_tomb);
	drop_name(ns, i);
	im->first_tomb = i->next_free;
	im->n_tombs--;
}

static void is_stale(struct namespace *ns, uint32_t slot)
{
	if (is_dir(ns, slot))
		return;
	*--ns->stale = inode_id(ns, slot);
	ns->n_stale++;
}

uint32_t inode_new(struct namespace *ns, uint32_t parent, schema_bytes name,
		   const struct content *c)
{
	uint32_t slot = slot_new(ns);
	struct inode *i = inode_at(ns, slot);

	i->parent = parent;
	i->data = pack(ns, name, c);
	i->attrs = attrs_get(ns, c);
	i->mtime_ns = c->mtime_ns;
	i->length = 0;
	if (mode_is_dir(c->mode)) {
		i->dir = arena_alloc(&ns->arena, sizeof(struct dir));
		ns->image->n_directories++;
	} else {
		i->length = c->length;
	}
	ns->image->n_inodes++;
	return slot;
}

void inode_free(struct namespace *ns, uint32_t slot)
{
	struct inode *i = inode_at(ns, slot);

	is_stale(ns, slot);
	if (is_dir(ns, slot)) {
		tree_drop_rival(ns, dir_of(ns, slot));
		assert(!dir_of(ns, slot)->index);
		arena_free(&ns->arena, i->dir, sizeof(struct dir));
		ns->image->n_directories--;
	}
	attrs_put(ns, i->attrs);
	i->attrs = 0;
	i->length = 0;
	ns->image->n_inodes--;
	slot_free(ns, slot);
}

bool inode_renew(struct namespace *ns, uint32_t slot, const struct content *c)
{
	struct inode *i = inode_at(ns, slot);
	uint32_t old = i->data;
	size_t size = inode_data_size(ns, i);
	uint8_t seen = inode_seen(ns, slot);
	uint32_t attrs = i->attrs;

	assert(!is_dir(ns, slot) && !mode_is_dir(c->mode));
	if (i->generation == UINT32_MAX)
		return false;
	is_stale(ns, slot);
	i->generation++;
	i->data = pack(ns, inode_name(ns, slot), c);
	arena_free(&ns->arena, old, size);
	inode_set_seen(ns, slot, seen);
	i->attrs = attrs_get(ns, c);
	attrs_put(ns, attrs);
	i->length = c->length;
	i->mtime_ns = c->mtime_ns;
	return true;
}

void inode_set_attrs(struct namespace *ns, uint32_t slot,
		     const struct content *c)
{
	struct inode *i = inode_at(ns, slot);
	uint32_t attrs = i->attrs;

	assert(((attrs_of(ns, i)->mode ^ c->mode) & MODE_TYPE) == 0);
	i->attrs = attrs_get(ns, c);
	attrs_put(ns, attrs);
	i->mtime_ns = c->mtime_ns;
}

int inode_lookup(const struct namespace *ns, uint64_t id, uint32_t *slot)
{
	const uint32_t generation = (uint32_t)(id >> 32);
	const struct inode *i;

	*slot = (uint32_t)id;
	if (*slot == 0 || *slot >= ns->image->n_slots)
		return -ENOENT;
	i = inode_at(ns, *slot);
	if (generation > i->generation)
		return -ENOENT;
	return generation < i->generation || !i->attrs ? -ESTALE : 0;
}

size_t rival_size(const struct rival *r)
{
	return sizeof(*r) + r->version_len + r->target_len;
}
