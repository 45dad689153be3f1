/* Whether a tree is consistent; every byte of the arena accounted for. */

#include "core/index.h"

struct sums {
	uint64_t bytes; /* live in the arena */
	uint64_t inodes, directories, references, mounts;
};

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
		assert(inode_at(ns, child)->attrs);
		assert(inode_at(ns, child)->parent == slot);
		seen += inode_seen(ns, child) == d->sweep;
		if (!is_dir(ns, child))
			continue;
		below += dir_of(ns, child)->mounts_below;
		below += tree_is_mount_point(ns, child);
	}
	assert(below == d->mounts_below);
	assert(!(d->flags & DIR_SWEEPING) || seen == d->n_seen);
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
		assert(is_dir(ns, i->parent));
		if (is_dir(ns, slot)) {
			children += dir_of(ns, slot)->n_children;
			check_dir(ns, slot, s);
		}
	}
	assert(children == s->inodes);
}

static void check_free(const struct namespace *ns)
{
	const struct image *im = ns->image;
	uint32_t slot = im->first_free, n, tombs = 0;

	for (n = 0; n < im->n_free; n++) {
		assert(!inode_at(ns, slot)->attrs);
		tombs += inode_at(ns, slot)->data != 0;
		assert(n + 1 < im->n_free || slot == im->last_free);
		slot = inode_at(ns, slot)->next_free;
	}
	assert(tombs == im->n_tombs && tombs <= TOMBS);
}

static void check_attrs(const struct namespace *ns, struct sums *s)
{
	const struct attrs *a;
	uint32_t b, ref;

	for (b = 0; b < BUCKETS; b++)
		for (ref = ns->image->attrs_bucket[b]; ref; ref = a->next) {
			a = at_ref(ns, ref);
			assert(a->refs);
			s->references += a->refs;
			s->bytes += arena_round(sizeof(*a));
		}
	assert(s->references == s->inodes);
}

static void check_mounts(const struct namespace *ns, struct sums *s)
{
	const struct mount *m;
	uint32_t ref, last = 0;

	for (ref = ns->image->mounts; ref; ref = m->next, s->mounts++) {
		m = at_ref(ns, ref);
		assert(m->id > last);
		last = m->id;
		assert(tree_is_mount_point(ns, m->root));
		assert(attrs_of(ns, inode_at(ns, m->root))->mount == ref);
		s->bytes += arena_round(sizeof(*m)) + arena_round(m->uri_len);
		if (m->options)
			s->bytes += arena_round(m->options_size);
	}
	assert(s->mounts == ns->image->n_mounts);
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
	assert(running == im->n_running && ended == im->n_ended);
	for (ref = im->workers; ref; ref = w->next) {
		w = at_ref(ns, ref);
		s->bytes += arena_round(sizeof(*w));
	}
	s->bytes += im->n_clients * arena_round(sizeof(struct dedup_client));
}

void namespace_check(const struct namespace *ns)
{
	const struct image *im = ns->image;
	struct sums s = { 0 };

	check_slots(ns, &s);
	check_free(ns);
	check_attrs(ns, &s);
	check_mounts(ns, &s);
	check_rest(ns, &s);
	assert(s.inodes == im->n_inodes);
	assert(s.directories == im->n_directories);
	assert(s.inodes + im->n_free + im->n_retired + 1 == im->n_slots);
	assert(s.bytes == im->arena.live);
}
