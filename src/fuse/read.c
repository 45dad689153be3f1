/*
 * Opening and reading files.
 *
 * A file that lies whole on this host is read from its granted descriptor: at
 * once, if it is short and in the page cache, else on a pool.  All else is
 * read through client/.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <time.h>

#include "base/mem.h"
#include "fuse/fs.h"
#include "fuse/wait.h"
#include "runtime/io.h"
#include "runtime/metrics.h"

/* An OPEN that waits for the worker. */
struct opening {
	struct fs *fs;
	struct wait wait;
	struct fuse_file_info fi;
	fuse_ino_t node;
	struct client_open open;
};

/* A READ that was not answered at once. */
struct reading {
	struct fs *fs;
	fuse_req_t req;
	fuse_ino_t node;
	bool exact; /* `len` ends within the file: that many must come */
	void *buf;
	size_t len;
	uint64_t offset, began_us;

	/* From a grant, on a pool. */
	struct client_grant *grant;
	struct task task;

	/* Through client/. */
	struct wait wait;
	struct client_read read;
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* No handle: a node id is all that a read needs, in any process. */
static void reply_open(fuse_req_t req, struct fuse_file_info *fi)
{
	fi->fh = 0;
	fi->keep_cache = 1;
	fi->noflush = 1;
	fuse_reply_open(req, fi);
}

static bool is_granted(struct fs *fs, uint64_t id)
{
	struct client_grant *g = client_grant_get(fs->o.client, id);

	if (g)
		client_grant_put(g);
	return g != NULL;
}

static void on_open(struct client_open *open, int code)
{
	struct opening *o = container_of(open, struct opening, open);
	fuse_req_t req = o->wait.req;

	wait_over(&o->wait);
	if (req && code) {
		fs_reply_error(req, o->node, "open", code, &open->err);
	} else if (req) {
		metric_add(is_granted(o->fs, o->node) ? METRIC_opens_local
			   : open->complete           ? METRIC_opens_remote
						      : METRIC_opens_miss,
			   1);
		reply_open(req, &o->fi);
	}
	free(o);
}

static void on_open_cancel(struct wait *w)
{
	client_open_cancel(&container_of(w, struct opening, wait)->open);
}

void fs_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct opening *o;

	if ((fi->flags & O_ACCMODE) != O_RDONLY) {
		fuse_reply_err(req, EROFS);
		return;
	}
	if (client_grant_open(fs->o.client, ino)) {
		metric_add(METRIC_opens_local, 1);
		reply_open(req, fi);
		return;
	}
	o = mem_alloc(sizeof(*o));
	o->fs = fs;
	o->fi = *fi;
	o->node = ino;
	o->open.id = ino;
	o->open.length = fs_length(fs, ino);
	if (!wait_init(&o->wait, fs->loop, req, on_open_cancel)) {
		free(o);
		return;
	}
	wait_begun(&o->wait);
	client_open(fs->o.client, &o->open, on_open);
}

void fs_release(fuse_req_t req, fuse_ino_t ino ATTR_UNUSED,
		struct fuse_file_info *fi ATTR_UNUSED)
{
	fuse_reply_err(req, 0);
}

static void reading_free(struct reading *rd)
{
	buffers_put(&rd->fs->buffers, rd->buf, rd->len);
	free(rd);
}

static void on_read(struct client_read *read, ssize_t n)
{
	struct reading *rd = container_of(read, struct reading, read);
	fuse_req_t req = rd->wait.req;

	wait_over(&rd->wait);
	if (req && n < 0)
		fs_reply_error(req, rd->node, "read", (int)n, &read->err);
	else if (req)
		fuse_reply_buf(req, rd->buf, (size_t)n);
	metric_observe_us(METRIC_fuse_read_us, now_us() - rd->began_us);
	reading_free(rd);
}

static void on_read_cancel(struct wait *w)
{
	client_read_cancel(&container_of(w, struct reading, wait)->read);
}

static void read_through_client(struct reading *rd)
{
	rd->read.id = rd->node;
	rd->read.length = fs_length(rd->fs, rd->node);
	rd->read.offset = rd->offset;
	rd->read.buf = rd->buf;
	rd->read.len = rd->len;
	if (!wait_init(&rd->wait, rd->fs->loop, rd->req, on_read_cancel)) {
		reading_free(rd);
		return;
	}
	wait_begun(&rd->wait);
	client_read(rd->fs->o.client, &rd->read, on_read);
}

static void count_local(size_t n)
{
	metric_add(METRIC_reads_local, 1);
	metric_add(METRIC_bytes_local, n);
}

/* On a pool's thread: answers by itself if all came that should. */
static ssize_t read_granted(struct task *t)
{
	struct reading *rd = container_of(t, struct reading, task);
	ssize_t n = io_read_at(client_grant_fd(rd->grant), rd->buf, rd->len,
			       (off_t)rd->offset);

	if (n < 0 || (rd->exact && (size_t)n < rd->len))
		return -EIO;
	fuse_reply_buf(rd->req, rd->buf, (size_t)n);
	count_local((size_t)n);
	return n;
}

static void on_granted(struct task *t)
{
	struct reading *rd = container_of(t, struct reading, task);

	client_grant_put(rd->grant);
	rd->grant = NULL;
	if (t->status < 0) { /* the disk failed: the worker has ways */
		read_through_client(rd);
		return;
	}
	metric_observe_us(METRIC_fuse_read_us, now_us() - rd->began_us);
	reading_free(rd);
}

/* Answers from the page cache, if all of it is there. */
static bool read_hot(struct fs *fs, fuse_req_t req, struct client_grant *g,
		     size_t len, uint64_t offset)
{
	const struct iovec iov = { fs->hot, len };
	ssize_t n;

	if (fs->no_nowait || len > FS_HOT)
		return false;
	n = preadv2(client_grant_fd(g), &iov, 1, (off_t)offset, RWF_NOWAIT);
	if (n < 0 && errno == EOPNOTSUPP)
		fs->no_nowait = true;
	if (n != (ssize_t)len)
		return false;
	fuse_reply_buf(req, fs->hot, len);
	count_local(len);
	return true;
}

void fs_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	     struct fuse_file_info *fi ATTR_UNUSED)
{
	struct fs *fs = fs_of(req);
	uint64_t offset = (uint64_t)off, length = fs_length(fs, ino);
	struct client_grant *g;
	struct reading *rd;

	if (offset >= length) {
		fuse_reply_buf(req, NULL, 0);
		return;
	}
	if (size > length - offset)
		size = (size_t)(length - offset);
	g = client_grant_get(fs->o.client, ino);
	if (g && read_hot(fs, req, g, size, offset)) {
		client_grant_put(g);
		return;
	}
	rd = mem_alloc(sizeof(*rd));
	rd->fs = fs;
	rd->req = req;
	rd->node = ino;
	rd->offset = offset;
	rd->len = size;
	rd->exact = length != UINT64_MAX;
	rd->buf = buffers_get(&fs->buffers, size);
	rd->began_us = now_us();
	rd->grant = g;
	if (g)
		workpool_submit(fs->o.disk, fs->loop, &rd->task, read_granted,
				on_granted);
	else
		read_through_client(rd);
}
