/*
 * What moves between a directory and slower ones: one file at a time, on the
 * directory's disk threads, no faster than the rate allows.
 *
 * What comes up goes into the reserve; what has to go down for it follows, so
 * that it finds the room that the other one has left.
 */

#include <stdlib.h>

#include "base/mem.h"
#include "store/move.h"

enum {
	WANTED_MAX = 1024, /* more than a turn can move; wants come again */
	SKIP_MAX = 4096,   /* files in use that a search steps over */
	WAIT_MS = 100,     /* for holders of granted files to let go, or until a
			      failure has passed */
	WAITS_MAX = 20
};

#define TURN (UINT64_C(4) << 20) /* bytes between two pauses */
/* Counted for a file, however small: it costs as much as these bytes. */
#define FILE_COST (UINT64_C(64) << 10)

/* Its own allocation: its last callback may come after the store has gone. */
struct mover {
	struct task task;
	struct timer timer;
	struct dir *dir; /* NULL: the store has gone */
	struct move move;
	bool waits_now; /* its last turn's end */

	/* Protected by store->mutex. */
	bool busy;   /* a task or the timer is under way */
	bool timed;  /* it is the timer */
	bool kicked; /* while it was busy */
	unsigned waits;
	uint64_t wanted[WANTED_MAX];
	unsigned first, n_wanted;
	uint64_t wanted_bytes;
};

enum next { NOTHING, MOVES, WAITS, AGAIN };

void mover_open(struct dir *d)
{
	d->mover = mem_alloc(sizeof(*d->mover));
	d->mover->dir = d;
	list_init(&d->mover->timer.link);
}

uint64_t mover_wanted_locked(const struct dir *d)
{
	return d->mover ? d->mover->wanted_bytes : 0;
}

void mover_want_locked(struct dir *d, struct entry *e)
{
	struct mover *v = d->mover;

	if (!v || v->n_wanted == WANTED_MAX)
		return;
	v->wanted[(v->first + v->n_wanted++) % WANTED_MAX] = e->node.id;
	v->wanted_bytes += e->used;
	e->nominated = true;
}

/* ---- what comes next ---- */

static void pop_locked(struct mover *v, struct entry *e)
{
	v->first = (v->first + 1) % WANTED_MAX;
	v->waits = 0;
	if (e)
		e->nominated = false;
	if (--v->n_wanted == 0)
		v->wanted_bytes = 0;
	else if (e)
		v->wanted_bytes -=
			e->used < v->wanted_bytes ? e->used : v->wanted_bytes;
}

/* The first that is to come up and still may; NULL: none. */
static struct entry *candidate_locked(struct mover *v)
{
	struct dir *d = v->dir;
	struct entry *e;

	while (v->n_wanted) {
		e = map_get(&d->store->files, v->wanted[v->first]);
		if (e && e->nominated && e->dir->tier > d->tier &&
		    move_may_locked(e))
			return e;
		pop_locked(v, e);
	}
	return NULL;
}

/* A slower directory with room for `e`; NULL: none takes it.  The last tier's
 * policy may give up files for it, which are put on `gone`. */
static struct dir *below_locked(struct entry *e, struct list *gone,
				struct buffer *ask)
{
	struct store *s = e->dir->store;
	const enum tier last = tiers_last_locked(s);
	const uint64_t need = move_room(e);
	struct tier_room room;
	enum tier t;
	struct dir *d;

	for (t = e->dir->tier + 1; t <= last; t++) {
		d = tiers_home_locked(s, e->node.id, t);
		if (!d)
			continue;
		room = dir_room_locked(d);
		if (room.used + need <= room.capacity)
			return d;
		if (t == last &&
		    !room_make_locked(d, &e->node, need, gone, ask))
			return d;
	}
	return NULL;
}

/* The coldest file goes down, or goes. */
static enum next demote_locked(struct mover *v, struct list *gone,
			       struct buffer *ask)
{
	struct dir *d = v->dir, *to;
	struct evict_node *n = evictor_victim(d->evictor, NULL, NULL);
	struct entry *e;
	unsigned i;

	for (i = 0; n && i < SKIP_MAX; i++) {
		e = entry_of(n);
		n = evictor_victim(d->evictor, NULL, n);
		to = move_may_locked(e) ? below_locked(e, gone, ask) : NULL;
		if (to) {
			move_start_locked(&v->move, e, to);
			return MOVES;
		}
		if (e->users || e->grants)
			continue;
		d->store->totals.evictions++;
		d->store->totals.evicted_bytes += e->used;
		dir_doom_locked(e, gone);
		return AGAIN;
	}
	return NOTHING;
}

/* The candidate does not fit: what must go for it, or is going already. */
static enum next make_room_locked(struct mover *v, struct entry *e,
				  struct list *gone, struct buffer *ask)
{
	struct tier_room room = dir_room_locked(v->dir);
	uint64_t need = room.used - v->dir->leaving_bytes + move_room(e);
	enum next next = NOTHING;

	if (need > room.capacity)
		next = demote_locked(v, gone, ask);
	else if (v->waits++ < WAITS_MAX)
		return WAITS;
	if (next == NOTHING)
		pop_locked(v, e); /* wants come again */
	return next == NOTHING ? AGAIN : next;
}

static enum next choose_locked(struct mover *v, struct list *gone,
			       struct buffer *ask)
{
	struct tier_room room = dir_room_locked(v->dir);
	struct entry *e = candidate_locked(v);

	if (v->dir->service != IN_SERVICE)
		return NOTHING;
	if (e && room.used + move_room(e) <= room.capacity) {
		pop_locked(v, e);
		move_start_locked(&v->move, e, v->dir);
		return MOVES;
	}
	if (e)
		return make_room_locked(v, e, gone, ask);
	room.used -= v->dir->leaving_bytes;
	if (!tier_excess(&room) ||
	    v->dir->tier >= tiers_last_locked(v->dir->store))
		return NOTHING;
	return demote_locked(v, gone, ask);
}

static enum next choose(struct mover *v)
{
	struct store *s = v->dir->store;
	struct buffer ask = { 0 };
	struct list gone;
	enum next next;

	list_init(&gone);
	mutex_lock(&s->mutex);
	next = s->closing ? NOTHING : choose_locked(v, &gone, &ask);
	mutex_unlock(&s->mutex);
	dir_remove_all(&gone);
	room_ask(s, &ask);
	return next;
}

/* ---- turns ---- */

/* What came into a tier may have to push others out of it. */
static void push_on(struct dir *d)
{
	struct tier_room room;

	mutex_lock(&d->store->mutex);
	room = dir_room_locked(d);
	if (tier_excess(&room) && d->tier < tiers_last_locked(d->store))
		mover_kick_locked(d);
	mutex_unlock(&d->store->mutex);
}

/* Moves one file, or a part of it. */
static uint64_t move_one(struct mover *v, char *buf)
{
	struct dir *to = v->move.dir;
	uint64_t n = move_go_on(&v->move, buf);

	if (!v->move.from && to != v->dir)
		push_on(to);
	return n + FILE_COST;
}

/* What the turn has cost in bytes. */
static ssize_t turn_work(struct task *t)
{
	struct mover *v = container_of(t, struct mover, task);
	char *buf = mem_alloc(STORE_PAGE);
	enum next next = MOVES;
	uint64_t cost = 0;

	mutex_lock(&v->dir->store->mutex);
	v->kicked = false;
	mutex_unlock(&v->dir->store->mutex);
	while (cost < TURN && (next == MOVES || next == AGAIN)) {
		next = v->move.from ? MOVES : choose(v);
		if (next == MOVES)
			cost += move_one(v, buf);
		if (next == MOVES && v->move.failed)
			next = WAITS;
	}
	free(buf);
	v->waits_now = next == WAITS;
	return (ssize_t)cost;
}

static void on_turn(struct task *t);

static void submit(struct mover *v)
{
	workpool_submit(v->dir->pool, v->dir->store->loop, &v->task, turn_work,
			on_turn);
}

static void on_pause(struct timer *t)
{
	struct mover *v = container_of(t, struct mover, timer);

	v->timed = false;
	submit(v);
}

static void pause_for(struct mover *v, uint64_t ms)
{
	v->timed = true;
	loop_timer_start(v->dir->store->loop, &v->timer, ms, on_pause);
}

/* Also the first call after a kick: with a status of 0. */
static void on_turn(struct task *t)
{
	struct mover *v = container_of(t, struct mover, task);
	uint64_t ms;
	bool again;

	if (!v->dir) {
		free(v);
		return;
	}
	if (t->status > 0 || v->waits_now) {
		ms = tier_pause_ms((uint64_t)t->status,
				   v->dir->store->move_rate);
		pause_for(v, v->waits_now && ms < WAIT_MS ? WAIT_MS : ms);
		return;
	}
	mutex_lock(&v->dir->store->mutex);
	again = v->busy = v->kicked && !v->dir->store->closing;
	mutex_unlock(&v->dir->store->mutex);
	if (again)
		submit(v);
}

void mover_kick_locked(struct dir *d)
{
	struct mover *v = d->mover;

	if (!v)
		return;
	v->kicked = true;
	if (v->busy)
		return;
	v->busy = true;
	v->waits_now = false;
	v->task.status = 0;
	loop_post(d->store->loop, &v->task, on_turn);
}

void mover_close(struct dir *d)
{
	struct mover *v = d->mover;

	if (!v)
		return;
	move_stop(&v->move);
	d->mover = NULL;
	v->dir = NULL;
	if (v->timed)
		loop_timer_stop(&v->timer);
	if (v->timed || !v->busy)
		free(v);
}
