/* Which directory a file lies in, and which it is to come up to.  What to
 * decide is core/tiers.h's. */

#include "core/tiers.h"

#include "store/disk.h"

static bool serves(const struct dir *d, enum tier t)
{
	return d->tier == t && d->service == IN_SERVICE;
}

enum tier tiers_last_locked(const struct store *s)
{
	enum tier last = TIER_AUTO;
	unsigned i;

	for (i = 0; i < s->n_dirs; i++)
		if (s->dirs[i].service == IN_SERVICE && s->dirs[i].tier > last)
			last = s->dirs[i].tier;
	return last;
}

/* By the file's id, in proportion to capacities. */
struct dir *tiers_home_locked(struct store *s, uint64_t file, enum tier t)
{
	struct dir *d, *end = s->dirs + s->n_dirs;
	uint64_t total = 0, at;

	for (d = s->dirs; d < end; d++)
		if (serves(d, t))
			total += d->capacity / DISK_UNIT;
	if (!total)
		return NULL;
	at = (file * UINT64_C(0x9e3779b97f4a7c15) >> 20) % total;
	for (d = s->dirs; d < end; d++) {
		if (!serves(d, t))
			continue;
		if (at < d->capacity / DISK_UNIT)
			return d;
		at -= d->capacity / DISK_UNIT;
	}
	return NULL;
}

struct dir *tiers_place_locked(struct store *s, uint64_t file, uint64_t size,
			       bool in_parts)
{
	const enum tier last = tiers_last_locked(s);
	struct tier_room room;
	struct dir *d;
	enum tier t;

	for (t = TIER_FASTEST; t < last && !in_parts; t++) {
		d = tiers_home_locked(s, file, t);
		if (!d)
			continue;
		room = dir_room_locked(d);
		if (tier_has_room(&room, size))
			return d;
	}
	return last == TIER_AUTO ? NULL : tiers_home_locked(s, file, last);
}

static bool may_come_up(const struct entry *e)
{
	return entry_complete(e) && !e->nominated && !e->moving;
}

/* With what is on its way. */
static struct tier_room room_ahead_locked(const struct dir *d)
{
	struct tier_room room = dir_room_locked(d);

	room.used += mover_wanted_locked(d);
	return room;
}

static void nominate_locked(struct dir *d, struct entry *e)
{
	mover_want_locked(d, e);
	mover_kick_locked(d);
}

/* All faster directories are told of the want, one of them may have it. */
void tiers_touched_locked(struct store *s, uint64_t file, struct entry *e)
{
	const enum tier below = e ? e->dir->tier : N_TIERS;
	struct tier_room room;
	struct dir *d;
	enum tier t;

	if (e) {
		evictor_touch(e->dir->evictor, &e->node);
		s->totals.tiers[below].touched += entry_complete(e);
	}
	for (t = TIER_FASTEST; t < below; t++) {
		d = tiers_home_locked(s, file, t);
		if (!d)
			continue;
		evictor_missed(d->evictor, file);
		if (!e || !may_come_up(e))
			continue;
		room = room_ahead_locked(d);
		if (tier_promotes(d->evictor, &room, &e->node))
			nominate_locked(d, e);
	}
}

void tiers_completed_locked(struct entry *e)
{
	struct store *s = e->dir->store;
	struct tier_room room;
	struct dir *d;
	enum tier t;

	for (t = TIER_FASTEST; t < e->dir->tier && may_come_up(e); t++) {
		d = tiers_home_locked(s, e->node.id, t);
		if (!d)
			continue;
		room = room_ahead_locked(d);
		if (tier_has_room(&room, e->used))
			nominate_locked(d, e);
	}
}
