/* Fills: data first, then what the index says of it. */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "store/disk.h"
#include "store/file_io.h"
#include "store/index.h"

#define LOG_MODULE "store"
#include "runtime/log.h"

/* One fill, on a disk thread. */
struct fill {
	const struct store_req *req;
	struct dir *dir;
	struct entry *entry;
	uint64_t room; /* bytes kept for it */
	bool is_new;
	uint32_t *sums;   /* a chunk each */
	uint64_t on_disk; /* of the whole file, when written */
};

static uint64_t room_for(const struct store_req *req, bool is_new)
{
	uint64_t room = (req->len + DISK_UNIT - 1) / DISK_UNIT * DISK_UNIT;

	return room + entry_extents_share(req->file_size) +
	       (is_new ? INODE_SHARE : 0);
}

static bool is_present(const struct entry *e, const struct store_req *req)
{
	return entry_present(e, req->offset, req->len) == req->len;
}

static void make_entry_locked(struct fill *f)
{
	struct entry *e;

	e = entry_new(f->dir, f->req->file, f->req->file_size);
	e->seq = f->dir->next_seq++;
	e->verified = true;
	dir_add_locked(e);
	f->entry = e;
}

static bool in_parts(const struct store_req *req)
{
	return req->len < req->file_size;
}

/* A new file goes where there is room; if there is none, to where the policy
 * makes some, in the slowest tier first.  What came up here earlier may be
 * worth least, when the files that there are are others by now. */
static int find_room_locked(struct store *s, struct fill *f,
			    const struct evict_node *n, struct list *gone,
			    struct buffer *ask)
{
	const struct store_req *req = f->req;
	int rv = -ENOSPC, first = 0;
	enum tier t;

	f->dir =
		tiers_place_locked(s, req->file, req->file_size, in_parts(req));
	if (!f->dir)
		return rv;
	first = rv = room_make_locked(f->dir, n, f->room, gone, ask);
	for (t = f->dir->tier - 1; rv && t >= TIER_FASTEST && !in_parts(req);
	     t--) {
		f->dir = tiers_home_locked(s, req->file, t);
		if (f->dir)
			rv = room_make_locked(f->dir, n, f->room, gone, ask);
	}
	return rv ? first : 0;
}

/* The room is charged at once, but may be used only when `gone` has gone.  1 if
 * there is nothing to do. */
static int begin_locked(struct store *s, struct fill *f, struct list *gone,
			struct buffer *ask)
{
	const struct store_req *req = f->req;
	struct evict_node n = {
		.id = req->file,
		.size = req->file_size,
		.load = req->load,
	};
	struct entry *e = map_get(&s->files, req->file);
	int rv;

	if (req->binding != s->binding) /* another cluster's, by now */
		return ERR_NOT_ADMITTED;
	if (e && e->size != req->file_size)
		return -ESTALE;
	if (e && is_present(e, req))
		return 1;
	if (!e && map_get(&s->held, req->file))
		return ERR_NOT_ADMITTED; /* until the dropped one is let go */
	if (e && e->dir->service != IN_SERVICE)
		return -ENOSPC;
	f->is_new = !e;
	f->room = room_for(req, f->is_new);
	if (e) {
		e->node.load = req->load;
		f->dir = e->dir;
		rv = room_make_locked(f->dir, &e->node, f->room, gone, ask);
	} else {
		rv = find_room_locked(s, f, &n, gone, ask);
	}
	if (rv)
		return rv;
	if (e)
		f->entry = e;
	else
		make_entry_locked(f);
	f->entry->users++;
	f->entry->fills++;
	f->entry->used += f->room;
	f->dir->entry_bytes += f->room;
	return 0;
}

static int begin(struct fill *f)
{
	struct store *s = f->req->store;
	struct buffer ask = { 0 };
	struct list gone;
	int rv;

	list_init(&gone);
	mutex_lock(&s->mutex);
	rv = begin_locked(s, f, &gone, &ask);
	s->totals.not_admitted += rv == ERR_NOT_ADMITTED;
	mutex_unlock(&s->mutex);
	dir_remove_all(&gone);
	room_ask(s, &ask);
	return rv;
}

static int make_subdir(struct entry *e)
{
	struct dir *d = e->dir;
	unsigned i = (unsigned)(e->node.id % N_SUBDIRS);
	const char hex[] = "0123456789abcdef";
	const char name[3] = { hex[i / 16], hex[i % 16], '\0' };

	if (mkdirat(d->fd, name, 0700) < 0)
		return errno == EEXIST ? 0 : -errno;
	mutex_lock(&d->store->mutex);
	d->n_subdirs++;
	mutex_unlock(&d->store->mutex);
	return 0;
}

int entry_create_file(struct entry *e)
{
	int fd = entry_open_file(e, O_WRONLY | O_CREAT);
	int rv;

	if (fd != -ENOENT)
		return fd;
	rv = make_subdir(e);
	return rv ? rv : entry_open_file(e, O_WRONLY | O_CREAT);
}

/* The length is set first where it is not reached at once, so that the file
 * system does not allocate ahead. */
static int write_data(struct fill *f, int fd)
{
	const struct store_req *req = f->req;
	struct stat st;
	int rv;

	if (f->is_new && req->len < req->file_size &&
	    ftruncate(fd, (off_t)req->file_size) < 0)
		return -errno;
	rv = file_write_at(fd, req->buf, req->len, req->offset);
	if (!rv && fstat(fd, &st) < 0)
		rv = -errno;
	f->on_disk = rv ? 0 : entry_disk_bytes(req->file_size, &st);
	return rv;
}

static int write_file(struct fill *f)
{
	int fd = entry_create_file(f->entry), rv;

	if (fd < 0)
		return fd;
	rv = write_data(f, fd);
	/* Some file systems tell of a full disk only here. */
	if (close(fd) < 0 && !rv && errno != EINTR)
		rv = -errno;
	return rv;
}

static void sum_chunks(struct fill *f)
{
	const struct store_req *req = f->req;
	uint64_t at = 0, n = entry_chunks(req->len), i;
	size_t len;

	f->sums = mem_array(n, sizeof(*f->sums));
	for (i = 0; i < n; i++, at += len) {
		len = req->len - at < CHUNK ? req->len - at : CHUNK;
		f->sums[i] = crc32c(0, (const char *)req->buf + at, len);
	}
}

/* What the file really takes, unless others are still at it: as the fill saw
 * that looked last, which need not be the one that ends last.  True if that is
 * known now. */
static bool settle_locked(struct fill *f)
{
	struct entry *e = f->entry;

	if (f->on_disk > e->on_disk)
		e->on_disk = f->on_disk;
	if (e->fills || !e->on_disk)
		return false;
	entry_resize_locked(e, e->on_disk);
	e->on_disk = 0;
	return true;
}

static void present_locked(struct fill *f)
{
	const struct store_req *req = f->req;
	struct entry *e = f->entry;
	uint64_t chunk = req->offset / CHUNK, n = entry_chunks(req->len), i;
	bool first = e->n_present == 0;

	for (i = 0; i < n; i++)
		e->words[chunk + i] = f->sums[i];
	for (i = 0; i < entry_pages(req->len); i++)
		entry_set(e, req->offset / STORE_PAGE + i);
	(void)settle_locked(f);
	index_filled_locked(e, chunk, n);
	if (first)
		store_changed_locked(req->store, req->file, STORE_ADDED);
	if (entry_complete(e)) {
		store_changed_locked(req->store, req->file, STORE_COMPLETE);
		if (in_parts(req))
			tiers_completed_locked(e);
	}
}

/* A file that could not be written is forgotten: what it takes on disk is not
 * known. */
static void end(struct fill *f, int rv)
{
	struct store *s = f->req->store;
	struct entry *e = f->entry;
	struct dir *d = e->dir;
	struct list gone;

	list_init(&gone);
	mutex_lock(&s->mutex);
	e->fills--;
	if (rv)
		dir_doom_locked(e, &gone);
	else if (!e->doomed && !is_present(e, f->req))
		present_locked(f);
	else if (!e->doomed && settle_locked(f)) /* another was quicker */
		index_resized_locked(e);
	dir_put_locked(e, &gone);
	mutex_unlock(&s->mutex);
	dir_remove_all(&gone);
	if (rv && rv != -EMFILE && rv != -ENFILE)
		dir_failed(d, rv, "write");
	index_flush(d);
}

static ssize_t fill_work(struct task *t)
{
	struct store_req *req = container_of(t, struct store_req, task);
	struct fill f = { .req = req };
	int rv = begin(&f);

	if (rv)
		return rv < 0 ? rv : (ssize_t)req->len;
	sum_chunks(&f);
	rv = write_file(&f);
	end(&f, rv);
	free(f.sums);
	return rv ? rv : (ssize_t)req->len;
}

static void on_done(struct task *t)
{
	struct store_req *req = container_of(t, struct store_req, task);

	req->done(req, t->status);
}

static void on_no_room(struct task *t)
{
	struct store_req *req = container_of(t, struct store_req, task);

	req->done(req, -ENOSPC);
}

static void try_again(struct store *s, uint64_t now_ms)
{
	struct dir *d;
	bool again;

	for (d = s->dirs; d < s->dirs + s->n_dirs; d++) {
		mutex_lock(&s->mutex);
		again = dir_try_again_locked(d, now_ms);
		mutex_unlock(&s->mutex);
		if (again)
			log_info("trying a full disk again", "dir=%s", d->path);
	}
}

void store_fill(struct store *s, struct store_req *req, store_done_fn done)
{
	struct entry *e;
	struct dir *d;

	assert(req->len && req->offset % STORE_PAGE == 0 &&
	       req->offset + req->len <= req->file_size &&
	       (req->len % STORE_PAGE == 0 ||
		req->offset + req->len == req->file_size));
	req->done = done;
	req->store = s;
	if (atomic_load_explicit(&s->full, memory_order_relaxed))
		try_again(s, loop_now_ms(req->loop));
	mutex_lock(&s->mutex);
	e = map_get(&s->files, req->file);
	d = e ? e->dir
	      : tiers_place_locked(s, req->file, req->file_size, in_parts(req));
	req->binding = s->binding;
	mutex_unlock(&s->mutex);
	if (d)
		workpool_submit(d->pool, req->loop, &req->task, fill_work,
				on_done);
	else
		loop_post(req->loop, &req->task, on_no_room);
}
