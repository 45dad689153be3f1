/*
 * Reading ahead: of a large file that is read in order, the units after the one
 * that is wanted are fetched side by side, twice as many with each unit that
 * went before, so that who reads waits for bandwidth and not for latency.  Who
 * jumps about gets nothing of it.
 *
 * Stateless: what is there before a unit tells how it is being read.
 */

#include "worker/state.h"

enum { MOST = 6 }; /* units */

/* How many units to fetch after the one at `at`. */
static unsigned window(const struct file *f, uint64_t at)
{
	unsigned n = 1;

	while (n < MOST && at >= FETCH_UNIT && file_has(f, at - 1)) {
		at -= FETCH_UNIT;
		n *= 2;
	}
	return n == 1 ? 0 : n < MOST ? n : MOST;
}

/* What cannot be cached pushes out what was kept before it, of which the file
 * has a share: how many units of those to come are still there when it is their
 * turn. */
static unsigned keepable(const struct file *f)
{
	const struct flights *all = &f->w->flights;
	const struct flight *fl;
	const struct list *l;
	uint64_t own = 0;

	for (l = f->flights.next; l != &f->flights; l = l->next) {
		fl = list_entry(l, const struct flight, link);
		if (fl->state == KEPT)
			own += fl->len;
	}
	if (!own ||
	    all->kept + all->shares.bytes + MOST * FETCH_UNIT <= all->max_kept)
		return MOST;
	return (unsigned)(own / FETCH_UNIT) - (own >= FETCH_UNIT);
}

void read_ahead(struct file *f, uint64_t offset, size_t len)
{
	const struct worker *w = f->w;
	uint64_t unit = offset / FETCH_UNIT * FETCH_UNIT;
	uint64_t block = w->control.block_size, at;
	struct block_id id = { .file = f->id };
	unsigned left;

	if (w->stopping || !f->known || f->dropped || f->length <= FETCH_UNIT ||
	    offset - unit >= len) /* not the first of this unit */
		return;
	left = window(f, unit);
	if (left > 0 && left > keepable(f))
		left = keepable(f);
	for (at = unit + FETCH_UNIT; left > 0 && at < f->length; left--) {
		if (block)
			id.index = (uint32_t)(at / block);
		/* Else it would wait, and what is wanted behind it. */
		if (w->flights.shares.bytes + FETCH_UNIT >
			    w->flights.shares.max / 2 ||
		    !control_keeps(w, id, 0))
			return;
		if (!file_has(f, at))
			flight_start(f, at, at + FETCH_UNIT, 0);
		at += FETCH_UNIT;
	}
}
