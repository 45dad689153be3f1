#include "master/journal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "master/entry.h"
#include "master/recent.h"
#include "runtime/metrics.h"

#define LOG_MODULE "master"
#include "runtime/log.h"

#define CHECKPOINT_BYTES   (UINT64_C(32) << 20)
#define CHECKPOINT_ENTRIES 65536 /* at most between two checkpoints */
#define NEVER              (~0u)
#define TRAILING           8 /* entries kept before a checkpoint */
#define WAITING_MAX        ((size_t)64 << 20)
#define RETRY_MS           1000
#define FULL_MS            10000 /* then commands are refused */

/* A marker is what raft keeps as its snapshot. */
struct marker {
	uint64_t version, index, pad[6];
};

/* Commands that go, or went, into one raft entry. */
struct batch {
	struct list link;
	struct list reqs;
	struct entry entry;
};

struct journal {
	struct journal_options o;
	struct raft raft;
	struct raft_fsm fsm;
	struct namespace *ns;
	msgpack_zone zone;
	struct recent recent;
	struct journal_numbers n;

	/* writing */
	struct list batches; /* to be proposed, oldest first */
	struct batch *flying;
	struct raft_apply apply; /* its */
	struct task flush;
	bool flushing;      /* `flush` is posted */
	struct timer retry; /* while raft has no room on disk */
	uint64_t full_ms;   /* since when it has none; 0: it has */

	/* checkpoints */
	int (*put)(struct raft_io *io, unsigned trailing,
		   struct raft_io_snapshot_put *req,
		   const struct raft_snapshot *snapshot,
		   raft_io_snapshot_put_cb cb);
	struct {
		struct raft_io_snapshot_put *req;
		const struct raft_snapshot *snapshot;
		raft_io_snapshot_put_cb cb;
		unsigned trailing;
	} held;
	struct task waited;
	enum { IDLE, WRITING, PUTTING } checkpoint;
	bool wanted;            /* by journal_checkpoint() */
	uint64_t not_before_ms; /* after a failure */
	uint64_t at_bytes;      /* n.bytes when it began */

	/* life */
	struct raft_barrier barrier;
	struct journal_req cluster;
	bool asked;   /* the barrier was sent */
	bool behind;  /* and applied */
	bool looking; /* `leader` is posted */
	bool started; /* raft is: close it */
	bool ready, broken, stopped, closing;
	struct task leader, tell;
	struct err err;
	void (*closed)(void *owner);
	void *closed_owner;
};

static void broken(struct journal *j);

/* Applying. */

static void finish(struct journal_req *req, int code)
{
	const struct namespace_result res = { .code = code };

	req->done(req, &res);
}

static void fail_all(struct list *reqs, int code)
{
	struct list *link;

	while ((link = list_pop_front(reqs)))
		finish(list_entry(link, struct journal_req, link), code);
}

static void apply_record(struct journal *j, const struct journal_record *r,
			 struct list *reqs)
{
	struct namespace_result res = { 0 };
	struct list *link;
	struct journal_req *req;

	namespace_apply(j->ns, r, &res);
	j->n.records++;
	metric_add(METRIC_journal_records, 1);
	if (j->o.applied)
		j->o.applied(j->o.owner, r, &res);
	link = reqs ? list_pop_front(reqs) : NULL;
	if (!link)
		return;
	req = list_entry(link, struct journal_req, link);
	req->done(req, &res);
}

static bool known_cluster(struct journal *j, const uint8_t uuid[16])
{
	struct namespace_totals t;

	namespace_totals(j->ns, &t);
	if (memcmp(t.uuid, uuid, 16) == 0 || t.applied == 0)
		return true;
	err_set(&j->err, ERR_BAD_MESSAGE,
		"journal: an entry is of another cluster");
	return false;
}

/* Applies all or stops at the first record that makes no sense. */
static int apply_entry(struct journal *j, const void *buf, size_t len,
		       struct list *reqs)
{
	struct journal_record record;
	struct entry_reader r;
	int rv = entry_open(&r, buf, len, &j->err);

	if (rv)
		return rv;
	if (!known_cluster(j, r.uuid))
		return ERR_BAD_MESSAGE;
	while ((rv = entry_next(&r, &record, &j->zone, &j->err)) > 0) {
		apply_record(j, &record, reqs);
		msgpack_zone_clear(&j->zone);
	}
	return rv;
}

static void post_flush(struct journal *j);

static void batch_free(struct batch *b)
{
	entry_close(&b->entry);
	free(b);
}

/* Whether it is time for raft to take a snapshot. */
static void watch_growth(struct journal *j)
{
	bool due = j->checkpoint == IDLE &&
		   loop_now_ms(j->o.loop) >= j->not_before_ms &&
		   (j->wanted || j->n.bytes >= j->o.checkpoint_bytes);

	raft_set_snapshot_threshold(&j->raft, due ? 1 : CHECKPOINT_ENTRIES);
}

static int fsm_apply(struct raft_fsm *fsm, const struct raft_buffer *buf,
		     void **result)
{
	struct journal *j = fsm->data;
	raft_index index = raft_last_applied(&j->raft) + 1;
	struct batch *mine = NULL;

	*result = NULL;
	if (j->broken)
		return 0;
	if (j->flying && j->apply.index == index) {
		mine = j->flying;
		j->flying = NULL;
	}
	j->n.index = index;
	j->n.entries++;
	metric_add(METRIC_journal_entries, 1);
	j->n.bytes += buf->len;
	recent_add(&j->recent, index, buf->base, buf->len);
	if (apply_entry(j, buf->base, buf->len, mine ? &mine->reqs : NULL))
		broken(j);
	if (mine) {
		fail_all(&mine->reqs, ERR_NOT_LEADER);
		batch_free(mine);
	}
	watch_growth(j);
	post_flush(j);
	return 0;
}

/* Proposing. */

/* Without a callback: only raft_uv calls those, and apply() says it all. */
static int propose(struct journal *j, struct batch *b)
{
	struct raft_buffer buf = { .len = entry_size(&b->entry) };
	struct namespace_totals t;
	int rv;

	namespace_totals(j->ns, &t);
	buf.base = raft_malloc(buf.len);
	if (!buf.base)
		return RAFT_NOMEM;
	entry_write(&b->entry, t.applied ? t.uuid : j->o.uuid, buf.base);
	j->flying = b;
	rv = raft_apply(&j->raft, &j->apply, &buf, 1, NULL);
	if (rv) {
		j->flying = NULL;
		raft_free(buf.base);
	}
	return rv;
}

static void on_retry(struct timer *t)
{
	post_flush(container_of(t, struct journal, retry));
}

/* Whether to wait for room: the next segment may just not be there yet. */
static bool wait_for_room(struct journal *j, struct batch *b)
{
	uint64_t now_ms = loop_now_ms(j->o.loop);

	if (!j->full_ms) {
		j->full_ms = now_ms;
		log_warn("journal waits for room on disk", "entries=%u",
			 b->entry.n);
	}
	if (now_ms - j->full_ms >= FULL_MS)
		return false;
	/* Back to the front. */
	list_push_back(j->batches.next, &b->link);
	loop_timer_start(j->o.loop, &j->retry, RETRY_MS / 10, on_retry);
	return true;
}

static void not_taken(struct journal *j, struct batch *b, int rv)
{
	log_error("entry not taken by raft", "error=\"%s\"", raft_strerror(rv));
	j->n.waiting -= b->entry.payload.size;
	fail_all(&b->reqs, rv == RAFT_NOTLEADER ? ERR_NOT_LEADER
			   : rv == RAFT_NOSPACE ? -ENOSPC
						: -EIO);
	batch_free(b);
	post_flush(j);
}

static void on_flush(struct task *t)
{
	struct journal *j = container_of(t, struct journal, flush);
	struct list *link;
	struct batch *b;
	int rv;

	j->flushing = false;
	if (j->flying || j->broken || j->closing ||
	    !(link = list_pop_front(&j->batches)))
		return;
	b = list_entry(link, struct batch, link);
	rv = propose(j, b);
	if (rv == RAFT_NOSPACE && wait_for_room(j, b))
		return;
	if (rv) {
		not_taken(j, b, rv);
		return;
	}
	j->full_ms = 0;
	j->n.waiting -= b->entry.payload.size;
}

static void post_flush(struct journal *j)
{
	if (j->flushing || j->flying || j->closing || list_empty(&j->batches) ||
	    !list_empty(&j->retry.link))
		return;
	j->flushing = true;
	loop_post(j->o.loop, &j->flush, on_flush);
}

static struct batch *batch_to_fill(struct journal *j)
{
	struct batch *b;

	if (!list_empty(&j->batches)) {
		b = list_entry(j->batches.prev, struct batch, link);
		if (b->entry.payload.size < ENTRY_FULL)
			return b;
	}
	b = mem_alloc(sizeof(*b));
	list_init(&b->reqs);
	entry_init(&b->entry);
	list_push_back(&j->batches, &b->link);
	return b;
}

/* A request that cannot be taken, answered on the next turn. */
struct refusal {
	struct task task;
	struct journal_req *req;
	int code;
};

static void on_refusal(struct task *t)
{
	struct refusal *r = container_of(t, struct refusal, task);

	finish(r->req, r->code);
	free(r);
}

static void refuse(struct journal *j, struct journal_req *req, int code)
{
	struct refusal *r = mem_alloc(sizeof(*r));

	r->req = req;
	r->code = code;
	loop_post(j->o.loop, &r->task, on_refusal);
}

void journal_submit(struct journal *j, struct journal_record *record,
		    struct journal_req *req,
		    void (*done)(struct journal_req *req,
				 const struct namespace_result *res))
{
	struct batch *b;
	size_t before;

	req->done = done;
	list_init(&req->link);
	if (j->broken || j->stopped) {
		refuse(j, req, -ECANCELED);
		return;
	}
	if (j->n.waiting > WAITING_MAX) {
		refuse(j, req, -EAGAIN);
		return;
	}
	record->stamp.time_ms = j->o.wall_ms(j->o.owner);
	b = batch_to_fill(j);
	before = b->entry.payload.size;
	entry_add(&b->entry, record);
	j->n.waiting += b->entry.payload.size - before;
	list_push_back(&b->reqs, &req->link);
	post_flush(j);
}

/* Checkpoints. */

static void checkpoint_failed(struct journal *j)
{
	j->n.checkpoint_failures++;
	metric_add(METRIC_checkpoints_failed, 1);
	j->not_before_ms = loop_now_ms(j->o.loop) + RETRY_MS;
}

static int fsm_snapshot(struct raft_fsm *fsm, struct raft_buffer *bufs[],
			unsigned *n_bufs)
{
	struct journal *j = fsm->data;
	struct marker m = { .version = 1 };
	const void *image;
	struct err err;
	size_t len;

	if (j->broken || j->closing || j->checkpoint != IDLE ||
	    loop_now_ms(j->o.loop) < j->not_before_ms)
		return RAFT_BUSY;
	m.index = raft_last_applied(&j->raft);
	len = namespace_image(j->ns, &image);
	if (j->o.checkpoints->ops->begin(j->o.checkpoints, m.index, image, len,
					 &err)) {
		log_error("checkpoint not begun", "error=\"%s\"", err.msg);
		checkpoint_failed(j);
		return RAFT_BUSY;
	}
	j->checkpoint = WRITING;
	j->wanted = false;
	j->at_bytes = j->n.bytes;
	*bufs = raft_malloc(sizeof(**bufs));
	(*bufs)[0].base = raft_malloc(sizeof(m));
	(*bufs)[0].len = sizeof(m);
	memcpy((*bufs)[0].base, &m, sizeof(m));
	*n_bufs = 1;
	return 0;
}

static void close_raft(struct journal *j);

static void checkpoint_over(struct journal *j, bool ok)
{
	j->checkpoint = IDLE;
	if (ok) {
		j->n.checkpoints++;
		metric_add(METRIC_checkpoints, 1);
		j->n.bytes -= j->at_bytes;
		j->o.checkpoints->ops->trim(j->o.checkpoints);
	} else if (!j->closing) {
		checkpoint_failed(j);
	}
	watch_growth(j);
}

/* raft has its snapshot, the marker. */
static void on_put(struct raft_io_snapshot_put *req, int status)
{
	struct raft *r = req->data; /* see hold_put() */
	struct journal *j = r->data;
	struct raft_io_snapshot_put *held = j->held.req;

	free(req);
	checkpoint_over(j, status == 0);
	j->held.cb(held, status);
}

static void put_now(struct journal *j)
{
	struct raft_io_snapshot_put *req = mem_alloc(sizeof(*req));
	int rv;

	j->checkpoint = PUTTING;
	req->data = &j->raft;
	rv = j->put(j->o.io, j->held.trailing, req, j->held.snapshot, on_put);
	if (rv) {
		free(req);
		checkpoint_over(j, false);
		j->held.cb(j->held.req, rv);
	}
}

static void on_waited(struct task *t)
{
	struct journal *j = container_of(t, struct journal, waited);
	int rv = (int)t->status;

	j->o.checkpoints->ops->end(j->o.checkpoints);
	if (!rv && !j->closing) {
		put_now(j);
		return;
	}
	if (rv && !j->closing)
		log_error("checkpoint not written", "error=\"%s\"",
			  err_text(rv));
	checkpoint_over(j, false);
	j->held.cb(j->held.req, RAFT_CANCELED);
	if (j->closing)
		close_raft(j);
}

static ssize_t wait_work(struct task *t)
{
	struct journal *j = container_of(t, struct journal, waited);

	return j->o.checkpoints->ops->wait(j->o.checkpoints);
}

/* raft's snapshot waits until the checkpoint is durable. */
static int hold_put(struct raft_io *io, unsigned trailing,
		    struct raft_io_snapshot_put *req,
		    const struct raft_snapshot *snapshot,
		    raft_io_snapshot_put_cb cb)
{
	struct raft *r = io->data;
	struct journal *j = r->data;

	if (j->checkpoint != WRITING) /* not ours: an installed one */
		return j->put(io, trailing, req, snapshot, cb);
	j->held.req = req;
	j->held.snapshot = snapshot;
	j->held.cb = cb;
	j->held.trailing = trailing;
	workpool_submit(j->o.pool, j->o.loop, &j->waited, wait_work, on_waited);
	return 0;
}

static int fsm_restore(struct raft_fsm *fsm, struct raft_buffer *buf)
{
	struct journal *j = fsm->data;
	struct marker m;
	ssize_t len;

	if (buf->len != sizeof(m)) {
		err_set(&j->err, -EBADMSG, "journal: a foreign snapshot");
		return RAFT_CORRUPT;
	}
	memcpy(&m, buf->base, sizeof(m));
	len = j->o.checkpoints->ops->load(j->o.checkpoints, m.index, j->o.arena,
					  j->o.arena_size, &j->err);
	if (len < 0 || namespace_open(&j->ns, j->o.arena, j->o.arena_size,
				      (size_t)len, &j->err))
		return RAFT_CORRUPT;
	raft_free(buf->base);
	return 0;
}

void journal_checkpoint(struct journal *j)
{
	j->wanted = true;
	watch_growth(j);
}

/* Life. */

static void cancel_all(struct journal *j)
{
	struct list *link;
	struct batch *b;

	if (j->flying)
		list_push_back(j->batches.next, &j->flying->link);
	j->flying = NULL;
	while ((link = list_pop_front(&j->batches))) {
		b = list_entry(link, struct batch, link);
		fail_all(&b->reqs, -ECANCELED);
		batch_free(b);
	}
	j->n.waiting = 0;
}

static void on_broken(struct task *t)
{
	struct journal *j = container_of(t, struct journal, tell);

	cancel_all(j);
	j->o.broken(j->o.owner, &j->err);
}

static void broken(struct journal *j)
{
	if (j->broken)
		return;
	j->broken = true;
	log_error("journal broken", "error=\"%s\"", j->err.msg);
	loop_post(j->o.loop, &j->tell, on_broken);
}

static void become_ready(struct journal *j, int code)
{
	j->ready = true;
	j->o.ready(j->o.owner, code, &j->err);
}

static void on_cluster(struct journal_req *req,
		       const struct namespace_result *res)
{
	struct journal *j = container_of(req, struct journal, cluster);

	if (res->code)
		err_set(&j->err, res->code, "journal: %s", err_text(res->code));
	become_ready(j, res->code);
}

/* All that was in the log is applied. */
static void all_applied(struct journal *j)
{
	struct journal_record r = { .type = JOURNAL_cluster };
	struct namespace_totals t;

	namespace_totals(j->ns, &t);
	if (t.applied > 0) {
		become_ready(j, 0);
		return;
	}
	r.cluster.uuid.ptr = j->o.uuid;
	r.cluster.uuid.len = sizeof(j->o.uuid);
	r.cluster.block_size = j->o.block_size;
	journal_submit(j, &r, &j->cluster, on_cluster);
}

/* On a turn of its own: raft may not be called inside a step.  First a barrier,
 * behind all that the log had; when that is applied, so is the log. */
static void on_leader(struct task *t)
{
	struct journal *j = container_of(t, struct journal, leader);

	j->looking = false;
	if (j->closing || j->broken || j->behind)
		return;
	if (!j->asked)
		j->asked = raft_barrier(&j->raft, &j->barrier, NULL) == 0;
	else if (raft_last_applied(&j->raft) >= j->barrier.index) {
		j->behind = true;
		all_applied(j);
	}
}

static void lost_leadership(struct journal *j)
{
	struct batch *lost = j->flying;

	if (!lost)
		return;
	j->flying = NULL;
	fail_all(&lost->reqs, ERR_NOT_LEADER);
	batch_free(lost);
	post_flush(j);
}

static void on_step(struct raft *r)
{
	struct journal *j = r->data;

	if (j->closing || j->broken)
		return;
	if (raft_state(r) == RAFT_UNAVAILABLE) {
		err_set(&j->err, -EIO, "journal: raft gave up: %s",
			raft_errmsg(r));
		broken(j);
		return;
	}
	if (raft_state(r) != RAFT_LEADER) {
		lost_leadership(j);
		return;
	}
	if (j->behind || j->looking)
		return;
	j->looking = true;
	loop_post(j->o.loop, &j->leader, on_leader);
}

static void journal_free(struct journal *j)
{
	msgpack_zone_destroy(&j->zone);
	recent_close(&j->recent);
	free(j);
}

static void close_rest(struct journal *j)
{
	void (*closed)(void *owner) = j->closed;
	void *owner = j->closed_owner;

	journal_free(j);
	closed(owner);
}

static void on_closed(struct raft *r)
{
	struct journal *j = r->data;

	j->o.io->snapshot_put = j->put;
	close_rest(j);
}

static void on_close_turn(struct task *t)
{
	struct journal *j = container_of(t, struct journal, waited);

	if (j->started)
		raft_close(&j->raft, on_closed);
	else
		close_rest(j);
}

/* Tasks that are posted run first, then nothing posts any more. */
static void close_raft(struct journal *j)
{
	loop_post(j->o.loop, &j->waited, on_close_turn);
}

void journal_stop(struct journal *j)
{
	j->stopped = true;
	cancel_all(j);
}

void journal_close(struct journal *j, void (*closed)(void *owner), void *owner)
{
	journal_stop(j);
	j->closing = true;
	loop_timer_stop(&j->retry);
	j->closed = closed;
	j->closed_owner = owner;
	if (j->checkpoint == WRITING)
		j->o.checkpoints->ops->cancel(j->o.checkpoints);
	else
		close_raft(j);
}

static int bootstrap(struct journal *j, const char *address)
{
	struct raft_configuration conf;
	int rv;

	raft_configuration_init(&conf);
	rv = raft_configuration_add(&conf, j->o.member, address, RAFT_VOTER);
	if (!rv)
		rv = raft_bootstrap(&j->raft, &conf);
	raft_configuration_close(&conf);
	return rv == RAFT_CANTBOOTSTRAP ? 0 : rv;
}

static int start_raft(struct journal *j)
{
	char address[24]; /* addresses are not raft's business: the id */
	int rv;

	snprintf(address, sizeof(address), "%016llx", j->o.member);
	rv = raft_init(&j->raft, j->o.io, &j->fsm, j->o.member, address);
	if (rv)
		return rv;
	j->started = true;
	j->raft.data = j;
	j->raft.legacy.step_cb = on_step;
	j->put = j->o.io->snapshot_put;
	j->o.io->snapshot_put = hold_put;
	raft_set_election_timeout(&j->raft, 500);
	raft_set_heartbeat_timeout(&j->raft, 50);
	raft_set_pre_vote(&j->raft, true);
	raft_set_install_snapshot_timeout(&j->raft, 3600000);
	raft_set_snapshot_threshold(&j->raft, CHECKPOINT_ENTRIES);
	raft_set_snapshot_trailing(&j->raft, TRAILING);
	if (j->o.empty)
		rv = bootstrap(j, address);
	return rv ? rv : raft_start(&j->raft);
}

static void on_failed(struct task *t)
{
	struct journal *j = container_of(t, struct journal, tell);

	if (!j->closing)
		become_ready(j, j->err.code);
}

struct journal *journal_start(const struct journal_options *o)
{
	struct journal *j = mem_alloc(sizeof(*j));
	int rv;

	j->o = *o;
	if (!j->o.checkpoint_bytes)
		j->o.checkpoint_bytes = CHECKPOINT_BYTES;
	list_init(&j->batches);
	list_init(&j->retry.link);
	recent_init(&j->recent);
	if (!msgpack_zone_init(&j->zone, 8192))
		abort();
	j->fsm = (struct raft_fsm){
		.version = 1,
		.data = j,
		.apply = fsm_apply,
		.snapshot = fsm_snapshot,
		.restore = fsm_restore,
	};
	j->ns = namespace_create(o->arena, o->arena_size);
	rv = start_raft(j);
	if (rv) {
		j->broken = true;
		if (!j->err.code)
			err_set(&j->err, -EIO, "journal: %s: %s",
				raft_strerror(rv), raft_errmsg(&j->raft));
		loop_post(o->loop, &j->tell, on_failed);
	}
	return j;
}

struct namespace *journal_namespace(struct journal *j)
{
	return j->ns;
}

void journal_numbers(const struct journal *j, struct journal_numbers *out)
{
	*out = j->n;
}

const void *journal_recent(const struct journal *j, uint64_t after,
			   uint64_t *index, size_t *len)
{
	return recent_after(&j->recent, after, index, len);
}
