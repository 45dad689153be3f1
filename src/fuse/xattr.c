/*
 * Extended attributes of files, for who mounts with -o xattr:
 * user.acached.version, .ufs (where it lies in under-storage) and .cached.
 *
 * Without that option the kernel is told once that there are none: once
 * answered, ls -l asks for two of every file.
 *
 * The master is asked three times, since under-storage is known by path, and a
 * node's path by its mount; then the worker that has the file.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fuse/request.h"

#define PREFIX "user.acached."

static const char *const names[] = {
	PREFIX "version",
	PREFIX "ufs",
	PREFIX "cached",
};

enum { XATTR_VERSION, XATTR_UFS, XATTR_CACHED, XATTRS };

static void reply_bytes(struct request *r, const void *at, size_t len)
{
	if (r->size == 0)
		fuse_reply_xattr(r->req, len);
	else if (r->size < len)
		fuse_reply_err(r->req, ERANGE);
	else
		fuse_reply_buf(r->req, at, len);
}

static void stat_ask(struct request *r)
{
	const struct stat_request q = {
		.path = { r->text, strlen(r->text) },
	};

	request_call(r, RPC_MASTER_METHOD(stat), &q);
}

static void reply_cached(struct request *r, const char *word)
{
	reply_bytes(r, word, strlen(word));
}

static void explain_answer(struct request *r, const void *reply)
{
	const struct explain_reply *p = reply;

	reply_cached(r, p->complete ? "all" : p->present ? "part" : "none");
}

/* It knows better than the master, who hears of it now and then. */
static void ask_holder(struct request *r, uint32_t worker)
{
	static const struct request_ops next = {
		"getxattr",
		NULL,
		explain_answer,
		NULL,
	};
	const struct explain_request q = { .id = r->node };

	r->ops = &next;
	request_call_worker(r, worker, RPC_WORKER_METHOD(explain), &q);
}

/* By path; the node may be an older version of what is there now. */
static void stat_answer(struct request *r, const void *reply)
{
	const struct stat_reply *p = reply;

	if (p->attr.id != r->node)
		fs_reply_error(r->req, r->node, "getxattr", -ESTALE, NULL);
	else if (r->kind == XATTR_VERSION)
		reply_bytes(r, p->attr.version.ptr, p->attr.version.len);
	else if (r->kind == XATTR_UFS)
		reply_bytes(r, p->uri.ptr, p->uri.len);
	else if (p->holders.n)
		ask_holder(r, p->holders.at[0]);
	else
		reply_cached(r, "none");
}

static void mounts_ask(struct request *r)
{
	const struct mounts_request q = { .keys = false };

	request_call(r, RPC_MASTER_METHOD(mounts), &q);
}

static void mounts_answer(struct request *r, const void *reply)
{
	static const struct request_ops next = {
		"getxattr",
		stat_ask,
		stat_answer,
		NULL,
	};
	const struct mounts_reply *p = reply;
	const struct mount_info *m;
	char *path;
	size_t i;

	for (i = 0; i < p->mounts.n; i++) {
		m = &p->mounts.at[i];
		if (m->id != r->mount)
			continue;
		path = mem_printf("%.*s/%s", (int)m->path.len, m->path.ptr,
				  r->text);
		free(r->text);
		r->text = path;
		r->ops = &next;
		stat_ask(r);
		return;
	}
	fs_reply_error(r->req, r->node, "getxattr", -ESTALE, NULL);
}

static void file_ask(struct request *r)
{
	const struct file_request q = { .id = request_id(r) };

	request_call(r, RPC_MASTER_METHOD(file), &q);
}

static void file_answer(struct request *r, const void *reply)
{
	static const struct request_ops next = {
		"getxattr",
		mounts_ask,
		mounts_answer,
		NULL,
	};
	const struct file_reply *p = reply;

	r->text = mem_strn(p->file.path.ptr, p->file.path.len);
	r->mount = p->file.mount;
	r->ops = &next;
	mounts_ask(r);
}

/* Directories, and what lies above all mounts, have none. */
static void file_fail(struct request *r, int code)
{
	if (code == -EISDIR || code == -ENODEV)
		code = -ENODATA;
	fs_reply_error(r->req, r->node, "getxattr", code, &r->call.err);
}

void fs_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	static const struct request_ops ops = {
		"getxattr",
		file_ask,
		file_answer,
		file_fail,
	};
	struct request *r;
	unsigned kind = 0;

	while (kind < XATTRS && strcmp(names[kind], name) != 0)
		kind++;
	if (kind == XATTRS) {
		fuse_reply_err(req, ENODATA);
		return;
	}
	r = request_new(req, &ops, ino, NULL);
	r->kind = kind;
	r->size = size;
	request_start(r);
}

static void list_ask(struct request *r)
{
	const struct getattr_request q = { .id = request_id(r) };

	request_call(r, RPC_MASTER_METHOD(getattr), &q);
}

static void list_answer(struct request *r, const void *reply)
{
	const struct getattr_reply *p = reply;
	char all[128];
	size_t len = 0;
	unsigned i;

	for (i = 0; S_ISREG(p->attr.mode) && i < XATTRS; i++) {
		memcpy(all + len, names[i], strlen(names[i]) + 1);
		len += strlen(names[i]) + 1;
	}
	reply_bytes(r, all, len);
}

void fs_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	static const struct request_ops ops = {
		"listxattr",
		list_ask,
		list_answer,
		NULL,
	};
	struct request *r = request_new(req, &ops, ino, NULL);

	r->size = size;
	request_start(r);
}
