#include "store/index.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "runtime/io.h"
#include "store/file_io.h"

#define LOG_MODULE "store"
#include "runtime/log.h"

#define NAME     "index"
#define NEW_NAME "index.new"

#define HEADER_MAGIC "acached store 1"
#define RECORD_MAGIC UINT32_C(0x1ac4ed5e)

/* All in the machine's byte order, which the magic shows. */
struct header {
	char magic[16];
	uint8_t cluster[16];
	uint64_t block_size, page, chunk;
	uint32_t byte_order;
	uint32_t crc; /* of what is before */
};

enum { FILLED = 1, REMOVED, CLEAN, STARTED };

struct record {
	uint32_t magic;
	uint32_t crc; /* of what follows, checksums included */
	uint8_t kind;
	uint8_t zero[3];
	uint32_t seq;
	uint32_t first, n; /* chunks */
	uint64_t file, size, used;
};

enum {
	RECORD_MAX = 1 << 20,  /* checksums; longer runs take several */
	REWRITE_MIN = 1 << 20, /* bytes: not worth it below */
	BATCH = 64 << 10
};

static uint32_t record_crc(const struct record *r, const void *sums)
{
	uint32_t crc = crc32c(0, (const char *)&r->kind,
			      sizeof(*r) - offsetof(struct record, kind));

	return r->n ? crc32c(crc, sums, r->n * sizeof(uint32_t)) : crc;
}

static void queue(struct buffer *b, const struct record *r,
		  const uint32_t *sums)
{
	size_t len = r->n * sizeof(*sums);
	char *to = buffer_add(b, sizeof(*r) + len); /* not aligned */
	struct record head = *r;

	head.magic = RECORD_MAGIC;
	head.crc = record_crc(r, sums);
	memcpy(to, &head, sizeof(head));
	if (len)
		memcpy(to + sizeof(head), sums, len);
}

static void queue_filled(struct buffer *b, const struct entry *e,
			 uint64_t first, uint64_t n)
{
	struct record r = {
		.kind = FILLED,
		.seq = e->seq,
		.file = e->node.id,
		.size = e->size,
		.used = e->used,
	};

	for (; n; first += r.n, n -= r.n) {
		r.first = (uint32_t)first;
		r.n = n < RECORD_MAX ? (uint32_t)n : RECORD_MAX;
		queue(b, &r, e->words + first);
	}
}

static void queue_mark(struct buffer *b, uint8_t kind)
{
	queue(b, &(struct record){ .kind = kind }, NULL);
}

void index_filled_locked(struct entry *e, uint64_t first, uint64_t n)
{
	queue_filled(&e->dir->pending, e, first, n);
}

void index_resized_locked(const struct entry *e)
{
	const uint64_t per_page = STORE_PAGE / CHUNK;
	uint64_t first = 0, n;

	while (!entry_has(e, first / per_page))
		first += per_page;
	n = entry_chunks(e->size) - first;
	queue_filled(&e->dir->pending, e, first, n < per_page ? n : per_page);
}

void index_removed_locked(const struct entry *e)
{
	struct record r = {
		.kind = REMOVED,
		.seq = e->seq,
		.file = e->node.id,
	};

	queue(&e->dir->pending, &r, NULL);
}

uint64_t index_record_bytes(const struct entry *e)
{
	return sizeof(struct record) + entry_chunks(e->size) * sizeof(uint32_t);
}

bool index_is_one_record(const struct entry *e)
{
	return entry_complete(e) && entry_chunks(e->size) <= RECORD_MAX;
}

uint64_t index_mark_locked(const struct dir *d)
{
	return d->taken + d->pending.len;
}

bool index_is_written_locked(const struct dir *d, uint64_t mark)
{
	return d->written >= mark || d->index_torn ||
	       d->service == OUT_OF_SERVICE;
}

/* Records for all that is present of `e`. */
static void queue_entry(struct buffer *b, const struct entry *e)
{
	const uint64_t per_page = STORE_PAGE / CHUNK;
	uint64_t page = 0, from, n_pages = entry_pages(e->size), end;

	while (page < n_pages) {
		for (from = page; page < n_pages && entry_has(e, page);)
			page++;
		end = page * per_page;
		if (end > entry_chunks(e->size))
			end = entry_chunks(e->size);
		if (page > from)
			queue_filled(b, e, from * per_page,
				     end - from * per_page);
		page++;
	}
}

/* From here: writing.  On the one thread that has set d->flushing. */

static int write_header(int fd, const struct store *s)
{
	struct header h = {
		.magic = HEADER_MAGIC,
		.block_size = s->block_size,
		.page = STORE_PAGE,
		.chunk = CHUNK,
		.byte_order = RECORD_MAGIC,
	};

	memcpy(h.cluster, s->cluster, sizeof(h.cluster));
	h.crc = crc32c(0, &h, offsetof(struct header, crc));
	return file_append(fd, &h, sizeof(h));
}

/* Queues the records of some entries from `at` on, which it moves. */
static bool next_batch(struct dir *d, struct place *at, struct buffer *b)
{
	struct entry *e;

	b->len = 0;
	mutex_lock(&d->store->mutex);
	while (b->len < BATCH && (e = dir_next_locked(d, &at->link))) {
		queue_entry(b, e);
		list_remove(&at->link);
		list_push_back(e->place.link.next, &at->link);
	}
	mutex_unlock(&d->store->mutex);
	return b->len > 0;
}

/* Writes all entries to `fd`; the bytes, or a code.  What changes meanwhile is
 * queued, and follows. */
static int64_t write_entries(struct dir *d, int fd)
{
	struct place at = { .is_entry = false };
	struct buffer b = { 0 };
	int64_t bytes = sizeof(struct header);
	int rv = write_header(fd, d->store);

	mutex_lock(&d->store->mutex);
	list_push_back(d->entries.next, &at.link);
	mutex_unlock(&d->store->mutex);
	while (!rv && next_batch(d, &at, &b)) {
		rv = file_append(fd, b.at, b.len);
		bytes += (int64_t)b.len;
	}
	mutex_lock(&d->store->mutex);
	list_remove(&at.link);
	mutex_unlock(&d->store->mutex);
	buffer_close(&b);
	return rv ? rv : bytes;
}

/* The mark that comes first in a new index says that it is in use. */
static int64_t write_new(struct dir *d, int fd)
{
	struct buffer b = { 0 };
	int64_t bytes = write_entries(d, fd);
	int rv;

	queue_mark(&b, STARTED);
	rv = bytes < 0 ? (int)bytes : file_append(fd, b.at, b.len);
	bytes += (int64_t)b.len;
	buffer_close(&b);
	if (!rv && d->store->threads && fdatasync(fd) < 0)
		rv = -errno;
	if (!rv && renameat(d->fd, NEW_NAME, d->fd, NAME) < 0)
		rv = -errno;
	return rv ? rv : bytes;
}

static int rewrite(struct dir *d)
{
	int fd = openat(d->fd, NEW_NAME,
			O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC,
			0600);
	int64_t bytes = fd < 0 ? -errno : write_new(d, fd);

	if (bytes < 0) {
		if (fd >= 0)
			close(fd);
		unlinkat(d->fd, NEW_NAME, 0);
		return (int)bytes;
	}
	if (d->index_fd >= 0)
		close(d->index_fd);
	d->index_fd = fd;
	mutex_lock(&d->store->mutex);
	d->index_bytes = (uint64_t)bytes;
	mutex_unlock(&d->store->mutex);
	/* Else the old one, which may end cleanly, comes back with the power.
	 */
	return d->store->threads && fsync(d->fd) < 0 ? -errno : 0;
}

/* Whether most of the index is out of date, and there is room for a new one;
 * then that is taken. */
static bool want_rewrite_locked(struct dir *d)
{
	if (d->rewrite_wanted) {
		d->index_rewrite = d->live_bytes;
		d->rewrite_wanted = false;
		return true;
	}
	if (d->index_bytes < REWRITE_MIN ||
	    d->index_bytes < 3 * d->live_bytes ||
	    dir_used_locked(d) + d->live_bytes + DISK_UNIT > d->capacity)
		return false;
	d->index_rewrite = d->live_bytes;
	return true;
}

static int write_pending(struct dir *d)
{
	struct store *s = d->store;
	struct buffer b;
	int rv = 0;

	mutex_lock(&s->mutex);
	while (!rv && d->pending.len) {
		b = d->pending;
		d->pending = (struct buffer){ 0 };
		d->taken += b.len;
		/* Before it is true: room is reckoned with it. */
		d->index_bytes += b.len;
		mutex_unlock(&s->mutex);
		rv = file_append(d->index_fd, b.at, b.len);
		mutex_lock(&s->mutex);
		d->written += rv ? 0 : b.len;
		d->index_torn |= rv != 0;
		if (d->pending.at) {
			buffer_close(&b);
		} else {
			b.len = 0;
			d->pending = b;
		}
	}
	mutex_unlock(&s->mutex);
	return rv;
}

/* One round: what is queued, and the whole again if that is due. */
static int flush_once(struct dir *d)
{
	struct store *s = d->store;
	int rv = write_pending(d);
	bool due, wanted;

	mutex_lock(&s->mutex);
	wanted = d->rewrite_wanted;
	due = !rv && want_rewrite_locked(d);
	mutex_unlock(&s->mutex);
	if (due) {
		rv = rewrite(d);
		mutex_lock(&s->mutex);
		d->index_rewrite = 0;
		d->rewrite_wanted |= rv && wanted; /* or once more */
		mutex_unlock(&s->mutex);
	}
	return rv;
}

void index_flush(struct dir *d)
{
	struct store *s = d->store;
	int rv = 0;

	mutex_lock(&s->mutex);
	if (d->flushing) {
		mutex_unlock(&s->mutex);
		return;
	}
	d->flushing = true;
	while (!rv && (d->pending.len || d->rewrite_wanted) &&
	       d->service != OUT_OF_SERVICE) {
		mutex_unlock(&s->mutex);
		rv = flush_once(d);
		mutex_lock(&s->mutex);
	}
	d->flushing = false;
	mutex_unlock(&s->mutex);
	if (rv)
		dir_failed(d, rv, "write index");
}

/* From here: reading, before anybody else knows the directory. */

static void drop(struct entry *e)
{
	struct dir *d = e->dir;

	map_remove(&d->store->files, e->node.id);
	list_remove(&e->place.link);
	evictor_remove(d->evictor, &e->node);
	d->n_entries--;
	d->n_unverified--;
	d->live_bytes -= index_record_bytes(e);
	d->entry_bytes -= e->used;
	free(e);
}

/* Two directories may have a file of which the process died while it moved
 * between them: the one that is read first keeps it. */
static struct entry *entry_for(struct dir *d, const struct record *r)
{
	struct entry *e = map_get(&d->store->files, r->file);

	if (e && e->dir != d) {
		map_put(&d->elsewhere, r->file, e);
		return NULL;
	}
	if (e && r->seq > e->seq) { /* its end was lost */
		drop(e);
		e = NULL;
	}
	if (!e) {
		e = entry_new(d, r->file, r->size);
		e->seq = r->seq;
		e->used = r->used;
		dir_add_locked(e);
		return e;
	}
	return e->seq == r->seq && e->size == r->size ? e : NULL;
}

static void read_filled(struct dir *d, const struct record *r)
{
	const uint64_t per_page = STORE_PAGE / CHUNK;
	struct entry *e;
	uint64_t page;

	if (r->size == 0 || r->size > INT64_MAX || r->n == 0 ||
	    r->first % per_page != 0 ||
	    r->first + (uint64_t)r->n > entry_chunks(r->size))
		return;
	e = entry_for(d, r);
	if (!e)
		return;
	memcpy(e->words + r->first, r + 1, r->n * sizeof(uint32_t));
	for (page = r->first / per_page;
	     page * per_page < r->first + (uint64_t)r->n; page++)
		entry_set(e, page);
	entry_resize_locked(e, r->used);
}

static void read_removed(struct dir *d, const struct record *r)
{
	struct entry *e = map_get(&d->store->files, r->file);

	map_remove(&d->elsewhere, r->file);
	if (e && e->dir == d && e->seq == r->seq)
		drop(e);
}

static void read_record(struct dir *d, const struct record *r, bool *clean)
{
	*clean = r->kind == CLEAN;
	if (r->seq >= d->next_seq)
		d->next_seq = r->seq + 1;
	if (r->kind == FILLED)
		read_filled(d, r);
	else if (r->kind == REMOVED)
		read_removed(d, r);
}

/* A whole, undamaged record at `at`, aligned into *r, which is `room` long;
 * its length, or 0. */
static size_t whole_record(const char *at, size_t left, struct record *r)
{
	size_t len;

	if (left < sizeof(*r))
		return 0;
	memcpy(r, at, sizeof(*r));
	if (r->magic != RECORD_MAGIC || r->n > RECORD_MAX)
		return 0;
	len = sizeof(*r) + r->n * sizeof(uint32_t);
	if (left < len)
		return 0;
	memcpy(r + 1, at + sizeof(*r), len - sizeof(*r));
	return record_crc(r, r + 1) == r->crc ? len : 0;
}

/* Skips what is damaged; the bytes of it, the first of them at *first. */
static size_t read_records(struct dir *d, const char *at, size_t len,
			   bool *clean, size_t *first)
{
	struct record *r =
		mem_alloc(sizeof(*r) + RECORD_MAX * sizeof(uint32_t));
	size_t i = 0, n, bad = 0;

	*clean = false;
	while (i < len) {
		n = whole_record(at + i, len - i, r);
		if (n) {
			read_record(d, r, clean);
			i += n;
		} else {
			*clean = false;
			*first = bad++ ? *first : i;
			i++;
		}
	}
	free(r);
	*clean = *clean && !bad; /* what was lost may have been a removal */
	return bad;
}

static bool is_known(const uint8_t cluster[16])
{
	static const uint8_t unknown[16];

	return memcmp(cluster, unknown, sizeof(unknown)) != 0;
}

/* 0: ours.  1: of another layout or block size.  -EEXIST: another cluster's.
 * A store that does not know its cluster learns it here. */
static int check_header(struct store *s, const struct header *h)
{
	if (memcmp(h->magic, HEADER_MAGIC, sizeof(h->magic)) != 0 ||
	    h->byte_order != RECORD_MAGIC ||
	    h->crc != crc32c(0, h, offsetof(struct header, crc)))
		return 1;
	if (!is_known(s->cluster))
		memcpy(s->cluster, h->cluster, sizeof(s->cluster));
	else if (is_known(h->cluster) &&
		 memcmp(h->cluster, s->cluster, sizeof(s->cluster)) != 0)
		return -EEXIST;
	return h->block_size != s->block_size || h->page != STORE_PAGE ||
	       h->chunk != CHUNK;
}

static int read_index(struct dir *d, char *buf, size_t len, bool *clean,
		      bool *again, struct err *err)
{
	struct header h;
	size_t bad, first = 0;
	int rv = 1;

	if (len >= sizeof(h)) {
		memcpy(&h, buf, sizeof(h));
		rv = check_header(d->store, &h);
	}
	if (rv == -EEXIST)
		return err_set(err, rv, "%s belongs to another cluster",
			       d->path);
	if (rv) {
		log_warn("cache of another layout, starting empty",
			 "path=%s/" NAME " offset=0", d->path);
		*again = true;
		*clean = false;
		return 0;
	}
	bad = read_records(d, buf + sizeof(h), len - sizeof(h), clean, &first);
	if (bad)
		log_warn("index damaged",
			 "path=%s/" NAME " offset=%zu bytes=%zu", d->path,
			 sizeof(h) + first, bad);
	*again = bad > 0 || d->elsewhere.used > 0;
	*clean = *clean && !d->elsewhere.used;
	map_close(&d->elsewhere);
	return 0;
}

/* Reads all of the file; the caller frees *buf. */
static ssize_t slurp(int fd, char **buf)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	*buf = malloc((size_t)st.st_size + 1);
	return *buf ? io_read_at(fd, *buf, (size_t)st.st_size, 0) : -ENOMEM;
}

static int load(struct dir *d, bool *clean, bool *again, struct err *err)
{
	char *buf = NULL;
	ssize_t n;
	int rv;

	d->index_fd = openat(d->fd, NAME, O_RDWR | O_APPEND | O_CLOEXEC);
	if (d->index_fd < 0 && errno == ENOENT) {
		*again = true;
		return 0;
	}
	if (d->index_fd < 0)
		return err_set(err, -errno, "%s/" NAME ": open: %m", d->path);
	n = slurp(d->index_fd, &buf);
	if (n < 0)
		rv = err_set(err, (int)n, "%s/" NAME ": read: %s", d->path,
			     err_text((int)n));
	else
		rv = read_index(d, buf, (size_t)n, clean, again, err);
	free(buf);
	d->index_bytes = n < 0 ? 0 : (uint64_t)n;
	return rv;
}

int index_open(struct dir *d, bool *clean, struct err *err)
{
	bool again = false;
	int rv;

	*clean = false;
	unlinkat(d->fd, NEW_NAME, 0); /* of one that died writing it */
	rv = load(d, clean, &again, err);
	if (rv)
		return rv;
	/* It must be known to be in use before anything changes. */
	if (again || d->index_bytes > REWRITE_MIN + 3 * d->live_bytes) {
		rv = rewrite(d);
	} else {
		queue_mark(&d->pending, STARTED);
		rv = write_pending(d);
		if (!rv && d->store->threads && fdatasync(d->index_fd) < 0)
			rv = -errno;
	}
	if (rv)
		err_set(err, rv, "%s/" NAME ": write: %s", d->path,
			err_text(rv));
	return rv;
}

void index_close(struct dir *d, bool clean)
{
	int rv = 0;

	if (d->index_fd < 0)
		return;
	if (clean && !d->index_torn) {
		rv = write_pending(d);
		if (!rv && d->store->threads && syncfs(d->fd) < 0)
			rv = -errno;
		queue_mark(&d->pending, CLEAN);
		if (!rv)
			rv = write_pending(d);
		if (!rv && d->store->threads && fdatasync(d->index_fd) < 0)
			rv = -errno;
	}
	if (rv)
		log_warn("no clean stop", "dir=%s error=\"%s\"", d->path,
			 err_text(rv));
	close(d->index_fd);
	buffer_close(&d->pending);
}
