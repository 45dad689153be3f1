/* Reads: of what is present, checked. */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/io.h"
#include "store/disk.h"

#define LOG_MODULE "store"
#include "runtime/log.h"

/* Up to here a copy out of the page cache costs less than a thread. */
#define AT_ONCE (UINT64_C(256) << 10)

struct entry *store_use(struct store *s, const struct store_req *req,
			size_t *len, bool *verified)
{
	struct entry *e;

	mutex_lock(&s->mutex);
	e = map_get(&s->files, req->file);
	*len = e ? (size_t)entry_present(e, req->offset, req->len) : 0;
	if (*len) {
		e->users++;
		*verified = e->verified;
	}
	mutex_unlock(&s->mutex);
	return *len ? e : NULL;
}

void store_unuse(struct entry *e, struct list *gone)
{
	struct store *s = e->dir->store;

	list_init(gone);
	mutex_lock(&s->mutex);
	dir_put_locked(e, gone);
	mutex_unlock(&s->mutex);
}

/* What a failure to open or read means: we are out of descriptors, or the bytes
 * are no more. */
static ssize_t failed(struct entry *e, int code, uint64_t offset)
{
	if (code == -EMFILE || code == -ENFILE || code == -ENOMEM)
		return code;
	check_failed(e, code, offset);
	return -ENOENT;
}

/* `n` bytes were read into `buf`, of `len`. */
static ssize_t checked(struct entry *e, const void *buf, uint64_t offset,
		       size_t len, ssize_t n, bool verified)
{
	uint64_t bad;

	if (n < 0)
		return failed(e, (int)n, offset);
	bad = offset + (uint64_t)n;
	if (n != (ssize_t)len || !entry_check(e, buf, offset, len, &bad)) {
		check_bad(e, bad);
		return -ENOENT;
	}
	if (!verified && len == e->size)
		check_passed(e);
	return n;
}

/* Whole chunks around what was asked for, so that all of it is checked. */
static ssize_t read_around(struct entry *e, int fd, const struct store_req *req,
			   size_t len)
{
	uint64_t from = req->offset / CHUNK * CHUNK;
	uint64_t to = (req->offset + len + CHUNK - 1) / CHUNK * CHUNK;
	char *buf;
	ssize_t n;

	if (to > e->size)
		to = e->size;
	buf = mem_alloc(to - from);
	n = io_read_at(fd, buf, to - from, (off_t)from);
	n = checked(e, buf, from, to - from, n, false);
	if (n >= 0) {
		memcpy(req->buf, buf + (req->offset - from), len);
		n = (ssize_t)len;
	}
	free(buf);
	return n;
}

static bool is_whole(const struct entry *e, const struct store_req *req,
		     size_t len)
{
	uint64_t to = req->offset + len;

	return req->offset % CHUNK == 0 && (to % CHUNK == 0 || to == e->size);
}

static ssize_t read_entry(struct entry *e, const struct store_req *req,
			  size_t len, bool verified)
{
	int fd = entry_open_file(e, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return failed(e, fd, req->offset);
	if (verified || is_whole(e, req, len)) {
		n = io_read_at(fd, req->buf, len, (off_t)req->offset);
		n = checked(e, req->buf, req->offset, len, n, verified);
	} else {
		n = read_around(e, fd, req, len);
	}
	close(fd);
	return n;
}

static ssize_t read_work(struct task *t)
{
	struct store_req *req = container_of(t, struct store_req, task);
	struct list gone;
	struct entry *e;
	bool verified;
	size_t len;
	ssize_t n;

	e = store_use(req->store, req, &len, &verified);
	if (!e)
		return -ENOENT;
	n = read_entry(e, req, len, verified);
	store_unuse(e, &gone);
	dir_remove_all(&gone);
	return n;
}

static void on_done(struct task *t)
{
	struct store_req *req = container_of(t, struct store_req, task);

	req->done(req, t->status);
}

static void on_missing(struct task *t)
{
	struct store_req *req = container_of(t, struct store_req, task);

	req->done(req, -ENOENT);
}

void store_submit(struct store *s, struct store_req *req, task_work_fn work,
		  store_done_fn done)
{
	struct workpool *pool;
	struct entry *e;

	req->done = done;
	req->store = s;
	mutex_lock(&s->mutex);
	e = map_get(&s->files, req->file);
	pool = e ? e->dir->pool : NULL;
	mutex_unlock(&s->mutex);
	if (pool)
		workpool_submit(pool, req->loop, &req->task, work, on_done);
	else
		loop_post(req->loop, &req->task, on_missing);
}

void store_read(struct store *s, struct store_req *req, store_done_fn done)
{
	store_submit(s, req, read_work, done);
}

/* Out of the page cache, or -EAGAIN. */
static ssize_t read_cached(struct entry *e, const struct store_req *req,
			   size_t len, bool verified)
{
	struct iovec to = { .iov_base = req->buf, .iov_len = len };
	struct dir *d = e->dir;
	int fd = entry_open_file(e, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return -EAGAIN; /* the long way finds out why */
	n = preadv2(fd, &to, 1, (off_t)req->offset, RWF_NOWAIT);
	if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
		atomic_store_explicit(&d->may_not_wait, false,
				      memory_order_relaxed);
	close(fd);
	if (n != (ssize_t)len)
		return -EAGAIN;
	return checked(e, req->buf, req->offset, len, n, verified);
}

bool read_verifies(struct entry *e)
{
	struct store_req req = { .offset = 0 };
	ssize_t n;

	if (e->size > AT_ONCE ||
	    !atomic_load_explicit(&e->dir->may_not_wait, memory_order_relaxed))
		return false;
	req.buf = mem_alloc(e->size);
	n = read_cached(e, &req, e->size, false);
	free(req.buf);
	return n == (ssize_t)e->size;
}

ssize_t store_try_read(struct store *s, struct store_req *req)
{
	struct list gone;
	struct entry *e;
	bool verified;
	size_t len;
	ssize_t n;

	e = store_use(s, req, &len, &verified);
	if (!e)
		return -ENOENT;
	n = -EAGAIN;
	if (len <= AT_ONCE && (verified || is_whole(e, req, len)) &&
	    atomic_load_explicit(&e->dir->may_not_wait, memory_order_relaxed))
		n = read_cached(e, req, len, verified);
	store_unuse(e, &gone);
	if (!list_empty(&gone))
		dir_reap(e->dir, &gone);
	return n;
}
