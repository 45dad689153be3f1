/*
 * The file system that a mountpoint shows: handlers for the kernel's requests,
 * over client/.
 *
 * Nothing blocks: a handler answers at once, or starts calls and answers in
 * their callbacks; an INTERRUPT answers EINTR and cancels them.  A node id is
 * the master's id of (inode, version), which any later process understands
 * without having handed it out; the kernel's page cache stays right because a
 * new version is another node.  Open files have no state here.  Node 1 is the
 * directory `path` of the namespace.
 *
 * All on the loop's thread, but for reads of granted files, which a pool
 * answers itself.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"
#include "client/client.h"
#include "fuse/buffers.h"
#include "fuse/names.h"
#include "fuse/session.h"

struct fs_options {
	struct client *client;
	struct workpool *disk; /* for reads of granted files */
	const char *path;      /* of the namespace, shown as the root */
	uint64_t root;         /* its id; 0: to be found out */
	uint64_t ttl_ms;       /* of names and attributes in the kernel */
	unsigned starts;       /* which process of the mountpoint this is */
};

enum {
	FS_LENGTHS = 1 << 16,
	FS_HOT = 256 << 10, /* the longest read that the loop may answer */
};

struct fs {
	struct loop *loop;
	struct fs_options o;
	double ttl_s;
	uint64_t root; /* node 1; 0: not known yet */

	uint64_t last_handle;
	struct map dirs; /* struct dir, by handle */
	/* When a listing was last made from what the master said, by id. */
	struct fs_listed {
		uint64_t id, ms;
	} * listed;

	/* Lengths of files seen last, by id; an id's never changes. */
	struct fs_length {
		uint64_t id, length;
	} * lengths;

	struct names names;
	uint64_t names_ms; /* for how long they are taken as of now */

	struct buffers buffers;
	void *hot;      /* for reads answered on the loop */
	bool no_nowait; /* the cache's file system cannot say "not now" */

	uint64_t logged_second; /* in which so many errors were logged */
	unsigned logged;

	uint64_t statfs_ms; /* when it was answered last */
	struct statvfs *statfs;
};

/* The handlers; `xattr`: there are attributes user.acached.*. */
void fs_ops(struct fuse_lowlevel_ops *ops, bool xattr);

void fs_init(struct fs *fs, struct loop *loop, const struct fs_options *o);
/* Nothing may be in flight. */
void fs_close(struct fs *fs);

/* For the handlers. */
struct fs *fs_of(fuse_req_t req);
/* UINT64_MAX: not known. */
uint64_t fs_length(const struct fs *fs, uint64_t id);
/* The kernel's attributes, and the length to remember. */
void fs_stat(struct fs *fs, const struct attr *a, struct stat *st);
/* What was so `age_ms` ago, with what is left of the TTLs; `ino` is what the
 * kernel calls it. */
void fs_entry(struct fs *fs, const struct attr *a, uint64_t age_ms,
	      struct fuse_entry_param *e);
void fs_reply_error(fuse_req_t req, uint64_t node, const char *what, int code,
		    const struct err *err);

/* Handlers, by file. */
void fs_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_readlink(fuse_req_t req, fuse_ino_t ino);
void fs_statfs(fuse_req_t req, fuse_ino_t ino);
void fs_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void fs_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void fs_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		struct fuse_file_info *fi);
void fs_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi);
void fs_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_dirs_init(struct fs *fs);
void fs_dirs_close(struct fs *fs);
void fs_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	     struct fuse_file_info *fi);
void fs_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
