#include "master/jobs.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "master/resolve.h"

#define LOG_MODULE "master"
#include "runtime/log.h"

#define TURN          256 /* inodes a job walks over before others have a turn */
#define TRIES         5
#define TRIES_GONE    30 /* while a worker is away */
#define TRIES_PART    4  /* while it has cached a part only: 3 s */
#define WAIT_MS       1000
#define EXPLAIN_MS    30000
#define NEWS_MS       200 /* in which workers tell us what they have */
#define RESOLVE_AHEAD 64  /* paths of a job that are looked for at once */
#define MEND_LEAST    256
#define MEND_SHARE    10 /* and this part of all files */

enum phase { COUNT, LOAD, VERIFY, PHASES };

struct job {
	struct list link;
	struct jobs *jobs;
	uint64_t id;
	bool metadata;  /* loadMetadata */
	bool recursive; /* of it */
	char *path;
	size_t path_len;

	bool verify;

	struct tree_walk walk;
	struct root *roots;
	uint32_t n_roots, at_root;
	uint32_t next_root;  /* to be resolved */
	uint32_t path_place; /* of its path, among those of the job */
	uint64_t missing;    /* roots that are not there */
	bool single_taken;   /* the root is a file and was passed */
	bool walking;        /* the walk has begun and is not closed */
	enum phase phase;
	bool walked;        /* of this phase */
	unsigned in_flight; /* files */
	bool cancelled, ended;
	bool over; /* its end is in the journal, or never will be */
	struct task turn;
	bool turning;       /* `turn` is posted */
	struct timer news;  /* of what is loaded, which is not known here yet */
	bool unknown;       /* there is such */
	bool waiting;       /* for them */
	unsigned resolving; /* roots */
	struct journal_req end;

	uint64_t files, bytes;     /* in all */
	uint64_t done, done_bytes; /* loaded */
	uint64_t failed;
	uint64_t mended; /* lost after they were loaded, and loaded again */
	struct err err;  /* the first failure */
};

/* What a job works on: a file, or a directory with all below. */
struct root {
	uint64_t id; /* 0: it is not there */
	bool single; /* it is a file */
};

/* Finding one. */
struct root_op {
	struct job *job;
	uint32_t i;
	char *path;
	struct resolve resolve;
};

/* What one worker is asked of a file: the blocks whose home it is. */
struct part {
	struct file_op *op;
	uint32_t worker;
	struct rpc_pending pending;
};

/* One file on its way to be loaded, or to be checked. */
struct file_op {
	struct job *job;
	uint64_t parent, id, length;
	unsigned tries;
	bool mending; /* its check found it lost: is loaded again */
	bool mended;  /* was */
	struct part *parts;
	unsigned n_parts, left; /* that have not answered */
	bool complete;          /* as far as they have */
	struct err err;         /* the first failure of this try */
	struct timer again;
	size_t name_len;
	char name[];
};

static void step(struct job *job);
static void try_file(struct file_op *op);

static struct namespace *tree(const struct jobs *j)
{
	return journal_namespace(j->o.journal);
}

void jobs_init(struct jobs *j, const struct jobs_options *o)
{
	*j = (struct jobs){ .o = *o };
	list_init(&j->running);
}

static struct job *find(const struct jobs *j, uint64_t id)
{
	const struct list *link;
	struct job *job;

	for (link = j->running.next; link != &j->running; link = link->next) {
		job = list_entry(link, struct job, link);
		if (job->id == id)
			return job;
	}
	return NULL;
}

static void job_free(struct job *job)
{
	list_remove(&job->link);
	free(job->path);
	free(job->roots);
	free(job);
}

static void failed(struct job *job, int code, const char *text)
{
	job->failed++;
	if (!job->err.code)
		err_set(&job->err, code, "%s", text);
}

/* The end. */

static void on_ended(struct journal_req *req,
		     const struct namespace_result *res ATTR_UNUSED)
{
	struct job *job = container_of(req, struct job, end);

	job->over = true;
	if (!job->turning) /* else on_turn() does */
		job_free(job);
}

static const char *final_state(const struct job *job)
{
	if (job->cancelled)
		return "cancelled";
	return job->failed || job->missing ? "failed" : "done";
}

static void end(struct job *job)
{
	struct journal_record r = { .type = JOURNAL_job_end };
	const char *state = final_state(job);

	if (job->walking)
		tree_walk_close(&job->walk);
	job->walking = false;
	job->ended = true;
	r.job_end.job = job->id;
	r.job_end.state.ptr = state;
	r.job_end.state.len = strlen(state);
	r.job_end.files_done = job->done;
	r.job_end.files = job->files;
	r.job_end.bytes_done = job->done_bytes;
	r.job_end.bytes = job->bytes;
	r.job_end.failed = job->failed + job->missing;
	r.job_end.error.ptr = job->err.msg;
	r.job_end.error.len = strlen(job->err.msg);
	log_info("job ended",
		 "job=%" PRIu64 " state=%s files=%" PRIu64 " failed=%" PRIu64,
		 job->id, state, job->files, job->failed);
	journal_submit(job->jobs->o.journal, &r, &job->end, on_ended);
}

/* Stopped with the master: the journal still says that it runs. */
static void abandon(struct job *job)
{
	if (job->waiting)
		loop_timer_stop(&job->news);
	if (job->walking)
		tree_walk_close(&job->walk);
	job_free(job);
}

/* Files. */

static void file_over(struct file_op *op, int code, const char *text)
{
	struct job *job = op->job;

	if (code)
		failed(job, code, text);
	job->in_flight--;
	free(op);
	step(job);
}

static void on_file_again(struct timer *t)
{
	try_file(container_of(t, struct file_op, again));
}

static unsigned tries_for(int code)
{
	switch (code) {
	case ERR_NO_WORKER:
	case -ECONNREFUSED:
	case -ECONNRESET:
	case -ECANCELED:
	case -EPIPE:
	case -ETIMEDOUT:
		return TRIES_GONE;
	case ERR_NOT_ADMITTED:
		return TRIES_PART;
	default:
		return TRIES;
	}
}

static void later(struct file_op *op, int code, const char *text)
{
	struct job *job = op->job;

	if (job->cancelled || job->jobs->stopping)
		file_over(op, 0, NULL);
	else if (++op->tries >= tries_for(code))
		file_over(op, code, text);
	else
		loop_timer_start(job->jobs->o.loop, &op->again, WAIT_MS,
				 on_file_again);
}

static void loaded(struct file_op *op)
{
	if (!op->complete) {
		/* A file that changed a moment ago is cached in the next. */
		later(op, ERR_NOT_ADMITTED,
		      "the worker does not keep all of it");
		return;
	}
	if (op->mending) {
		op->mending = false;
		op->mended = true;
		loop_timer_start(op->job->jobs->o.loop, &op->again, 0,
				 on_file_again);
		return;
	}
	op->job->done++;
	op->job->done_bytes += op->length;
	file_over(op, 0, NULL);
}

/* A worker that crashed may have lost what it had just loaded: once more.  Not
 * for what a cache that is too small gave up for the rest. */
static bool mend(struct file_op *op)
{
	struct job *job = op->job;

	if (op->mended || job->mended >= MEND_LEAST + job->files / MEND_SHARE)
		return false;
	job->mended++;
	op->mending = true;
	loop_timer_start(job->jobs->o.loop, &op->again, 0, on_file_again);
	return true;
}

static void explained(struct file_op *op)
{
	if (!op->complete && !mend(op))
		file_over(op, -ENOSPC,
			  "a file that was loaded is not cached any more");
	else if (op->complete)
		file_over(op, 0, NULL);
}

static bool is_loading(const struct file_op *op)
{
	return op->job->phase == LOAD || op->mending;
}

/* One worker has answered. */
static void part_over(struct part *p, int code, bool complete)
{
	struct file_op *op = p->op;

	if (code && !op->err.code)
		err_set(&op->err, code, "%s", p->pending.err.msg);
	op->complete &= complete;
	if (--op->left > 0)
		return;
	free(op->parts);
	op->parts = NULL;
	if (op->err.code)
		later(op, op->err.code, op->err.msg);
	else if (is_loading(op))
		loaded(op);
	else
		explained(op);
}

static void on_loaded(struct rpc_pending *pending, int code, const void *reply)
{
	struct part *p = container_of(pending, struct part, pending);
	const struct load_reply *r = reply;

	part_over(p, code, !code && r->complete);
}

static uint64_t block_size(const struct jobs *j)
{
	struct namespace_totals t;

	namespace_totals(tree(j), &t);
	return t.block_size;
}

/* Whether a worker that says so has all the blocks whose home it is. */
static bool has_its_blocks(const struct part *p, const struct explain_reply *r)
{
	const struct jobs *j = p->op->job->jobs;
	const struct worker_set set = workers_set(j->o.workers);
	const uint64_t size = block_size(j), length = p->op->length;
	struct block_id block = { .file = p->op->id };
	uint64_t at, want;

	for (at = 0; at < length; at += size, block.index++) {
		if (placement_home(&set, block) != p->worker)
			continue;
		want = length - at < size ? length - at : size;
		if (block.index >= r->blocks.n ||
		    r->blocks.at[block.index] < want)
			return false;
	}
	return true;
}

/* Whether its reports have told us of it. */
static bool is_known(const struct part *p)
{
	const struct holders *h = &p->op->job->jobs->o.workers->holders;

	return p->op->n_parts > 1
		       ? holders_has(h, p->op->id, p->worker)
		       : holders_is_complete(h, p->op->id, p->worker);
}

static void on_explained(struct rpc_pending *pending, int code,
			 const void *reply)
{
	struct part *p = container_of(pending, struct part, pending);
	const struct explain_reply *r = reply;

	p->op->job->unknown |= !code && p->op->length && !is_known(p);
	part_over(p, code,
		  !code && (r->complete ||
			    (p->op->n_parts > 1 && has_its_blocks(p, r))));
}

static void call_worker(struct part *p, struct worker *k)
{
	struct jobs *j = p->op->job->jobs;
	struct rpc_client *client = workers_client(j->o.workers, k);
	const struct load_request load = { p->op->id, j->o.workers->epoch };
	const struct explain_request explain = {
		.id = p->op->id,
		.verify = p->op->job->verify,
	};

	p->pending = (struct rpc_pending){ .fd = -1 };
	if (is_loading(p->op)) {
		rpc_call(client, RPC_WORKER_METHOD(load), &p->pending, &load,
			 on_loaded);
		return;
	}
	if (!explain.verify) /* that takes as long as it takes */
		p->pending.deadline_ms = loop_now_ms(j->o.loop) + EXPLAIN_MS;
	rpc_call(client, RPC_WORKER_METHOD(explain), &p->pending, &explain,
		 on_explained);
}

/* A part for each worker that is the home of a block. */
static void make_parts(struct file_op *op)
{
	const struct jobs *j = op->job->jobs;
	const struct worker_set set = workers_set(j->o.workers);
	struct block_id block = { .file = op->id };
	const uint64_t size = block_size(j);
	uint64_t at = 0;
	uint32_t home;
	unsigned i;

	op->parts = mem_array(set.n, sizeof(*op->parts));
	op->n_parts = 0;
	do {
		home = placement_home(&set, block);
		for (i = 0; i < op->n_parts && op->parts[i].worker != home; i++)
			;
		if (i == op->n_parts && home)
			op->parts[op->n_parts++] =
				(struct part){ .op = op, .worker = home };
		at += size;
		block.index++;
	} while (at < op->length && op->n_parts < set.n);
}

static void ask_workers(struct file_op *op)
{
	struct jobs *j = op->job->jobs;
	unsigned i;

	make_parts(op);
	if (!op->n_parts) {
		free(op->parts);
		op->parts = NULL;
		later(op, ERR_NO_WORKER, "no worker is there");
		return;
	}
	op->left = op->n_parts;
	op->complete = true;
	op->err.code = 0;
	for (i = 0; i < op->n_parts; i++)
		call_worker(&op->parts[i],
			    workers_get(j->o.workers, op->parts[i].worker));
}

static void try_file(struct file_op *op)
{
	struct jobs *j = op->job->jobs;
	struct inode_view v;

	if (j->stopping) { /* the clients of the workers are closed */
		file_over(op, 0, NULL);
		return;
	}
	/* By its name: it may have a new version by now. */
	if (namespace_child(tree(j), op->parent, op->name, op->name_len, &v)) {
		file_over(op, 0, NULL); /* gone: nothing to cache */
		return;
	}
	op->id = v.id;
	op->length = v.length;
	ask_workers(op);
}

static void on_first_try(struct timer *t)
{
	try_file(container_of(t, struct file_op, again));
}

static void start_file(struct job *job, const struct inode_view *v)
{
	struct file_op *op = mem_alloc(sizeof(*op) + v->name.len);

	op->job = job;
	op->parent = v->parent;
	op->name_len = v->name.len;
	memcpy(op->name, v->name.ptr, v->name.len);
	list_init(&op->again.link);
	job->in_flight++;
	loop_timer_start(job->jobs->o.loop, &op->again, 0, on_first_try);
}

/* The walk. */

static void on_turn(struct task *t)
{
	struct job *job = container_of(t, struct job, turn);

	job->turning = false;
	if (job->over)
		job_free(job);
	else
		step(job);
}

static void turn_later(struct job *job)
{
	if (job->turning)
		return;
	job->turning = true;
	loop_post(job->jobs->o.loop, &job->turn, on_turn);
}

static void on_walk(struct tree_walk *w)
{
	turn_later(container_of(w, struct job, walk));
}

static void visit(struct job *job, const struct inode_view *v)
{
	if (!S_ISREG(v->mode))
		return;
	if (job->phase == COUNT) {
		job->files++;
		job->bytes += v->length;
		if (job->metadata)
			job->done++;
	} else {
		start_file(job, v);
	}
}

/* Begins root `i`, or the next one that is there; false: there is none. */
static bool begin_root(struct job *job, uint32_t i)
{
	if (job->walking)
		tree_walk_close(&job->walk);
	job->walking = false;
	job->single_taken = false;
	while (i < job->n_roots && !job->roots[i].id)
		i++;
	job->at_root = i;
	if (i == job->n_roots)
		return false;
	if (job->roots[i].single)
		return true;
	job->walk.loader = job->jobs->o.loader;
	job->walk.refresh = job->metadata && job->phase == COUNT;
	job->walk.recursive = !job->metadata || job->recursive;
	job->walk.go_on = on_walk;
	tree_walk_start(&job->walk, job->roots[i].id);
	job->walking = true;
	return true;
}

/* The next inode of this root; as tree_walk_next(). */
static int next_of_root(struct job *job, struct inode_view *v)
{
	const struct root *root = &job->roots[job->at_root];

	if (!root->single)
		return tree_walk_next(&job->walk, v);
	if (job->single_taken)
		return 0;
	job->single_taken = true;
	return namespace_get(tree(job->jobs), root->id, v) ? 0 : 1;
}

/* The same of this phase. */
static int next(struct job *job, struct inode_view *v)
{
	int rv;

	while (job->at_root < job->n_roots) {
		rv = next_of_root(job, v);
		if (rv)
			return rv;
		begin_root(job, job->at_root + 1);
	}
	return 0;
}

static void begin_phase(struct job *job, enum phase phase)
{
	job->phase = phase;
	job->walked = false;
	begin_root(job, 0);
}

/* Walks as far as there is room; false if it has to wait. */
static bool walk(struct job *job)
{
	struct inode_view v;
	unsigned i;
	int rv;

	for (i = 0; i < TURN && job->in_flight < JOBS_PARALLEL; i++) {
		rv = next(job, &v);
		if (rv == -EAGAIN)
			return false;
		if (rv == 0) {
			job->walked = true;
			return true;
		}
		if (rv < 0)
			failed(job, rv, tree_walk_error(&job->walk));
		else
			visit(job, &v);
	}
	if (job->in_flight < JOBS_PARALLEL)
		turn_later(job);
	return false;
}

static bool last_phase(const struct job *job)
{
	return job->metadata || job->phase == VERIFY || job->failed;
}

static bool waits(const struct job *job)
{
	return job->turning || job->resolving || job->in_flight ||
	       job->waiting || (job->walking && tree_walk_busy(&job->walk));
}

/* Whether it shall stop, which it has if nothing is under way. */
static bool stopped(struct job *job)
{
	if (!job->cancelled && !job->jobs->stopping)
		return false;
	if (waits(job))
		return true;
	if (job->jobs->stopping)
		abandon(job);
	else
		end(job);
	return true;
}

static void on_news(struct timer *t)
{
	struct job *job = container_of(t, struct job, news);

	job->waiting = false;
	step(job);
}

/* When a load has ended, who asks is told of all that it has loaded. */
static bool waits_for_news(struct job *job)
{
	if (job->unknown)
		loop_timer_start(job->jobs->o.loop, &job->news, NEWS_MS,
				 on_news);
	job->waiting |= job->unknown;
	job->unknown = false;
	return job->waiting;
}

static void step(struct job *job)
{
	if (job->ended || stopped(job))
		return;
	if (!job->walked && !walk(job))
		return;
	if (job->in_flight)
		return;
	if (last_phase(job)) {
		if (!waits_for_news(job))
			end(job);
	} else {
		begin_phase(job, job->phase + 1);
		turn_later(job);
	}
}

static void resolve_more(struct job *job);

static void on_resolved(struct resolve *r, int code, const struct err *err)
{
	struct root_op *op = container_of(r, struct root_op, resolve);
	struct job *job = op->job;
	struct root *root = &job->roots[op->i];

	job->resolving--;
	if (code) {
		job->missing++;
		if (!job->err.code)
			err_set(&job->err, code, "%s%s%s",
				job->n_roots > 1 ? op->path : "",
				job->n_roots > 1 ? ": " : "", err->msg);
	} else {
		root->id = r->at.id;
		root->single = !S_ISDIR(r->at.mode);
	}
	free(op->path);
	free(op);
	if (stopped(job))
		return;
	resolve_more(job);
	if (job->resolving)
		return;
	if (job->missing == job->n_roots) {
		end(job);
		return;
	}
	begin_phase(job, COUNT);
	turn_later(job);
}

static void resolve_root(struct job *job, uint32_t i)
{
	struct root_op *op = mem_alloc(sizeof(*op));
	schema_bytes path = { job->path, job->path_len };

	op->job = job;
	op->i = i;
	if (namespace_job_path(tree(job->jobs), job->id, &job->path_place,
			       &path))
		assert(job->n_roots == 1); /* it has no others */
	op->path = mem_strn(path.ptr, path.len);
	job->resolving++;
	resolve_start(&op->resolve, job->jobs->o.loader, path.ptr, path.len,
		      job->metadata, on_resolved);
}

static void resolve_more(struct job *job)
{
	while (job->next_root < job->n_roots && job->resolving < RESOLVE_AHEAD)
		resolve_root(job, job->next_root++);
}

/* From outside. */

static int job_info(const struct jobs *j, uint64_t id, struct job_info *out)
{
	uint64_t at = 0;

	while (namespace_next_job(tree(j), at, out) == 0) {
		if (out->id == id)
			return 0;
		at = out->id;
	}
	return -ENOENT;
}

static bool is(const schema_str *s, const char *word)
{
	return s->len == strlen(word) && memcmp(s->ptr, word, s->len) == 0;
}

void jobs_start(struct jobs *j, uint64_t id)
{
	struct job_info info;
	struct job *job;

	if (find(j, id) || job_info(j, id, &info) ||
	    !is(&info.state, "running"))
		return;
	job = mem_alloc(sizeof(*job));
	job->jobs = j;
	job->id = id;
	job->metadata = is(&info.kind, "loadMetadata");
	job->recursive = info.recursive;
	job->path = mem_strn(info.path.ptr, info.path.len);
	job->path_len = info.path.len;
	list_push_back(&j->running, &job->link);
	log_info("job begins", "job=%" PRIu64 " kind=%s path=%s", id,
		 job->metadata ? "loadMetadata" : "load", job->path);
	job->verify = info.verify;
	job->n_roots = namespace_job_paths(tree(j), id);
	job->n_roots += job->n_roots == 0;
	job->roots = mem_array(job->n_roots, sizeof(*job->roots));
	resolve_more(job);
}

void jobs_resume(struct jobs *j)
{
	struct job_info info;
	uint64_t at = 0;

	while (namespace_next_job(tree(j), at, &info) == 0) {
		at = info.id;
		jobs_start(j, info.id);
	}
}

int jobs_cancel(struct jobs *j, uint64_t id)
{
	struct job *job = find(j, id);

	if (!job)
		return -ENOENT;
	job->cancelled = true;
	turn_later(job);
	return 0;
}

void jobs_progress(const struct jobs *j, struct job_info *info)
{
	const struct job *job = find(j, info->id);

	if (!job)
		return;
	info->files = job->files;
	info->bytes = job->bytes;
	info->files_done = job->done;
	info->bytes_done = job->done_bytes;
	info->failed = job->failed + job->missing;
	info->verifying = job->phase == VERIFY && !job->ended;
}

void jobs_stop(struct jobs *j)
{
	struct list *link;

	j->stopping = true;
	for (link = j->running.next; link != &j->running; link = link->next)
		turn_later(list_entry(link, struct job, link));
}

bool jobs_idle(const struct jobs *j)
{
	return list_empty(&j->running);
}

void jobs_close(struct jobs *j)
{
	struct list *link;

	while ((link = list_pop_front(&j->running)))
		abandon(list_entry(link, struct job, link));
}
