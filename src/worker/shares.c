#include "worker/shares.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"

struct share {
	struct list link; /* in hungry, while `waiting` is not empty */
	uint32_t mount;
	uint64_t bytes; /* under way */
	struct list waiting;
};

void shares_open(struct shares *s, uint64_t max)
{
	*s = (struct shares){ .max = max };
	map_init(&s->by_mount);
	list_init(&s->hungry);
}

void shares_close(struct shares *s)
{
	map_close(&s->by_mount);
}

/* One for which nothing waits and nothing is under way is forgotten. */
static void settle(struct shares *s, struct share *h)
{
	if (list_empty(&h->waiting))
		list_remove(&h->link);
	if (!list_empty(&h->waiting) || h->bytes)
		return;
	map_remove(&s->by_mount, h->mount);
	free(h);
}

static struct share *find(struct shares *s, uint32_t mount)
{
	struct share *h = map_get(&s->by_mount, mount);

	if (h)
		return h;
	h = mem_alloc(sizeof(*h));
	h->mount = mount;
	list_init(&h->link);
	list_init(&h->waiting);
	map_put(&s->by_mount, mount, h);
	return h;
}

void shares_wait(struct shares *s, struct share_wait *w, uint32_t mount,
		 size_t len)
{
	struct share *h = find(s, mount);

	w->mount = mount;
	w->len = len;
	if (list_empty(&h->waiting))
		list_push_back(&s->hungry, &h->link);
	list_push_back(&h->waiting, &w->link);
}

static struct share_wait *first(const struct share *h)
{
	return list_entry(h->waiting.next, struct share_wait, link);
}

static bool may_begin(const struct shares *s, const struct share *h)
{
	size_t len = first(h)->len;

	if (s->bytes == 0)
		return true;
	if (s->bytes + len > s->max)
		return false;
	return h->bytes == 0 || h->bytes + len <= s->max - s->bytes;
}

struct share_wait *shares_next(struct shares *s)
{
	struct share_wait *w;
	struct share *h;
	struct list *l;

	for (l = s->hungry.next; l != &s->hungry; l = l->next) {
		h = list_entry(l, struct share, link);
		if (!may_begin(s, h))
			continue;
		w = first(h);
		list_remove(&w->link);
		h->bytes += w->len;
		s->bytes += w->len;
		list_remove(&h->link);
		if (!list_empty(&h->waiting))
			list_push_back(&s->hungry, &h->link);
		return w;
	}
	return NULL;
}

void shares_done(struct shares *s, const struct share_wait *w)
{
	struct share *h = find(s, w->mount);

	h->bytes -= w->len;
	s->bytes -= w->len;
	settle(s, h);
}

struct share_wait *shares_drop(struct shares *s)
{
	struct share_wait *w;
	struct share *h;

	if (list_empty(&s->hungry))
		return NULL;
	h = list_entry(s->hungry.next, struct share, link);
	w = first(h);
	list_remove(&w->link);
	settle(s, h);
	return w;
}
