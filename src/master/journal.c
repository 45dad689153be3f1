#include "master/journal_state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/metrics.h"

#define LOG_MODULE "master"
#include "runtime/log.h"

#define CHECKPOINT_BYTES (UINT64_C(32) << 20)
#define TRAILING         8 /* entries kept before a checkpoint */

void journal_finish(struct journal_req *req, int code)
{
	const struct namespace_result res = { .code = code };

	req->done(req, &res);
}

void journal_finish_all(struct list *reqs, int code)
{
	struct list *link;

	while ((link = list_pop_front(reqs)))
		journal_finish(list_entry(link, struct journal_req, link),
			       code);
}

/* Applying. */

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

static bool in_its_place(struct journal *j, uint64_t index)
{
	if (index == j->n.index)
		return true;
	err_set(&j->err, ERR_BAD_MESSAGE,
		"journal: entry %" PRIu64 " stands where %" PRIu64
		" belongs: some are missing",
		index, j->n.index);
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
	if (!known_cluster(j, r.uuid) || !in_its_place(j, r.index))
		return ERR_BAD_MESSAGE;
	while ((rv = entry_next(&r, &record, &j->zone, &j->err)) > 0) {
		apply_record(j, &record, reqs);
		msgpack_zone_clear(&j->zone);
	}
	return rv;
}

static int fsm_apply(struct raft_fsm *fsm, const struct raft_buffer *buf,
		     void **result)
{
	struct journal *j = fsm->data;
	raft_index index = raft_last_applied(&j->raft) + 1;
	struct batch *mine = NULL;
	const void *image;

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
		journal_broken(j);
	if (mine) {
		journal_finish_all(&mine->reqs, ERR_NOT_LEADER);
		batch_free(mine);
	}
	arena_used(j->o.arena, namespace_image(j->ns, &image));
	journal_watch_growth(j);
	journal_post_flush(j);
	return 0;
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
		journal_finish_all(&b->reqs, -ECANCELED);
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

void journal_broken(struct journal *j)
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
	journal_finish_all(&lost->reqs, ERR_NOT_LEADER);
	batch_free(lost);
	journal_post_flush(j);
}

static void on_step(struct raft *r)
{
	struct journal *j = r->data;

	if (j->closing || j->broken)
		return;
	if (raft_state(r) == RAFT_UNAVAILABLE) {
		err_set(&j->err, -EIO, "journal: raft gave up: %s",
			raft_errmsg(r));
		journal_broken(j);
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
void journal_close_raft(struct journal *j)
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
	loop_timer_stop(&j->late);
	j->closed = closed;
	j->closed_owner = owner;
	if (j->checkpoint == WRITING)
		j->o.checkpoints->ops->cancel(j->o.checkpoints);
	else
		journal_close_raft(j);
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
	j->o.io->snapshot_put = journal_hold_put;
	raft_set_election_timeout(&j->raft, 500);
	raft_set_heartbeat_timeout(&j->raft, 50);
	raft_set_pre_vote(&j->raft, true);
	raft_set_install_snapshot_timeout(&j->raft, 3600000);
	raft_set_snapshot_threshold(&j->raft, JOURNAL_CHECKPOINT_ENTRIES);
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
	list_init(&j->late.link);
	recent_init(&j->recent);
	if (!msgpack_zone_init(&j->zone, 8192))
		abort();
	j->fsm = (struct raft_fsm){
		.version = 1,
		.data = j,
		.apply = fsm_apply,
		.snapshot = journal_snapshot,
		.restore = journal_restore,
	};
	j->ns = namespace_create(o->arena->base, o->arena->size);
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
	out->begun = j->barrier.index;
}

const void *journal_recent(const struct journal *j, uint64_t after,
			   uint64_t *index, size_t *len)
{
	return recent_after(&j->recent, after, index, len);
}
