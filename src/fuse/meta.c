/* Requests for what the master knows: names, attributes, totals. */

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#include "fuse/request.h"

enum {
	STATFS_TTL_MS = 1000,
	STATFS_BLOCK = 4096,
	NAME_LEN = 255,
	NEXT = 16, /* names behind one that is asked for */
};

static void lookup_ask(struct request *r)
{
	const struct lookup_request q = {
		.parent = request_id(r),
		.name = { r->text, strlen(r->text) },
		.next = r->fs->names_ms ? NEXT : 0,
	};

	request_call(r, RPC_MASTER_METHOD(lookup), &q);
}

static void lookup_answer(struct request *r, const void *reply)
{
	const struct lookup_reply *p = reply;
	struct names *names = &r->fs->names;
	uint64_t parent = request_id(r);
	struct fuse_entry_param e;
	const struct dirent *d;

	names_seen(names, p->change, r->asked_ms);
	for (d = p->next.at; d < p->next.at + p->next.n; d++)
		names_put(names, parent, d->name.ptr, d->name.len, &d->attr,
			  p->change);
	names_put(names, parent, r->text, strlen(r->text), &p->attr, p->change);
	fs_entry(r->fs, &p->attr, 0, &e);
	fuse_reply_entry(r->req, &e);
}

/* A name that is known, and still was a moment ago. */
static bool lookup_known(struct fs *fs, fuse_req_t req, fuse_ino_t parent,
			 const char *name, size_t len)
{
	uint64_t age_ms = loop_now_ms(fs->loop) - fs->names.as_of_ms;
	struct fuse_entry_param e;
	const struct attr *a;

	if (parent == FUSE_ROOT_ID)
		parent = fs->root;
	if (age_ms >= fs->names_ms || !parent)
		return false;
	a = names_get(&fs->names, parent, name, len);
	if (!a)
		return false;
	fs_entry(fs, a, age_ms, &e);
	fuse_reply_entry(req, &e);
	return true;
}

/* The kernel keeps that there is no such name, too. */
static void lookup_fail(struct request *r, int code)
{
	const struct fuse_entry_param none = {
		.entry_timeout = r->fs->ttl_s,
	};

	if (code == -ENOENT && r->fs->o.ttl_ms)
		fuse_reply_entry(r->req, &none);
	else
		fs_reply_error(r->req, r->node, "lookup", code, &r->call.err);
}

void fs_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	static const struct request_ops ops = {
		"lookup",
		lookup_ask,
		lookup_answer,
		lookup_fail,
	};

	size_t len = strlen(name);

	if (len > NAME_LEN)
		fuse_reply_err(req, ENAMETOOLONG);
	else if (!lookup_known(fs_of(req), req, parent, name, len))
		request_start(request_new(req, &ops, parent, name));
}

static void getattr_ask(struct request *r)
{
	const struct getattr_request q = { .id = request_id(r) };

	request_call(r, RPC_MASTER_METHOD(getattr), &q);
}

static void getattr_answer(struct request *r, const void *reply)
{
	const struct getattr_reply *p = reply;
	struct stat st;

	fs_stat(r->fs, &p->attr, &st);
	fuse_reply_attr(r->req, &st, r->fs->ttl_s);
}

void fs_getattr(fuse_req_t req, fuse_ino_t ino,
		struct fuse_file_info *fi ATTR_UNUSED)
{
	static const struct request_ops ops = {
		"getattr",
		getattr_ask,
		getattr_answer,
		NULL,
	};

	request_start(request_new(req, &ops, ino, NULL));
}

static void readlink_answer(struct request *r, const void *reply)
{
	const struct getattr_reply *p = reply;

	if (S_ISLNK(p->attr.mode))
		fuse_reply_buf(r->req, p->attr.target.ptr, p->attr.target.len);
	else
		fuse_reply_err(r->req, EINVAL);
}

void fs_readlink(fuse_req_t req, fuse_ino_t ino)
{
	static const struct request_ops ops = {
		"readlink",
		getattr_ask,
		readlink_answer,
		NULL,
	};

	request_start(request_new(req, &ops, ino, NULL));
}

static void statfs_ask(struct request *r)
{
	const struct report_request q = { .all = false };

	request_call(r, RPC_MASTER_METHOD(report), &q);
}

static uint64_t number(const struct report_reply *p, const char *name)
{
	const struct named_number *n;
	size_t i;

	for (i = 0; i < p->numbers.n; i++) {
		n = &p->numbers.at[i];
		if (n->name.len == strlen(name) &&
		    memcmp(n->name.ptr, name, n->name.len) == 0)
			return n->value;
	}
	return 0;
}

static void statfs_answer(struct request *r, const void *reply)
{
	const struct report_reply *p = reply;
	struct statvfs *out = r->fs->statfs;
	uint64_t capacity = 0, used = 0;
	size_t i;

	for (i = 0; i < p->workers.n; i++) {
		if (!p->workers.at[i].live)
			continue;
		capacity += p->workers.at[i].capacity;
		used += p->workers.at[i].used;
	}
	*out = (struct statvfs){
		.f_bsize = STATFS_BLOCK,
		.f_frsize = STATFS_BLOCK,
		.f_blocks = capacity / STATFS_BLOCK,
		.f_bfree =
			capacity > used ? (capacity - used) / STATFS_BLOCK : 0,
		.f_files = number(p, "files"),
		.f_namemax = NAME_LEN,
	};
	out->f_bavail = out->f_bfree;
	r->fs->statfs_ms = loop_now_ms(r->fs->loop);
	fuse_reply_statfs(r->req, out);
}

void fs_statfs(fuse_req_t req, fuse_ino_t ino ATTR_UNUSED)
{
	static const struct request_ops ops = {
		"statfs",
		statfs_ask,
		statfs_answer,
		NULL,
	};
	struct fs *fs = fs_of(req);

	if (fs->statfs->f_bsize &&
	    loop_now_ms(fs->loop) - fs->statfs_ms < STATFS_TTL_MS)
		fuse_reply_statfs(req, fs->statfs);
	else /* of no node */
		request_start(request_new(req, &ops, 0, NULL));
}
