/* Why opens were hits or misses: the last of them. */

#include <stdlib.h>

#include "base/mem.h"
#include "worker/state.h"

static struct remembered *find(const struct history *h, uint64_t file)
{
	uintptr_t at = (uintptr_t)map_get(&h->by_file, file);

	return at ? &h->ring[at - 1] : NULL;
}

/* The place of a file, in that of the one not heard of for longest. */
static struct remembered *place(struct history *h, uint64_t file)
{
	struct remembered *r = find(h, file);
	size_t at = h->next;

	if (r)
		return r;
	if (!h->ring)
		h->ring = mem_array(HISTORY_MAX, sizeof(*h->ring));
	r = &h->ring[at];
	if (find(h, r->file) == r)
		map_remove(&h->by_file, r->file);
	*r = (struct remembered){ .file = file };
	map_put(&h->by_file, file, (void *)(uintptr_t)(at + 1));
	h->next = (at + 1) % HISTORY_MAX;
	return r;
}

static const char *why_missed(enum fate fate)
{
	static const char *const words[] = {
		[FATE_NEW] = "miss: never cached",
		[FATE_CACHED] = "miss: not complete",
		[FATE_NOT_ADMITTED] = "miss: not admitted",
		[FATE_NO_ROOM] = "miss: no room",
		[FATE_UNSETTLED] = "miss: changed too lately",
		[FATE_REMOVED] = "miss: evicted",
		[FATE_DROPPED] = "miss: dropped",
	};

	return words[fate];
}

void history_open(struct worker *w, uint64_t file, bool complete, bool partly)
{
	struct remembered *r = place(&w->history, file);

	r->open_ms = worker_wall_ms(w);
	if (complete)
		r->open = "hit";
	else if (partly)
		r->open = "miss: not complete";
	else
		r->open = why_missed(r->fate);
}

void history_fate(struct worker *w, uint64_t file, enum fate fate)
{
	place(&w->history, file)->fate = fate;
}

const struct remembered *history_get(const struct history *h, uint64_t file)
{
	return find(h, file);
}

void history_close(struct history *h)
{
	map_close(&h->by_file);
	free(h->ring);
}
