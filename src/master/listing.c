#include "master/listing.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum {
	RECORDS = 2,    /* in the journal or on their way */
	PAGE = 1000,    /* names that are asked for at once */
	WALK = 2000,    /* children that are looked at in a turn */
	SEEN_PARTS = 64 /* so that no table grows for long */
};

struct listing {
	struct loader *l;
	uint64_t dir;
	struct list waiters, late; /* late: for the next listing */
	struct storage_req req;
	struct task task;
	struct err err;
	int code;
	uint32_t mount;      /* that is asked */
	unsigned journalled; /* records on their way */
	unsigned pages;      /* that may come yet */
	unsigned taken;      /* that have come */
	size_t skipped;      /* names that cannot be shown */
	size_t at;           /* entries of the page that are done */
	bool paged;          /* there is a page that is not done */
	bool asking;         /* `req` is */
	bool posted;         /* `task` is */
	bool listed;         /* the last page is done */
	bool complete;       /* so is all else */
	uint64_t asked;      /* the page's place among all requests */
	struct map fresh;    /* newer than the page, by hash */
	struct map doubtful; /* older, and on their way into the journal */

	/* Of a directory that is known in full: */
	bool known;
	struct map seen[SEEN_PARTS]; /* by hash */
	uint64_t after;              /* the walk for those not seen */
};

/* A record of a listing on its way. */
struct learning {
	struct journal_req req;
	struct listing *g;
};

static void step(struct listing *g);

static struct namespace *tree(const struct listing *g)
{
	return journal_namespace(g->l->o.journal);
}

static struct map *seen_part(struct listing *g, uint64_t hash)
{
	return &g->seen[hash % SEEN_PARTS];
}

static void see(struct listing *g, uint64_t hash)
{
	map_put(seen_part(g, hash), hash, g);
}

bool listing_note(struct loader *l, uint64_t dir, uint64_t hash, uint64_t asked,
		  bool there)
{
	struct listing *g = map_get(&l->listings, dir);

	if (!g)
		return false;
	map_put(asked > g->asked ? &g->fresh : &g->doubtful, hash, g);
	if (g->known && there)
		see(g, hash);
	return !g->known;
}

/* ---- the end ---- */

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

static void end(struct listing *g)
{
	size_t i;

	map_remove(&g->l->listings, g->dir);
	storage_req_close(&g->req);
	map_close(&g->fresh);
	map_close(&g->doubtful);
	for (i = 0; i < SEEN_PARTS; i++)
		map_close(&g->seen[i]);
	loader_tell(&g->waiters, g->code, &g->err);
	list_again(g);
	if (!g->code)
		loader_listed(g->l, g->dir, g->taken);
	free(g);
}

static void fail(struct listing *g, int code, const char *text)
{
	if (!g->code)
		g->code = err_set(&g->err, code, "%s", text);
}

/* ---- records ---- */

static void on_applied(struct journal_req *req,
		       const struct namespace_result *res)
{
	struct learning *n = container_of(req, struct learning, req);
	struct listing *g = n->g;

	free(n);
	loader_learned(g->l, g->dir);
	g->journalled--;
	if (res->code)
		fail(g, res->code, err_text(res->code));
	step(g);
}

static void submit(struct listing *g, struct journal_record *r)
{
	struct learning *n = mem_alloc(sizeof(*n));

	n->g = g;
	g->journalled++;
	journal_submit(g->l->o.journal, r, &n->req, on_applied);
}

static void forget(struct listing *g, uint64_t dir, const schema_bytes *names,
		   size_t n)
{
	struct journal_record r = { .type = JOURNAL_forget };

	r.forget.dir = dir;
	r.forget.names.at = names;
	r.forget.names.n = n;
	submit(g, &r);
}

static void begin_sweep(struct listing *g)
{
	struct journal_record r = { .type = JOURNAL_learn };

	r.learn.dir = g->dir;
	r.learn.first = true;
	submit(g, &r);
}

/* ---- pages ---- */

/* Whether there is nothing to journal of it. */
static bool is_no_news(struct listing *g, const struct found *f)
{
	uint64_t hash = negative_hash(g->dir, f->name.ptr, f->name.len);
	struct inode_view v;

	if (map_get(&g->fresh, hash))
		return true;
	if (!g->known)
		return false;
	see(g, hash);
	return !map_get(&g->doubtful, hash) &&
	       namespace_child(tree(g), g->dir, f->name.ptr, f->name.len, &v) ==
		       0 &&
	       loader_same(&v, f);
}

/* The next entries of the page become a record, if they are news. */
static void learn_some(struct listing *g)
{
	const struct storage_page *p = &g->req.page;
	struct journal_record r = { .type = JOURNAL_learn };
	size_t from = g->at, n = 0;

	while (g->at < p->n && g->at - from < LOADER_BATCH) {
		if (!is_no_news(g, &p->at[g->at]))
			p->at[from + n++] = p->at[g->at];
		g->at++;
	}
	g->paged = g->at < p->n;
	g->listed = !g->paged && !g->req.more;
	r.learn.dir = g->dir;
	r.learn.found.at = p->at + from;
	r.learn.found.n = n;
	r.learn.last = g->listed && !g->known;
	/* An empty one in the middle says nothing. */
	if (n || r.learn.last)
		submit(g, &r);
	g->complete = r.learn.last;
	if (!g->paged)
		storage_page_free(&g->req.page);
}

static void take_page(struct listing *g)
{
	loader_doubt(g->l, g->dir);
	g->skipped += g->req.skipped;
	if (!g->req.more)
		skipped_set(&g->l->skipped, g->dir, g->skipped);
	g->paged = true;
	g->at = 0;
	g->taken++;
	if (g->pages && g->pages != UINT_MAX)
		g->pages--;
	if (!g->pages && g->req.more)
		fail(g, -ECANCELED,
		     "the directory is too large to be listed "
		     "by the way");
}

/* The directory itself is gone. */
static void forget_dir(struct listing *g)
{
	struct inode_view v;

	if (namespace_get(tree(g), g->dir, &v) == 0 && !v.is_mount_point)
		forget(g, v.parent, &v.name, 1);
}

static void on_page(struct storage_req *req)
{
	struct listing *g = container_of(req, struct listing, req);

	g->asking = false;
	if (!g->code && loader_remounted(g->l, g->dir, g->mount)) {
		fail(g, -ESTALE, err_text(-ESTALE));
	} else if (req->code) {
		fail(g, req->code,
		     req->err.code ? req->err.msg : err_text(req->code));
		if (req->code == -ENOENT)
			forget_dir(g);
	} else if (!g->code) {
		take_page(g);
	}
	step(g);
}

/* What was newer than the page before is older than the next, and perhaps on
 * its way yet. */
static void ask_more(struct listing *g)
{
	struct map_slot *slot;
	size_t at = 0;

	while (g->known && (slot = map_next(&g->fresh, &at)))
		map_put(&g->doubtful, slot->key, g);
	map_close(&g->fresh);
	map_init(&g->fresh);
	g->asking = true;
	g->asked = ++g->l->n_asked;
	storage_list_more(&g->req);
}

/* ---- what was not seen ---- */

static bool is_seen(struct listing *g, const struct inode_view *v)
{
	uint64_t hash = negative_hash(g->dir, v->name.ptr, v->name.len);

	return v->is_mount_point || map_get(seen_part(g, hash), hash);
}

static void end_walk(struct listing *g)
{
	struct journal_record r = { .type = JOURNAL_learn };

	r.learn.dir = g->dir;
	r.learn.whole = true;
	g->complete = true;
	submit(g, &r);
}

/* Some of the children. */
static void walk(struct listing *g)
{
	schema_bytes names[LOADER_BATCH];
	struct inode_view v;
	size_t i, n = 0;
	int rv = 0;

	for (i = 0; i < WALK && n < LOADER_BATCH; i++) {
		rv = namespace_next(tree(g), g->dir, g->after, &v);
		if (rv)
			break;
		g->after = v.id;
		if (!is_seen(g, &v))
			names[n++] = v.name;
	}
	if (n)
		forget(g, g->dir, names, n);
	if (rv == -ENOENT)
		end_walk(g);
	else if (rv == -ESTALE) /* the place was lost */
		g->after = 0;
	else if (rv)
		fail(g, rv, err_text(rv));
}

/* ---- steps ---- */

static void on_task(struct task *t)
{
	struct listing *g = container_of(t, struct listing, task);

	g->posted = false;
	if (!g->code && g->listed && !g->complete)
		walk(g);
	step(g);
}

/* Goes on, or ends when nothing is on its way any more. */
static void step(struct listing *g)
{
	while (!g->code && g->paged && g->journalled < RECORDS)
		learn_some(g);
	if (!g->code && !g->paged && !g->listed && !g->asking &&
	    !loader_is_late(g->l, g->dir))
		ask_more(g);
	if (!g->code && g->listed && !g->complete && !g->posted &&
	    g->journalled < RECORDS) {
		g->posted = true;
		loop_post(g->l->o.loop, &g->task, on_task);
	}
	if (!g->asking && !g->journalled && !g->posted &&
	    (g->code || g->complete))
		end(g);
}

void listing_go_on(struct loader *l, uint64_t dir)
{
	struct listing *g = map_get(&l->listings, dir);

	if (g)
		step(g);
}

/* ---- the beginning ---- */

static struct listing *listing_new(struct loader *l, uint64_t dir)
{
	struct listing *g = mem_alloc(sizeof(*g));
	size_t i;

	g->l = l;
	g->dir = dir;
	list_init(&g->waiters);
	list_init(&g->late);
	map_init(&g->fresh);
	map_init(&g->doubtful);
	for (i = 0; i < SEEN_PARTS; i++)
		map_init(&g->seen[i]);
	map_put(&l->listings, dir, g);
	return g;
}

static void start(struct listing *g, unsigned pages)
{
	struct loader *l = g->l;
	char path[LOADER_PATH];
	struct inode_view v;
	struct storage *s;

	loader_doubt(l, g->dir);
	g->pages = pages;
	g->code = loader_storage(l, g->dir, path, &g->mount, &s, &g->err);
	if (g->code) {
		g->posted = true;
		loop_post(l->o.loop, &g->task, on_task);
		return;
	}
	g->known = namespace_get(tree(g), g->dir, &v) == 0 && v.complete_ms;
	if (!g->known)
		begin_sweep(g);
	l->n_lists++;
	g->asking = true;
	g->asked = ++l->n_asked;
	storage_list(s, &g->req, path, PAGE, on_page);
}

void listing_begin(struct loader *l, uint64_t dir, unsigned pages)
{
	if (!map_get(&l->listings, dir))
		start(listing_new(l, dir), pages);
}

void loader_list(struct loader *l, uint64_t dir, bool fresh,
		 struct loader_wait *w,
		 void (*done)(struct loader_wait *w, int code,
			      const struct err *err))
{
	struct listing *g = map_get(&l->listings, dir);

	w->done = done;
	if (g && (fresh || g->code)) {
		list_push_back(&g->late, &w->link);
		return;
	}
	if (g) {
		g->pages = UINT_MAX;
		list_push_back(&g->waiters, &w->link);
		return;
	}
	g = listing_new(l, dir);
	list_push_back(&g->waiters, &w->link);
	start(g, UINT_MAX);
}
