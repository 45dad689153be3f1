/*
 * Scan-resistant retention, the default: keeps what is there.
 *
 * An epoch reads every file once in a new random order.  Over a cache that is
 * smaller than the data set, whatever replaces files loses hits; keeping the
 * same files gives as many hits as any policy can (peers.md: 60 % of 60 %,
 * where LRU has 23 %).  So a file that finds no free room is not admitted,
 * unless there is proof that what lies there is worth less than it:
 *
 *  - a file not wanted for four times as long as files usually wait to be
 *    wanted again (two times is the most that shuffled epochs can take);
 *  - for as long as files usually wait, nothing that lies here was wanted, but
 *    files that are not here, this one among them, were wanted again: the
 *    working set is another;
 *  - the file comes back eight times as fast, twice in a row, as the coldest
 *    one has been waiting.
 *
 * Who asks for files to be loaded gets them in place of all that was not wanted
 * since the load began.
 *
 * Time is counted in ticks, one for each file that is wanted again: a scan of
 * files that nobody has read before ages nothing, however long it is.
 */

#include "core/evictor.h"

#include <stdlib.h>

#include "base/mem.h"
#include "core/ghosts.h"

enum {
	SAMPLES = 64,        /* before the mean gap means something */
	MEAN_WEIGHT = 1024,  /* samples that the mean remembers */
	STALE_GAPS = 4,      /* mean gaps without being wanted */
	FASTER = 8,          /* times as fast as the coldest */
	CORRELATED = 16,     /* of as many parts of the cache: one visit */
	GHOSTS_PER_NODE = 4, /* reaches down to a cache of a fifth */
};

struct retain {
	struct evictor evictor;
	struct list coldest_first; /* by rank, the tick of the last want */
	uint64_t n_nodes;
	uint64_t now;
	uint64_t samples, mean_gap_1024; /* in ticks, times 1024 */
	uint64_t dry;       /* wanted again and missed, since the last hit */
	uint64_t dry_since; /* tick */
	uint64_t given_up;  /* what was not wanted from this tick on */
	uint64_t load, load_since; /* the last load, and its first tick */
	struct ghosts ghosts;
};

static struct retain *to_retain(struct evictor *e)
{
	return container_of(e, struct retain, evictor);
}

static struct evictor *retain_create(void)
{
	struct retain *r = mem_alloc(sizeof(*r));

	r->evictor.ops = &evictor_retain;
	list_init(&r->coldest_first);
	ghosts_resize(&r->ghosts, 0);
	r->now = 1;
	return &r->evictor;
}

static void retain_destroy(struct evictor *e)
{
	struct retain *r = to_retain(e);

	ghosts_close(&r->ghosts);
	free(r);
}

/* Opening a file a few times in a row is one visit, not proof of heat. */
static bool is_new_visit(const struct retain *r, uint64_t gap)
{
	return gap > r->n_nodes / CORRELATED;
}

static void sample(struct retain *r, uint64_t gap)
{
	uint64_t weight;

	r->samples++;
	weight = r->samples < MEAN_WEIGHT ? r->samples : MEAN_WEIGHT;
	r->mean_gap_1024 -= r->mean_gap_1024 / weight;
	r->mean_gap_1024 += gap * 1024 / weight;
}

static void retain_insert(struct evictor *e, struct evict_node *n)
{
	struct retain *r = to_retain(e);

	r->n_nodes++;
	n->rank = r->now;
	list_push_back(&r->coldest_first, &n->link);
	ghosts_resize(&r->ghosts, r->n_nodes * GHOSTS_PER_NODE);
}

static void retain_touch(struct evictor *e, struct evict_node *n)
{
	struct retain *r = to_retain(e);
	uint64_t gap = r->now - n->rank;

	if (is_new_visit(r, gap))
		sample(r, gap);
	n->rank = ++r->now;
	r->dry = 0;
	list_remove(&n->link);
	list_push_back(&r->coldest_first, &n->link);
}

static void retain_remove(struct evictor *e, struct evict_node *n)
{
	to_retain(e)->n_nodes--;
	list_remove(&n->link);
}

static void retain_missed(struct evictor *e, uint64_t id)
{
	struct retain *r = to_retain(e);
	struct ghost *g = ghosts_find(&r->ghosts, id);
	uint32_t gap;

	if (!g) {
		ghosts_add(&r->ghosts, id, (uint32_t)r->now | 1);
		return;
	}
	gap = (uint32_t)r->now - g->tick;
	r->now++;
	if ((int32_t)gap < 0 || !is_new_visit(r, gap))
		return;
	sample(r, gap);
	if (r->dry++ == 0)
		r->dry_since = r->now;
	/* What came in meanwhile is of the new set. */
	if (r->dry > SAMPLES + r->mean_gap_1024 / 1024)
		r->given_up = r->dry_since;
	g->gap_before = g->gap;
	g->gap = gap;
	g->tick = (uint32_t)r->now | 1;
}

static bool is_wanted_again(const struct ghost *g)
{
	return g && g->gap != GHOST_NO_GAP;
}

static bool is_faster(const struct ghost *g, uint64_t age)
{
	return g && g->gap_before != GHOST_NO_GAP &&
	       (uint64_t)g->gap * FASTER < age &&
	       (uint64_t)g->gap_before * FASTER < age;
}

/* Whether `v`, the coldest, is worth less than `n`. */
static bool yields(const struct retain *r, const struct evict_node *v,
		   const struct evict_node *n)
{
	uint64_t age = r->now - v->rank;
	const struct ghost *g;

	if (n->load && v->rank < r->load_since)
		return true;
	if (r->samples < SAMPLES)
		return false;
	if (age > SAMPLES + STALE_GAPS * r->mean_gap_1024 / 1024)
		return true;
	g = ghosts_find(&r->ghosts, n->id);
	return (v->rank < r->given_up && is_wanted_again(g)) ||
	       is_faster(g, age);
}

static struct evict_node *retain_victim(struct evictor *e,
					const struct evict_node *n,
					struct evict_node *after)
{
	struct retain *r = to_retain(e);
	const struct list *head = &r->coldest_first;
	struct list *next = after ? after->link.next : head->next;
	struct evict_node *v;

	if (n && n->load > r->load) {
		r->load = n->load;
		r->load_since = ++r->now;
	}
	if (n && next == &n->link)
		next = next->next;
	if (next == head)
		return NULL;
	v = list_entry(next, struct evict_node, link);
	return !n || yields(r, v, n) ? v : NULL;
}

const struct evictor_ops evictor_retain = {
	.name = "retain",
	.create = retain_create,
	.destroy = retain_destroy,
	.insert = retain_insert,
	.touch = retain_touch,
	.remove = retain_remove,
	.missed = retain_missed,
	.victim = retain_victim,
};
