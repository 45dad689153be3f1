#include "master/tree_walk.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/mem.h"

#define LISTED_MAX 64 /* ahead of the walk, in all */

struct tree_walk_level {
	uint64_t dir;
	uint64_t after;  /* walked up to here, */
	uint64_t walked; /* so many */
	uint64_t ahead;  /* looked at, to list ahead, up to here, */
	uint64_t looked; /* so many */
	bool listed;
	bool looked_all;
};

/* A directory that is being listed, or was, for the walk. */
struct listing_ahead {
	struct loader_wait wait;
	struct tree_walk *w;
	bool done;
	int code;
	struct err err;
};

static struct namespace *tree(const struct tree_walk *w)
{
	return journal_namespace(w->loader->o.journal);
}

static void push(struct tree_walk *w, uint64_t dir)
{
	if (w->n == w->room) {
		w->room = w->room ? 2 * w->room : 16;
		w->levels = mem_resize(w->levels, w->room, sizeof(*w->levels));
	}
	w->levels[w->n++] = (struct tree_walk_level){ .dir = dir };
}

void tree_walk_start(struct tree_walk *w, uint64_t root)
{
	w->levels = NULL;
	w->n = w->room = 0;
	w->listing = 0;
	w->code = 0;
	map_init(&w->listings);
	push(w, root);
}

bool tree_walk_busy(const struct tree_walk *w)
{
	return w->listing > 0;
}

static void on_listed(struct loader_wait *wait, int code, const struct err *err)
{
	struct listing_ahead *a =
		container_of(wait, struct listing_ahead, wait);

	a->done = true;
	a->code = code;
	if (code)
		a->err = *err;
	a->w->listing--;
	a->w->go_on(a->w);
}

static void begin_listing(struct tree_walk *w, uint64_t dir)
{
	struct listing_ahead *a = mem_alloc(sizeof(*a));

	a->w = w;
	map_put(&w->listings, dir, a);
	w->listing++;
	loader_list(w->loader, dir, w->refresh, &a->wait, on_listed);
}

static bool must_list(const struct tree_walk *w, const struct inode_view *v)
{
	return v->mount && (w->refresh || !v->complete_ms);
}

/* Lists the next directories of the innermost level that is listed itself. */
static void look_ahead(struct tree_walk *w)
{
	struct tree_walk_level *level;
	struct inode_view v;

	level = w->n ? &w->levels[w->n - 1] : NULL;
	if (level && !level->listed)
		level = w->n > 1 ? level - 1 : NULL;
	if (!level || !w->recursive)
		return;
	if (level->looked < level->walked) {
		level->looked = level->walked;
		level->ahead = level->after;
	}
	while (!level->looked_all && w->listing < TREE_WALK_AHEAD &&
	       w->listings.used < LISTED_MAX) {
		if (namespace_next(tree(w), level->dir, level->ahead, &v)) {
			level->looked_all = true;
			return;
		}
		level->ahead = v.id;
		level->looked++;
		if (S_ISDIR(v.mode) && must_list(w, &v) &&
		    !map_get(&w->listings, v.id))
			begin_listing(w, v.id);
	}
}

/* Whether the directory is listed now; else it is under way, or w->code. */
static bool list_first(struct tree_walk *w, struct tree_walk_level *top)
{
	struct listing_ahead *a;
	struct inode_view v;

	if (top->listed)
		return true;
	a = map_get(&w->listings, top->dir);
	if (a && !a->done)
		return false;
	if (!a) {
		if (namespace_get(tree(w), top->dir, &v) || !must_list(w, &v)) {
			top->listed = true;
			return true;
		}
		begin_listing(w, top->dir);
		return false;
	}
	map_remove(&w->listings, top->dir);
	top->listed = true;
	w->code = a->code;
	if (a->code)
		w->err = a->err;
	free(a);
	return !w->code;
}

int tree_walk_next(struct tree_walk *w, struct inode_view *out)
{
	struct tree_walk_level *top;
	int rv;

	while (w->n) {
		top = &w->levels[w->n - 1];
		if (!list_first(w, top)) {
			look_ahead(w);
			rv = w->code;
			w->code = 0;
			if (rv)
				w->n--; /* what is known is old or a part */
			return rv ? rv : -EAGAIN;
		}
		if (namespace_next(tree(w), top->dir, top->after, out)) {
			w->n--;
			continue;
		}
		top->after = out->id;
		top->walked++;
		if (S_ISDIR(out->mode) && w->recursive) {
			look_ahead(w);
			push(w, out->id);
		}
		return 1;
	}
	return w->listing ? -EAGAIN : 0;
}

const char *tree_walk_error(const struct tree_walk *w)
{
	return w->err.msg;
}

void tree_walk_close(struct tree_walk *w)
{
	struct map_slot *slot;
	size_t at = 0;

	assert(w->listing == 0);
	while ((slot = map_next(&w->listings, &at)))
		free(slot->value);
	map_close(&w->listings);
	free(w->levels);
	w->levels = NULL;
	w->n = 0;
}
