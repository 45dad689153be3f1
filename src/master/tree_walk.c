#include "master/tree_walk.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/mem.h"

struct tree_walk_level {
	uint64_t dir;
	uint64_t after;
	bool listed;
};

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
	w->waiting = false;
	w->code = 0;
	push(w, root);
}

static void on_listed(struct loader_wait *wait, int code, const struct err *err)
{
	struct tree_walk *w = container_of(wait, struct tree_walk, wait);

	w->waiting = false;
	w->code = code;
	if (code)
		w->err = *err;
	w->go_on(w);
}

/* Whether the directory has to be listed first, which then begins. */
static bool list_first(struct tree_walk *w, struct tree_walk_level *top)
{
	struct namespace *ns = journal_namespace(w->loader->o.journal);
	struct inode_view v;

	if (top->listed)
		return false;
	top->listed = true;
	if (namespace_get(ns, top->dir, &v) || !v.mount)
		return false;
	if (v.complete_ms && !w->refresh)
		return false;
	w->waiting = true;
	loader_list(w->loader, top->dir, &w->wait, on_listed);
	return true;
}

int tree_walk_next(struct tree_walk *w, struct inode_view *out)
{
	struct namespace *ns = journal_namespace(w->loader->o.journal);
	struct tree_walk_level *top;
	int rv = w->code;

	if (w->waiting)
		return -EAGAIN;
	if (rv) {
		w->code = 0;
		w->n--; /* what is known of it is old or part */
		return rv;
	}
	while (w->n) {
		top = &w->levels[w->n - 1];
		if (list_first(w, top))
			return -EAGAIN;
		if (namespace_next(ns, top->dir, top->after, out)) {
			w->n--;
			continue;
		}
		top->after = out->id;
		if (S_ISDIR(out->mode) && w->recursive)
			push(w, out->id);
		return 1;
	}
	return 0;
}

const char *tree_walk_error(const struct tree_walk *w)
{
	return w->err.msg;
}

void tree_walk_close(struct tree_walk *w)
{
	free(w->levels);
	w->levels = NULL;
	w->n = 0;
}
