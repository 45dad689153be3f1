/*
 * Passes over all that a directory has, in turns of its disk threads: after an
 * unclean stop over what was not compared since, as fast as it goes; else over
 * everything, now and then, at a bounded rate.  Between them come the files
 * that a grant waits for.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "store/disk.h"

#define LOG_MODULE "store"
#include "runtime/log.h"

/* Bytes a turn, so that reads get their turn too. */
#define TURN (UINT64_C(16) << 20)

/* Slices of a scrub a second. */
#define SLICES 4

/* As late as that a slice may be without less being read. */
#define LATE_MS (1000 / SLICES)

/* When the first scrub begins, if that is not later than the others. */
#define FIRST_MS 3600000

static void on_turn(struct task *t);

/* ---- on a disk thread ---- */

/* Moves the mark behind what it returns. */
static struct entry *next_locked(struct dir *d)
{
	struct scrub *c = &d->scrub;
	struct entry *e = dir_next_locked(d, &c->at.link);

	while (e && c->pass == UNCLEAN_PASS && e->verified)
		e = dir_next_locked(d, &e->place.link);
	list_remove(&c->at.link);
	list_push_back(e ? e->place.link.next : &d->entries, &c->at.link);
	return e;
}

/* The next slice goes on with this file, if it is still there. */
static void remember_locked(struct scrub *c, struct entry *e, uint64_t page)
{
	c->file = e->node.id;
	c->seq = e->seq;
	c->page = page;
	if (e->doomed)
		return;
	list_remove(&c->at.link);
	list_push_back(&e->place.link, &c->at.link); /* before it */
}

static void count_locked(struct dir *d, int64_t n, bool ended)
{
	struct scrub *c = &d->scrub;

	if (c->pass != SCRUB_PASS)
		return;
	c->state.files += ended;
	c->state.bytes += n > 0 ? (uint64_t)n : 0;
	c->state.damaged += n == -EBADMSG || n == -EIO;
	d->store->totals.scrubbed_files += ended;
	d->store->totals.scrubbed_bytes += n > 0 ? (uint64_t)n : 0;
}

/* Unlocks meanwhile; the bytes it cost. */
static uint64_t check_next_locked(struct dir *d, struct entry *e,
				  uint64_t budget, struct list *gone)
{
	struct scrub *c = &d->scrub;
	bool direct = c->pass == SCRUB_PASS, ended;
	uint64_t page;
	int64_t n;

	page = e->node.id == c->file && e->seq == c->seq ? c->page : 0;
	e->users++;
	mutex_unlock(&d->store->mutex);
	n = check_pages(e, &page, budget, direct);
	mutex_lock(&d->store->mutex);
	ended = n < 0 || page >= entry_pages(e->size);
	if (ended)
		c->page = 0;
	else
		remember_locked(c, e, page);
	if (ended && n >= 0)
		check_passed_locked(e);
	count_locked(d, n, ended);
	dir_put_locked(e, gone);
	return DISK_UNIT + (n > 0 ? (uint64_t)n : 0);
}

/* What there is to say when a pass has ended. */
struct ended {
	enum pass pass; /* NO_PASS: none has */
	uint64_t files, left;
	struct store_scrub_state state;
};

static void end_pass_locked(struct dir *d, struct ended *ended)
{
	struct scrub *c = &d->scrub;

	if (c->pass == UNCLEAN_PASS)
		d->sound |= d->n_unverified == 0;
	else
		c->state.passes++;
	*ended = (struct ended){
		.pass = c->pass,
		.files = d->n_entries,
		.left = d->n_unverified,
		.state = c->state,
	};
	c->pass = NO_PASS;
	list_remove(&c->at.link);
}

static void say(const struct dir *d, const struct ended *ended)
{
	if (ended->pass == UNCLEAN_PASS)
		log_info("cached files checked",
			 "dir=%s files=%" PRIu64 " left=%" PRIu64, d->path,
			 ended->files, ended->left);
	if (ended->pass == SCRUB_PASS)
		log_info("scrub ended",
			 "dir=%s files=%" PRIu64 " bytes=%" PRIu64
			 " damaged=%" PRIu64,
			 d->path, ended->state.files, ended->state.bytes,
			 ended->state.damaged);
}

static void slice_locked(struct dir *d, uint64_t budget, struct list *gone,
			 struct ended *ended)
{
	struct scrub *c = &d->scrub;
	struct entry *e = NULL;
	uint64_t done = 0;

	while (done < budget && !d->store->closing && (e = next_locked(d)))
		done += check_next_locked(d, e, budget - done, gone);
	c->cost += done;
	if (!e && !d->store->closing)
		end_pass_locked(d, ended);
}

/* Files that grants wait for. */
static void check_wanted_locked(struct dir *d, struct list *gone)
{
	struct buffer *b = &d->scrub.files;
	struct entry *e;
	uint64_t page, id;
	int64_t n;

	while (b->len && !d->store->closing) {
		b->len -= sizeof(id);
		id = *(uint64_t *)(void *)(b->at + b->len);
		e = map_get(&d->store->files, id);
		if (!e || e->dir != d || !e->check_wanted)
			continue;
		e->users++;
		mutex_unlock(&d->store->mutex);
		page = 0;
		n = check_pages(e, &page, UINT64_MAX, false);
		mutex_lock(&d->store->mutex);
		e->check_wanted = false;
		if (n >= 0)
			check_passed_locked(e);
		dir_put_locked(e, gone);
	}
}

static uint64_t budget_of(const struct scrub *c)
{
	uint64_t slice = c->rate / SLICES;

	if (!c->rate || slice > TURN)
		return TURN;
	return slice < STORE_PAGE ? STORE_PAGE : slice;
}

/* Whether there is more to do at once. */
static ssize_t work(struct task *t)
{
	struct dir *d = container_of(t, struct chore, task)->dir;
	struct ended ended = { .pass = NO_PASS };
	struct scrub *c = &d->scrub;
	struct list gone;
	bool more;

	list_init(&gone);
	mutex_lock(&d->store->mutex);
	check_wanted_locked(d, &gone);
	if (c->pass == UNCLEAN_PASS) {
		slice_locked(d, TURN, &gone, &ended);
	} else if (c->pass == SCRUB_PASS && c->due) {
		c->due = false;
		slice_locked(d, budget_of(c), &gone, &ended);
	}
	more = c->pass == UNCLEAN_PASS && !d->store->closing;
	mutex_unlock(&d->store->mutex);
	dir_remove_all(&gone);
	say(d, &ended);
	return more;
}

/* ---- any thread ---- */

void scrub_kick(struct dir *d)
{
	bool start;

	if (!d->checker)
		return;
	mutex_lock(&d->store->mutex);
	start = !d->checker->busy && !d->store->closing;
	d->checker->busy |= start;
	mutex_unlock(&d->store->mutex);
	if (start)
		workpool_submit(d->pool, d->store->loop, &d->checker->task,
				work, on_turn);
}

void scrub_want_locked(struct entry *e)
{
	if (e->check_wanted || e->doomed || !e->dir->checker)
		return;
	e->check_wanted = true;
	*(uint64_t *)buffer_add(&e->dir->scrub.files, sizeof(uint64_t)) =
		e->node.id;
}

/* ---- on the store's loop ---- */

static void begin_locked(struct dir *d, enum pass pass)
{
	struct scrub *c = &d->scrub;

	c->pass = pass;
	c->page = 0;
	c->cost = 0;
	list_remove(&c->at.link);
	list_push_back(d->entries.next, &c->at.link);
	c->begun_ms = loop_now_ms(d->store->loop);
	c->next_ms = c->begun_ms;
	if (pass != SCRUB_PASS)
		return;
	c->wanted = false;
	c->due = true;
	c->state = (struct store_scrub_state){
		.passes = c->state.passes,
		.to_do = d->entry_bytes,
	};
}

static void on_time(struct timer *t)
{
	struct dir *d = container_of(t, struct dir, scrub.timer);
	struct scrub *c = &d->scrub;

	mutex_lock(&d->store->mutex);
	if (c->pass == NO_PASS) {
		c->rate = d->store->scrub_rate;
		begin_locked(d, SCRUB_PASS);
	}
	c->due = true;
	mutex_unlock(&d->store->mutex);
	scrub_kick(d);
}

/* The next slice of this scrub, or the next scrub. */
static void schedule(struct dir *d)
{
	uint64_t now = loop_now_ms(d->store->loop), at = UINT64_MAX;
	struct scrub *c = &d->scrub;

	mutex_lock(&d->store->mutex);
	if (c->pass == NO_PASS && c->wanted)
		begin_locked(d, SCRUB_PASS);
	if (c->pass == SCRUB_PASS) {
		if (c->rate)
			c->next_ms += c->cost * 1000 / c->rate;
		c->cost = 0;
		if (now > c->next_ms + LATE_MS) /* not made up for */
			c->next_ms = now - LATE_MS;
		at = c->next_ms;
	} else if (d->store->scrub_interval_ms) {
		at = c->begun_ms + d->store->scrub_interval_ms;
	}
	mutex_unlock(&d->store->mutex);
	loop_timer_stop(&c->timer);
	if (at != UINT64_MAX)
		loop_timer_start(d->store->loop, &c->timer,
				 at > now ? at - now : 0, on_time);
}

static void on_turn(struct task *t)
{
	struct chore *c = container_of(t, struct chore, task);
	struct dir *d = c->dir;
	bool again;

	if (!d) {
		free(c);
		return;
	}
	mutex_lock(&d->store->mutex);
	c->busy = false;
	again = t->status > 0 || d->scrub.files.len > 0;
	mutex_unlock(&d->store->mutex);
	if (again)
		scrub_kick(d);
	else
		schedule(d);
}

void scrub_open(struct dir *d)
{
	uint64_t interval = d->store->scrub_interval_ms;
	struct scrub *c = &d->scrub;

	if (!d->checker)
		return;
	c->begun_ms = loop_now_ms(d->store->loop);
	if (!d->sound && d->n_unverified) {
		mutex_lock(&d->store->mutex);
		begin_locked(d, UNCLEAN_PASS);
		d->checker->busy = true;
		d->checker->task.status = 1;
		mutex_unlock(&d->store->mutex);
		loop_post(d->store->loop, &d->checker->task, on_turn);
	} else if (interval) {
		loop_timer_start(d->store->loop, &c->timer,
				 interval < FIRST_MS ? interval : FIRST_MS,
				 on_time);
	}
}

void scrub_close(struct dir *d)
{
	loop_timer_stop(&d->scrub.timer);
	list_remove(&d->scrub.at.link);
	buffer_close(&d->scrub.files);
}

void store_scrub(struct store *s, uint64_t rate)
{
	struct scrub *c;
	unsigned i;

	for (i = 0; i < s->n_dirs; i++) {
		c = &s->dirs[i].scrub;
		if (!s->dirs[i].checker)
			continue;
		mutex_lock(&s->mutex);
		c->rate = rate ? rate : s->scrub_rate;
		if (c->pass == UNCLEAN_PASS)
			c->wanted = true;
		if (c->pass == NO_PASS)
			begin_locked(&s->dirs[i], SCRUB_PASS);
		mutex_unlock(&s->mutex);
		scrub_kick(&s->dirs[i]);
	}
}

void store_scrub_state(struct store *s, struct store_scrub_state *out)
{
	const struct scrub *c;
	unsigned i;

	*out = (struct store_scrub_state){ 0 };
	mutex_lock(&s->mutex);
	for (i = 0; i < s->n_dirs; i++) {
		c = &s->dirs[i].scrub;
		out->running += c->pass == SCRUB_PASS || c->wanted;
		out->passes += c->state.passes;
		out->files += c->state.files;
		out->bytes += c->state.bytes;
		out->damaged += c->state.damaged;
		if (c->pass == SCRUB_PASS && c->state.to_do > c->state.bytes)
			out->to_do += c->state.to_do - c->state.bytes;
	}
	mutex_unlock(&s->mutex);
}
