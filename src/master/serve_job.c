/* Jobs, and dropping what is cached. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "master/state.h"

#define HOLDERS_MAX 64
#define IDS_A_CALL  1000
#define DROP_MS     60000

static struct namespace *tree(const struct master *m)
{
	return journal_namespace(m->journal);
}

struct submit_op {
	struct master *m;
	struct rpc_call *call;
	struct journal_req journal;
};

static void on_submitted(struct journal_req *journal,
			 const struct namespace_result *res)
{
	struct submit_op *op = container_of(journal, struct submit_op, journal);
	const struct submit_job_reply reply = { res->id };

	if (res->code) {
		rpc_fail(op->call, res->code, "job not begun: %s",
			 err_text(res->code));
	} else {
		jobs_start(&op->m->jobs, res->id);
		rpc_reply(op->call, &reply);
	}
	free(op);
}

static bool is(const schema_str *s, const char *word)
{
	return s->len == strlen(word) && memcmp(s->ptr, word, s->len) == 0;
}

void serve_submit_job(void *role, struct rpc_call *call, const void *request)
{
	const struct submit_job_request *req = request;
	struct journal_record r = { .type = JOURNAL_job };
	struct master *m = role;
	struct submit_op *op;

	if (!is(&req->kind, "load") && !is(&req->kind, "loadMetadata")) {
		rpc_fail(call, -EINVAL, "there is no job \"%.*s\"",
			 (int)req->kind.len, req->kind.ptr);
		return;
	}
	op = mem_alloc(sizeof(*op));
	op->m = m;
	op->call = call;
	r.stamp.client = req->origin.client;
	r.stamp.sequence = req->origin.sequence;
	r.job.kind = req->kind;
	r.job.path = req->path;
	r.job.recursive = req->recursive;
	r.job.paths = req->paths;
	r.job.verify = req->verify;
	journal_submit(m->journal, &r, &op->journal, on_submitted);
}

void serve_jobs(void *role, struct rpc_call *call, const void *request)
{
	const struct jobs_request *req = request;
	struct jobs_reply reply = { 0 };
	struct job_info *infos = NULL, info;
	struct master *m = role;
	size_t n = 0, room = 0;
	uint64_t at = 0;

	while (namespace_next_job(tree(m), at, &info) == 0) {
		at = info.id;
		if (req->id && req->id != info.id)
			continue;
		jobs_progress(&m->jobs, &info);
		if (n == room) {
			room = room ? 2 * room : 16;
			infos = mem_resize(infos, room, sizeof(*infos));
		}
		infos[n++] = info;
	}
	if (req->id && n == 0) {
		rpc_fail(call, -ENOENT, "there is no such job");
		return;
	}
	reply.jobs.at = infos;
	reply.jobs.n = n;
	rpc_reply(call, &reply);
	free(infos);
}

void serve_cancel_job(void *role, struct rpc_call *call, const void *request)
{
	const struct cancel_job_request *req = request;
	const struct cancel_job_reply reply = { true };
	struct master *m = role;

	if (jobs_cancel(&m->jobs, req->id))
		rpc_fail(call, -ENOENT, "no such job runs");
	else
		rpc_reply(call, &reply);
}

/* free: what is known to be held below a path is dropped, worker by worker. */

struct free_op {
	struct master *m;
	struct rpc_call *call;
	struct resolve resolve;
	struct free_reply reply;
	unsigned in_flight;
	bool walked;
	int code;
	struct err err;
	/* the walk */
	uint64_t *dirs;
	size_t n_dirs, room;
	struct free_batch *batches; /* being filled, one a worker */
};

struct free_batch {
	struct free_op *op;
	struct free_batch *next;
	uint32_t worker;
	struct rpc_pending pending;
	size_t n;
	uint64_t ids[IDS_A_CALL];
};

static void free_end(struct free_op *op)
{
	if (op->in_flight || !op->walked)
		return;
	if (op->code)
		rpc_fail_err(op->call, op->code, &op->err);
	else
		rpc_reply(op->call, &op->reply);
	free(op->dirs);
	free(op);
}

static void on_freed(struct rpc_pending *p, int code, const void *reply)
{
	struct free_batch *b = container_of(p, struct free_batch, pending);
	const struct drop_reply *r = reply;
	struct free_op *op = b->op;

	op->in_flight--;
	if (code) {
		op->code = code;
		op->err = p->err;
	} else {
		op->reply.files += r->files;
		op->reply.bytes += r->bytes;
	}
	free(b);
	free_end(op);
}

static void send_batch(struct free_batch *b)
{
	struct master *m = b->op->m;
	const struct drop_request req = { { b->ids, b->n } };
	struct worker *k = workers_get(&m->workers, b->worker);

	if (!k || !k->live) {
		free(b);
		return;
	}
	b->op->in_flight++;
	b->pending = (struct rpc_pending){
		.deadline_ms = loop_now_ms(m->o.loop) + DROP_MS,
		.fd = -1,
	};
	rpc_call(workers_client(&m->workers, k), RPC_WORKER_METHOD(drop),
		 &b->pending, &req, on_freed);
}

static void free_at(struct free_op *op, uint32_t worker, uint64_t id)
{
	struct free_batch **at = &op->batches, *b;

	while (*at && (*at)->worker != worker)
		at = &(*at)->next;
	b = *at;
	if (!b) {
		*at = b = mem_alloc(sizeof(*b));
		b->op = op;
		b->worker = worker;
	}
	b->ids[b->n++] = id;
	if (b->n == IDS_A_CALL) {
		*at = b->next;
		send_batch(b);
	}
}

static void free_inode(struct free_op *op, const struct inode_view *v)
{
	uint32_t holders[HOLDERS_MAX];
	unsigned i, n;

	if (S_ISDIR(v->mode)) {
		if (op->n_dirs == op->room) {
			op->room = op->room ? 2 * op->room : 64;
			op->dirs = mem_resize(op->dirs, op->room,
					      sizeof(*op->dirs));
		}
		op->dirs[op->n_dirs++] = v->id;
		return;
	}
	n = workers_holders(&op->m->workers, v->id, holders, HOLDERS_MAX);
	for (i = 0; i < n; i++)
		free_at(op, holders[i], v->id);
}

static void on_free_resolved(struct resolve *r, int code, const struct err *err)
{
	struct free_op *op = container_of(r, struct free_op, resolve);
	struct free_batch *b;
	struct inode_view v;
	uint64_t dir, after;

	if (code) {
		op->code = code;
		op->err = *err;
	} else {
		free_inode(op, &r->at);
	}
	while (op->n_dirs) {
		dir = op->dirs[--op->n_dirs];
		for (after = 0; !namespace_next(tree(op->m), dir, after, &v);
		     after = v.id)
			free_inode(op, &v);
	}
	while ((b = op->batches)) {
		op->batches = b->next;
		send_batch(b);
	}
	op->walked = true;
	free_end(op);
}

void serve_free(void *role, struct rpc_call *call, const void *request)
{
	const struct free_request *req = request;
	struct free_op *op = mem_alloc(sizeof(*op));

	op->m = role;
	op->call = call;
	resolve_start(&op->resolve, &op->m->loader, req->path.ptr,
		      req->path.len, false, on_free_resolved);
}
