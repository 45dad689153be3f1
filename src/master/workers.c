#include "master/workers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/metrics.h"

#define LOG_MODULE "master"
#include "runtime/log.h"

#define DROPS_A_CALL 1000
#define DROP_MS      30000
#define AGAIN_MS     1000
#define HOLDERS_MAX  64
#define CHECK_MS     500
#define EPOCH_SHIFT  24 /* the lower part counts changes */

/* How long it is remembered what a lost worker has, and how many drops. */
#define FORGET_MS (UINT64_C(3600) * 1000)
#define DROPS_MAX 1000000

static void send_drops(struct worker *k);

struct worker *workers_get(const struct workers *w, uint32_t id)
{
	size_t i;

	for (i = 0; i < w->n; i++)
		if (w->at[i]->id == id)
			return w->at[i];
	return NULL;
}

/* The set has changed. */
static void new_epoch(struct workers *w)
{
	size_t i;

	w->epoch++;
	w->live = mem_resize(w->live, w->n ? w->n : 1, sizeof(*w->live));
	w->n_live = 0;
	for (i = 0; i < w->n; i++)
		if (w->at[i]->live)
			w->live[w->n_live++] =
				(struct placement_worker){ w->at[i]->id,
							   w->at[i]->capacity };
	metric_set(METRIC_workers_live, w->n_live);
}

struct worker_set workers_set(const struct workers *w)
{
	return (struct worker_set){ w->epoch, w->live, w->n_live };
}

unsigned workers_holders(const struct workers *w, uint64_t file, uint32_t *out,
			 unsigned max)
{
	uint32_t all[HOLDERS_MAX];
	unsigned n = holders_get(&w->holders, file, all, HOLDERS_MAX), i, k = 0;
	const struct worker *worker;

	for (i = 0; i < n && k < max; i++) {
		worker = workers_get(w, all[i]);
		if (worker && worker->live)
			out[k++] = all[i];
	}
	return k;
}

unsigned workers_cached(const struct workers *w, uint64_t file,
			const uint32_t *holders, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		if (holders_is_complete(&w->holders, file, holders[i]))
			return 2;
	return n > 0;
}

/* Life and death. */

static void forget_addresses(struct worker *k)
{
	size_t i;

	for (i = 0; i < k->n_addresses; i++)
		free(k->addresses[i]);
	free(k->addresses);
	free(k->host);
	k->addresses = NULL;
	k->host = NULL;
	k->n_addresses = 0;
}

static bool same_str(const char *a, const schema_str *b)
{
	return a && strlen(a) == b->len && memcmp(a, b->ptr, b->len) == 0;
}

static bool same_addresses(const struct worker *k,
			   const struct register_worker_request *req)
{
	size_t i;

	if (k->n_addresses != req->addresses.n ||
	    !same_str(k->host, &req->host))
		return false;
	for (i = 0; i < k->n_addresses; i++)
		if (!same_str(k->addresses[i], &req->addresses.at[i]))
			return false;
	return true;
}

static void close_client(struct worker *k)
{
	if (k->client)
		rpc_client_close(k->client); /* may call back, later */
	k->client = NULL;
}

static void set_addresses(struct worker *k,
			  const struct register_worker_request *req)
{
	size_t i;

	close_client(k);
	forget_addresses(k);
	k->host = mem_strn(req->host.ptr, req->host.len);
	k->n_addresses = req->addresses.n;
	k->addresses = mem_array(k->n_addresses + 1, sizeof(char *));
	for (i = 0; i < k->n_addresses; i++)
		k->addresses[i] = mem_strn(req->addresses.at[i].ptr,
					   req->addresses.at[i].len);
}

static struct worker *worker_new(struct workers *w, uint32_t id)
{
	struct worker *k = mem_alloc(sizeof(*k));

	k->id = id;
	k->w = w;
	list_init(&k->again.link);
	w->at = mem_resize(w->at, w->n + 1, sizeof(struct worker *));
	w->at[w->n++] = k;
	return k;
}

static void seen(struct worker *k)
{
	k->seen_ms = loop_now_ms(k->w->o.loop);
	k->seen_wall_ms = k->w->o.wall_ms(k->w->o.owner);
}

void workers_lead(struct workers *w, uint64_t begun)
{
	w->epoch = begun << EPOCH_SHIFT;
}

/* All it has reported is void. */
static void forget_reports(struct worker *k)
{
	holders_remove_worker(&k->w->holders, k->id);
	k->heard = 0;
}

uint64_t workers_register(struct workers *w, uint32_t id,
			  const struct register_worker_request *req)
{
	struct worker *k = workers_get(w, id);
	bool changed;

	if (!k)
		k = worker_new(w, id);
	changed = !k->live || !same_addresses(k, req) ||
		  k->capacity != req->capacity;
	/* The same process may be a new one: what is in flight is lost. */
	set_addresses(k, req);
	k->capacity = req->capacity;
	k->used = req->used;
	k->live = true;
	seen(k);
	if (!k->heard || !req->life || k->life != req->life)
		forget_reports(k);
	k->life = req->life;
	if (changed)
		new_epoch(w);
	log_info("worker registered",
		 "worker=%" PRIu32 " address=%s capacity=%" PRIu64
		 " epoch=%" PRIu64 " kept_reports=%d",
		 id, k->n_addresses ? k->addresses[0] : "", k->capacity,
		 w->epoch, k->heard > 0);
	return k->heard;
}

static void die(struct worker *k)
{
	k->live = false;
	close_client(k);
	loop_timer_stop(&k->again);
	new_epoch(k->w);
	log_warn("worker lost", "worker=%" PRIu32 " silent_ms=%" PRIu64, k->id,
		 loop_now_ms(k->w->o.loop) - k->seen_ms);
}

static void on_check(struct timer *t)
{
	struct workers *w = container_of(t, struct workers, check);
	uint64_t now_ms = loop_now_ms(w->o.loop);
	struct worker *k;
	size_t i;

	for (i = 0; i < w->n; i++) {
		k = w->at[i];
		if (k->live && now_ms - k->seen_ms >= WORKERS_DEAD_MS)
			die(k);
		if (!k->live && k->heard && now_ms - k->seen_ms >= FORGET_MS)
			forget_reports(k);
	}
	loop_timer_start(w->o.loop, &w->check, CHECK_MS, on_check);
}

/* Reports. */

static void drop_later(struct worker *k, uint64_t id)
{
	/* One that is lost: its report will show what it still has. */
	if (!k->live && k->n_drops == DROPS_MAX) {
		k->n_drops = 0;
		forget_reports(k);
	}
	if (k->n_drops == k->room) {
		k->room = k->room ? 2 * k->room : 64;
		k->drops = mem_resize(k->drops, k->room, sizeof(*k->drops));
	}
	k->drops[k->n_drops++] = id;
}

static void report_added(struct worker *k, const schema_u64_array *ids,
			 bool complete)
{
	struct namespace *ns = k->w->o.tree(k->w->o.owner);
	struct inode_view v;
	size_t i;

	for (i = 0; i < ids->n; i++) {
		if (namespace_get(ns, ids->at[i], &v))
			drop_later(k, ids->at[i]);
		else if (complete)
			holders_complete(&k->w->holders, ids->at[i], k->id);
		else
			holders_add(&k->w->holders, ids->at[i], k->id);
	}
}

/* Whether nothing is missing between this report and the one before; one that
 * is sent again says more of the same. */
static bool follows(const struct worker *k, const struct heartbeat_request *req)
{
	return req->full || (k->life == req->life &&
			     (req->number == k->heard ||
			      (k->heard && req->number == k->heard + 1)));
}

static void take_report(struct worker *k, const struct heartbeat_request *req)
{
	size_t i;

	if (req->full)
		forget_reports(k);
	report_added(k, &req->added, false);
	report_added(k, &req->complete, true);
	for (i = 0; i < req->removed.n; i++)
		holders_remove(&k->w->holders, req->removed.at[i], k->id);
	k->life = req->life;
	k->heard = req->number;
}

static void take_tiers(struct worker *k, const schema_tier_info_array *tiers)
{
	char name[16];
	enum tier t;
	size_t i;

	k->n_tiers = 0;
	for (i = 0; i < tiers->n && k->n_tiers < N_TIERS; i++) {
		snprintf(name, sizeof(name), "%.*s", (int)tiers->at[i].name.len,
			 tiers->at[i].name.ptr);
		t = tier_find(name);
		if (t == TIER_AUTO)
			continue;
		k->tiers[k->n_tiers] = tiers->at[i];
		k->tiers[k->n_tiers].name =
			(schema_str){ tier_name(t), strlen(tier_name(t)) };
		k->n_tiers++;
	}
}

void workers_heartbeat(struct workers *w, const struct heartbeat_request *req,
		       struct heartbeat_reply *reply)
{
	struct worker *k = workers_get(w, req->worker);

	*reply = (struct heartbeat_reply){ .epoch = w->epoch };
	if (!k || !k->live) {
		reply->register_again = true;
		return;
	}
	seen(k);
	k->used = req->used;
	take_tiers(k, &req->tiers);
	if (k->capacity != req->capacity) {
		k->capacity = req->capacity;
		new_epoch(w);
		reply->epoch = w->epoch;
	}
	if (follows(k, req))
		take_report(k, req);
	else
		reply->report = true;
	send_drops(k);
}

/* Calls. */

/* A socket of this machine, else the first other address. */
static const char *best_address(const struct worker *k)
{
	bool here =
		k->host && k->w->o.host && strcmp(k->host, k->w->o.host) == 0;
	size_t i;

	for (i = 0; i < k->n_addresses; i++)
		if (here || strncmp(k->addresses[i], "unix:", 5) != 0)
			return k->addresses[i];
	return k->n_addresses ? k->addresses[0] : "";
}

struct rpc_client *workers_client(struct workers *w, struct worker *k)
{
	if (!k->client)
		k->client = rpc_client_new(w->o.loop, best_address(k),
					   w->o.identity);
	return k->client;
}

static void on_again(struct timer *t)
{
	send_drops(container_of(t, struct worker, again));
}

static void on_dropped(struct rpc_pending *p, int code,
		       const void *reply ATTR_UNUSED)
{
	struct worker *k = container_of(p, struct worker, pending);
	size_t sent = k->sent;

	k->sent = 0;
	if (!k->live)
		return;
	if (code) {
		log_warn("drop not done", "worker=%" PRIu32 " error=\"%s\"",
			 k->id, p->err.msg);
		loop_timer_stop(&k->again);
		loop_timer_start(k->w->o.loop, &k->again, AGAIN_MS, on_again);
		return;
	}
	k->n_drops -= sent;
	memmove(k->drops, k->drops + sent, k->n_drops * sizeof(*k->drops));
	send_drops(k);
}

static void send_drops(struct worker *k)
{
	struct drop_request req = { 0 };

	if (k->sent || k->n_drops == 0 || !k->live ||
	    !list_empty(&k->again.link))
		return;
	k->sent = k->n_drops < DROPS_A_CALL ? k->n_drops : DROPS_A_CALL;
	req.ids.at = k->drops;
	req.ids.n = k->sent;
	k->pending = (struct rpc_pending){
		.deadline_ms = loop_now_ms(k->w->o.loop) + DROP_MS,
		.fd = -1,
	};
	rpc_call(workers_client(k->w, k), RPC_WORKER_METHOD(drop), &k->pending,
		 &req, on_dropped);
}

void workers_stale(struct workers *w, const uint64_t *ids, size_t n)
{
	uint32_t at[HOLDERS_MAX];
	struct worker *k;
	unsigned i, holders;
	size_t f;

	for (f = 0; f < n; f++) {
		holders = holders_get(&w->holders, ids[f], at, HOLDERS_MAX);
		for (i = 0; i < holders; i++) {
			k = workers_get(w, at[i]);
			if (k)
				drop_later(k, ids[f]);
		}
		holders_forget(&w->holders, ids[f]);
	}
	for (f = 0; f < w->n; f++)
		send_drops(w->at[f]);
}

void workers_init(struct workers *w, const struct workers_options *o)
{
	*w = (struct workers){ .o = *o };
	holders_init(&w->holders);
	loop_timer_start(o->loop, &w->check, CHECK_MS, on_check);
}

void workers_stop(struct workers *w)
{
	size_t i;

	loop_timer_stop(&w->check);
	for (i = 0; i < w->n; i++) {
		w->at[i]->live = false;
		close_client(w->at[i]);
		loop_timer_stop(&w->at[i]->again);
	}
}

void workers_close(struct workers *w)
{
	struct worker *k;
	size_t i;

	for (i = 0; i < w->n; i++) {
		k = w->at[i];
		forget_addresses(k);
		free(k->drops);
		free(k);
	}
	free(w->at);
	free(w->live);
	holders_close(&w->holders);
}
