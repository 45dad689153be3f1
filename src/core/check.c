/* Whether a tree is consistent; every byte of the arena accounted for. */

#include "core/index.h"

struct sums {
	uint64_t bytes; /* live in the arena */
	uint64_t inodes, directories, references, mounts;

	void (*found)(void *owner, const char *what, uint64_t id);
	void *owner;
	uint64_t n_found;
};

static void want(struct sums *s, bool good, uint64_t id, const char *what)
{
	if (good)
		return;
	s->n_found++;
	s->found(s->owner, what, id);
}

static void check_dir(const struct namespace *ns, uint32_t slot, struct sums *s)
{
	const struct dir *d = dir_of(ns, slot);
	struct index_place p;
	uint32_t child, seen = 0, below = 0;

	s->directories++;
	s->bytes += arena_round(sizeof(*d)) + index_check(ns, d);
	if (d->rival)
		s->bytes += arena_round(rival_size(at_ref(ns, d->rival)));
	index_seek(ns, d, "", 0, &p);
	for (; (child = index_at(ns, &p)); index_step(&p)) {
		want(s, inode_at(ns, child)->attrs, inode_id(ns, slot),
		     "a directory has a removed file");
		want(s, inode_at(ns, child)->parent == slot,
		     inode_id(ns, child), "a file has another parent");
		seen += inode_seen(ns, child) == d->sweep;
		if (!is_dir(ns, child))
			continue;
		below += dir_of(ns, child)->mounts_below;
		below += tree_is_mount_point(ns, child);
	}
	want(s, below == d->mounts_below, inode_id(ns, slot),
	     "a directory counts its mount points wrong");
	want(s, !(d->flags & DIR_SWEEPING) || seen == d->n_seen,
	     inode_id(ns, slot), "a directory counts what was found wrong");
}

/* Every slot; that each is in its parent's index follows from the counts. */
static void check_slots(const struct namespace *ns, struct sums *s)
{
	const struct inode *i;
	uint64_t children = 1;
	uint32_t slot;

	for (slot = 0; slot < ns->image->n_slots; slot += SEGMENT_SLOTS)
		s->bytes += arena_round(SEGMENT_SLOTS * sizeof(*i));
	for (slot = ROOT_SLOT; slot < ns->image->n_slots; slot++) {
		i = inode_at(ns, slot);
		if (i->data)
			s->bytes += arena_round(inode_data_size(ns, i));
		if (!i->attrs)
			continue;
		s->inodes++;
		want(s, is_dir(ns, i->parent), inode_id(ns, slot),
		     "a file's parent is no directory");
		if (is_dir(ns, slot)) {
			children += dir_of(ns, slot)->n_children;
			check_dir(ns, slot, s);
		}
	}
	want(s, children == s->inodes, 0,
	     "files are missing in their directories");
}

static void check_free(const struct namespace *ns, struct sums *s)
{
	const struct image *im = ns->image;
	uint32_t slot = im->first_free, n, tombs = 0;

	for (n = 0; n < im->n_free; n++) {
		want(s, !inode_at(ns, slot)->attrs, inode_id(ns, slot),
		     "a file is among the removed ones");
		tombs += inode_at(ns, slot)->data != 0;
		want(s, n + 1 < im->n_free || slot == im->last_free, 0,
		     "the removed files do not end where they should");
		slot = inode_at(ns, slot)->next_free;
	}
	want(s, tombs == im->n_tombs && tombs <= TOMBS, 0,
	     "removed files are counted wrong");
}

static void check_attrs(const struct namespace *ns, struct sums *s)
{
	const struct attrs *a;
	uint32_t b, ref;

	for (b = 0; b < BUCKETS; b++)
		for (ref = ns->image->attrs_bucket[b]; ref; ref = a->next) {
			a = at_ref(ns, ref);
			want(s, a->refs, 0, "attributes that no file has");
			s->references += a->refs;
			s->bytes += arena_round(sizeof(*a));
		}
	want(s, s->references == s->inodes, 0,
	     "uses of attributes are counted wrong");
}

static void check_mounts(const struct namespace *ns, struct sums *s)
{
	const struct mount *m;
	uint32_t ref, last = 0;

	for (ref = ns->image->mounts; ref; ref = m->next, s->mounts++) {
		m = at_ref(ns, ref);
		want(s, m->id > last, inode_id(ns, m->root),
		     "mounts are out of order");
		last = m->id;
		want(s, tree_is_mount_point(ns, m->root), inode_id(ns, m->root),
		     "a mount has no mount point");
		want(s, attrs_of(ns, inode_at(ns, m->root))->mount == ref,
		     inode_id(ns, m->root), "a mount point is another mount's");
		s->bytes += arena_round(sizeof(*m)) + arena_round(m->uri_len);
		if (m->options)
			s->bytes += arena_round(m->options_size);
	}
	want(s, s->mounts == ns->image->n_mounts, 0,
	     "mounts are counted wrong");
}

static void check_rest(const struct namespace *ns, struct sums *s)
{
	const struct image *im = ns->image;
	const struct job *j;
	const struct worker *w;
	uint32_t ref, running = 0, ended = 0;

	for (ref = im->jobs; ref; ref = j->next) {
		j = at_ref(ns, ref);
		running += !j->end_order;
		ended += !!j->end_order;
		s->bytes += arena_round(sizeof(*j));
		s->bytes += arena_round((size_t)j->kind_len + j->path_len +
					j->state_len + j->error_len);
		if (j->paths)
			s->bytes += arena_round(j->paths_size);
	}
	want(s, running == im->n_running && ended == im->n_ended, 0,
	     "jobs are counted wrong");
	for (ref = im->workers; ref; ref = w->next) {
		w = at_ref(ns, ref);
		s->bytes += arena_round(sizeof(*w));
	}
	s->bytes += im->n_clients * arena_round(sizeof(struct dedup_client));
}

uint64_t namespace_fsck(const struct namespace *ns,
			void (*found)(void *owner, const char *what,
				      uint64_t id),
			void *owner)
{
	const struct image *im = ns->image;
	struct sums s = { .found = found, .owner = owner };

	check_slots(ns, &s);
	check_free(ns, &s);
	check_attrs(ns, &s);
	check_mounts(ns, &s);
	check_rest(ns, &s);
	want(&s, s.inodes == im->n_inodes, 0, "files are counted wrong");
	want(&s, s.directories == im->n_directories, 0,
	     "directories are counted wrong");
	want(&s, s.inodes + im->n_free + im->n_retired + 1 == im->n_slots, 0,
	     "slots are neither used nor free");
	want(&s, s.bytes == im->arena.live, 0,
	     "bytes of the arena are neither used nor free");
	return s.n_found;
}

static void fail(void *owner ATTR_UNUSED, const char *what ATTR_UNUSED,
		 uint64_t id ATTR_UNUSED)
{
	assert(!"the tree is consistent");
}

void namespace_check(const struct namespace *ns)
{
	namespace_fsck(ns, fail, NULL);
}
