/* Room in a directory: who goes for whom. */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "store/disk.h"

/* How many files in use a search steps over before it gives up. */
#define MAX_PINNED 4096

/* Times as much as is needed is asked back, since the next one needs room
 * too. */
#define ASK_AHEAD 16

/* Ids of granted files in the way, as much as is needed: each is asked for
 * once until it is granted again. */
static uint64_t ask_for(struct entry *e, struct buffer *ask)
{
	if (e->asked)
		return 0;
	e->asked = true;
	*(uint64_t *)buffer_add(ask, sizeof(uint64_t)) = e->node.id;
	return e->used;
}

/* Whether victims of `need` bytes can go; those that are granted are asked
 * for if not. */
static bool enough(struct dir *d, const struct evict_node *n, uint64_t need,
		   struct buffer *ask, bool *pinned)
{
	struct evict_node *v = evictor_victim(d->evictor, n, NULL);
	uint64_t have = 0, asked = 0;
	unsigned skipped = 0;
	struct entry *e;

	for (; v && have < need && skipped < MAX_PINNED;
	     v = evictor_victim(d->evictor, n, v)) {
		e = entry_of(v);
		if (!e->users && !e->grants) {
			have += e->used;
			continue;
		}
		skipped++;
		if (e->grants && asked < need * ASK_AHEAD)
			asked += ask_for(e, ask);
	}
	*pinned = skipped > 0;
	return have >= need;
}

static void evict(struct dir *d, const struct evict_node *n, uint64_t need,
		  struct list *gone)
{
	struct evict_node *pinned = NULL, *v;
	struct store *s = d->store;
	uint64_t have = 0;
	struct entry *e;

	while (have < need) {
		v = evictor_victim(d->evictor, n, pinned);
		assert(v);
		e = entry_of(v);
		if (e->users || e->grants) {
			pinned = v;
			continue;
		}
		have += e->used;
		s->totals.evictions++;
		s->totals.evicted_bytes += e->used;
		dir_doom_locked(e, gone);
	}
}

int room_make_locked(struct dir *d, const struct evict_node *n, uint64_t need,
		     struct list *gone, struct buffer *ask)
{
	uint64_t used = dir_used_locked(d) + need + DIR_SLACK;
	bool pinned;

	if (used <= d->capacity)
		return 0;
	if (need + DIR_SLACK > d->capacity)
		return ERR_NOT_ADMITTED;
	need = used - d->capacity;
	if (!enough(d, n, need, ask, &pinned))
		return pinned ? -ENOSPC : ERR_NOT_ADMITTED;
	evict(d, n, need, gone);
	return 0;
}

void room_ask(struct store *s, struct buffer *ask)
{
	if (ask->len)
		store_ask_back(s, (uint64_t *)(void *)ask->at,
			       ask->len / sizeof(uint64_t));
	buffer_close(ask);
}
