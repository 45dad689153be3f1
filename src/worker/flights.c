/*
 * Ranges under way.  One fetch brings a range once, for all who wait for it;
 * they read out of the buffer that it comes into as far as it has come, and the
 * store is filled from the same.  Who stops waiting does not stop the fetch.
 *
 * What could not be cached is kept for some seconds, since a reader that takes
 * small pieces would fetch the range for each of them.
 */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"
#include "runtime/metrics.h"
#include "worker/state.h"

#define LOG_MODULE "worker"
#include "runtime/log.h"

#define KEEP_MS      10000
#define PEER_MS      5000
#define MAX_FETCHING (UINT64_C(256) << 20)
#define MAX_KEPT     (UINT64_C(64) << 20)
#define MAX_FILLING  (UINT64_C(512) << 20)

static void over(struct flight *fl, int code, const struct err *err);
static void start_queued(struct worker *w);

void flights_open(struct worker *w)
{
	shares_open(&w->flights.shares,
		    w->o.max_fetching ? w->o.max_fetching : MAX_FETCHING);
	w->flights.max_kept = w->o.max_kept ? w->o.max_kept : MAX_KEPT;
	list_init(&w->flights.active);
	list_init(&w->flights.all_kept);
}

struct flight *flight_find(const struct file *f, uint64_t at)
{
	struct flight *fl;
	struct list *l;

	for (l = f->flights.next; l != &f->flights; l = l->next) {
		fl = list_entry(l, struct flight, link);
		if (at >= fl->offset && at < flight_end(fl))
			return fl;
	}
	return NULL;
}

void flight_get(struct flight *fl)
{
	fl->refs++;
}

void flight_put(struct flight *fl)
{
	if (--fl->refs)
		return;
	free(fl->buf);
	file_put(fl->file);
	free(fl);
}

/* ---- who waits ---- */

void flight_wait(struct flight *fl, struct waiter *wait, uint64_t until)
{
	wait->until = until;
	list_push_back(&fl->waiters, &wait->link);
}

void waiter_leave(struct waiter *wait)
{
	list_remove(&wait->link);
}

/* Those whose bytes have come; with `all`, the others too. */
static void wake(struct flight *fl, bool all, int code, const struct err *err)
{
	uint64_t come = fl->offset + fl->got;
	struct list *l, *next, ready;
	struct waiter *wait;

	list_init(&ready);
	for (l = fl->waiters.next; l != &fl->waiters; l = next) {
		next = l->next;
		wait = list_entry(l, struct waiter, link);
		if (!all && wait->until > come)
			continue;
		list_remove(l);
		list_push_back(&ready, l);
	}
	flight_get(fl);
	while ((l = list_pop_front(&ready))) {
		wait = list_entry(l, struct waiter, link);
		wait->ready(wait, code, err);
	}
	flight_put(fl);
}

/* ---- the end ---- */

static void set_state(struct flight *fl, enum flight_state state,
		      struct list *queue)
{
	list_remove(&fl->queue);
	fl->state = state;
	if (queue)
		list_push_back(queue, &fl->queue);
}

static void over(struct flight *fl, int code, const struct err *err)
{
	struct worker *w = fl->file->w;
	bool was_kept = fl->state == KEPT;

	if (was_kept)
		w->flights.kept -= fl->len;
	loop_timer_stop(&fl->timer);
	set_state(fl, OVER, NULL);
	list_remove(&fl->link);
	wake(fl, true, code, err);
	flight_put(fl);
	if (!was_kept)
		worker_end(w);
}

void flight_forget(struct flight *fl)
{
	over(fl, 0, NULL);
}

static void on_kept_long(struct timer *t)
{
	over(container_of(t, struct flight, timer), 0, NULL);
}

static void keep(struct flight *fl)
{
	struct worker *w = fl->file->w;

	set_state(fl, KEPT, &w->flights.all_kept);
	w->flights.kept += fl->len;
	loop_timer_start(w->loop, &fl->timer, KEEP_MS, on_kept_long);
	while (w->flights.kept > w->flights.max_kept)
		over(list_entry(w->flights.all_kept.next, struct flight, queue),
		     0, NULL);
	worker_end(w);
}

/* Not cached; who waits for the end of it goes on. */
static void not_cached(struct flight *fl, enum fate fate)
{
	struct worker *w = fl->file->w;

	history_file(fl->file, fate, 0);
	flight_get(fl);
	if (w->stopping)
		over(fl, 0, NULL);
	else
		keep(fl);
	wake(fl, true, 0, NULL);
	flight_put(fl);
}

/* ---- the fill ---- */

static enum fate why_not_filled(struct worker *w, ssize_t result)
{
	struct store_totals t;

	if (result == ERR_NOT_ADMITTED)
		return FATE_NOT_ADMITTED;
	store_totals(w->store, &t);
	return result == -ENOSPC && !t.dirs_failed ? FATE_NO_ROOM : FATE_DISK;
}

static void on_filled(struct store_req *req, ssize_t result)
{
	struct flight *fl = container_of(req, struct flight, fill);
	struct worker *w = fl->file->w;

	w->flights.filling -= fl->len;
	if (result < 0) {
		not_cached(fl, why_not_filled(w, result));
		return;
	}
	if (fl->file->dropped)
		store_drop(w->store, fl->file->id);
	else
		history_file(fl->file, FATE_CACHED, 0);
	control_news(w);
	over(fl, 0, NULL);
}

static void fill(struct flight *fl)
{
	struct worker *w = fl->file->w;

	set_state(fl, FILLING, &w->flights.active);
	w->flights.filling += fl->len;
	fl->fill = (struct store_req){
		.loop = w->loop,
		.file = fl->file->id,
		.file_size = fl->file->length,
		.offset = fl->offset,
		.buf = fl->buf,
		.len = fl->len,
		.load = fl->load,
	};
	store_fill(w->store, &fl->fill, on_filled);
}

/* What waits for a disk is in memory, and readers do not wait for it: where it
 * takes less than comes, the rest is not cached.  A load waits. */
static bool can_fill(const struct flight *fl)
{
	const struct worker *w = fl->file->w;
	uint64_t max = w->o.max_filling ? w->o.max_filling : MAX_FILLING;

	return fl->load || w->flights.filling + fl->len <= max;
}

static void left_out(struct flight *fl)
{
	fl->left_out = true;
	not_cached(fl, FATE_BEHIND);
}

/* ---- the fetch ---- */

static void ended(struct flight *fl)
{
	struct worker *w = fl->file->w;

	shares_done(&w->flights.shares, &fl->turn);
	if (fl->mount)
		mount_put(fl->mount);
	fl->mount = NULL;
	start_queued(w);
}

static void failed(struct flight *fl, int code, const struct err *err)
{
	flight_get(fl);
	ended(fl);
	over(fl, code, err);
	flight_put(fl);
}

/* All of it has come. */
static void fetched(struct flight *fl, enum source source)
{
	struct worker *w = fl->file->w;

	fl->got = fl->len;
	fl->source = source;
	metric_observe_us(METRIC_fill_us,
			  (loop_now_ms(w->loop) - fl->started_ms) * 1000);
	ended(fl);
	flight_get(fl);
	wake(fl, false, 0, NULL);
	if (fl->file->dropped)
		not_cached(fl, FATE_FREED);
	else if (fl->unsettled)
		not_cached(fl, FATE_UNSETTLED);
	else if (!fl->keeps)
		not_cached(fl, FATE_NOT_HOME);
	else if (w->stopping)
		not_cached(fl, FATE_NEW);
	else if (can_fill(fl))
		fill(fl);
	else
		left_out(fl);
	flight_put(fl);
}

static void on_suspected(struct upcall *call, int code ATTR_UNUSED,
			 const void *reply ATTR_UNUSED)
{
	free(call);
}

static void cancel(struct flight *fl)
{
	fl->cancelled = true;
	if (fl->mount)
		fl->mount->ufs->ops->cancel(fl->mount->ufs, &fl->ufs);
	else if (fl->asking_peer)
		rpc_cancel(&fl->peer);
}

/* What else is being read of a version that is no more: who waits for it asks
 * the master first, and would fetch it again beside this. */
static void cancel_others(const struct flight *changed)
{
	struct list *l, *next, *all = &changed->file->flights;
	struct flight *fl;

	for (l = all->next; l != all; l = next) {
		next = l->next;
		fl = list_entry(l, struct flight, link);
		if (fl != changed && fl->state == FETCHING && fl->mount)
			cancel(fl);
	}
}

/* The content is another, or gone: the master looks again; what we have of the
 * version goes. */
static int changed(struct flight *fl)
{
	const struct suspect_request req = { .id = fl->file->id };
	struct worker *w = fl->file->w;
	struct upcall *call;

	if (!fl->file->dropped) {
		call = mem_alloc(sizeof(*call));
		master_ask(w, RPC_MASTER_METHOD(suspect), call, &req,
			   on_suspected);
		history_file(fl->file, FATE_CHANGED, 0);
		store_drop(w->store, fl->file->id);
		file_drop(w, fl->file->id);
		cancel_others(fl);
	}
	return -ESTALE;
}

/* With the keys that the master has now. */
static bool ask_again(struct flight *fl)
{
	struct mount *refused = fl->mount;

	if (!mount_refresh(fl->file->w, &fl->mount_wait, fl->file->mount))
		return false;
	fl->mount = NULL;
	mount_put(refused);
	return true;
}

/* As far as it is told, the file has the length that the master knows. */
static bool is_as_long(const struct flight *fl, const struct ufs_req *req)
{
	return !req->stat.version.len || req->stat.size == fl->file->length;
}

static void on_ufs(struct ufs_req *req, ssize_t n)
{
	struct flight *fl = container_of(req, struct flight, ufs);
	struct err err = req->err;
	int code = n < 0 ? (int)n : 0;

	fl->unsettled = req->stat.unsettled;
	ufs_req_close(req);
	if (n >= 0 && n < (ssize_t)fl->len)
		code = err_set(&err, ERR_CHANGED,
			       "%s: ends at %" PRIu64 ", not %" PRIu64,
			       fl->file->path, fl->offset + (uint64_t)n,
			       fl->file->length);
	else if (n >= 0 && !is_as_long(fl, req))
		code = err_set(&err, ERR_CHANGED,
			       "%s: has %" PRIu64 " bytes, not %" PRIu64,
			       fl->file->path, req->stat.size,
			       fl->file->length);
	if (!code) {
		fetched(fl, SOURCE_UFS);
		return;
	}
	if ((code == -EACCES || code == -EPERM) && !fl->cancelled &&
	    ask_again(fl))
		return;
	if (code == ERR_CHANGED || code == -ENOENT || code == -ENOTDIR)
		code = changed(fl);
	else if (code == -ECANCELED && !fl->file->w->stopping)
		code = -ESTALE; /* by cancel_others() */
	if (code != -ESTALE)
		history_file(fl->file, FATE_FAILED, code);
	if (code != -ECANCELED && code != -ESTALE)
		log_warn("fetch failed",
			 "file=%" PRIu64 " path=%s error=\"%s\"", fl->file->id,
			 fl->file->path, err.msg);
	if (code == -EIO && !list_empty(&fl->waiters))
		file_failed(fl->file, code, &err);
	failed(fl, code, &err);
}

static void on_ufs_progress(struct ufs_req *req, size_t n)
{
	struct flight *fl = container_of(req, struct flight, ufs);

	if (!is_as_long(fl, req))
		return; /* on_ufs() tells */
	fl->got = n;
	wake(fl, false, 0, NULL);
}

static void on_mount(struct mount_wait *wait, struct mount *m, int code,
		     const struct err *err)
{
	struct flight *fl = container_of(wait, struct flight, mount_wait);

	if (!m) {
		failed(fl, code, err);
		return;
	}
	fl->mount = m;
	fl->ufs = (struct ufs_req){
		.path = fl->file->path,
		.offset = fl->offset,
		.buf = fl->buf,
		.len = fl->len,
		.version = &fl->file->version,
		.progress = on_ufs_progress,
	};
	m->ufs->ops->read(m->ufs, &fl->ufs, on_ufs);
	if (fl->cancelled)
		m->ufs->ops->cancel(m->ufs, &fl->ufs);
}

static void ask_ufs(struct flight *fl)
{
	fl->source = SOURCE_UFS;
	fl->mount_wait.done = on_mount;
	mount_get(fl->file->w, &fl->mount_wait, fl->file->mount);
}

static void ask_next(struct flight *fl);

/* A file's blocks are not all where some of them are. */
static void lacks(struct flight *fl, uint32_t worker)
{
	struct file *f = fl->file;
	unsigned i;

	for (i = 0; i < f->n_holders; i++)
		if (f->holders[i].worker == worker)
			f->holders[i].lacks = flight_block(fl).index + 1;
}

static void on_peer(struct rpc_pending *p, int code,
		    const void *reply ATTR_UNUSED)
{
	struct flight *fl = container_of(p, struct flight, peer);

	fl->asking_peer = false;
	if (!code && p->data_got == fl->len) {
		fetched(fl, SOURCE_PEER);
		return;
	}
	if (p->answered)
		lacks(fl, fl->asked[fl->n_asked - 1]);
	else if (code != -ECANCELED && code != -ETIMEDOUT)
		rpc_client_doubt(p->client);
	ask_next(fl);
}

static void ask_peer(struct flight *fl, struct rpc_client *peer)
{
	struct worker *w = fl->file->w;
	const struct read_request req = {
		.id = fl->file->id,
		.offset = fl->offset,
		.len = (uint32_t)fl->len,
		.epoch = w->control.set.epoch,
		.peer = true,
	};

	fl->peer = (struct rpc_pending){
		.deadline_ms = loop_now_ms(w->loop) + PEER_MS,
		.data = fl->buf,
		.data_len = fl->len,
	};
	fl->asking_peer = true;
	rpc_call(peer, RPC_WORKER_METHOD(read), &fl->peer, &req, on_peer);
}

/* Who may have it, one after the other, then under-storage. */
static void ask_next(struct flight *fl)
{
	struct worker *w = fl->file->w;
	struct peer_worker *peer = NULL;

	if (!fl->cancelled)
		peer = control_source(w, fl);
	if (peer)
		ask_peer(fl, peer->client);
	else
		ask_ufs(fl);
}

void flights_leave(struct worker *w, const struct rpc_client *peer)
{
	struct flight *fl;
	struct list *l;

	for (l = w->flights.active.next; l != &w->flights.active; l = l->next) {
		fl = list_entry(l, struct flight, queue);
		if (fl->state == FETCHING && fl->asking_peer &&
		    fl->peer.client == peer)
			rpc_cancel(&fl->peer);
	}
}

struct block_id flight_block(const struct flight *fl)
{
	uint64_t size = fl->file->w->control.block_size;

	return (struct block_id){
		.file = fl->file->id,
		.index = size ? (uint32_t)(fl->offset / size) : 0,
	};
}

static void on_holders(struct file_wait *wait, int code ATTR_UNUSED,
		       const struct err *err ATTR_UNUSED)
{
	ask_next(container_of(wait, struct flight, info));
}

static void fetch(struct flight *fl)
{
	struct worker *w = fl->file->w;

	set_state(fl, FETCHING, &w->flights.active);
	fl->keeps = control_keeps(w, flight_block(fl), fl->instead_of);
	fl->info.done = on_holders;
	if (file_know_holders(fl->file, &fl->info))
		ask_next(fl);
}

static void start_queued(struct worker *w)
{
	struct share_wait *turn;

	while ((turn = shares_next(&w->flights.shares)))
		fetch(container_of(turn, struct flight, turn));
}

/* ---- the beginning ---- */

bool file_has(const struct file *f, uint64_t at)
{
	return flight_find(f, at) ||
	       store_present(f->w->store, f->id, at, 1) > 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * A small file whole; of a large one the pages that are wanted, and if it is
 * being read from the front, the rest of the unit too; never what is there or
 * under way, nor across blocks.
 */
static void plan(const struct file *f, uint64_t at, uint64_t end,
		 uint64_t *from, uint64_t *to)
{
	uint64_t block = f->w->control.block_size, start = 0, stop;

	*from = at / STORE_PAGE * STORE_PAGE;
	if (f->length <= FETCH_UNIT) {
		stop = f->length;
	} else {
		stop = (end + STORE_PAGE - 1) / STORE_PAGE * STORE_PAGE;
		if (*from == 0 || file_has(f, *from - 1))
			stop = (*from / FETCH_UNIT + 1) * FETCH_UNIT;
		stop = least(stop, *from + FETCH_UNIT);
		stop = least(stop, f->length);
	}
	if (block) {
		start = *from / block * block;
		stop = least(stop, start + block);
	}
	while (f->length <= FETCH_UNIT && *from > start &&
	       !file_has(f, *from - 1))
		*from -= STORE_PAGE;
	*to = *from + STORE_PAGE;
	while (*to < stop && !file_has(f, *to))
		*to += STORE_PAGE;
	*to = least(*to, f->length);
}

struct flight *flight_start(struct file *f, uint64_t at, uint64_t end,
			    uint32_t instead_of)
{
	struct flight *fl = mem_alloc(sizeof(*fl));
	struct worker *w = f->w;
	uint64_t from, to;

	plan(f, at, end, &from, &to);
	assert(at >= from && at < to);
	fl->file = f;
	f->users++;
	fl->refs = 1;
	fl->offset = from;
	fl->len = (size_t)(to - from);
	fl->buf = mem_resize(NULL, fl->len, 1);
	fl->instead_of = instead_of;
	fl->cancelled = w->flights.stopped;
	fl->started_ms = loop_now_ms(w->loop);
	list_init(&fl->waiters);
	list_init(&fl->queue);
	list_init(&fl->info.link);
	list_init(&fl->timer.link);
	list_push_back(&f->flights, &fl->link);
	worker_begin(w);
	set_state(fl, QUEUED, NULL);
	shares_wait(&w->flights.shares, &fl->turn, f->mount, fl->len);
	start_queued(w);
	return fl;
}

void flights_stop(struct worker *w)
{
	struct share_wait *turn;
	struct list *l, *next;
	struct err err = { 0 };

	w->flights.stopped = true;
	err_set(&err, -ECANCELED, "the worker stops");
	while ((l = list_pop_front(&w->flights.all_kept)))
		over(list_entry(l, struct flight, queue), 0, NULL);
	while ((turn = shares_drop(&w->flights.shares)))
		over(container_of(turn, struct flight, turn), -ECANCELED, &err);
	for (l = w->flights.active.next; l != &w->flights.active; l = next) {
		next = l->next;
		if (list_entry(l, struct flight, queue)->state == FETCHING)
			cancel(list_entry(l, struct flight, queue));
	}
}
