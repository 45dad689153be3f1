#include "master/master.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "master/state.h"
#include "runtime/metrics.h"

#define LOG_MODULE "master"
#include "runtime/log.h"

#define STOP_MS      5000 /* for what is under way to end */
#define LAST_MS      3000 /* then for under-storage */
#define STOP_LOOK_MS 10

static const rpc_handler handlers[] = {
#define HANDLER(number, name, req, rep) [number] = serve_##name,
	MASTER_CALLS(HANDLER)
#undef HANDLER
};

static struct namespace *tree_of(void *owner)
{
	struct master *m = owner;

	return journal_namespace(m->journal);
}

static uint64_t wall_ms(void *owner)
{
	struct master *m = owner;

	return m->o.wall_ms(m->o.owner);
}

/* Effects of what was applied. */

static void on_applied(void *owner, const struct journal_record *record,
		       const struct namespace_result *res)
{
	struct master *m = owner;
	struct namespace_totals t;

	if (!m->serving || res->code)
		return;
	namespace_totals(journal_namespace(m->journal), &t);
	metric_set(METRIC_inodes, t.inodes);
	if (record->type == JOURNAL_mount || record->type == JOURNAL_unmount) {
		mounts_forget(&m->mounts, (uint32_t)res->id);
		m->mount_changes++;
	}
	if (res->n_stale)
		workers_stale(&m->workers, res->stale, res->n_stale);
}

static void on_broken(void *owner, const struct err *err)
{
	struct master *m = owner;

	m->o.broken(m->o.owner, err);
}

/* Starting. */

static int listen_all(struct master *m, struct err *err)
{
	const char *const *a;
	int rv = 0;

	for (a = m->o.listen; !rv && *a && m->n_addresses < LISTEN_MAX; a++) {
		rv = rpc_server_listen(m->server, *a,
				       m->addresses[m->n_addresses], err);
		if (!rv)
			m->n_addresses++;
	}
	return rv;
}

static void start_server(struct master *m)
{
	struct rpc_service service = {
		.name = "master",
		.methods = rpc_master_methods,
		.handlers = handlers,
		.n_methods = ARRAY_SIZE(handlers),
		.role = m,
	};

	m->server = rpc_server_new(m->o.loop, &service, &m->identity);
}

static void check_block_size(struct master *m, uint64_t fixed)
{
	if (!m->o.block_size || m->o.block_size == fixed)
		return;
	m->block_size_warning = mem_printf(
		"block.size is %" PRIu64 " in the configuration, but %" PRIu64
		" for this cluster: fixed when it began",
		m->o.block_size, fixed);
	log_warn("block.size ignored", "configured=%" PRIu64 " fixed=%" PRIu64,
		 m->o.block_size, fixed);
}

/* Whether what is mounted can be reached: a warning if not. */
struct reach {
	struct storage *storage;
	struct storage_req req;
	char *uri;
};

static void on_reached(struct storage_req *req)
{
	struct reach *r = container_of(req, struct reach, req);

	if (req->code)
		log_warn("under-storage not reached",
			 "uri=%s error=\"%s\" effect=\"what is known is "
			 "served\"",
			 r->uri, req->err.msg);
	storage_req_close(req);
	storage_put(r->storage);
	free(r->uri);
	free(r);
}

static void reach_all(struct master *m)
{
	struct namespace *ns = journal_namespace(m->journal);
	struct mount_view v;
	struct reach *r;
	struct err err;
	uint32_t at = 0;

	while (namespace_next_mount(ns, at, &v) == 0) {
		at = v.id;
		r = mem_alloc(sizeof(*r));
		if (mounts_storage(&m->mounts, ns, v.id, &r->storage, &err)) {
			log_warn("mount not opened", "error=\"%s\"", err.msg);
			free(r);
			continue;
		}
		r->uri = mem_strn(v.uri.ptr, v.uri.len);
		storage_get(r->storage);
		storage_list(r->storage, &r->req, "", 1, on_reached);
	}
}

static void on_ready(void *owner, int code, const struct err *err)
{
	struct master *m = owner;
	struct journal_numbers numbers;
	struct namespace_totals t;
	struct err why;

	if (m->stopped) /* already on its way out: too late to serve */
		return;
	if (code) {
		m->o.ready(m->o.owner, code, err);
		return;
	}
	namespace_totals(journal_namespace(m->journal), &t);
	memcpy(m->identity.cluster, t.uuid, sizeof(t.uuid));
	check_block_size(m, t.block_size);
	journal_numbers(m->journal, &numbers);
	workers_lead(&m->workers, numbers.begun);
	start_server(m);
	code = listen_all(m, &why);
	if (!code) {
		m->serving = true;
		gather_begin(m);
		metric_set(METRIC_inodes, t.inodes);
		reach_all(m);
		jobs_resume(&m->jobs);
		log_info("master serves",
			 "inodes=%" PRIu64 " mounts=%" PRIu64 " address=%s",
			 t.inodes, t.mounts, m->addresses[0]);
	}
	m->o.ready(m->o.owner, code, &why);
}

static void start_parts(struct master *m)
{
	const struct loader_options loader = {
		.loop = m->o.loop,
		.journal = m->journal,
		.mounts = &m->mounts,
		.negative_ttl_ms = m->o.negative_ttl_ms,
		.wall_ms = wall_ms,
		.owner = m,
	};
	const struct workers_options workers = {
		.loop = m->o.loop,
		.identity = &m->identity,
		.tree = tree_of,
		.wall_ms = wall_ms,
		.owner = m,
		.host = m->o.host,
	};
	const struct jobs_options jobs = {
		.loop = m->o.loop,
		.journal = m->journal,
		.loader = &m->loader,
		.workers = &m->workers,
	};

	loader_init(&m->loader, &loader);
	workers_init(&m->workers, &workers);
	jobs_init(&m->jobs, &jobs);
}

struct master *master_start(const struct master_options *o)
{
	struct master *m = mem_alloc(sizeof(*m));
	struct journal_options j = {
		.loop = o->loop,
		.pool = o->pool,
		.io = o->io,
		.member = o->member,
		.empty = o->empty,
		.checkpoints = o->checkpoints,
		.arena = o->arena,
		.checkpoint_bytes = o->checkpoint_bytes,
		.wall_ms = wall_ms,
		.block_size = o->block_size,
		.owner = m,
		.ready = on_ready,
		.applied = on_applied,
		.broken = on_broken,
	};

	m->o = *o;
	m->o.storage.loop = o->loop;
	m->identity.role = RPC_MASTER;
	m->identity.key = o->key;
	m->started_ms = loop_now_ms(o->loop);
	m->mount_changes = wall_ms(m);
	list_init(&m->stop_timer.link);
	list_init(&m->gather_timer.link);
	list_init(&m->gatherers);
	mounts_init(&m->mounts, &m->o.storage, o->key);
	memcpy(j.uuid, o->uuid, sizeof(j.uuid));
	m->journal = journal_start(&j);
	start_parts(m);
	return m;
}

/* Stopping. */

static bool idle(const struct master *m)
{
	return jobs_idle(&m->jobs) && loader_idle(&m->loader) && m->asking == 0;
}

static void on_gone(void *owner)
{
	struct master *m = owner;
	void (*stopped)(void *owner, bool clean) = m->stopped;
	void *stopped_owner = m->stopped_owner;

	if (!idle(m)) {
		stopped(stopped_owner, false);
		return;
	}
	jobs_close(&m->jobs);
	workers_close(&m->workers);
	loader_close(&m->loader);
	mounts_end(&m->mounts);
	free(m->block_size_warning);
	free(m);
	stopped(stopped_owner, true);
}

/* Everybody was told; what under-storage still owes us comes. */
static void on_last_look(struct timer *t)
{
	struct master *m = container_of(t, struct master, stop_timer);

	if (!idle(m) && loop_now_ms(m->o.loop) < m->stop_at_ms)
		loop_timer_start(m->o.loop, &m->stop_timer, STOP_LOOK_MS,
				 on_last_look);
	else
		journal_close(m->journal, on_gone, m);
}

static void cut_off(struct master *m)
{
	m->serving = false;
	gather_end(m);
	if (m->server)
		rpc_server_close(m->server);
	workers_stop(&m->workers);
	journal_stop(m->journal);
	m->stop_at_ms = loop_now_ms(m->o.loop) + LAST_MS;
	loop_timer_start(m->o.loop, &m->stop_timer, 0, on_last_look);
}

static void on_stop_look(struct timer *t)
{
	struct master *m = container_of(t, struct master, stop_timer);

	if ((m->drained && idle(m)) || loop_now_ms(m->o.loop) >= m->stop_at_ms)
		cut_off(m);
	else
		loop_timer_start(m->o.loop, &m->stop_timer, STOP_LOOK_MS,
				 on_stop_look);
}

static void on_drained(void *owner)
{
	struct master *m = owner;

	m->drained = true;
}

void master_kill(struct master *m, void (*stopped)(void *owner, bool clean),
		 void *owner)
{
	m->stopped = stopped;
	m->stopped_owner = owner;
	jobs_stop(&m->jobs);
	cut_off(m);
}

void master_end(struct master *m, void (*stopped)(void *owner, bool clean),
		void *owner)
{
	m->stopped = stopped;
	m->stopped_owner = owner;
	m->stop_at_ms = loop_now_ms(m->o.loop) + STOP_MS;
	jobs_stop(&m->jobs);
	gather_end(m);
	if (m->server)
		rpc_server_drain(m->server, on_drained, m);
	else
		m->drained = true;
	loop_timer_start(m->o.loop, &m->stop_timer, 0, on_stop_look);
}

const char *master_address(const struct master *m, unsigned i)
{
	return i < m->n_addresses ? m->addresses[i] : NULL;
}

struct namespace *master_namespace(struct master *m)
{
	return journal_namespace(m->journal);
}
