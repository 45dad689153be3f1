#include "master/interest.h"

#include <stdlib.h>

#include "base/mem.h"

enum {
	MAX_DIRS = 4096,
	FORGET_MS = 60000,
	FIRST = 2,      /* lookups before a listing */
	FACTOR = 8,     /* as many again before the next one */
	PAGES_EACH = 4, /* of a listing for each lookup */
};

struct looked {
	struct list link;
	uint64_t dir, since_ms;
	unsigned lookups, next;
};

void interest_init(struct interest *i)
{
	map_init(&i->by_dir);
	list_init(&i->by_age);
}

static void forget(struct interest *i, struct looked *d)
{
	map_remove(&i->by_dir, d->dir);
	list_remove(&d->link);
	free(d);
}

void interest_close(struct interest *i)
{
	while (!list_empty(&i->by_age))
		forget(i, list_entry(i->by_age.next, struct looked, link));
	map_close(&i->by_dir);
}

static struct looked *find(struct interest *i, uint64_t dir)
{
	struct looked *d = map_get(&i->by_dir, dir);

	if (d)
		return d;
	if (i->by_dir.used == MAX_DIRS)
		forget(i, list_entry(i->by_age.next, struct looked, link));
	d = mem_alloc(sizeof(*d));
	d->dir = dir;
	d->next = FIRST;
	map_put(&i->by_dir, dir, d);
	list_push_back(&i->by_age, &d->link);
	return d;
}

unsigned interest_note(struct interest *i, uint64_t dir, uint64_t now_ms)
{
	struct looked *d = find(i, dir);

	if (d->lookups && now_ms - d->since_ms >= FORGET_MS) {
		d->lookups = 0;
		d->next = FIRST;
	}
	d->since_ms = now_ms;
	list_remove(&d->link);
	list_push_back(&i->by_age, &d->link);
	if (++d->lookups < d->next)
		return 0;
	d->next *= FACTOR;
	return d->lookups * PAGES_EACH;
}
