/* Comparing what is on disk with its checksums, and what is done about bytes
 * that are not what they were. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/io.h"
#include "store/disk.h"

#define LOG_MODULE "store"
#include "runtime/log.h"

/* Reads that may fail before a disk is given up: a few bad sectors cost their
 * files, not all that lies beside them. */
#define MAX_BAD_READS 16

void check_bad(struct entry *e, uint64_t offset)
{
	struct dir *d = e->dir;
	bool granted, first;
	struct list gone;
	char path[40];

	list_init(&gone);
	mutex_lock(&d->store->mutex);
	first = !e->doomed;
	granted = e->grants > 0 && first;
	d->store->totals.corrupt += first;
	if (first)
		store_changed_locked(d->store, e->node.id, STORE_DAMAGED);
	dir_doom_locked(e, &gone);
	mutex_unlock(&d->store->mutex);
	entry_path(e, path);
	if (first)
		log_error("cached bytes are wrong, dropped",
			  "path=%s/%s offset=%" PRIu64 " file=%" PRIu64,
			  d->path, path, offset, e->node.id);
	/* The caller is a user of it. */
	if (granted)
		store_ask_back(d->store, &e->node.id, 1);
}

void check_failed(struct entry *e, int code, uint64_t offset)
{
	struct dir *d = e->dir;
	unsigned n = 0;

	if (code == -EMFILE || code == -ENFILE || code == -ENOMEM)
		return;
	if (code == -EIO) {
		mutex_lock(&d->store->mutex);
		n = ++d->bad_reads;
		mutex_unlock(&d->store->mutex);
	}
	if (code == -ENOENT || code == -ESTALE ||
	    (code == -EIO && n <= MAX_BAD_READS))
		check_bad(e, offset);
	else
		dir_failed(d, code, "read");
}

void check_passed_locked(struct entry *e)
{
	if (e->doomed || e->verified)
		return;
	e->verified = true;
	e->dir->n_unverified--;
}

void check_passed(struct entry *e)
{
	mutex_lock(&e->dir->store->mutex);
	check_passed_locked(e);
	mutex_unlock(&e->dir->store->mutex);
}

static int open_file(const struct entry *e, bool *direct)
{
	int fd = *direct ? entry_open_file(e, O_RDONLY | O_DIRECT) : -EINVAL;

	if (fd != -EINVAL)
		return fd;
	*direct = false; /* not on this file system */
	return entry_open_file(e, O_RDONLY);
}

/* Bytes of a page, from the disk itself as long as that works.  `buf` and what
 * is read into it are whole units. */
static ssize_t read_page(int fd, void *buf, size_t len, uint64_t offset,
			 bool *direct)
{
	size_t units = (len + DISK_UNIT - 1) / DISK_UNIT * DISK_UNIT;
	ssize_t n;

	if (*direct) {
		n = pread(fd, buf, units, (off_t)offset);
		if (n >= (ssize_t)len)
			return (ssize_t)len;
		*direct = false;
		if (fcntl(fd, F_SETFL, 0) < 0) /* no O_DIRECT */
			return -errno;
	}
	return io_read_at(fd, buf, len, (off_t)offset);
}

/* Bytes present of a page; -ECANCELED: there is no use in going on. */
static int64_t present(struct entry *e, uint64_t page)
{
	struct store *s = e->dir->store;
	int64_t len;

	mutex_lock(&s->mutex);
	len = (int64_t)entry_present(e, page * STORE_PAGE, STORE_PAGE);
	if (s->closing || e->doomed)
		len = -ECANCELED;
	mutex_unlock(&s->mutex);
	return len;
}

static int64_t check_page(struct entry *e, int fd, char *buf, uint64_t page,
			  bool *direct)
{
	uint64_t offset = page * STORE_PAGE, bad;
	int64_t len = present(e, page);
	ssize_t n;

	if (len <= 0)
		return len;
	n = read_page(fd, buf, (size_t)len, offset, direct);
	if (n < 0) {
		check_failed(e, (int)n, offset);
		return n;
	}
	bad = offset + (uint64_t)n;
	if (n == len && entry_check(e, buf, offset, (size_t)len, &bad))
		return n;
	check_bad(e, bad);
	return -EBADMSG;
}

int64_t check_pages(struct entry *e, uint64_t *page, uint64_t budget,
		    bool direct)
{
	int fd = open_file(e, &direct);
	char *room, *buf;
	uint64_t total = 0;
	int64_t n = 0;

	if (fd < 0) {
		check_failed(e, fd, 0);
		return fd;
	}
	room = mem_alloc(STORE_PAGE + DISK_UNIT);
	buf = room + (DISK_UNIT - (uintptr_t)room % DISK_UNIT);
	for (; n >= 0 && *page < entry_pages(e->size) && total < budget;
	     total += (uint64_t)n) {
		n = check_page(e, fd, buf, *page, &direct);
		if (n < 0)
			break;
		++*page;
	}
	free(room);
	close(fd);
	return n < 0 ? n : (int64_t)total;
}
