#include "master/skipped.h"

void skipped_init(struct skipped *s)
{
	map_init(&s->by_dir);
}

void skipped_close(struct skipped *s)
{
	map_close(&s->by_dir);
}

void skipped_set(struct skipped *s, uint64_t dir, size_t n)
{
	if (n)
		map_put(&s->by_dir, dir, (void *)n);
	else
		map_remove(&s->by_dir, dir);
}

/* Takes those that are in the tree over into a new map. */
static void forget_dead(struct skipped *s, const struct namespace *ns)
{
	struct map_slot *slot;
	struct inode_view v;
	struct map live;
	size_t at = 0;

	map_init(&live);
	while ((slot = map_next(&s->by_dir, &at)))
		if (namespace_get(ns, slot->key, &v) == 0)
			map_put(&live, slot->key, slot->value);
	map_close(&s->by_dir);
	s->by_dir = live;
}

uint64_t skipped_total(struct skipped *s, const struct namespace *ns)
{
	struct map_slot *slot;
	struct inode_view v;
	uint64_t total = 0;
	size_t at = 0, dead = 0;

	while ((slot = map_next(&s->by_dir, &at))) {
		if (namespace_get(ns, slot->key, &v) == 0)
			total += (size_t)slot->value;
		else
			dead++;
	}
	if (dead)
		forget_dead(s, ns);
	return total;
}
