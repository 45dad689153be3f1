/*
 * The worker and its cluster: registration, and reports of what is cached.
 *
 * What changed is told with each heartbeat, by the last state of each file.
 * What was told is forgotten when it was answered, else told again in a report
 * of the same number: so a master that was away is told the difference, and so
 * is one that took us for lost.  All is told when we are new to it, or it asks.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/metrics.h"
#include "runtime/secret.h"
#include "worker/state.h"

#define LOG_MODULE "worker"
#include "runtime/log.h"

#define RETRY_MS     1000
#define SOON_MS      50 /* the first tries: roles start together */
#define SOON_TRIES   40
#define HEARTBEAT_MS 1000  /* until the master says otherwise */
#define NEWS_MS      100   /* from a change to the heartbeat that tells it */
#define MAX_IDS      20000 /* of a heartbeat */

static void again(struct worker *w, uint64_t ms);

static schema_str str_of(const char *s)
{
	return (schema_str){ s, strlen(s) };
}

/* ---- reports ---- */

/* What is to be told of a file: the last change of it, and whether that is on
 * its way. */
enum { IS_TOLD = 1, CHANGE_SHIFT = 1 };

static void *news_of(enum store_change what, unsigned flags)
{
	return (void *)(uintptr_t)(((unsigned)what + 1) << CHANGE_SHIFT |
				   flags);
}

static enum store_change change_of(const void *news)
{
	return (enum store_change)(((uintptr_t)news >> CHANGE_SHIFT) - 1);
}

/* The store tells later than fills do. */
static void remember(struct worker *w, uint64_t file, enum fate from,
		     enum fate to)
{
	const struct remembered *r = history_get(&w->history, file);

	if (r && r->fate == from)
		history_fate(w, file, to);
}

static void on_change(void *owner, uint64_t file, enum store_change what)
{
	struct worker *w = owner;

	switch (what) {
	case STORE_ADDED:
		remember(w, file, FATE_EVICTED, FATE_CACHED);
		remember(w, file, FATE_DAMAGED, FATE_CACHED);
		break;
	case STORE_COMPLETE:
		break;
	case STORE_DAMAGED:
		history_fate(w, file, FATE_DAMAGED);
		return;
	case STORE_REMOVED:
		remember(w, file, FATE_CACHED, FATE_EVICTED);
		break;
	}
	map_put(&w->control.news, file, news_of(what, 0));
}

/* The counters of the store, as far as they are not counted yet. */
static void count(struct worker *w, const struct store_totals *t)
{
	struct control *c = &w->control;

	metric_add(METRIC_evictions, t->evictions - c->evictions);
	metric_add(METRIC_evicted_bytes, t->evicted_bytes - c->evicted_bytes);
	metric_add(METRIC_not_admitted, t->not_admitted - c->not_admitted);
	metric_set(METRIC_cache_capacity, t->capacity);
	metric_set(METRIC_cache_used, t->used);
	metric_add(METRIC_damaged_files, t->corrupt - c->damaged);
	metric_add(METRIC_scrubbed_files,
		   t->scrubbed_files - c->scrubbed_files);
	metric_add(METRIC_scrubbed_bytes,
		   t->scrubbed_bytes - c->scrubbed_bytes);
	metric_set(METRIC_unverified_files, t->unverified);
	tiers_count(w, t);
	c->evictions = t->evictions;
	c->evicted_bytes = t->evicted_bytes;
	c->not_admitted = t->not_admitted;
	c->damaged = t->corrupt;
	c->scrubbed_files = t->scrubbed_files;
	c->scrubbed_bytes = t->scrubbed_bytes;
}

/* The next part of what there is to tell: `req` gets it in `ids`, and must be
 * sent before they are freed. */
static void next_part(struct control *c, struct heartbeat_request *req,
		      uint64_t *ids)
{
	uint64_t *added = ids, *complete = ids + MAX_IDS,
		 *removed = ids + 2 * MAX_IDS;
	struct map_slot *slot;
	size_t at = 0, n = 0;

	req->added.at = added;
	req->complete.at = complete;
	req->removed.at = removed;
	if (!c->told)
		c->told = mem_array(MAX_IDS, sizeof(*c->told));
	while (n < MAX_IDS && (slot = map_next(&c->news, &at))) {
		switch (change_of(slot->value)) {
		case STORE_ADDED:
			added[req->added.n++] = slot->key;
			break;
		case STORE_COMPLETE:
			complete[req->complete.n++] = slot->key;
			break;
		case STORE_REMOVED:
			removed[req->removed.n++] = slot->key;
			break;
		case STORE_DAMAGED: /* no news for the master */
			break;
		}
		slot->value = news_of(change_of(slot->value), IS_TOLD);
		c->told[n++] = slot->key;
	}
	c->n_told = n;
}

/* What was on its way: the master has it, or it is told again.  What has
 * changed since is news all the same. */
static void settle(struct control *c, bool heard)
{
	uint64_t id;
	void *news;

	while (c->n_told) {
		id = c->told[--c->n_told];
		news = map_get(&c->news, id);
		if (!((uintptr_t)news & IS_TOLD))
			continue;
		if (heard)
			map_remove(&c->news, id);
		else
			map_put(&c->news, id, news_of(change_of(news), 0));
	}
	if (c->news.used || !c->told)
		return;
	map_close(&c->news); /* it was large, perhaps */
	map_init(&c->news);
	free(c->told);
	c->told = NULL;
}

static void on_told(struct upcall *call, int code, const void *reply);

static void take_news(struct worker *w)
{
	struct control *c = &w->control;
	bool all = c->all_due;

	if (all) {
		map_close(&c->news);
		map_init(&c->news);
		c->all_due = false;
		c->full = true;
	}
	store_take_changes(w->store, all, on_change, w);
}

static void tell(struct worker *w)
{
	struct control *c = &w->control;
	struct heartbeat_request req = { .worker = c->id };
	struct tier_info tiers[N_TIERS];
	struct store_totals t;
	uint64_t *ids = NULL;

	c->hurried = false;
	take_news(w);
	store_totals(w->store, &t);
	count(w, &t);
	req.epoch = c->set.epoch;
	req.capacity = t.capacity;
	req.used = t.used;
	req.tiers = tiers_infos(&t, tiers);
	req.life = c->life;
	req.number = c->heard + 1;
	req.full = c->full;
	if (c->news.used) {
		ids = mem_array(3 * MAX_IDS, sizeof(*ids));
		next_part(c, &req, ids);
	}
	c->telling = true;
	master_tell(w, RPC_MASTER_METHOD(heartbeat), &c->tell, &req, on_told);
	free(ids);
}

static void no_master(struct worker *w, const struct err *err)
{
	if (!w->control.said && !w->stopping)
		log_warn("no master, serving what is cached", "error=\"%s\"",
			 err->msg);
	w->control.said = true;
}

static void on_told(struct upcall *call, int code, const void *reply)
{
	struct worker *w = call->w;
	const struct heartbeat_reply *r = reply;
	struct control *c = &w->control;
	bool taken = !code && !r->report && !r->register_again;

	c->telling = false;
	settle(c, taken);
	if (code) {
		no_master(w, &call->pending.err);
		again(w, RETRY_MS);
		return;
	}
	c->said = false;
	control_epoch(w, r->epoch);
	if (c->mounts != r->mounts)
		mounts_changed(w);
	c->mounts = r->mounts;
	if (taken) {
		c->heard++;
		c->full = false;
	}
	c->all_due |= r->report;
	if (r->register_again)
		c->id = 0;
	again(w, c->news.used || !taken ? 0
		 : c->hurried           ? NEWS_MS
					: c->heartbeat_ms);
}

/* ---- registration ---- */

static void bind_cluster(struct worker *w, const uint8_t *cluster)
{
	if (!store_bind(w->store, cluster))
		return;
	log_warn("the cache was another cluster's", "effect=%s", "emptied");
	files_forget(w);
	mounts_doubt_all(w);
}

static void on_registered(struct upcall *call, int code, const void *reply)
{
	struct worker *w = call->w;
	const struct register_worker_reply *r = reply;
	struct control *c = &w->control;

	c->telling = false;
	if (code && c->tries++ < SOON_TRIES) {
		again(w, SOON_MS);
		return;
	}
	if (code) {
		no_master(w, &call->pending.err);
		again(w, RETRY_MS);
		return;
	}
	if (r->cluster.len == 16)
		bind_cluster(w, r->cluster.ptr);
	log_info("registered", "id=%" PRIu32 " epoch=%" PRIu64, r->id,
		 r->epoch);
	c->said = false;
	if (!c->id && w->o.registered)
		w->o.registered(w->o.owner);
	c->id = r->id;
	c->all_due = !r->heard;
	c->heard = r->heard;
	c->block_size = r->block_size;
	c->heartbeat_ms = r->heartbeat_ms ? r->heartbeat_ms : HEARTBEAT_MS;
	control_epoch(w, r->epoch);
	again(w, 0);
}

static void register_self(struct worker *w)
{
	struct register_worker_request req = {
		.uuid = { w->o.uuid, 16 },
		.host = str_of(w->o.host),
		.life = w->control.life,
	};
	schema_str *addresses;
	struct store_totals t;
	size_t n = 0;

	while (w->addresses[n])
		n++;
	addresses = mem_array(n, sizeof(*addresses));
	for (req.addresses.n = 0; req.addresses.n < n; req.addresses.n++)
		addresses[req.addresses.n] =
			str_of(w->addresses[req.addresses.n]);
	req.addresses.at = addresses;
	store_totals(w->store, &t);
	req.capacity = t.capacity;
	req.used = t.used;
	w->control.telling = true;
	master_tell(w, RPC_MASTER_METHOD(register_worker), &w->control.tell,
		    &req, on_registered);
	free(addresses);
}

/* ---- the beat ---- */

static void on_beat(struct timer *t)
{
	struct worker *w = container_of(t, struct worker, control.timer);

	if (w->control.telling)
		return;
	if (w->control.id)
		tell(w);
	else
		register_self(w);
}

static void again(struct worker *w, uint64_t ms)
{
	if (!w->control.stopped)
		loop_timer_start(w->loop, &w->control.timer, ms, on_beat);
}

void control_news(struct worker *w)
{
	struct control *c = &w->control;

	c->hurried = true;
	if (c->telling || c->stopped || !c->id ||
	    c->timer.at_ms <= loop_now_ms(w->loop) + NEWS_MS)
		return;
	loop_timer_stop(&c->timer);
	again(w, NEWS_MS);
}

void control_start(struct worker *w)
{
	struct control *c = &w->control;

	while (!c->life)
		secret_random(&c->life, sizeof(c->life));
	map_init(&c->news);
	c->all_due = true;
	c->heartbeat_ms = HEARTBEAT_MS;
	list_init(&c->timer.link);
	list_init(&c->patience.link);
	list_init(&c->waiting);
	again(w, 0);
}

void control_stop(struct worker *w)
{
	w->control.stopped = true;
	loop_timer_stop(&w->control.timer);
	control_go_on(w);
	peers_close(&w->control);
}

void control_close(struct worker *w)
{
	struct control *c = &w->control;

	peers_forget(c);
	map_close(&c->news);
	free(c->told);
}
