#include "core/index.h"

#include <string.h>

#define LEAF_MAX  126 /* entries; either kind of node is 512 bytes then */
#define INNER_MAX 63

/*
 * A leaf has slots; an inner node has, for each child, the slot that comes
 * first below it, and behind all `cap` of these the children's refs.
 */
struct node {
	uint16_t n, cap;
	uint16_t level; /* 0: leaf */
	uint16_t unused;
	uint32_t slot[];
};

static size_t node_size(unsigned level, unsigned cap)
{
	return sizeof(struct node) + (level ? 2 : 1) * cap * sizeof(uint32_t);
}

static struct node *node_at(const struct namespace *ns, uint32_t ref)
{
	return at_ref(ns, ref);
}

static uint32_t *children(struct node *n)
{
	return n->slot + n->cap;
}

static uint32_t node_new(struct namespace *ns, unsigned level, unsigned cap)
{
	uint32_t ref = arena_alloc(&ns->arena, node_size(level, cap));
	struct node *n = node_at(ns, ref);

	n->level = (uint16_t)level;
	n->cap = (uint16_t)cap;
	return ref;
}

static void node_free(struct namespace *ns, uint32_t ref)
{
	struct node *n = node_at(ns, ref);

	arena_free(&ns->arena, ref, node_size(n->level, n->cap));
}

/* As memcmp() of the name of `slot` and this one. */
static int compare(const struct namespace *ns, uint32_t slot, const void *name,
		   size_t len)
{
	const schema_bytes s = inode_name(ns, slot);
	int c = memcmp(s.ptr, name, s.len < len ? s.len : len);

	if (c == 0 && s.len != len)
		c = s.len < len ? -1 : 1;
	return c;
}

/* The first entry from `lo` on that is not below the name; *same if equal. */
static unsigned lower_bound(const struct namespace *ns, const struct node *n,
			    unsigned lo, const void *name, size_t len,
			    bool *same)
{
	unsigned hi = n->n, mid;
	int c;

	*same = false;
	while (lo < hi) {
		mid = (lo + hi) / 2;
		c = compare(ns, n->slot[mid], name, len);
		if (c == 0) {
			*same = true;
			return mid;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool index_seek(const struct namespace *ns, const struct dir *d,
		const void *name, size_t len, struct index_place *p)
{
	uint32_t ref = d->index;
	bool same = false;
	struct node *n;
	unsigned at;

	for (p->depth = 0; ref; p->depth++) {
		assert(p->depth < INDEX_DEPTH);
		n = node_at(ns, ref);
		at = lower_bound(ns, n, n->level ? 1 : 0, name, len, &same);
		if (n->level && !same)
			at--;
		p->node[p->depth] = ref;
		p->at[p->depth] = (uint16_t)at;
		ref = n->level ? children(n)[at] : 0;
	}
	return same;
}

/* Goes down to the first entry below level `d` of the place. */
static void descend(const struct namespace *ns, struct index_place *p,
		    unsigned d)
{
	for (; d + 1 < p->depth; d++) {
		p->node[d + 1] = children(node_at(ns, p->node[d]))[p->at[d]];
		p->at[d + 1] = 0;
	}
}

uint32_t index_at(const struct namespace *ns, struct index_place *p)
{
	const struct node *n;
	unsigned d;

	if (!p->depth)
		return 0;
	d = p->depth - 1;
	n = node_at(ns, p->node[d]);
	if (p->at[d] < n->n)
		return n->slot[p->at[d]];
	/* Behind a leaf: up to where there is a next one. */
	do {
		if (d-- == 0)
			return 0;
		n = node_at(ns, p->node[d]);
	} while (p->at[d] + 1U >= n->n);
	p->at[d]++;
	descend(ns, p, d);
	d = p->depth - 1;
	return node_at(ns, p->node[d])->slot[0];
}

void index_step(struct index_place *p)
{
	assert(p->depth);
	p->at[p->depth - 1]++;
}

static void put_entry(struct node *n, unsigned at, uint32_t slot,
		      uint32_t child)
{
	const size_t tail = (n->n - at) * sizeof(uint32_t);

	assert(n->n < n->cap && at <= n->n);
	memmove(n->slot + at + 1, n->slot + at, tail);
	n->slot[at] = slot;
	if (n->level) {
		memmove(children(n) + at + 1, children(n) + at, tail);
		children(n)[at] = child;
	}
	n->n++;
}

static void take_entry(struct node *n, unsigned at)
{
	const size_t tail = (n->n - at - 1U) * sizeof(uint32_t);

	memmove(n->slot + at, n->slot + at + 1, tail);
	if (n->level)
		memmove(children(n) + at, children(n) + at + 1, tail);
	n->n--;
}

/* Moves the entries of `from` behind the first `keep` to the end of `to`. */
static void move_entries(struct node *to, struct node *from, unsigned keep)
{
	const unsigned n = from->n - keep;

	assert(to->level == from->level && to->n + n <= to->cap);
	memcpy(to->slot + to->n, from->slot + keep, n * sizeof(uint32_t));
	if (to->level)
		memcpy(children(to) + to->n, children(from) + keep,
		       n * sizeof(uint32_t));
	to->n = (uint16_t)(to->n + n);
	from->n = (uint16_t)keep;
}

/* A larger one in place of a root leaf. */
static void grow(struct namespace *ns, struct dir *d, struct index_place *p)
{
	struct node *old = node_at(ns, d->index);
	uint32_t ref = node_new(ns, 0, old->cap * 2U + 2);

	move_entries(node_at(ns, ref), old, 0);
	node_free(ns, d->index);
	d->index = p->node[0] = ref;
}

/* Whether the place is behind all entries from level `d` on up. */
static bool at_far_end(const struct namespace *ns, const struct index_place *p,
		       unsigned d)
{
	if (p->at[d] != node_at(ns, p->node[d])->n)
		return false;
	while (d-- > 0)
		if (p->at[d] + 1U != node_at(ns, p->node[d])->n)
			return false;
	return true;
}

/* A new node that is to follow the full one at level `d`. */
static uint32_t split(struct namespace *ns, const struct index_place *p,
		      unsigned d)
{
	struct node *left = node_at(ns, p->node[d]);
	uint32_t ref = node_new(ns, left->level, left->cap);
	unsigned keep = at_far_end(ns, p, d) ? left->n : left->n / 2U;

	move_entries(node_at(ns, ref), left, keep);
	return ref;
}

static void new_root(struct namespace *ns, struct dir *d, uint32_t slot,
		     uint32_t child)
{
	struct node *left = node_at(ns, d->index), *root;
	uint32_t ref = node_new(ns, left->level + 1U, INNER_MAX);

	root = node_at(ns, ref);
	put_entry(root, 0, left->slot[0], d->index);
	put_entry(root, 1, slot, child);
	d->index = ref;
}

/* `slot` is now the first of all. */
static void set_first(const struct namespace *ns, const struct index_place *p,
		      uint32_t slot)
{
	unsigned d;

	for (d = 0; d + 1 < p->depth; d++)
		node_at(ns, p->node[d])->slot[0] = slot;
}

void index_insert(struct namespace *ns, struct dir *d, struct index_place *p,
		  uint32_t slot)
{
	unsigned level, at;
	uint32_t child = 0, right;
	struct node *n;

	if (!p->depth) {
		d->index = p->node[0] = node_new(ns, 0, 6);
		p->at[0] = 0;
		p->depth = 1;
	}
	level = p->depth - 1;
	at = p->at[level];
	if (at == 0) /* else it would have come behind the leaf before */
		set_first(ns, p, slot);
	for (;; at = p->at[--level] + 1U) {
		n = node_at(ns, p->node[level]);
		if (n->n == n->cap && n->level == 0 && n->cap < LEAF_MAX) {
			grow(ns, d, p);
			n = node_at(ns, p->node[level]);
		}
		if (n->n < n->cap) {
			put_entry(n, at, slot, child);
			return;
		}
		p->at[level] = (uint16_t)at;
		right = split(ns, p, level);
		if (at > n->n || node_at(ns, right)->n == 0)
			put_entry(node_at(ns, right), at - n->n, slot, child);
		else
			put_entry(n, at, slot, child);
		child = right;
		slot = node_at(ns, right)->slot[0];
		if (level == 0) {
			new_root(ns, d, slot, child);
			return;
		}
	}
}

/* The first entry of the node at `level` is another now. */
static void fix_first(const struct namespace *ns, const struct index_place *p,
		      unsigned level)
{
	const uint32_t slot = node_at(ns, p->node[level])->slot[0];

	for (; level > 0; level--) {
		node_at(ns, p->node[level - 1])->slot[p->at[level - 1]] = slot;
		if (p->at[level - 1] != 0)
			return;
	}
}

/* Joins a node that has become nearly empty with a neighbour. */
static bool join(struct namespace *ns, const struct index_place *p,
		 unsigned level)
{
	struct node *parent = node_at(ns, p->node[level - 1]), *left, *right;
	unsigned at = p->at[level - 1];

	if (node_at(ns, p->node[level])->n >
	    node_at(ns, p->node[level])->cap / 4)
		return false;
	if (at + 1U >= parent->n && at-- == 0)
		return false;
	left = node_at(ns, children(parent)[at]);
	right = node_at(ns, children(parent)[at + 1]);
	if (left->n + right->n > left->cap * 3 / 4)
		return false;
	move_entries(left, right, 0);
	node_free(ns, children(parent)[at + 1]);
	take_entry(parent, at + 1);
	return true;
}

void index_remove(struct namespace *ns, struct dir *d, struct index_place *p)
{
	unsigned level = p->depth - 1;
	struct node *n = node_at(ns, p->node[level]);
	uint32_t ref;

	assert(p->depth && p->at[level] < n->n);
	take_entry(n, p->at[level]);
	while (n->n == 0) {
		node_free(ns, p->node[level]);
		if (level == 0) {
			d->index = 0;
			return;
		}
		level--;
		n = node_at(ns, p->node[level]);
		take_entry(n, p->at[level]);
	}
	if (p->at[level] == 0)
		fix_first(ns, p, level);
	while (level > 0 && join(ns, p, level))
		level--;
	for (n = node_at(ns, d->index); n->level && n->n == 1;
	     n = node_at(ns, d->index)) {
		ref = children(n)[0];
		node_free(ns, d->index);
		d->index = ref;
	}
}

uint32_t index_pop(struct namespace *ns, struct dir *d)
{
	uint32_t path[INDEX_DEPTH], slot;
	unsigned level = 0;
	struct node *n;

	if (!d->index)
		return 0;
	path[0] = d->index;
	for (n = node_at(ns, d->index); n->level;
	     n = node_at(ns, path[level])) {
		path[level + 1] = children(n)[n->n - 1];
		level++;
	}
	slot = n->slot[--n->n];
	d->n_children--;
	while (n->n == 0) {
		node_free(ns, path[level]);
		if (level-- == 0) {
			d->index = 0;
			break;
		}
		n = node_at(ns, path[level]);
		n->n--;
	}
	return slot;
}

/* One node, its first entry is `first` (0: any); counts entries in *n. */
static size_t check_node(const struct namespace *ns, uint32_t ref,
			 unsigned level, uint32_t first, size_t *n)
{
	struct node *node = node_at(ns, ref);
	size_t size = arena_round(node_size(level, node->cap));
	schema_bytes name;
	unsigned i;

	assert(node->level == level && node->n && node->n <= node->cap);
	assert(node->cap <= (level ? INNER_MAX : LEAF_MAX));
	assert(!first || node->slot[0] == first);
	for (i = 0; i < node->n; i++) {
		if (i) {
			name = inode_name(ns, node->slot[i]);
			assert(compare(ns, node->slot[i - 1], name.ptr,
				       name.len) < 0);
		}
		if (level)
			size += check_node(ns, children(node)[i], level - 1,
					   node->slot[i], n);
		else
			++*n;
	}
	return size;
}

size_t index_check(const struct namespace *ns, const struct dir *d)
{
	size_t size = 0, n = 0;

	if (d->index)
		size = check_node(ns, d->index, node_at(ns, d->index)->level, 0,
				  &n);
	assert(n == d->n_children);
	return size;
}
