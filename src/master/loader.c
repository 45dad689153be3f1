#include "master/listing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

enum {
	ASKS = 3,        /* that pages may overtake */
	BESIDE = 1000,   /* names that are looked at for directories to list */
	BESIDE_PAGES = 8 /* of each of them at most */
};

struct statting {
	struct loader *l;
	uint64_t hash, dir;
	uint32_t mount;            /* that was asked */
	struct list waiters, late; /* late: for the next answer */
	struct storage_req req;
	struct journal_req journal;
	struct task fail;
	struct err err;
	int code;
	uint64_t asked; /* its place among all requests */
	unsigned asks;
	bool unknown;  /* until now: a page that has it is an answer */
	bool told;     /* what a page said */
	bool doubtful; /* to be asked again */
	bool journalled;
	size_t len;
	char name[];
};

void loader_init(struct loader *l, const struct loader_options *o)
{
	*l = (struct loader){ .o = *o };
	map_init(&l->listings);
	map_init(&l->stats);
	negative_init(&l->negative, o->negative_ttl_ms);
	interest_init(&l->interest);
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
	interest_close(&l->interest);
	skipped_close(&l->skipped);
}

static struct namespace *tree(const struct loader *l)
{
	return journal_namespace(l->o.journal);
}

void loader_tell(struct list *waiters, int code, const struct err *err)
{
	struct loader_wait *w;
	struct list *link;

	while ((link = list_pop_front(waiters))) {
		w = list_entry(link, struct loader_wait, link);
		w->done(w, code, err);
	}
}

int loader_storage(struct loader *l, uint64_t dir, char *path, uint32_t *mount,
		   struct storage **out, struct err *err)
{
	struct inode_view v;
	ssize_t n;
	int rv = namespace_get(tree(l), dir, &v);

	if (rv)
		return err_set(err, rv, "%s", err_text(rv));
	if (!v.mount)
		return err_set(err, -ENOENT, "nothing is mounted there");
	n = namespace_ufs_path(tree(l), dir, path, LOADER_PATH);
	if (n < 0)
		return err_set(err, (int)n, "%s", err_text((int)n));
	*mount = v.mount;
	return mounts_storage(l->o.mounts, tree(l), v.mount, out, err);
}

bool loader_remounted(const struct loader *l, uint64_t dir, uint32_t mount)
{
	struct inode_view v;

	return namespace_get(tree(l), dir, &v) == 0 && v.mount != mount;
}

/* Single names. */

/* For those who came when it had been asked for, and want nothing older. */
static void stat_again(struct statting *s)
{
	struct statting *next;
	struct loader_wait *w;
	struct list *link;

	while ((link = list_pop_front(&s->late))) {
		w = list_entry(link, struct loader_wait, link);
		loader_stat(s->l, s->dir, s->name, s->len, false, w, w->done);
		next = map_get(&s->l->stats, s->hash);
		next->unknown = false;
	}
}

static void stat_end(struct statting *s, int code)
{
	struct loader *l = s->l;
	uint64_t dir = s->dir;
	bool held = s->asks > ASKS;

	if (map_get(&l->stats, s->hash) == s)
		map_remove(&l->stats, s->hash);
	storage_req_close(&s->req);
	if (code && !s->err.code)
		err_set(&s->err, code, "%s", err_text(code));
	loader_tell(&s->waiters, code, &s->err);
	stat_again(s);
	free(s);
	if (held)
		listing_go_on(l, dir);
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

static void learn_found(struct statting *s)
{
	struct journal_record r = { .type = JOURNAL_learn };

	r.learn.dir = s->dir;
	r.learn.found.at = s->req.page.at;
	r.learn.found.n = 1;
	journal_submit(s->l->o.journal, &r, &s->journal, on_stat_learned);
}

static void on_directory_forgotten(struct journal_req *req,
				   const struct namespace_result *res)
{
	struct statting *s = container_of(req, struct statting, journal);

	if (res->code)
		stat_end(s, res->code);
	else
		learn_found(s);
}

static void forget_name(struct statting *s,
			void (*done)(struct journal_req *req,
				     const struct namespace_result *res))
{
	const schema_bytes name = { s->name, s->len };
	struct journal_record r = { .type = JOURNAL_forget };

	r.forget.dir = s->dir;
	r.forget.names.at = &name;
	r.forget.names.n = 1;
	journal_submit(s->l->o.journal, &r, &s->journal, done);
}

/* A directory that has become a file goes first: a listing, be it one that was
 * given up, would leave it to its end which of the two it is. */
static void stat_found(struct statting *s)
{
	struct found *f = &s->req.page.at[0];
	bool wanted, known;
	struct inode_view v;

	f->name.ptr = s->name;
	f->name.len = s->len;
	wanted = listing_note(s->l, s->dir, s->hash, s->asked, true);
	known = namespace_child(tree(s->l), s->dir, s->name, s->len, &v) == 0;
	if (!wanted && known && loader_same(&v, f)) {
		stat_end(s, 0);
		return;
	}
	s->journalled = true;
	if (known && S_ISDIR(v.mode) && !S_ISDIR(f->mode))
		forget_name(s, on_directory_forgotten);
	else
		learn_found(s);
}

static void stat_absent(struct statting *s)
{
	struct loader *l = s->l;
	struct inode_view v;

	listing_note(l, s->dir, s->hash, s->asked, false);
	negative_add(&l->negative, s->dir, s->name, s->len,
		     loop_now_ms(l->o.loop));
	if (namespace_child(tree(l), s->dir, s->name, s->len, &v)) {
		stat_end(s, -ENOENT);
		return;
	}
	s->journalled = true;
	forget_name(s, on_stat_forgotten);
}

static void ask(struct statting *s);

/* A listing has begun or a page has come since it was asked for, and nothing
 * that is older may come after it. */
static void ask_again(struct statting *s)
{
	storage_req_close(&s->req);
	s->err = (struct err){ 0 };
	ask(s);
}

static void on_stat(struct storage_req *req)
{
	struct statting *s = container_of(req, struct statting, req);

	bool absent = req->code == -ENOENT || req->code == -ENOTDIR;

	if (s->told) {
		stat_end(s, 0);
	} else if (loader_remounted(s->l, s->dir, s->mount)) {
		stat_end(s, -ESTALE);
	} else if (req->code && !absent) {
		s->err = req->err;
		stat_end(s, req->code);
	} else if (s->doubtful) {
		ask_again(s);
	} else if (absent) {
		stat_absent(s);
	} else {
		stat_found(s);
	}
}

static void on_stat_failed(struct task *t)
{
	struct statting *s = container_of(t, struct statting, fail);

	stat_end(s, s->code);
}

static void ask(struct statting *s)
{
	struct loader *l = s->l;
	char path[LOADER_PATH], *full;
	struct storage *storage;

	s->code = loader_storage(l, s->dir, path, &s->mount, &storage, &s->err);
	if (s->code) {
		loop_post(l->o.loop, &s->fail, on_stat_failed);
		return;
	}
	l->n_stats++;
	s->doubtful = false;
	s->asks++;
	s->asked = ++l->n_asked;
	full = mem_printf("%s%s%s", path, path[0] ? "/" : "", s->name);
	storage_stat(storage, &s->req, full, on_stat);
	free(full);
}

void loader_doubt(struct loader *l, uint64_t dir)
{
	struct map_slot *slot;
	struct statting *s;
	size_t at = 0;

	while ((slot = map_next(&l->stats, &at))) {
		s = slot->value;
		if (s->dir == dir && s->journalled)
			listing_note(l, dir, s->hash, 0, false);
		else if (s->dir == dir)
			s->doubtful = true;
	}
}

void loader_learned(struct loader *l, uint64_t dir)
{
	const struct err none = { 0 };
	struct map_slot *slot;
	struct inode_view v;
	struct list known;
	struct statting *s;
	struct list *link;
	size_t at = 0;

	list_init(&known);
	while ((slot = map_next(&l->stats, &at))) {
		s = slot->value;
		if (s->dir != dir || !s->unknown || s->journalled || s->told ||
		    namespace_child(tree(l), dir, s->name, s->len, &v))
			continue;
		s->told = true;
		while ((link = list_pop_front(&s->waiters)))
			list_push_back(&known, link);
	}
	loader_tell(&known, 0, &none);
}

bool loader_is_late(struct loader *l, uint64_t dir)
{
	struct map_slot *slot;
	struct statting *s;
	size_t at = 0;

	while ((slot = map_next(&l->stats, &at))) {
		s = slot->value;
		if (s->dir == dir && s->asks > ASKS && !s->told)
			return true;
	}
	return false;
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
	list_init(&s->late);
	return s;
}

/* A directory in which one name after the other is asked for is listed; not for
 * one that is looked at again. */
static void note_interest(struct loader *l, uint64_t dir, const void *name,
			  size_t len)
{
	struct inode_view v;
	unsigned pages;

	if (namespace_get(tree(l), dir, &v) || !v.mount || v.complete_ms ||
	    !namespace_child(tree(l), dir, name, len, &v))
		return;
	pages = interest_note(&l->interest, dir, loop_now_ms(l->o.loop));
	if (pages)
		listing_begin(l, dir, pages);
}

/* The next `n` directories beside this one that are not known in full, round
 * and round. */
static void list_beside(struct loader *l, const struct inode_view *dir,
			unsigned n, unsigned pages)
{
	const uint64_t now_ms = loop_now_ms(l->o.loop);
	struct inode_view v = { .id = dir->id };
	unsigned i;
	int rv;

	for (i = 0; n && i < BESIDE; i++) {
		rv = namespace_next(tree(l), dir->parent, v.id, &v);
		if (rv == -ENOENT)
			v.id = 0;
		if (v.id == dir->id || (rv && rv != -ENOENT))
			return;
		if (rv || !S_ISDIR(v.mode) || v.complete_ms ||
		    v.mount != dir->mount || map_get(&l->listings, v.id) ||
		    !interest_try(&l->interest, v.id, now_ms))
			continue;
		listing_begin(l, v.id, pages);
		n--;
	}
}

void loader_listed(struct loader *l, uint64_t dir, unsigned pages)
{
	struct inode_view v;
	unsigned n;

	if (namespace_get(tree(l), dir, &v) || v.is_mount_point)
		return;
	n = interest_listed(&l->interest, dir, v.parent,
			    loop_now_ms(l->o.loop));
	pages *= 2;
	list_beside(l, &v, n, pages < BESIDE_PAGES ? pages : BESIDE_PAGES);
}

bool loader_stat(struct loader *l, uint64_t dir, const void *name, size_t len,
		 bool fresh, struct loader_wait *w,
		 void (*done)(struct loader_wait *w, int code,
			      const struct err *err))
{
	uint64_t hash = negative_hash(dir, name, len);
	struct statting *s = map_get(&l->stats, hash);
	struct inode_view v;

	w->done = done;
	if (s && is_of(s, dir, name, len)) {
		fresh |= s->told; /* nobody looks at its answer */
		list_push_back(fresh ? &s->late : &s->waiters, &w->link);
		return !fresh;
	}
	s = statting_new(l, hash, dir, name, len);
	list_push_back(&s->waiters, &w->link);
	if (!map_get(&l->stats, hash))
		map_put(&l->stats, hash, s);
	s->unknown = !fresh &&
		     namespace_child(tree(l), dir, name, len, &v) == -ENOENT;
	note_interest(l, dir, name, len);
	ask(s);
	return false;
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
