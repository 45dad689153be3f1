#include "fuse/fs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/mem.h"
#include "fuse/errors.h"

#define LOG_MODULE "fuse"
#include "runtime/log.h"

enum { NS = 1000000000, LOGGED_A_SECOND = 10, NAMES_MS = 250 };

struct fs *fs_of(fuse_req_t req)
{
	return session_owner(req);
}

static struct fs_length *length_slot(const struct fs *fs, uint64_t id)
{
	uint64_t hash = id * UINT64_C(0x9e3779b97f4a7c15);

	return &fs->lengths[hash >> 48];
}

uint64_t fs_length(const struct fs *fs, uint64_t id)
{
	const struct fs_length *l = length_slot(fs, id);

	return l->id == id ? l->length : UINT64_MAX;
}

void fs_stat(struct fs *fs, const struct attr *a, struct stat *st)
{
	*st = (struct stat){
		.st_ino = a->id,
		.st_mode = a->mode,
		.st_nlink = 1, /* of a directory: not counted */
		.st_uid = a->uid,
		.st_gid = a->gid,
		.st_size = (off_t)a->length,
		.st_blksize = 1 << 20,
		.st_blocks = (blkcnt_t)((a->length + 511) / 512),
	};
	st->st_mtim.tv_sec = (time_t)(a->mtime_ns / NS);
	st->st_mtim.tv_nsec = (long)(a->mtime_ns % NS);
	st->st_atim = st->st_ctim = st->st_mtim;
	if (S_ISLNK(a->mode))
		st->st_size = (off_t)a->target.len;
	if (S_ISREG(a->mode))
		*length_slot(fs, a->id) =
			(struct fs_length){ a->id, a->length };
}

void fs_entry(struct fs *fs, const struct attr *a, uint64_t age_ms,
	      struct fuse_entry_param *e)
{
	uint64_t ttl_ms = fs->o.ttl_ms;
	double left_s = age_ms < ttl_ms ? (double)(ttl_ms - age_ms) / 1000 : 0;

	*e = (struct fuse_entry_param){
		.ino = a->id,
		.attr_timeout = left_s,
		.entry_timeout = left_s,
	};
	fs_stat(fs, a, &e->attr);
}

/* An under-storage that is down fails thousands of reads a second. */
static void log_eio(struct fs *fs, uint64_t node, const char *what, int code,
		    const struct err *err)
{
	uint64_t second = loop_now_ms(fs->loop) / 1000;

	if (second != fs->logged_second) {
		fs->logged_second = second;
		fs->logged = 0;
	}
	if (fs->logged++ < LOGGED_A_SECOND)
		log_warn("request failed",
			 "request=%s node=%" PRIu64 " code=%d error=\"%s\"",
			 what, node, code,
			 err && err->msg[0] ? err->msg : err_text(code));
	else if (fs->logged == LOGGED_A_SECOND + 1)
		log_warn("more requests fail", "logged_a_second=%d",
			 LOGGED_A_SECOND);
}

void fs_reply_error(fuse_req_t req, uint64_t node, const char *what, int code,
		    const struct err *err)
{
	int number = fuse_errno(code);

	if (number == EIO)
		log_eio(fs_of(req), node, what, code, err);
	if (number == ESTALE) /* the kernel looks its name up again */
		names_doubt(&fs_of(req)->names);
	fuse_reply_err(req, number);
}

/* What this file system is, for the kernel: once a mountpoint. */
static void on_init(void *owner ATTR_UNUSED, struct fuse_conn_info *conn)
{
	/* The page cache of a node never changes, so it need not be checked
	 * against attributes; listings are dropped by opendir. */
	conn->want &=
		~(unsigned)(FUSE_CAP_WRITEBACK_CACHE |
			    FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_SPLICE_READ |
			    FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
	conn->want |= conn->capable &
		      (FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS |
		       FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO |
		       FUSE_CAP_EXPLICIT_INVAL_DATA | FUSE_CAP_CACHE_SYMLINKS);
	conn->max_write = 1 << 20; /* which libfuse makes max_pages of */
	/* Read-ahead of an under-storage that is stuck counts against it. */
	conn->max_background = 1024;
	conn->congestion_threshold = 768;
}

static void fs_forget(fuse_req_t req, fuse_ino_t ino ATTR_UNUSED,
		      uint64_t n ATTR_UNUSED)
{
	fuse_reply_none(req);
}

static void fs_forget_multi(fuse_req_t req, size_t n ATTR_UNUSED,
			    struct fuse_forget_data *at ATTR_UNUSED)
{
	fuse_reply_none(req);
}

static const struct fuse_lowlevel_ops handlers = {
	.init = on_init,
	.lookup = fs_lookup,
	.forget = fs_forget,
	.forget_multi = fs_forget_multi,
	.getattr = fs_getattr,
	.readlink = fs_readlink,
	.open = fs_open,
	.read = fs_read,
	.release = fs_release,
	.opendir = fs_opendir,
	.readdir = fs_readdir,
	.readdirplus = fs_readdirplus,
	.releasedir = fs_releasedir,
	.statfs = fs_statfs,
	.getxattr = fs_getxattr,
	.listxattr = fs_listxattr,
};

void fs_ops(struct fuse_lowlevel_ops *ops, bool xattr)
{
	*ops = handlers;
	if (xattr)
		return;
	ops->getxattr = NULL;  /* libfuse answers ENOSYS, and is not asked */
	ops->listxattr = NULL; /* again */
}

void fs_init(struct fs *fs, struct loop *loop, const struct fs_options *o)
{
	*fs = (struct fs){ .loop = loop, .o = *o, .root = o->root };
	fs->ttl_s = (double)o->ttl_ms / 1000;
	if (!fs->root && strcmp(o->path, "/") == 0)
		fs->root = FUSE_ROOT_ID;
	/* Handles of another process of this mountpoint are none of ours. */
	fs->last_handle = (uint64_t)o->starts << 40;
	fs->lengths = mem_array(FS_LENGTHS, sizeof(*fs->lengths));
	names_init(&fs->names);
	/* The kernel keeps it for what is left of the TTL. */
	fs->names_ms = o->ttl_ms / 4 < NAMES_MS ? o->ttl_ms / 4 : NAMES_MS;
	fs->statfs = mem_alloc(sizeof(*fs->statfs));
	fs_dirs_init(fs);
	buffers_init(&fs->buffers);
	fs->hot = buffers_get(&fs->buffers, FS_HOT);
	memset(fs->hot, 0, FS_HOT); /* present */
}

void fs_close(struct fs *fs)
{
	fs_dirs_close(fs);
	buffers_put(&fs->buffers, fs->hot, FS_HOT);
	buffers_close(&fs->buffers);
	names_close(&fs->names);
	free(fs->statfs);
	free(fs->lengths);
}
