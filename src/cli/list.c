#include "cli/list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "cli/text.h"

/* Entries a page. */
#define PAGE 1000

struct page {
	list_entry_fn fn;
	void *arg;
	uint64_t after;
	bool more;
};

static int on_page(void *arg, const void *reply)
{
	const struct list_reply *r = reply;
	struct page *p = arg;
	size_t i;
	int rv = 0;

	for (i = 0; i < r->entries.n && !rv; i++)
		rv = p->fn(p->arg, &r->entries.at[i]);
	if (r->entries.n)
		p->after = r->entries.at[r->entries.n - 1].attr.id;
	p->more = r->more && r->entries.n;
	return rv;
}

int list_directory(struct cli *cli, const char *path, enum list_how how,
		   list_entry_fn fn, void *arg)
{
	struct list_request req = {
		.path = text_bytes(path),
		.limit = PAGE,
		.refresh = how == LIST_REFRESHED,
		.known = how == LIST_KNOWN,
	};
	struct page p = { .fn = fn, .arg = arg, .more = true };
	int rv = 0;

	while (p.more && !rv) {
		req.after = p.after;
		rv = cli_call(cli, RPC_MASTER_METHOD(list), &req, on_page, &p);
		req.refresh = false;
	}
	return rv;
}

struct self {
	list_entry_fn fn;
	void *arg;
	const char *path;
};

static int on_stat(void *arg, const void *reply)
{
	const struct stat_reply *r = reply;
	const struct self *s = arg;
	struct dirent e = {
		.name = text_bytes(s->path),
		.attr = r->attr,
		.holders = r->holders,
		.cached = r->cached,
	};

	return s->fn(s->arg, &e);
}

int list_self(struct cli *cli, const char *path, bool refresh, list_entry_fn fn,
	      void *arg)
{
	const struct stat_request req = { .path = text_bytes(path),
					  .refresh = refresh };
	struct self self = { fn, arg, path };

	return cli_call(cli, RPC_MASTER_METHOD(stat), &req, on_stat, &self);
}

char *list_join(const char *dir, const schema_bytes *name)
{
	return mem_printf("%s%s%.*s", dir,
			  dir[strlen(dir) - 1] == '/' ? "" : "/",
			  (int)name->len, (const char *)name->ptr);
}

/* Walks. */

struct list_item {
	struct dirent entry; /* name and target are its own; no more pointers */
	const struct list_walk *walk;
};

static int visit(struct list_walk *w, const struct dirent *e)
{
	char *path = list_join(w->dir, &e->name);
	int rv = w->visit(w->arg, e, path);

	if (!rv && w->recursive && S_ISDIR(e->attr.mode)) {
		w->below =
			mem_resize(w->below, w->n_below + 1, sizeof(*w->below));
		w->below[w->n_below++] = path;
		return 0;
	}
	free(path);
	return rv;
}

static schema_bytes copy(const schema_bytes *b)
{
	return (schema_bytes){ mem_copy(b->ptr, b->len), b->len };
}

static int collect(struct list_walk *w, const struct dirent *e)
{
	struct list_item *i;

	if (w->n_items == w->room) {
		w->room = w->room ? 2 * w->room : 256;
		w->items = mem_resize(w->items, w->room, sizeof(*w->items));
	}
	i = &w->items[w->n_items++];
	i->walk = w;
	i->entry = *e;
	i->entry.name = copy(&e->name);
	i->entry.attr.target = copy(&e->attr.target);
	i->entry.attr.version = (schema_bytes){ NULL, 0 };
	i->entry.holders = (schema_u32_array){ NULL, 0 };
	return 0;
}

static int on_walk_entry(void *arg, const struct dirent *e)
{
	struct list_walk *w = arg;

	return w->compare ? collect(w, e) : visit(w, e);
}

static int compare(const void *a, const void *b)
{
	const struct list_item *x = a, *y = b;
	int order = x->walk->compare(&x->entry, &y->entry);

	if (order == 0)
		order = list_compare_names(&x->entry, &y->entry);
	return x->walk->backwards ? -order : order;
}

static int visit_items(struct list_walk *w)
{
	size_t i;
	int rv = 0;

	if (w->n_items)
		qsort(w->items, w->n_items, sizeof(*w->items), compare);
	for (i = 0; i < w->n_items; i++) {
		struct dirent *e = &w->items[i].entry;

		if (!rv)
			rv = visit(w, e);
		free((void *)(uintptr_t)e->name.ptr);
		free((void *)(uintptr_t)e->attr.target.ptr);
	}
	w->n_items = 0;
	return rv;
}

/* The last `n` in the opposite order, so that the first comes off first. */
static void turn(struct list_walk *w, size_t n)
{
	size_t i = w->n_below - n, j = w->n_below;
	char *path;

	for (; j > i + 1; i++) {
		path = w->below[i];
		w->below[i] = w->below[--j];
		w->below[j] = path;
	}
}

static int on_walk_self(void *arg, const struct dirent *e)
{
	const struct list_walk *w = arg;

	return w->visit(w->arg, e, w->dir);
}

static int walk_one(struct list_walk *w, const char *path)
{
	const size_t before = w->n_below;
	int rv, sorted;

	w->dir = path;
	rv = list_directory(w->cli, path,
			    w->refresh ? LIST_REFRESHED : LIST_ALL,
			    on_walk_entry, w);
	sorted = visit_items(w);
	turn(w, w->n_below - before);
	if (rv == -ENOTDIR)
		return list_self(w->cli, path, w->refresh, on_walk_self, w);
	return rv ? rv : sorted;
}

int list_walk(struct list_walk *w, const char *path)
{
	int rv = walk_one(w, path);
	char *dir;

	while (w->n_below) {
		dir = w->below[--w->n_below];
		if (!rv)
			rv = walk_one(w, dir);
		free(dir);
	}
	free(w->below);
	free(w->items);
	w->below = NULL;
	w->items = NULL;
	w->room = 0;
	return rv;
}

int list_compare_names(const struct dirent *a, const struct dirent *b)
{
	const size_t n = a->name.len < b->name.len ? a->name.len : b->name.len;
	int order = n ? memcmp(a->name.ptr, b->name.ptr, n) : 0;

	if (order)
		return order;
	return (a->name.len > b->name.len) - (a->name.len < b->name.len);
}
