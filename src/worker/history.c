/*
 * Why opens were hits or misses: the last of them.
 *
 * A version of a file takes the place of the one before it, which has the same
 * slot (doc/architecture.md, 4); since a slot may come to another file too, the
 * path is compared before it is called a change.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "worker/state.h"

static uint32_t slot_of(uint64_t file)
{
	return (uint32_t)file;
}

static struct remembered *find(const struct history *h, uint32_t slot)
{
	uintptr_t at = (uintptr_t)map_get(&h->by_slot, slot);

	return at ? &h->ring[at - 1] : NULL;
}

/* The place of the slot not heard of for longest. */
static struct remembered *oldest(struct history *h, uint32_t slot)
{
	struct remembered *r;
	size_t at = h->next;

	if (!h->ring)
		h->ring = mem_array(HISTORY_MAX, sizeof(*h->ring));
	r = &h->ring[at];
	if (find(h, slot_of(r->file)) == r)
		map_remove(&h->by_slot, slot_of(r->file));
	*r = (struct remembered){ 0 };
	map_put(&h->by_slot, slot, (void *)(uintptr_t)(at + 1));
	h->next = (at + 1) % HISTORY_MAX;
	return r;
}

static struct remembered *place(struct history *h, uint64_t file)
{
	struct remembered *r = find(h, slot_of(file));

	if (!r)
		r = oldest(h, slot_of(file));
	if (r->file != file)
		*r = (struct remembered){
			.file = file,
			.earlier = r->path ? r->path : r->earlier,
		};
	return r;
}

/* Tells paths apart; never 0. */
static uint32_t path_sum(const struct file *f)
{
	uint32_t mount = crc32c(0, &f->mount, sizeof(f->mount));

	return crc32c(mount, f->path, strlen(f->path)) | 1;
}

void history_open(struct worker *w, uint64_t file, bool complete, bool partly)
{
	struct remembered *r = place(&w->history, file);

	r->open_ms = worker_wall_ms(w);
	r->hit = complete;
	r->then = partly ? FATE_CACHED : r->fate;
	r->then_error = r->error;
}

void history_fate(struct worker *w, uint64_t file, enum fate fate)
{
	place(&w->history, file)->fate = fate;
}

void history_file(const struct file *f, enum fate fate, int error)
{
	struct remembered *r = place(&f->w->history, f->id);

	r->fate = fate;
	r->error = error;
	r->path = path_sum(f);
}

const struct remembered *history_get(const struct history *h, uint64_t file)
{
	const struct remembered *r = find(h, slot_of(file));

	return r && r->file == file ? r : NULL;
}

static const char *const fates[] = {
	[FATE_NEW] = "never cached since the worker started",
	[FATE_CACHED] = "not complete",
	[FATE_NOT_ADMITTED] = "not admitted, what is kept is read as often",
	[FATE_NO_ROOM] = "no room, all that is cached is in use",
	[FATE_DISK] = "the cache directory failed, see the log",
	[FATE_BEHIND] = "the disk was too slow for what was fetched",
	[FATE_UNSETTLED] = "changed too lately to be cached",
	[FATE_NOT_HOME] = "another worker is its home",
	[FATE_EVICTED] = "evicted to make room",
	[FATE_DAMAGED] = "its cached bytes were damaged",
	[FATE_FREED] = "freed by a command",
	[FATE_CHANGED] = "changed in under-storage",
	[FATE_FAILED] = "its fetch failed",
};

static void say(char out[HISTORY_TEXT], const struct remembered *r,
		const struct file *f, enum fate fate, int error)
{
	if (fate == FATE_NEW && r->earlier && f && f->known &&
	    path_sum(f) == r->earlier)
		fate = FATE_CHANGED;
	snprintf(out, HISTORY_TEXT, "%s%s%s", fates[fate],
		 fate == FATE_FAILED ? ": " : "",
		 fate == FATE_FAILED ? err_text(error) : "");
}

void history_last_open(const struct worker *w, uint64_t file,
		       char out[HISTORY_TEXT])
{
	const struct remembered *r = history_get(&w->history, file);
	char why[HISTORY_TEXT];

	out[0] = '\0';
	if (!r || !r->open_ms)
		return;
	if (r->hit) {
		snprintf(out, HISTORY_TEXT, "hit");
		return;
	}
	say(why, r, map_get(&w->files.by_id, file), r->then, r->then_error);
	snprintf(out, HISTORY_TEXT, "miss: %.*s", HISTORY_TEXT - 7, why);
}

void history_state(const struct worker *w, uint64_t file,
		   char out[HISTORY_TEXT])
{
	static const struct remembered unknown;
	const struct remembered *r = history_get(&w->history, file);

	if (!r)
		r = &unknown;
	say(out, r, map_get(&w->files.by_id, file), r->fate, r->error);
}

void history_close(struct history *h)
{
	map_close(&h->by_slot);
	free(h->ring);
}
