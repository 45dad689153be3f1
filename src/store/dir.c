/* A directory in service: what lies in it, what goes, how it fails. */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/disk.h"
#include "store/index.h"

#define LOG_MODULE "store"
#include "runtime/log.h"

/* How long a full disk is left alone: at first, and at most. */
#define PAUSE_MS     60000
#define MAX_PAUSE_MS 3600000

struct entry *dir_next_locked(struct dir *d, struct list *after)
{
	struct place *p;
	struct list *l;

	for (l = after->next; l != &d->entries; l = l->next) {
		p = list_entry(l, struct place, link);
		if (p->is_entry)
			return container_of(p, struct entry, place);
	}
	return NULL;
}

void dir_add_locked(struct entry *e)
{
	struct dir *d = e->dir;
	void *old = map_put(&d->store->files, e->node.id, e);

	assert(!old);
	list_push_back(&d->entries, &e->place.link);
	d->n_entries++;
	d->n_unverified += !e->verified;
	d->entry_bytes += e->used;
	d->live_bytes += index_record_bytes(e);
	e->node.size = e->used;
	evictor_insert(d->evictor, &e->node);
}

void dir_forget_locked(struct entry *e)
{
	e->dir->entry_bytes -= e->used;
	e->dir->leaving_bytes -= e->used;
	free(e);
}

void dir_put_locked(struct entry *e, struct list *gone)
{
	assert(e->users > 0);
	if (--e->users == 0 && e->doomed)
		list_push_back(gone, &e->place.link);
}

static void unlist_locked(struct entry *e)
{
	struct dir *d = e->dir;

	e->doomed = true;
	map_remove(&d->store->files, e->node.id);
	list_remove(&e->place.link);
	evictor_remove(d->evictor, &e->node);
	d->n_entries--;
	d->n_unverified -= !e->verified;
	d->live_bytes -= index_record_bytes(e);
	d->leaving_bytes += e->used;
	if (e->grants)
		map_put(&d->store->held, e->node.id, e);
}

void dir_doom_locked(struct entry *e, struct list *gone)
{
	if (e->doomed)
		return;
	unlist_locked(e);
	if (e->n_present)
		store_changed_locked(e->dir->store, e->node.id, STORE_REMOVED);
	if (!e->users)
		list_push_back(gone, &e->place.link);
}

void dir_replace_locked(struct entry *old, struct entry *by)
{
	assert(old->users > 0 && !old->doomed);
	unlist_locked(old);
	by->dir->entry_bytes -= by->used;
	dir_add_locked(by);
}

/* The file first, then the record: in between, the index tells of a file that
 * is not there, which the next start finds out. */
static void remove_one(struct entry *e)
{
	struct dir *d = e->dir;
	struct store *s = d->store;
	char path[40];
	int rv = 0;

	entry_path(e, path);
	if (d->service != OUT_OF_SERVICE && unlinkat(d->fd, path, 0) < 0 &&
	    errno != ENOENT)
		rv = -errno;
	mutex_lock(&s->mutex);
	if (!rv)
		index_removed_locked(e);
	else
		d->index_torn = true; /* the file is left */
	e->removed = true;
	if (!e->grants)
		dir_forget_locked(e);
	mutex_unlock(&s->mutex);
	if (rv)
		dir_failed(d, rv, "remove");
}

void dir_remove_all(struct list *gone)
{
	struct dir *d = NULL;
	struct entry *e;
	struct list *l;

	while ((l = list_pop_front(gone))) {
		e = container_of(list_entry(l, struct place, link),
				 struct entry, place);
		if (d && d != e->dir)
			index_flush(d);
		d = e->dir;
		remove_one(e);
	}
	if (d)
		index_flush(d);
}

static ssize_t reap_work(struct task *t)
{
	struct dir *d = container_of(t, struct chore, task)->dir;
	struct list gone;

	mutex_lock(&d->store->mutex);
	list_take(&gone, &d->doomed);
	mutex_unlock(&d->store->mutex);
	dir_remove_all(&gone);
	return 0;
}

static void on_reaped(struct task *t)
{
	struct chore *c = container_of(t, struct chore, task);
	struct dir *d = c->dir;
	struct list none;

	if (!d) {
		free(c);
		return;
	}
	list_init(&none);
	mutex_lock(&d->store->mutex);
	c->busy = false;
	mutex_unlock(&d->store->mutex);
	dir_reap(d, &none);
}

void dir_reap(struct dir *d, struct list *gone)
{
	struct list *l;
	bool start;

	if (!d->reaper) {
		dir_remove_all(gone);
		return;
	}
	mutex_lock(&d->store->mutex);
	while ((l = list_pop_front(gone)))
		list_push_back(&d->doomed, l);
	start = !list_empty(&d->doomed) && !d->reaper->busy;
	d->reaper->busy |= start;
	mutex_unlock(&d->store->mutex);
	if (start)
		workpool_submit(d->pool, d->store->loop, &d->reaper->task,
				reap_work, on_reaped);
}

static uint64_t whole_units(uint64_t bytes)
{
	return (bytes + DISK_UNIT - 1) / DISK_UNIT * DISK_UNIT;
}

uint64_t dir_used_locked(const struct dir *d)
{
	/* The directory itself and its lock take a unit each. */
	return d->entry_bytes + whole_units(d->index_bytes + d->pending.len) +
	       whole_units(d->index_rewrite) + (d->n_subdirs + 2) * DISK_UNIT;
}

/* A full disk can still be read, and so can one that is read-only. */
static enum service left_after(int code)
{
	return code == -ENOSPC || code == -EDQUOT || code == -EROFS
		       ? NO_FILLS
		       : OUT_OF_SERVICE;
}

bool dir_try_again_locked(struct dir *d, uint64_t now_ms)
{
	if (d->service != NO_FILLS)
		return false;
	if (!d->again_ms) {
		d->pause_ms = d->pause_ms ? d->pause_ms * 2 : PAUSE_MS;
		if (d->pause_ms > MAX_PAUSE_MS)
			d->pause_ms = MAX_PAUSE_MS;
		d->again_ms = now_ms + d->pause_ms;
	}
	if (now_ms < d->again_ms)
		return false;
	d->again_ms = 0;
	d->service = IN_SERVICE;
	d->store->totals.dirs_failed--;
	return true;
}

void dir_lost(struct dir *d, const struct err *err)
{
	struct store *s = d->store;
	struct list gone;
	struct entry *e;

	list_init(&gone);
	mutex_lock(&s->mutex);
	d->service = OUT_OF_SERVICE;
	s->totals.dirs_failed++;
	while ((e = dir_next_locked(d, &d->entries)))
		dir_doom_locked(e, &gone);
	mutex_unlock(&s->mutex);
	dir_remove_all(&gone);
	log_error("directory out of service", "dir=%s error=\"%s\"", d->path,
		  err->msg);
	if (s->failed)
		s->failed(s->owner, d->path, err);
}

void dir_failed(struct dir *d, int code, const char *doing)
{
	enum service left = left_after(code), was;
	struct store *s = d->store;
	struct err err = { 0 };
	struct list gone;
	struct entry *e;

	list_init(&gone);
	mutex_lock(&s->mutex);
	was = d->service;
	if (left > was) {
		d->service = left;
		if (left == NO_FILLS)
			atomic_store(&s->full, true);
		s->totals.dirs_failed += was == IN_SERVICE;
	}
	while (d->service == OUT_OF_SERVICE &&
	       (e = dir_next_locked(d, &d->entries)))
		dir_doom_locked(e, &gone);
	mutex_unlock(&s->mutex);
	dir_remove_all(&gone);
	if (left <= was)
		return;
	err_set(&err, code, "%s: %s: %s", d->path, doing, err_text(code));
	log_error(
		left == NO_FILLS
			? "disk full or read-only, nothing more is cached on it"
			: "directory out of service",
		"dir=%s doing=%s error=\"%s\"", d->path, doing, err_text(code));
	if (s->failed)
		s->failed(s->owner, d->path, &err);
}
