/*
 * The worker and its cluster: registration, reports of what is cached, the set
 * of workers.
 *
 * What changed is told with each heartbeat.  A heartbeat that fails may have
 * lost what it told, so all is told after it; as it is when the master asks.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/metrics.h"
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

/* ---- the set of workers ---- */

/* Where a peer is reached: any address beyond its host, else its socket. */
static char *address_of(const struct worker_info *info)
{
	const schema_str *a;
	size_t i;

	for (i = info->addresses.n; i-- > 0;) {
		a = &info->addresses.at[i];
		if (a->len && (i == 0 || memchr(a->ptr, '/', a->len) == NULL))
			return mem_strn(a->ptr, a->len);
	}
	return NULL;
}

static void free_peers(struct peer_worker *peers, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (peers[i].client)
			rpc_client_close(peers[i].client);
		free(peers[i].address);
	}
	free(peers);
}

static struct peer_worker *find_peer(struct control *c, uint32_t id)
{
	size_t i;

	for (i = 0; i < c->n_peers; i++)
		if (c->peers[i].id == id)
			return &c->peers[i];
	return NULL;
}

/* Connections to those that stay are kept. */
static void learn_peers(struct control *c, const struct workers_reply *r)
{
	struct peer_worker *peers = mem_array(r->workers.n, sizeof(*peers));
	struct peer_worker *old;
	size_t i;

	for (i = 0; i < r->workers.n; i++) {
		peers[i].id = r->workers.at[i].id;
		peers[i].address = address_of(&r->workers.at[i]);
		old = find_peer(c, peers[i].id);
		if (old && old->client && peers[i].address &&
		    strcmp(old->address, peers[i].address) == 0) {
			peers[i].client = old->client;
			old->client = NULL;
		}
	}
	free_peers(c->peers, c->n_peers);
	c->peers = peers;
	c->n_peers = r->workers.n;
}

static void learn_set(struct control *c, const struct workers_reply *r)
{
	struct placement_worker *workers =
		mem_array(r->workers.n, sizeof(*workers));
	unsigned n = 0;
	size_t i;

	for (i = 0; i < r->workers.n; i++)
		if (r->workers.at[i].live)
			workers[n++] = (struct placement_worker){
				.id = r->workers.at[i].id,
				.weight = r->workers.at[i].capacity,
			};
	free((void *)(uintptr_t)c->before.workers);
	c->before = c->set;
	c->set = (struct worker_set){ r->epoch, workers, n };
}

static void on_workers(struct upcall *call, int code, const void *reply)
{
	struct worker *w = call->w;
	const struct workers_reply *r = reply;
	struct control *c = &w->control;

	c->asking = false;
	if (code || r->epoch <= c->set.epoch)
		return;
	learn_peers(c, r);
	learn_set(c, r);
	log_info("workers changed", "epoch=%" PRIu64 " live=%u", c->set.epoch,
		 c->set.n);
}

void control_epoch(struct worker *w, uint64_t epoch)
{
	const struct workers_request req = { .epoch = w->control.set.epoch };

	if (epoch <= w->control.set.epoch || w->control.asking ||
	    w->control.stopped)
		return;
	w->control.asking = true;
	master_ask(w, RPC_MASTER_METHOD(workers), &w->control.ask, &req,
		   on_workers);
}

uint32_t control_source(struct worker *w, struct block_id block, bool *is_home)
{
	const struct control *c = &w->control;
	uint32_t home = c->set.n ? placement_home(&c->set, block) : 0;

	*is_home = !home || home == c->id;
	if (home && *is_home && c->before.n)
		home = placement_home(&c->before, block);
	return home == c->id ? 0 : home;
}

struct rpc_client *control_peer(struct worker *w, uint32_t id)
{
	struct peer_worker *p = find_peer(&w->control, id);

	if (!p || !p->address)
		return NULL;
	if (!p->client)
		p->client = rpc_client_new(w->loop, p->address, &w->identity);
	return p->client;
}

/* ---- reports ---- */

static void add_id(struct buffer_u64 *b, uint64_t id)
{
	if (b->n == b->room) {
		b->room = b->room ? b->room * 2 : 64;
		b->at = mem_resize(b->at, b->room, sizeof(*b->at));
	}
	b->at[b->n++] = id;
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
		add_id(&w->control.added, file);
		break;
	case STORE_COMPLETE:
		add_id(&w->control.complete, file);
		break;
	case STORE_DAMAGED:
		history_fate(w, file, FATE_DAMAGED);
		break;
	case STORE_REMOVED:
		remember(w, file, FATE_CACHED, FATE_EVICTED);
		add_id(&w->control.removed, file);
		break;
	}
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
	tiers_count(w, t);
	c->evictions = t->evictions;
	c->evicted_bytes = t->evicted_bytes;
	c->not_admitted = t->not_admitted;
}

/* The next part of what there is to tell, in the order in which it happened as
 * far as that matters: what was removed comes last. */
static schema_u64_array part(struct buffer_u64 *b, size_t *left)
{
	size_t n = b->n < *left ? b->n : *left;

	*left -= n;
	return (schema_u64_array){ b->at, n };
}

static void told(struct buffer_u64 *b, size_t n)
{
	b->n -= n;
	if (b->n)
		memmove(b->at, b->at + n, b->n * sizeof(*b->at));
}

static void on_told(struct upcall *call, int code, const void *reply);

static void tell(struct worker *w)
{
	struct control *c = &w->control;
	struct heartbeat_request req = { .worker = c->id };
	size_t left = MAX_IDS;
	struct store_totals t;

	/* What is not known to have been heard is told anew, all of it, once
	 * somebody hears. */
	if (c->full)
		c->added.n = c->complete.n = c->removed.n = 0;
	store_take_changes(w->store, c->full && !c->unheard, on_change, w);
	if (c->unheard)
		c->added.n = c->complete.n = c->removed.n = 0;
	store_totals(w->store, &t);
	count(w, &t);
	req.epoch = c->set.epoch;
	req.capacity = t.capacity;
	req.used = t.used;
	req.full = c->full && !c->unheard;
	req.added = part(&c->added, &left);
	req.complete = part(&c->complete, &left);
	req.removed = part(&c->removed, &left);
	c->full = c->full && c->unheard;
	c->telling = true;
	master_tell(w, RPC_MASTER_METHOD(heartbeat), &c->tell, &req, on_told);
	told(&c->added, req.added.n);
	told(&c->complete, req.complete.n);
	told(&c->removed, req.removed.n);
}

static void no_master(struct worker *w, const struct err *err)
{
	if (!w->control.said)
		log_warn("no master, serving what is cached", "error=\"%s\"",
			 err->msg);
	w->control.said = true;
}

static void on_told(struct upcall *call, int code, const void *reply)
{
	struct worker *w = call->w;
	const struct heartbeat_reply *r = reply;
	struct control *c = &w->control;
	bool more = c->added.n || c->complete.n || c->removed.n;

	c->telling = false;
	if (code) {
		no_master(w, &call->pending.err);
		c->full = c->unheard = true;
		again(w, RETRY_MS);
		return;
	}
	c->said = c->unheard = false;
	control_epoch(w, r->epoch);
	if (r->report || r->register_again)
		c->full = true;
	if (r->register_again)
		c->id = 0;
	again(w, more || c->full ? 0 : c->heartbeat_ms);
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
	c->full = true;
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

	if (c->telling || c->stopped || !c->id ||
	    c->timer.at_ms <= loop_now_ms(w->loop) + NEWS_MS)
		return;
	loop_timer_stop(&c->timer);
	again(w, NEWS_MS);
}

void control_start(struct worker *w)
{
	w->control.full = true;
	w->control.heartbeat_ms = HEARTBEAT_MS;
	list_init(&w->control.timer.link);
	again(w, 0);
}

void control_stop(struct worker *w)
{
	w->control.stopped = true;
	loop_timer_stop(&w->control.timer);
	free_peers(w->control.peers, w->control.n_peers);
	w->control.peers = NULL;
	w->control.n_peers = 0;
}

void control_close(struct worker *w)
{
	struct control *c = &w->control;

	free((void *)(uintptr_t)c->set.workers);
	free((void *)(uintptr_t)c->before.workers);
	free(c->added.at);
	free(c->complete.at);
	free(c->removed.at);
}
