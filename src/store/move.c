#include "store/move.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/io.h"
#include "store/file_io.h"
#include "store/index.h"

/* Of a part: what comes between two pauses. */
#define PART (UINT64_C(4) << 20)

bool move_may_locked(const struct entry *e)
{
	return !e->doomed && !e->moving && !e->fills && index_is_one_record(e);
}

uint64_t move_room(const struct entry *e)
{
	return (e->size + DISK_UNIT - 1) / DISK_UNIT * DISK_UNIT + DISK_UNIT +
	       INODE_SHARE;
}

/* Nobody else sees the copy yet. */
void move_start_locked(struct move *m, struct entry *e, struct dir *to)
{
	struct entry *copy = entry_new(to, e->node.id, e->size);
	const uint64_t words =
		entry_chunks(e->size) + (entry_pages(e->size) + 31) / 32;

	memcpy(copy->words, e->words, words * sizeof(e->words[0]));
	copy->n_present = e->n_present;
	copy->verified = true;
	copy->seq = to->next_seq++;
	copy->node.load = e->node.load;
	copy->used = move_room(e);
	to->entry_bytes += copy->used;
	e->users++;
	e->moving = true;
	*m = (struct move){
		.from = e,
		.to = copy,
		.dir = to,
		.from_fd = -1,
		.to_fd = -1,
	};
}

static void close_files(struct move *m)
{
	if (m->from_fd >= 0)
		close(m->from_fd);
	if (m->to_fd >= 0)
		close(m->to_fd);
	m->from_fd = m->to_fd = -1;
}

/* The old one is let go of. */
static void put(struct move *m)
{
	struct entry *e = m->from;
	struct store *s = e->dir->store;
	struct list gone;

	list_init(&gone);
	mutex_lock(&s->mutex);
	e->moving = false;
	dir_put_locked(e, &gone);
	mutex_unlock(&s->mutex);
	dir_remove_all(&gone);
	m->from = NULL;
}

/* The copy goes, and leaves no trace; or the next start looks for it. */
static void give_up(struct move *m)
{
	struct entry *copy = m->to;
	struct dir *d = copy->dir;
	char path[40];
	int rv = 0;

	close_files(m);
	entry_path(copy, path);
	if (d->service != OUT_OF_SERVICE && unlinkat(d->fd, path, 0) < 0 &&
	    errno != ENOENT)
		rv = -errno;
	mutex_lock(&d->store->mutex);
	d->index_torn |= rv != 0;
	d->entry_bytes -= copy->used;
	mutex_unlock(&d->store->mutex);
	free(copy);
	put(m);
	if (rv)
		dir_failed(d, rv, "remove");
}

static bool is_shortage(int code)
{
	return code == -EMFILE || code == -ENFILE || code == -ENOMEM;
}

static int open_files(struct move *m)
{
	m->from_fd = entry_open_file(m->from, O_RDONLY);
	if (m->from_fd < 0) {
		if (!is_shortage(m->from_fd))
			check_failed(m->from, m->from_fd, 0);
		return m->from_fd;
	}
	m->to_fd = entry_create_file(m->to);
	if (m->to_fd < 0 && !is_shortage(m->to_fd))
		dir_failed(m->dir, m->to_fd, "write");
	return m->to_fd < 0 ? m->to_fd : 0;
}

/* Bytes of a page, or a code when there is nothing more to be done with it. */
static int64_t copy_page(struct move *m, char *buf)
{
	struct entry *e = m->from;
	uint64_t at = m->page * STORE_PAGE, bad;
	size_t len =
		e->size - at < STORE_PAGE ? (size_t)(e->size - at) : STORE_PAGE;
	ssize_t n = io_read_at(m->from_fd, buf, len, (off_t)at);
	int rv;

	if (n < 0) {
		check_failed(e, (int)n, at);
		return n;
	}
	bad = at + (uint64_t)n;
	if (n != (ssize_t)len || !entry_check(e, buf, at, len, &bad)) {
		check_bad(e, bad);
		return -EBADMSG;
	}
	rv = file_write_at(m->to_fd, buf, len, at);
	if (rv)
		dir_failed(m->dir, rv, "write");
	m->page++;
	return rv ? rv : n;
}

/* Whether somebody still wants it. */
static bool is_wanted(const struct move *m)
{
	struct store *s = m->from->dir->store;
	bool wanted;

	mutex_lock(&s->mutex);
	wanted = !s->closing && !m->from->doomed &&
		 m->dir->service == IN_SERVICE;
	mutex_unlock(&s->mutex);
	return wanted;
}

/* The copy is complete: what it takes on disk is known now. */
static int finish_file(struct move *m, uint64_t *used)
{
	struct stat st;
	int rv = 0;

	if (fstat(m->to_fd, &st) < 0)
		rv = -errno;
	else
		*used = entry_disk_bytes(m->to->size, &st);
	/* Some file systems tell of a full disk only here. */
	if (close(m->to_fd) < 0 && !rv && errno != EINTR)
		rv = -errno;
	m->to_fd = -1;
	if (rv)
		dir_failed(m->dir, rv, "write");
	close_files(m);
	return rv;
}

static void count_locked(struct store *s, const struct move *m)
{
	const enum tier from = m->from->dir->tier, to = m->dir->tier;

	if (to < from) {
		s->totals.tiers[to].promoted++;
		s->totals.tiers[to].promoted_bytes += m->to->size;
	} else {
		s->totals.tiers[from].demoted++;
		s->totals.tiers[from].demoted_bytes += m->to->size;
	}
}

/* Readers find the copy from now on.  -ESTALE: the file is no more. */
static int replace(struct move *m, uint64_t used)
{
	struct entry *e = m->from, *copy = m->to;
	struct store *s = e->dir->store;
	bool granted;

	mutex_lock(&s->mutex);
	if (e->doomed || copy->dir->service != IN_SERVICE) {
		mutex_unlock(&s->mutex);
		return -ESTALE;
	}
	entry_resize_locked(copy, used);
	dir_replace_locked(e, copy);
	index_filled_locked(copy, 0, entry_chunks(copy->size));
	m->mark = index_mark_locked(copy->dir);
	count_locked(s, m);
	m->to = NULL;
	granted = e->grants > 0;
	mutex_unlock(&s->mutex);
	/* It would hold the room, and be slower or colder than it need be. */
	if (granted)
		store_ask_back(s, &e->node.id, 1);
	return 0;
}

/* Another thread may be at the index: then later. */
static void finish(struct move *m)
{
	struct dir *d = m->dir;
	bool written;

	index_flush(d);
	mutex_lock(&d->store->mutex);
	written = index_is_written_locked(d, m->mark);
	mutex_unlock(&d->store->mutex);
	if (written)
		put(m);
}

uint64_t move_go_on(struct move *m, char *buf)
{
	uint64_t n = 0, used = 0;
	int64_t rv = 0;

	if (!m->to) {
		finish(m);
		return 0;
	}
	if (m->from_fd < 0)
		rv = open_files(m);
	for (; rv >= 0 && n < PART && m->page < entry_pages(m->from->size);
	     n += (uint64_t)rv)
		rv = is_wanted(m) ? copy_page(m, buf) : -ECANCELED;
	if (rv >= 0 && m->page == entry_pages(m->from->size)) {
		rv = finish_file(m, &used);
		if (!rv)
			rv = replace(m, used);
		if (!rv)
			finish(m);
	}
	m->failed = rv < 0;
	if (rv < 0)
		give_up(m);
	return n;
}

/* No other thread is at the index any more. */
void move_stop(struct move *m)
{
	if (!m->from)
		return;
	if (m->to) {
		give_up(m);
		return;
	}
	index_flush(m->dir);
	put(m);
}
