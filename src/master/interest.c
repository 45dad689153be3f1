#include "master/interest.h"

#include <stdlib.h>

#include "base/mem.h"

enum {
	MAX_DIRS = 4096,
	FORGET_MS = 60000,
	FIRST = 2,      /* lookups before a listing */
	FACTOR = 8,     /* as many again before the next one */
	PAGES_EACH = 4, /* of a listing for each lookup */
	BESIDE = 8,     /* directories, after the first */
};

struct looked {
	struct list link;
	uint64_t dir, since_ms;
	unsigned lookups, next;
	unsigned worth; /* directories in it that were listed for lookups */
	bool listed, tried;
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

static struct looked *find(struct interest *i, uint64_t dir, uint64_t now_ms)
{
	struct looked *d = map_get(&i->by_dir, dir);

	if (d && now_ms - d->since_ms >= FORGET_MS) {
		forget(i, d);
		d = NULL;
	}
	if (d) {
		list_remove(&d->link);
	} else {
		if (i->by_dir.used == MAX_DIRS)
			forget(i,
			       list_entry(i->by_age.next, struct looked, link));
		d = mem_alloc(sizeof(*d));
		d->dir = dir;
		d->next = FIRST;
		map_put(&i->by_dir, dir, d);
	}
	d->since_ms = now_ms;
	list_push_back(&i->by_age, &d->link);
	return d;
}

unsigned interest_note(struct interest *i, uint64_t dir, uint64_t now_ms)
{
	struct looked *d = find(i, dir, now_ms);

	if (++d->lookups < d->next)
		return 0;
	d->next *= FACTOR;
	return d->lookups * PAGES_EACH;
}

unsigned interest_listed(struct interest *i, uint64_t dir, uint64_t parent,
			 uint64_t now_ms)
{
	struct looked *d = map_get(&i->by_dir, dir);

	if (!d || d->listed || d->lookups < FIRST ||
	    now_ms - d->since_ms >= FORGET_MS)
		return 0;
	d->listed = true;
	return find(i, parent, now_ms)->worth++ ? BESIDE : 0;
}

bool interest_try(struct interest *i, uint64_t dir, uint64_t now_ms)
{
	struct looked *d = find(i, dir, now_ms);
	bool first = !d->tried;

	d->tried = true;
	return first;
}
