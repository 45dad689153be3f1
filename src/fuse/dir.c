/*
 * Directories: the master's listing, page by page, for readdir and readdirplus.
 *
 * An offset is the id of the entry before, so any process of the mountpoint can
 * go on where another stopped, and entries that come or go meanwhile move none
 * of the others.  A page of the master's answers many requests of the kernel;
 * it is kept with the handle, for hardly longer than attributes may be.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fuse/request.h"

enum {
	LISTED = 1024, /* directories whose last listing is remembered */
	PAGE_ENTRIES = 1000,
	PAGE_MS = 200,
	/* Offsets of "." and "..": no child has the root's id. */
	AFTER_DOT = 1,
};
#define AFTER_DOTDOT ((uint64_t)INT64_MAX)

struct entry {
	uint64_t id; /* and the offset after it */
	char *name;
	struct attr attr; /* without the bytes of version and target */
};

/* An open directory. */
struct dir {
	uint64_t handle;
	uint64_t id, parent;
	uint64_t after; /* what the page comes after */
	uint64_t made_ms;
	struct entry *at; /* names follow in the same memory */
	size_t n, next;   /* where the last request stopped */
	bool more, loaded;
};

void fs_dirs_init(struct fs *fs)
{
	map_init(&fs->dirs);
	fs->listed = mem_array(LISTED, sizeof(*fs->listed));
}

static void dir_free(struct dir *d)
{
	free(d->at);
	free(d);
}

void fs_dirs_close(struct fs *fs)
{
	struct map_slot *slot;
	size_t at = 0;

	while ((slot = map_next(&fs->dirs, &at)))
		dir_free(slot->value);
	map_close(&fs->dirs);
	free(fs->listed);
}

static struct dir *dir_new(struct fs *fs, uint64_t handle)
{
	struct dir *d = mem_alloc(sizeof(*d));

	d->handle = handle;
	map_put(&fs->dirs, handle, d);
	return d;
}

/* The kernel may keep the listing it has while a new one might be as old. */
void fs_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct fs_listed *l = &fs->listed[ino % LISTED];
	uint64_t now_ms = loop_now_ms(fs->loop);
	struct dir *d;

	fi->cache_readdir = 1;
	fi->keep_cache = l->id == ino && now_ms - l->ms < fs->o.ttl_ms;
	if (!fi->keep_cache)
		*l = (struct fs_listed){ ino, now_ms };
	d = dir_new(fs, ++fs->last_handle);
	fi->fh = d->handle;
	if (fuse_reply_open(req, fi) == -ENOENT) { /* was interrupted */
		map_remove(&fs->dirs, d->handle);
		dir_free(d);
	}
}

void fs_releasedir(fuse_req_t req, fuse_ino_t ino ATTR_UNUSED,
		   struct fuse_file_info *fi)
{
	struct dir *d = map_remove(&fs_of(req)->dirs, fi->fh);

	if (d)
		dir_free(d);
	fuse_reply_err(req, 0);
}

/* Where the entry after offset `off` lies, if the page may be used for it. */
static bool find(struct dir *d, uint64_t off, size_t *at)
{
	size_t i;

	if (!d->loaded)
		return false;
	if (off == d->after || (off == AFTER_DOTDOT && !d->after)) {
		*at = 0;
		return true;
	}
	if (d->next && d->at[d->next - 1].id == off) {
		*at = d->next;
		return true;
	}
	for (i = 0; i < d->n; i++)
		if (d->at[i].id == off) {
			*at = i + 1;
			return true;
		}
	return false;
}

/* With a TTL of nothing, a listing in progress is still one listing. */
static bool is_fresh(const struct fs *fs, const struct dir *d)
{
	uint64_t age_ms = loop_now_ms(fs->loop) - d->made_ms;

	return age_ms <= fs->o.ttl_ms || age_ms <= PAGE_MS;
}

/* One answer under construction. */
struct out {
	struct request *r;
	uint64_t age_ms; /* of what it says */
	char *buf;
	size_t len, room;
};

/* Whether it fitted. */
static bool put(struct out *o, const char *name, const struct attr *a,
		bool with_attr, uint64_t off)
{
	struct fuse_entry_param e = { 0 };
	size_t n;

	if (with_attr) {
		fs_entry(o->r->fs, a, o->age_ms, &e);
	} else {
		e.attr.st_ino = a->id;
		e.attr.st_mode = a->mode;
	}
	if (o->r->plus)
		n = fuse_add_direntry_plus(o->r->req, o->buf + o->len,
					   o->room - o->len, name, &e,
					   (off_t)off);
	else
		n = fuse_add_direntry(o->r->req, o->buf + o->len,
				      o->room - o->len, name, &e.attr,
				      (off_t)off);
	if (n > o->room - o->len)
		return false;
	o->len += n;
	return true;
}

/* "." and ".." without attributes: the kernel takes none for them. */
static bool put_dots(struct out *o, const struct dir *d)
{
	const struct attr self = { .id = d->id, .mode = S_IFDIR };
	const struct attr up = { .id = d->parent, .mode = S_IFDIR };

	if (o->r->offset == 0 && !put(o, ".", &self, false, AFTER_DOT))
		return false;
	return put(o, "..", &up, false, AFTER_DOTDOT);
}

/* Fills the answer from the page, from entry `at` on, and sends it. */
static void answer_from(struct request *r, struct dir *d, size_t at)
{
	struct out o = { .r = r, .room = r->size };
	bool dots = r->offset == 0 || r->offset == AFTER_DOT;

	o.age_ms = loop_now_ms(r->fs->loop) - d->made_ms;
	o.buf = buffers_get(&r->fs->buffers, r->size);
	if (!dots || put_dots(&o, d)) {
		for (; at < d->n; at++)
			if (!put(&o, d->at[at].name, &d->at[at].attr, true,
				 d->at[at].id))
				break;
		d->next = at;
	}
	fuse_reply_buf(r->req, o.buf, o.len);
	buffers_put(&r->fs->buffers, o.buf, r->size);
}

/* Copies the master's page: the kernel takes it in small bites. */
static void load(struct fs *fs, struct dir *d, const struct list_reply *p,
		 uint64_t after)
{
	size_t i, names = 0;
	char *name;

	for (i = 0; i < p->entries.n; i++)
		names += p->entries.at[i].name.len + 1;
	free(d->at);
	d->at = mem_alloc(p->entries.n * sizeof(*d->at) + names + 1);
	name = (char *)(d->at + p->entries.n);
	for (i = 0; i < p->entries.n; i++) {
		const struct dirent *e = &p->entries.at[i];

		d->at[i] = (struct entry){ e->attr.id, name, e->attr };
		d->at[i].attr.version.ptr = NULL;
		d->at[i].attr.target.ptr = NULL;
		names_put(&fs->names, p->id, e->name.ptr, e->name.len, &e->attr,
			  p->change);
		memcpy(name, e->name.ptr, e->name.len);
		name += e->name.len;
		*name++ = '\0';
	}
	d->n = p->entries.n;
	d->next = 0;
	d->id = p->id;
	d->parent = p->parent;
	d->after = after;
	d->more = p->more;
	d->made_ms = loop_now_ms(fs->loop);
	d->loaded = true;
}

/* The offset as the master takes it. */
static uint64_t after_of(const struct request *r)
{
	return r->offset == AFTER_DOT || r->offset == AFTER_DOTDOT ? 0
								   : r->offset;
}

static void readdir_ask(struct request *r)
{
	const struct list_request q = {
		.id = request_id(r),
		.after = after_of(r),
		.limit = PAGE_ENTRIES,
	};

	request_call(r, RPC_MASTER_METHOD(list), &q);
}

/* The handle may be closed by now, or be one of another process. */
static void readdir_answer(struct request *r, const void *reply)
{
	struct dir *d = map_get(&r->fs->dirs, r->fi.fh);

	if (!d)
		d = dir_new(r->fs, r->fi.fh);
	load(r->fs, d, reply, after_of(r));
	names_seen(&r->fs->names, ((const struct list_reply *)reply)->change,
		   r->asked_ms);
	if (r->node == FUSE_ROOT_ID)
		d->parent = d->id;
	answer_from(r, d, 0);
}

static void serve(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		  struct fuse_file_info *fi, bool plus)
{
	static const struct request_ops ops = {
		"readdir",
		readdir_ask,
		readdir_answer,
		NULL,
	};
	struct request *r = request_new(req, &ops, ino, NULL);
	struct dir *d = map_get(&r->fs->dirs, fi->fh);
	uint64_t from = (uint64_t)off;
	size_t at;

	r->size = size;
	r->offset = from;
	r->fi = *fi;
	r->plus = plus;
	if (from == AFTER_DOT)
		from = 0;
	if (d && from && is_fresh(r->fs, d) && find(d, from, &at) &&
	    (at < d->n || !d->more)) {
		answer_from(r, d, at);
		request_free(r);
		return;
	}
	request_start(r);
}

void fs_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		struct fuse_file_info *fi)
{
	serve(req, ino, size, off, fi, false);
}

void fs_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	serve(req, ino, size, off, fi, true);
}
