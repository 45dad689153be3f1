/* Commands become entries, one at a time. */

#include "master/journal_state.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"

#define LOG_MODULE "master"
#include "runtime/log.h"

#define WAITING_MAX ((size_t)64 << 20)
#define RETRY_MS    20
#define FULL_MS     10000 /* then commands are refused */

void batch_free(struct batch *b)
{
	entry_close(&b->entry);
	free(b);
}

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
	entry_write(&b->entry, t.applied ? t.uuid : j->o.uuid,
		    raft_last_index(&j->raft) + 1, buf.base);
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
	journal_post_flush(container_of(t, struct journal, retry));
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
	loop_timer_start(j->o.loop, &j->retry, RETRY_MS, on_retry);
	return true;
}

static void not_taken(struct journal *j, struct batch *b, int rv)
{
	/* Of a full disk it was said that the journal waits. */
	if (rv != RAFT_NOSPACE || !j->refusing)
		log_error("entry not taken by raft", "error=\"%s\"",
			  raft_strerror(rv));
	j->refusing = rv == RAFT_NOSPACE;
	j->n.waiting -= b->entry.payload.size;
	journal_finish_all(&b->reqs, rv == RAFT_NOTLEADER ? ERR_NOT_LEADER
				     : rv == RAFT_NOSPACE ? -ENOSPC
							  : -EIO);
	batch_free(b);
	journal_post_flush(j);
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
	j->refusing = false;
	j->n.waiting -= b->entry.payload.size;
}

void journal_post_flush(struct journal *j)
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

	journal_finish(r->req, r->code);
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
	journal_post_flush(j);
}
