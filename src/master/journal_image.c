/* Checkpoints: raft's snapshots are markers of them. */

#include "master/journal_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "master/raft_files.h"
#include "runtime/metrics.h"

#define LOG_MODULE "master"
#include "runtime/log.h"

#define RETRY_MS 1000
#define LATE_MS  30000 /* raft tries by itself, and says nothing */

/* Whether it is time for raft to take a snapshot. */
void journal_watch_growth(struct journal *j)
{
	bool due = j->checkpoint == IDLE &&
		   loop_now_ms(j->o.loop) >= j->not_before_ms &&
		   (j->wanted || j->n.bytes >= j->o.checkpoint_bytes);

	raft_set_snapshot_threshold(&j->raft,
				    due ? 1 : JOURNAL_CHECKPOINT_ENTRIES);
}

static void checkpoint_failed(struct journal *j)
{
	j->n.checkpoint_failures++;
	metric_add(METRIC_checkpoints_failed, 1);
	j->not_before_ms = loop_now_ms(j->o.loop) + RETRY_MS;
}

int journal_snapshot(struct raft_fsm *fsm, struct raft_buffer *bufs[],
		     unsigned *n_bufs)
{
	struct journal *j = fsm->data;
	struct raft_marker m;
	const void *image;
	struct err err;
	size_t len;

	if (j->broken || j->closing || j->checkpoint != IDLE ||
	    loop_now_ms(j->o.loop) < j->not_before_ms)
		return RAFT_BUSY;
	m = raft_marker(raft_last_applied(&j->raft));
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

static void checkpoint_over(struct journal *j, bool ok)
{
	j->checkpoint = IDLE;
	loop_timer_stop(&j->late);
	if (ok) {
		j->n.checkpoints++;
		metric_add(METRIC_checkpoints, 1);
		j->n.bytes -= j->at_bytes;
		j->o.checkpoints->ops->trim(j->o.checkpoints);
	} else if (!j->closing) {
		checkpoint_failed(j);
	}
	journal_watch_growth(j);
}

/* raft has its snapshot, the marker. */
static void on_put(struct raft_io_snapshot_put *req, int status)
{
	struct raft *r = req->data; /* see journal_hold_put() */
	struct journal *j = r->data;
	struct raft_io_snapshot_put *held = j->held.req;

	free(req);
	checkpoint_over(j, status == 0);
	j->held.cb(held, status);
}

static void on_late(struct timer *t)
{
	struct journal *j = container_of(t, struct journal, late);

	log_error("no snapshot of raft's is made", "for_ms=%d effect=\"%s\"",
		  LATE_MS,
		  "the log grows; see whether its directory can be written");
	j->n.checkpoint_failures++;
	metric_add(METRIC_checkpoints_failed, 1);
	loop_timer_start(j->o.loop, &j->late, LATE_MS, on_late);
}

static void put_now(struct journal *j)
{
	struct raft_io_snapshot_put *req = mem_alloc(sizeof(*req));
	int rv;

	j->checkpoint = PUTTING;
	loop_timer_start(j->o.loop, &j->late, LATE_MS, on_late);
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
		journal_close_raft(j);
}

static ssize_t wait_work(struct task *t)
{
	struct journal *j = container_of(t, struct journal, waited);

	return j->o.checkpoints->ops->wait(j->o.checkpoints);
}

/* raft's snapshot waits until the checkpoint is durable. */
int journal_hold_put(struct raft_io *io, unsigned trailing,
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

int journal_restore(struct raft_fsm *fsm, struct raft_buffer *buf)
{
	struct journal *j = fsm->data;
	struct arena *a = j->o.arena;
	struct raft_marker m;
	ssize_t len;

	if (!raft_marker_ok(buf->base, buf->len)) {
		err_set(&j->err, -EBADMSG, "journal: a damaged snapshot");
		return RAFT_CORRUPT;
	}
	memcpy(&m, buf->base, sizeof(m));
	len = j->o.checkpoints->ops->load(j->o.checkpoints, m.index, a->base,
					  a->size, &j->err);
	if (len < 0 ||
	    namespace_open(&j->ns, a->base, a->size, (size_t)len, &j->err))
		return RAFT_CORRUPT;
	raft_free(buf->base);
	return 0;
}

void journal_checkpoint(struct journal *j)
{
	j->wanted = true;
	journal_watch_growth(j);
}
