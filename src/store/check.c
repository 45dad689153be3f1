/* The background check after an unclean stop, and what is done about bytes that
 * are not what they were. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/io.h"
#include "store/disk.h"
#include "store/index.h"

#define LOG_MODULE "store"
#include "runtime/log.h"

/* Bytes a turn, so that reads get their turn too. */
#define TURN (UINT64_C(16) << 20)

static void on_turn(struct task *t);

void check_bad(struct entry *e, uint64_t offset)
{
	struct dir *d = e->dir;
	struct list gone;
	bool granted;

	log_error("cached bytes are wrong, dropped",
		  "file=%" PRIu64 " offset=%" PRIu64 " dir=%s", e->node.id,
		  offset, d->path);
	list_init(&gone);
	mutex_lock(&d->store->mutex);
	d->store->totals.corrupt++;
	granted = e->grants > 0 && !e->doomed;
	if (!e->doomed)
		store_changed_locked(d->store, e->node.id, STORE_DAMAGED);
	dir_doom_locked(e, &gone);
	mutex_unlock(&d->store->mutex);
	/* The caller is a user of it. */
	if (granted)
		store_ask_back(d->store, &e->node.id, 1);
}

/* Reads and compares the present pages; their bytes, or a code. */
static int64_t check_pages(struct entry *e, int fd, char *buf)
{
	uint64_t page, offset, bad;
	int64_t total = 0;
	bool closing;
	size_t len;
	ssize_t n;

	for (page = 0; page < entry_pages(e->size); page++) {
		offset = page * STORE_PAGE;
		mutex_lock(&e->dir->store->mutex);
		len = entry_present(e, offset, STORE_PAGE);
		closing = e->dir->store->closing;
		mutex_unlock(&e->dir->store->mutex);
		if (closing)
			return -ECANCELED;
		if (!len)
			continue;
		n = io_read_at(fd, buf, len, (off_t)offset);
		if (n < 0)
			return n;
		bad = offset + (uint64_t)n;
		if (n != (ssize_t)len ||
		    !entry_check(e, buf, offset, len, &bad)) {
			check_bad(e, bad);
			return -EBADMSG;
		}
		total += n;
	}
	return total;
}

/* Moves the mark of how far the check has come. */
static struct entry *next_unverified_locked(struct dir *d)
{
	struct list *at = &d->check_at.link;
	struct entry *e = dir_next_locked(d, at);

	while (e && e->verified)
		e = dir_next_locked(d, &e->place.link);
	list_remove(at);
	list_push_back(e ? e->place.link.next : &d->entries, at);
	return e;
}

static uint64_t check_entry(struct entry *e, char *buf)
{
	struct dir *d = e->dir;
	int fd = entry_open_file(e, O_RDONLY);
	int64_t n;

	if (fd == -EMFILE || fd == -ENFILE)
		return 0; /* reads still check it */
	n = fd < 0 ? fd : check_pages(e, fd, buf);
	if (fd >= 0)
		close(fd);
	if (n == -EIO)
		dir_failed(d, -EIO, "read");
	else if (n < 0 && n != -EBADMSG && n != -ECANCELED)
		check_bad(e, 0);
	mutex_lock(&d->store->mutex);
	if (n >= 0 && !e->doomed && !e->verified) {
		e->verified = true;
		d->n_unverified--;
	}
	mutex_unlock(&d->store->mutex);
	return n > 0 ? (uint64_t)n : 0;
}

/* Whether there is more to check. */
static ssize_t check_work(struct task *t)
{
	struct dir *d = container_of(t, struct chore, task)->dir;
	struct store *s = d->store;
	char *buf = mem_alloc(STORE_PAGE);
	struct entry *e = NULL;
	uint64_t done = 0;
	struct list gone;

	list_init(&gone);
	mutex_lock(&s->mutex);
	while (done < TURN && !s->closing && (e = next_unverified_locked(d))) {
		e->users++;
		mutex_unlock(&s->mutex);
		done += DISK_UNIT + check_entry(e, buf);
		mutex_lock(&s->mutex);
		dir_put_locked(e, &gone);
	}
	mutex_unlock(&s->mutex);
	dir_remove_all(&gone);
	free(buf);
	return e != NULL;
}

static void turn(struct dir *d)
{
	mutex_lock(&d->store->mutex);
	d->checker->busy = true;
	mutex_unlock(&d->store->mutex);
	workpool_submit(d->pool, d->store->loop, &d->checker->task, check_work,
			on_turn);
}

static void on_turn(struct task *t)
{
	struct chore *c = container_of(t, struct chore, task);
	struct dir *d = c->dir;

	if (!d) {
		free(c);
		return;
	}
	mutex_lock(&d->store->mutex);
	c->busy = false;
	mutex_unlock(&d->store->mutex);
	if (t->status > 0)
		turn(d);
	else
		log_info("cached files checked",
			 "dir=%s files=%" PRIu64 " left=%" PRIu64, d->path,
			 d->n_entries, d->n_unverified);
}

void check_start(struct dir *d)
{
	if (!d->checker || !d->n_unverified)
		return;
	list_push_back(d->entries.next, &d->check_at.link);
	d->checker->busy = true;
	d->checker->task.status = 1;
	loop_post(d->store->loop, &d->checker->task, on_turn);
}
