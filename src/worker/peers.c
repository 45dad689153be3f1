/* The set of workers, and who of them may have what. */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "worker/state.h"

#define LOG_MODULE "worker"
#include "runtime/log.h"

/* How long a call waits for a set that is not known yet. */
#define PATIENCE_MS 1000

/* After a change of the set the home before is asked, until the master is sure
 * to know who has what. */
#define BEFORE_MS 60000

/* ---- who waits for the set ---- */

void control_go_on(struct worker *w)
{
	struct list waiting, *link;
	struct set_wait *wait;

	loop_timer_stop(&w->control.patience);
	list_take(&waiting, &w->control.waiting);
	while ((link = list_pop_front(&waiting))) {
		wait = list_entry(link, struct set_wait, link);
		wait->done(wait);
	}
}

static void on_patience(struct timer *t)
{
	control_go_on(container_of(t, struct worker, control.patience));
}

bool control_wait(struct worker *w, struct set_wait *wait, uint64_t epoch)
{
	struct control *c = &w->control;

	if (epoch <= c->set.epoch || c->stopped)
		return true;
	if (list_empty(&c->patience.link))
		loop_timer_start(w->loop, &c->patience, PATIENCE_MS,
				 on_patience);
	list_push_back(&c->waiting, &wait->link);
	control_epoch(w, epoch);
	return false;
}

/* ---- the set ---- */

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

static void peer_free(struct peer_worker *p)
{
	if (p->client)
		rpc_client_close(p->client);
	free(p->address);
	free(p);
}

void peers_close(struct control *c)
{
	while (c->n_peers)
		peer_free(c->peers[--c->n_peers]);
	free(c->peers);
	c->peers = NULL;
}

static struct peer_worker *find_peer(const struct control *c, uint32_t id)
{
	size_t i;

	for (i = 0; i < c->n_peers; i++)
		if (c->peers[i]->id == id)
			return c->peers[i];
	return NULL;
}

static struct peer_worker *peer_new(struct worker *w,
				    const struct worker_info *info)
{
	struct peer_worker *p = mem_alloc(sizeof(*p));

	p->w = w;
	p->id = info->id;
	p->address = address_of(info);
	return p;
}

/* The peer that is known already, if it is still there. */
static struct peer_worker *take_peer(struct control *c, uint32_t id,
				     const char *address)
{
	struct peer_worker *p;
	size_t i;

	for (i = 0; i < c->n_peers; i++) {
		p = c->peers[i];
		if (p->id != id || !p->address || !address ||
		    strcmp(p->address, address) != 0)
			continue;
		c->peers[i] = c->peers[--c->n_peers];
		return p;
	}
	return NULL;
}

/* Connections to those that stay are kept. */
static void learn_peers(struct worker *w, const struct workers_reply *r)
{
	struct peer_worker **peers =
		mem_array(r->workers.n + 1, sizeof(*peers));
	struct peer_worker *fresh, *known;
	struct control *c = &w->control;
	size_t i, n = 0;

	for (i = 0; i < r->workers.n; i++) {
		if (!r->workers.at[i].live)
			continue;
		fresh = peer_new(w, &r->workers.at[i]);
		known = take_peer(c, fresh->id, fresh->address);
		if (known)
			peer_free(fresh);
		peers[n++] = known ? known : fresh;
	}
	peers_close(c);
	c->peers = peers;
	c->n_peers = n;
}

static bool same_workers(const struct worker_set *a, const struct worker_set *b)
{
	unsigned i;

	for (i = 0; i < a->n && i < b->n; i++)
		if (a->workers[i].id != b->workers[i].id ||
		    a->workers[i].weight != b->workers[i].weight)
			return false;
	return a->n == b->n;
}

/* For who has just come: what was before is the same without it. */
static struct worker_set without_us(const struct control *c)
{
	struct placement_worker *workers =
		mem_array(c->set.n + 1, sizeof(*workers));
	struct worker_set set = { .workers = workers };
	unsigned i;

	for (i = 0; i < c->set.n; i++)
		if (c->set.workers[i].id != c->id)
			workers[set.n++] = c->set.workers[i];
	return set;
}

static void free_set(struct worker_set *set)
{
	free((void *)(uintptr_t)set->workers);
	set->workers = NULL;
	set->n = 0;
}

static void learn_set(struct control *c, const struct workers_reply *r,
		      uint64_t now_ms)
{
	struct placement_worker *workers =
		mem_array(r->workers.n + 1, sizeof(*workers));
	struct worker_set fresh = { .epoch = r->epoch, .workers = workers };
	bool first = c->set.epoch == 0;
	size_t i;

	for (i = 0; i < r->workers.n; i++)
		if (r->workers.at[i].live)
			workers[fresh.n++] = (struct placement_worker){
				.id = r->workers.at[i].id,
				.weight = r->workers.at[i].capacity,
			};
	if (same_workers(&c->set, &fresh)) {
		free_set(&c->set);
	} else {
		free_set(&c->before);
		c->before = c->set;
		c->moved_ms = now_ms;
	}
	c->set = fresh;
	if (!first)
		return;
	free_set(&c->before);
	c->before = without_us(c);
}

static schema_str copy_str(schema_str s)
{
	return (schema_str){ mem_strn(s.ptr, s.len), s.len };
}

static void free_infos(struct control *c)
{
	const schema_str_array *a;
	size_t i, k;

	for (i = 0; i < c->n_infos; i++) {
		a = &c->infos[i].addresses;
		for (k = 0; k < a->n; k++)
			free((char *)(uintptr_t)a->at[k].ptr);
		free((schema_str *)(uintptr_t)a->at);
		free((char *)(uintptr_t)c->infos[i].host.ptr);
	}
	free(c->infos);
	c->infos = NULL;
	c->n_infos = 0;
}

/* What a client needs to reach them. */
static void learn_infos(struct control *c, const struct workers_reply *r)
{
	const struct worker_info *from;
	struct worker_info *to;
	schema_str *addresses;
	size_t i, k;

	free_infos(c);
	c->infos = mem_array(r->workers.n + 1, sizeof(*c->infos));
	c->n_infos = r->workers.n;
	for (i = 0; i < r->workers.n; i++) {
		from = &r->workers.at[i];
		to = &c->infos[i];
		*to = (struct worker_info){
			.id = from->id,
			.addresses = from->addresses,
			.host = copy_str(from->host),
			.capacity = from->capacity,
			.used = from->used,
			.last_heartbeat_ms = from->last_heartbeat_ms,
			.live = from->live,
		};
		addresses = mem_array(to->addresses.n + 1, sizeof(*addresses));
		for (k = 0; k < to->addresses.n; k++)
			addresses[k] = copy_str(to->addresses.at[k]);
		to->addresses.at = addresses;
	}
}

void peers_forget(struct control *c)
{
	free_infos(c);
	free_set(&c->set);
	free_set(&c->before);
}

void serve_known_set(void *role, struct rpc_call *call,
		     const void *request ATTR_UNUSED)
{
	const struct control *c = &((struct worker *)role)->control;
	const struct known_set_reply reply = {
		.epoch = c->set.epoch,
		.workers = { c->infos, c->n_infos },
		.block_size = c->block_size,
	};

	if (c->set.epoch)
		rpc_reply(call, &reply);
	else
		rpc_fail(call, ERR_NO_WORKER, "the workers are not known yet");
}

static void on_workers(struct upcall *call, int code, const void *reply)
{
	struct worker *w = call->w;
	const struct workers_reply *r = reply;
	struct control *c = &w->control;

	c->asking = false;
	if (!code && r->epoch > c->set.epoch) {
		learn_peers(w, r);
		learn_infos(c, r);
		learn_set(c, r, loop_now_ms(w->loop));
		log_info("workers changed", "epoch=%" PRIu64 " live=%u",
			 c->set.epoch, c->set.n);
	}
	control_go_on(w);
}

void control_epoch(struct worker *w, uint64_t epoch)
{
	const struct workers_request req = { .epoch = w->control.set.epoch };

	/* Not before we know which of them we are. */
	if (epoch <= w->control.set.epoch || w->control.asking ||
	    w->control.stopped || !w->control.id)
		return;
	w->control.asking = true;
	master_ask(w, RPC_MASTER_METHOD(workers), &w->control.ask, &req,
		   on_workers);
}

/* ---- who may have what ---- */

bool control_keeps(const struct worker *w, struct block_id block,
		   uint32_t instead_of)
{
	const struct control *c = &w->control;
	uint32_t order[2] = { 0 };
	unsigned n;

	if (!c->id || !c->set.n)
		return true; /* as far as is known */
	n = placement_order(&c->set, block, order, 2);
	return n == 0 || order[0] == c->id ||
	       (n == 2 && order[0] == instead_of && order[1] == c->id);
}

static void on_watch(void *owner, bool away)
{
	struct peer_worker *p = owner;

	if (p->away == away)
		return;
	p->away = away;
	if (away) {
		log_warn("a worker is away", "worker=%" PRIu32 " address=%s",
			 p->id, p->address);
		flights_leave(p->w, p->client);
	}
}

static bool was_asked(const struct flight *fl, uint32_t id)
{
	unsigned i;

	for (i = 0; i < fl->n_asked; i++)
		if (fl->asked[i] == id)
			return true;
	return false;
}

/* The worker, if it can be asked for that. */
static struct peer_worker *usable(struct worker *w, struct flight *fl,
				  uint32_t id)
{
	struct peer_worker *p;

	if (!id || id == w->control.id || id == fl->instead_of ||
	    was_asked(fl, id))
		return NULL;
	p = find_peer(&w->control, id);
	if (!p || !p->address || p->away)
		return NULL;
	if (!p->client) {
		p->client = rpc_client_new(w->loop, p->address, &w->identity);
		rpc_client_watch(p->client, on_watch, p);
	}
	return p;
}

static struct peer_worker *candidate(struct worker *w, struct flight *fl)
{
	struct control *c = &w->control;
	const struct block_id block = flight_block(fl);
	struct peer_worker *p;
	unsigned i;

	p = usable(w, fl, placement_home(&c->set, block));
	for (i = 0; i < fl->file->n_holders && !p; i++)
		if (fl->file->holders[i].lacks != block.index + 1)
			p = usable(w, fl, fl->file->holders[i].worker);
	if (!p && loop_now_ms(w->loop) - c->moved_ms < BEFORE_MS)
		p = usable(w, fl, placement_home(&c->before, block));
	return p;
}

struct peer_worker *control_source(struct worker *w, struct flight *fl)
{
	struct peer_worker *p = NULL;

	if (w->control.id && fl->n_asked < PEERS_ASKED)
		p = candidate(w, fl);
	if (p)
		fl->asked[fl->n_asked++] = p->id;
	return p;
}
