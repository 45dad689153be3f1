/* Workers come, go and report. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "master/state.h"

#define UUID_LEN  16
#define GATHER_MS 3000 /* three heartbeats */

schema_str str_of(const char *s)
{
	return (schema_str){ s, s ? strlen(s) : 0 };
}

/* Only a holder of the key that says it is a worker. */
static bool may_register(struct rpc_call *call)
{
	const struct rpc_peer *peer = rpc_call_peer(call);

	if (peer->has_key && peer->role == RPC_WORKER)
		return true;
	rpc_fail(call, -EACCES,
		 "only workers that hold the cluster key may register");
	return false;
}

struct register_op {
	struct master *m;
	struct rpc_call *call;
	const struct register_worker_request *req;
	struct journal_req journal;
};

static void reply_registered(struct master *m, struct rpc_call *call,
			     const struct register_worker_request *req,
			     uint32_t id)
{
	struct register_worker_reply reply = { .id = id };
	struct namespace_totals t;

	reply.heard = workers_register(&m->workers, id, req);
	if (m->workers.n_live >= m->known_workers)
		gather_end(m);
	namespace_totals(journal_namespace(m->journal), &t);
	reply.epoch = m->workers.epoch;
	reply.heartbeat_ms = WORKERS_HEARTBEAT_MS;
	reply.block_size = t.block_size;
	reply.cluster = (schema_bytes){ t.uuid, sizeof(t.uuid) };
	rpc_reply(call, &reply);
}

static void on_registered(struct journal_req *journal,
			  const struct namespace_result *res)
{
	struct register_op *op =
		container_of(journal, struct register_op, journal);

	if (res->code)
		rpc_fail(op->call, res->code, "worker not registered: %s",
			 err_text(res->code));
	else
		reply_registered(op->m, op->call, op->req, (uint32_t)res->id);
	free(op);
}

void serve_register_worker(void *role, struct rpc_call *call,
			   const void *request)
{
	const struct register_worker_request *req = request;
	struct journal_record r = { .type = JOURNAL_worker };
	struct master *m = role;
	struct register_op *op;
	uint32_t id;

	if (!may_register(call))
		return;
	if (req->uuid.len != UUID_LEN) {
		rpc_fail(call, -EINVAL, "a worker's uuid has %d bytes",
			 UUID_LEN);
		return;
	}
	id = namespace_worker(journal_namespace(m->journal), req->uuid);
	if (id) {
		reply_registered(m, call, req, id);
		return;
	}
	op = mem_alloc(sizeof(*op));
	op->m = m;
	op->call = call;
	op->req = req;
	r.worker.uuid = req->uuid;
	journal_submit(m->journal, &r, &op->journal, on_registered);
}

void serve_heartbeat(void *role, struct rpc_call *call, const void *request)
{
	struct heartbeat_reply reply;
	struct master *m = role;

	if (!may_register(call))
		return;
	workers_heartbeat(&m->workers, request, &reply);
	reply.mounts = m->mount_changes;
	rpc_reply(call, &reply);
}

struct worker_info *describe_workers(const struct workers *w,
				     schema_str **strings)
{
	struct worker_info *infos = mem_array(w->n + 1, sizeof(*infos));
	const struct worker *k;
	size_t i, a, n = 0;
	schema_str *s;

	for (i = 0; i < w->n; i++)
		n += w->at[i]->n_addresses;
	*strings = s = mem_array(n + 1, sizeof(*s));
	for (i = 0; i < w->n; i++) {
		k = w->at[i];
		infos[i] = (struct worker_info){
			.id = k->id,
			.addresses = { s, k->n_addresses },
			.host = str_of(k->host),
			.capacity = k->capacity,
			.used = k->used,
			.last_heartbeat_ms = k->seen_wall_ms,
			.live = k->live,
			.tiers = { k->tiers, k->n_tiers },
		};
		for (a = 0; a < k->n_addresses; a++)
			*s++ = str_of(k->addresses[a]);
	}
	return infos;
}

static void reply_workers(struct master *m, struct rpc_call *call)
{
	struct workers_reply reply = { 0 };
	struct namespace_totals t;
	struct worker_info *infos;
	schema_str *strings;

	namespace_totals(journal_namespace(m->journal), &t);
	infos = describe_workers(&m->workers, &strings);
	reply.epoch = m->workers.epoch;
	reply.workers.at = infos;
	reply.workers.n = m->workers.n;
	reply.block_size = t.block_size;
	rpc_reply(call, &reply);
	free(strings);
	free(infos);
}

struct gatherer {
	struct list link;
	struct rpc_call *call;
};

void serve_workers(void *role, struct rpc_call *call,
		   const void *request ATTR_UNUSED)
{
	struct master *m = role;
	struct gatherer *g;

	if (!m->gathering) {
		reply_workers(m, call);
		return;
	}
	g = mem_alloc(sizeof(*g));
	g->call = call;
	list_push_back(&m->gatherers, &g->link);
}

void gather_end(struct master *m)
{
	struct gatherer *g;
	struct list *link;

	m->gathering = false;
	loop_timer_stop(&m->gather_timer);
	while ((link = list_pop_front(&m->gatherers))) {
		g = list_entry(link, struct gatherer, link);
		reply_workers(m, g->call);
		free(g);
	}
}

static void on_gathered(struct timer *t)
{
	gather_end(container_of(t, struct master, gather_timer));
}

void gather_begin(struct master *m)
{
	struct namespace_totals t;

	namespace_totals(journal_namespace(m->journal), &t);
	m->known_workers = t.workers;
	m->gathering = t.workers > 0;
	if (m->gathering)
		loop_timer_start(m->o.loop, &m->gather_timer, GATHER_MS,
				 on_gathered);
}
