#include "client/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/log.h"

#define GO_BACK_MS      5000  /* after this to a better address if idle */
#define GO_BACK_BUSY_MS 30000 /* or at all events */
#define VAIN_MS         1000  /* without reaching it: it is away */
#define FRESH_VAIN_MS   3000  /* later than that it is another time */
#define STAY_LOCAL      20    /* refused connects */

static void free_addresses(struct worker *w)
{
	unsigned i;

	for (i = 0; i < w->n_addresses; i++)
		free(w->addresses[i]);
	free(w->addresses);
	w->addresses = NULL;
	w->n_addresses = w->current = 0;
}

static bool is_unix(schema_str address)
{
	return address.len > 5 && memcmp(address.ptr, "unix:", 5) == 0;
}

/* Those that lead to it from here. */
static char **usable(const struct client *c, const struct worker_info *info,
		     unsigned *n)
{
	char **out = mem_array(info->addresses.n, sizeof(*out));
	bool here = strlen(c->host) == info->host.len &&
		    memcmp(c->host, info->host.ptr, info->host.len) == 0;
	const schema_str *a;
	size_t i;

	*n = 0;
	for (i = 0; i < info->addresses.n; i++) {
		a = &info->addresses.at[i];
		if (here || !is_unix(*a))
			out[(*n)++] = mem_strn(a->ptr, a->len);
	}
	return out;
}

static void disconnect(struct worker *w)
{
	if (w->rpc)
		rpc_client_close(w->rpc);
	w->rpc = NULL;
	grants_forget(w->client, w->id);
}

/* It is another now, or not looked for any more. */
static void begin_anew(struct worker *w)
{
	disconnect(w);
	w->away = false;
	w->vain_ms = 0;
}

static bool same_addresses(const struct worker *w, char *const *addresses,
			   unsigned n)
{
	unsigned i;

	if (n != w->n_addresses)
		return false;
	for (i = 0; i < n; i++)
		if (strcmp(addresses[i], w->addresses[i]) != 0)
			return false;
	return true;
}

static void update_worker(struct client *c, const struct worker_info *info)
{
	struct worker *w = map_get(&c->by_id, info->id), fresh = { 0 };

	if (!w) {
		w = mem_alloc(sizeof(*w));
		w->client = c;
		w->id = info->id;
		list_push_back(&c->workers, &w->link);
		map_put(&c->by_id, w->id, w);
	}
	w->listed = info->live;
	if (!w->listed && w->away)
		begin_anew(w);
	fresh.addresses = usable(c, info, &fresh.n_addresses);
	if (same_addresses(w, fresh.addresses, fresh.n_addresses)) {
		free_addresses(&fresh);
		return;
	}
	begin_anew(w);
	free_addresses(w);
	w->addresses = fresh.addresses;
	w->n_addresses = fresh.n_addresses;
}

static void update_set(struct client *c, const struct workers_reply *reply)
{
	const struct worker_info *info;
	struct list *at;
	size_t i;

	for (at = c->workers.next; at != &c->workers; at = at->next)
		list_entry(at, struct worker, link)->listed = false;
	free(c->live);
	c->live = mem_array(reply->workers.n, sizeof(*c->live));
	c->set = (struct worker_set){ reply->epoch, c->live, 0 };
	for (i = 0; i < reply->workers.n; i++) {
		info = &reply->workers.at[i];
		if (!info->id)
			continue;
		update_worker(c, info);
		if (info->live)
			c->live[c->set.n++] = (struct placement_worker){
				info->id,
				info->capacity,
			};
	}
	if (reply->block_size)
		c->block_size = reply->block_size;
	c->known = true;
}

static void go_on(struct client *c, int code, const struct err *err)
{
	struct list waiting, *link;

	c->asking = false;
	list_take(&waiting, &c->waiting);
	while ((link = list_pop_front(&waiting)))
		call_workers_known(list_entry(link, struct client_call, link),
				   code, err);
}

static void on_workers(struct client_call *call, int code, const void *reply)
{
	struct client *c = call->client;

	if (!code)
		update_set(c, reply);
	go_on(c, code, &call->err);
}

void workers_refresh(struct client *c)
{
	const struct workers_request req = { .epoch = c->set.epoch };

	if (c->asking || c->closed)
		return;
	c->asking = true;
	client_master(c, RPC_MASTER_METHOD(workers), &c->ask, &req, on_workers);
}

static void on_known_set(struct client_call *call, int code, const void *reply)
{
	const struct known_set_reply *r = reply;
	struct client *c = call->client;

	if (!code && r->epoch > c->set.epoch) {
		update_set(c, &(struct workers_reply){
				      .epoch = r->epoch,
				      .workers = r->workers,
				      .block_size = r->block_size,
			      });
		go_on(c, 0, NULL);
		return;
	}
	c->asking = false;
	workers_refresh(c);
	if (!c->asking) /* closed */
		go_on(c, -ECANCELED, &call->err);
}

void workers_wait(struct client_call *call, bool told)
{
	const struct known_set_request req = {
		.epoch = call->client->set.epoch
	};
	struct client *c = call->client;

	call->wait = CLIENT_WAIT_WORKERS;
	list_remove(&call->link);
	list_push_back(&c->waiting, &call->link);
	if (!told || c->asking || c->closed) {
		workers_refresh(c);
		return;
	}
	c->asking = true;
	c->ask.target = CLIENT_WORKER;
	c->ask.worker = call->worker;
	c->ask.once = true;
	c->ask.prepare = NULL;
	c->ask.pending.data = NULL;
	c->ask.pending.data_len = 0;
	c->ask.pending.progress = NULL;
	call_start(c, &c->ask, RPC_WORKER_METHOD(known_set), &req,
		   on_known_set);
}

struct worker *workers_find(struct client *c, uint32_t id)
{
	return map_get(&c->by_id, id);
}

struct worker *workers_for(struct client *c, struct block_id block,
			   unsigned unreached, uint32_t *home)
{
	uint32_t order[MAX_ORDER];
	unsigned n, i;
	struct worker *w;

	*home = placement_home(&c->set, block);
	w = *home ? workers_find(c, *home) : NULL;
	if (!w || !w->away)
		return w;
	n = placement_order(&c->set, block, order, MAX_ORDER);
	for (i = 1; i < n; i++) {
		w = workers_find(c, order[i]);
		if (!w->away)
			return w;
	}
	return workers_find(c, order[unreached % n]);
}

static void on_notice(void *owner, unsigned number, const void *notice)
{
	struct worker *w = owner;

	if (number == WORKER_NOTICE_let_go)
		client_grants_let_go(w->client, w, notice);
}

/* What waits for one that is away has somebody to go to. */
static void move_all(struct client *c)
{
	struct worker *w;
	struct list *at;

	for (at = c->workers.next; at != &c->workers; at = at->next) {
		w = list_entry(at, struct worker, link);
		if (w->away)
			calls_move(c, w->id);
	}
}

static void on_watch(void *owner, bool away)
{
	struct worker *w = owner;

	if (w->away == away)
		return;
	w->away = away;
	w->vain_ms = 0;
	if (away) {
		log_warn("worker is away", "worker=%" PRIu32 " of=%u", w->id,
			 w->client->set.n);
		workers_refresh(w->client);
	} else {
		log_info("worker is back", "worker=%" PRIu32, w->id);
		calls_hurry(w->client, w->id);
	}
	move_all(w->client);
}

/* Others would fetch what it has: it gets long enough to start again. */
bool worker_in_vain(struct worker *w)
{
	uint64_t now_ms = loop_now_ms(w->client->loop);

	if (!w->vain_ms || now_ms - w->last_vain_ms > FRESH_VAIN_MS)
		w->vain_ms = now_ms;
	w->last_vain_ms = now_ms;
	if (w->away || !w->rpc || now_ms - w->vain_ms < VAIN_MS)
		return false;
	rpc_client_doubt(w->rpc);
	return true;
}

/* It may have forgotten what it granted. */
static void on_lost(void *owner)
{
	struct worker *w = owner;

	w->refused = 0;
	w->vain_ms = 0;
	grants_forget(w->client, w->id);
}

bool worker_is_local(const struct worker *w)
{
	return w->n_addresses &&
	       strncmp(w->addresses[w->current], "unix:", 5) == 0;
}

/* Back to the first address, which is the best, if that is worth a look and
 * nobody is held up by it. */
static void go_back(struct worker *w)
{
	uint64_t away = loop_now_ms(w->client->loop) - w->moved_ms;

	if (away < GO_BACK_MS ||
	    (w->rpc && !rpc_client_is_idle(w->rpc) && away < GO_BACK_BUSY_MS))
		return;
	w->current = 0;
	w->refused = 0;
	disconnect(w);
}

struct rpc_client *worker_rpc(struct worker *w)
{
	struct client *c = w->client;

	if (w->current > 0)
		go_back(w);
	if (!w->rpc) {
		w->rpc = rpc_client_new(c->loop, w->addresses[w->current],
					&c->identity);
		rpc_client_on_notice(w->rpc, on_notice, w);
		rpc_client_on_lost(w->rpc, on_lost, w);
		rpc_client_watch(w->rpc, on_watch, w);
		if (w->away)
			rpc_client_doubt(w->rpc);
	}
	return w->rpc;
}

void worker_next_address(struct worker *w, int code)
{
	/* Others may have a connection by now. */
	if (w->n_addresses < 2 || rpc_client_is_ready(w->rpc))
		return;
	/* A socket file is there: its worker has been, and restarts soon. */
	if (worker_is_local(w) &&
	    (code == -ECONNREFUSED || code == -ECONNRESET) &&
	    w->refused++ < STAY_LOCAL)
		return;
	w->current = (w->current + 1) % w->n_addresses;
	w->refused = 0;
	w->moved_ms = loop_now_ms(w->client->loop);
	disconnect(w);
	if (w->away)
		worker_rpc(w);
}

void client_workers_close(struct client *c)
{
	struct list *link;
	struct worker *w;

	while ((link = list_pop_front(&c->workers))) {
		w = list_entry(link, struct worker, link);
		if (w->rpc)
			rpc_client_close(w->rpc);
		free_addresses(w);
		free(w);
	}
}
