#include "master/loader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define LOG_MODULE "master"
#include "runtime/log.h"

#define PATH_BYTES 8192
#define PAGES      2 /* of a listing that are in the journal or on their way */

struct listing {
	struct loader *l;
	uint64_t dir;
	struct list waiters, late; /* late: for the next listing */
	struct storage_req req;
	struct task fail;
	struct err err;
	int code;
	uint32_t mount;      /* that is asked */
	unsigned journalled; /* records on their way */
	size_t skipped;      /* names that cannot be shown */
	bool asking;         /* `req` is */
	bool begun;          /* the first record was submitted */
	bool complete;       /* so was the last */
};

/* A record of a listing on its way. */
struct learning {
	struct journal_req req;
	struct listing *g;
};

struct statting {
	struct loader *l;
	uint64_t hash, dir;
	uint32_t mount; /* that was asked */
	struct list waiters;
	struct storage_req req;
	struct journal_req journal;
	struct task fail;
	struct err err;
	int code;
	size_t len;
	char name[];
};

void loader_init(struct loader *l, const struct loader_options *o)
{
	*l = (struct loader){ .o = *o };
	map_init(&l->listings);
	map_init(&l->stats);
	negative_init(&l->negative, o->negative_ttl_ms);
	skipped_init(&l->skipped);
}

bool loader_idle(const struct loader *l)
{
	return l->listings.used == 0 && l->stats.used == 0;
}

void loader_close(struct loader *l)
{
	map_close(&l->listings);
	map_close(&l->stats);
	negative_close(&l->negative);
	skipped_close(&l->skipped);
}

static struct namespace *tree(const struct loader *l)
{
	return journal_namespace(l->o.journal);
}

static void tell(struct list *waiters, int code, const struct err *err)
{
	struct loader_wait *w;
	struct list *link;

	while ((link = list_pop_front(waiters))) {
		w = list_entry(link, struct loader_wait, link);
		w->done(w, code, err);
	}
}

static int find_storage(struct loader *l, uint64_t dir, char *path,
			uint32_t *mount, struct storage **out, struct err *err)
{
	struct inode_view v;
	ssize_t n;
	int rv = namespace_get(tree(l), dir, &v);

	if (rv)
		return err_set(err, rv, "%s", err_text(rv));
	if (!v.mount)
		return err_set(err, -ENOENT, "nothing is mounted there");
	n = namespace_ufs_path(tree(l), dir, path, PATH_BYTES);
	if (n < 0)
		return err_set(err, (int)n, "%s", err_text((int)n));
	*mount = v.mount;
	return mounts_storage(l->o.mounts, tree(l), v.mount, out, err);
}

/* Whether the directory is another mount's by now: the root keeps its id when
 * something else is mounted there, and this answer is about what was. */
static bool is_remounted(const struct loader *l, uint64_t dir, uint32_t mount)
{
	struct inode_view v;

	return namespace_get(tree(l), dir, &v) == 0 && v.mount != mount;
}

/* Listings. */

static void on_page(struct storage_req *req);

/* For those who came when it had begun, and want nothing older. */
static void list_again(struct listing *g)
{
	struct loader_wait *w;
	struct list *link;

	while ((link = list_pop_front(&g->late))) {
		w = list_entry(link, struct loader_wait, link);
		loader_list(g->l, g->dir, false, w, w->done);
	}
}

/* Goes on, or ends when nothing is on its way any more. */
static void listing_step(struct listing *g)
{
	struct loader *l = g->l;

	if (!g->code && !g->complete && !g->asking && g->journalled < PAGES) {
		g->asking = true;
		storage_list_more(&g->req);
	}
	if (g->asking || g->journalled || (!g->code && !g->complete))
		return;
	map_remove(&l->listings, g->dir);
	storage_req_close(&g->req);
	tell(&g->waiters, g->code, &g->err);
	list_again(g);
	free(g);
}

static void listing_fail(struct listing *g, int code, const char *text)
{
	if (!g->code)
		g->code = err_set(&g->err, code, "%s", text);
}

static void on_learned(struct journal_req *req,
		       const struct namespace_result *res)
{
	struct learning *n = container_of(req, struct learning, req);
	struct listing *g = n->g;

	free(n);
	g->journalled--;
	if (res->code)
		listing_fail(g, res->code, err_text(res->code));
	listing_step(g);
}

static void learn(struct listing *g, const struct found *at, size_t n,
		  bool last)
{
	struct journal_record r = { .type = JOURNAL_learn };
	struct learning *req = mem_alloc(sizeof(*req));

	r.learn.dir = g->dir;
	r.learn.found.at = at;
	r.learn.found.n = n;
	r.learn.first = !g->begun;
	r.learn.last = last;
	g->begun = true;
	g->journalled++;
	req->g = g;
	journal_submit(g->l->o.journal, &r, &req->req, on_learned);
}

static void learn_page(struct listing *g)
{
	const struct storage_page *p = &g->req.page;
	size_t at = 0, n;
	bool last;

	do {
		n = p->n - at < LOADER_BATCH ? p->n - at : LOADER_BATCH;
		last = !g->req.more && at + n == p->n;
		/* An empty page in the middle says nothing. */
		if (n || last)
			learn(g, p->at + at, n, last);
		at += n;
	} while (at < p->n);
	g->complete = !g->req.more;
	g->skipped += g->req.skipped;
	if (g->complete)
		skipped_set(&g->l->skipped, g->dir, g->skipped);
	storage_page_free(&g->req.page);
}

static void on_forgotten_dir(struct journal_req *req,
			     const struct namespace_result *res ATTR_UNUSED)
{
	struct learning *n = container_of(req, struct learning, req);
	struct listing *g = n->g;

	free(n);
	g->journalled--;
	listing_step(g);
}

/* The directory itself is gone. */
static void forget_dir(struct listing *g)
{
	struct journal_record r = { .type = JOURNAL_forget };
	struct namespace *ns = tree(g->l);
	struct learning *req;
	struct inode_view v;

	if (namespace_get(ns, g->dir, &v) || v.is_mount_point)
		return;
	r.forget.dir = v.parent;
	r.forget.names.at = &v.name;
	r.forget.names.n = 1;
	req = mem_alloc(sizeof(*req));
	req->g = g;
	g->journalled++;
	journal_submit(g->l->o.journal, &r, &req->req, on_forgotten_dir);
}

static void on_page(struct storage_req *req)
{
	struct listing *g = container_of(req, struct listing, req);

	g->asking = false;
	if (!g->code && is_remounted(g->l, g->dir, g->mount)) {
		listing_fail(g, -ESTALE, err_text(-ESTALE));
	} else if (req->code) {
		listing_fail(g, req->code,
			     req->err.code ? req->err.msg
					   : err_text(req->code));
		if (req->code == -ENOENT)
			forget_dir(g);
	} else if (!g->code) {
		learn_page(g);
	}
	listing_step(g);
}

static void on_listing_failed(struct task *t)
{
	listing_step(container_of(t, struct listing, fail));
}

void loader_list(struct loader *l, uint64_t dir, bool fresh,
		 struct loader_wait *w,
		 void (*done)(struct loader_wait *w, int code,
			      const struct err *err))
{
	struct listing *g = map_get(&l->listings, dir);
	char path[PATH_BYTES];
	struct storage *s;

	w->done = done;
	if (g) {
		list_push_back(fresh ? &g->late : &g->waiters, &w->link);
		return;
	}
	g = mem_alloc(sizeof(*g));
	g->l = l;
	g->dir = dir;
	list_init(&g->waiters);
	list_init(&g->late);
	list_push_back(&g->waiters, &w->link);
	map_put(&l->listings, dir, g);
	g->code = find_storage(l, dir, path, &g->mount, &s, &g->err);
	if (g->code) {
		loop_post(l->o.loop, &g->fail, on_listing_failed);
		return;
	}
	l->n_lists++;
	g->asking = true;
	storage_list(s, &g->req, path, LOADER_BATCH, on_page);
}

/* Single names. */

static void stat_end(struct statting *s, int code)
{
	struct loader *l = s->l;

	if (map_get(&l->stats, s->hash) == s)
		map_remove(&l->stats, s->hash);
	storage_req_close(&s->req);
	if (code && !s->err.code)
		err_set(&s->err, code, "%s", err_text(code));
	tell(&s->waiters, code, &s->err);
	free(s);
}

static void on_stat_learned(struct journal_req *req,
			    const struct namespace_result *res)
{
	stat_end(container_of(req, struct statting, journal), res->code);
}

static void on_stat_forgotten(struct journal_req *req,
			      const struct namespace_result *res)
{
	stat_end(container_of(req, struct statting, journal),
		 res->code ? res->code : -ENOENT);
}

bool loader_same(const struct inode_view *v, const struct found *f)
{
	return v->mode == f->mode && v->length == f->length &&
	       v->uid == f->uid && v->gid == f->gid &&
	       v->mtime_ns == f->mtime_ns && v->version.len == f->version.len &&
	       memcmp(v->version.ptr, f->version.ptr, f->version.len) == 0 &&
	       v->target.len == f->target.len &&
	       memcmp(v->target.ptr, f->target.ptr, f->target.len) == 0;
}

static void stat_found(struct statting *s)
{
	struct journal_record r = { .type = JOURNAL_learn };
	struct found *f = &s->req.page.at[0];
	struct inode_view v;

	f->name.ptr = s->name;
	f->name.len = s->len;
	if (namespace_child(tree(s->l), s->dir, s->name, s->len, &v) == 0 &&
	    loader_same(&v, f)) {
		stat_end(s, 0);
		return;
	}
	r.learn.dir = s->dir;
	r.learn.found.at = f;
	r.learn.found.n = 1;
	journal_submit(s->l->o.journal, &r, &s->journal, on_stat_learned);
}

static void stat_absent(struct statting *s)
{
	const schema_bytes name = { s->name, s->len };
	struct journal_record r = { .type = JOURNAL_forget };
	struct loader *l = s->l;
	struct inode_view v;

	negative_add(&l->negative, s->dir, s->name, s->len,
		     loop_now_ms(l->o.loop));
	if (namespace_child(tree(l), s->dir, s->name, s->len, &v)) {
		stat_end(s, -ENOENT);
		return;
	}
	r.forget.dir = s->dir;
	r.forget.names.at = &name;
	r.forget.names.n = 1;
	journal_submit(l->o.journal, &r, &s->journal, on_stat_forgotten);
}

static void on_stat(struct storage_req *req)
{
	struct statting *s = container_of(req, struct statting, req);

	if (is_remounted(s->l, s->dir, s->mount)) {
		stat_end(s, -ESTALE);
	} else if (req->code == 0) {
		stat_found(s);
	} else if (req->code == -ENOENT || req->code == -ENOTDIR) {
		stat_absent(s);
	} else {
		s->err = req->err;
		stat_end(s, req->code);
	}
}

static void on_stat_failed(struct task *t)
{
	struct statting *s = container_of(t, struct statting, fail);

	stat_end(s, s->code);
}

static bool is_of(const struct statting *s, uint64_t dir, const void *name,
		  size_t len)
{
	return s->dir == dir && s->len == len &&
	       memcmp(s->name, name, len) == 0;
}

static struct statting *statting_new(struct loader *l, uint64_t hash,
				     uint64_t dir, const void *name, size_t len)
{
	struct statting *s = mem_alloc(sizeof(*s) + len + 1);

	s->l = l;
	s->hash = hash;
	s->dir = dir;
	s->len = len;
	memcpy(s->name, name, len);
	list_init(&s->waiters);
	return s;
}

void loader_stat(struct loader *l, uint64_t dir, const void *name, size_t len,
		 struct loader_wait *w,
		 void (*done)(struct loader_wait *w, int code,
			      const struct err *err))
{
	uint64_t hash = negative_hash(dir, name, len);
	struct statting *s = map_get(&l->stats, hash);
	char path[PATH_BYTES], *full;
	struct storage *storage;

	w->done = done;
	if (s && is_of(s, dir, name, len)) {
		list_push_back(&s->waiters, &w->link);
		return;
	}
	s = statting_new(l, hash, dir, name, len);
	list_push_back(&s->waiters, &w->link);
	if (!map_get(&l->stats, hash))
		map_put(&l->stats, hash, s);
	s->code = find_storage(l, dir, path, &s->mount, &storage, &s->err);
	if (s->code) {
		loop_post(l->o.loop, &s->fail, on_stat_failed);
		return;
	}
	l->n_stats++;
	full = mem_printf("%s%s%s", path, path[0] ? "/" : "", s->name);
	storage_stat(storage, &s->req, full, on_stat);
	free(full);
}

bool loader_absent(const struct loader *l, const struct inode_view *dir,
		   const void *name, size_t len)
{
	uint64_t wall_ms = l->o.wall_ms(l->o.owner);

	if (!dir->mount)
		return true;
	if (dir->complete_ms && wall_ms >= dir->complete_ms &&
	    wall_ms - dir->complete_ms < l->o.negative_ttl_ms)
		return true;
	return negative_has(&l->negative, dir->id, name, len,
			    loop_now_ms(l->o.loop));
}
