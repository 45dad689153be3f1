/* For acached admin fsck: the tree, and what it knows of the workers' stores.
 */

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "master/fsck.h"
#include "master/state.h"

#define PAGE 20000 /* ids a reply */

/* The tree. */

struct fsck_op {
	struct master *m;
	struct rpc_call *call;
	struct fsck fsck;
};

static void on_checked(struct fsck *f)
{
	struct fsck_op *op = container_of(f, struct fsck_op, fsck);
	struct fsck_tree_reply reply = { .found = f->found,
					 .bytes = f->bytes,
					 .checkpoints = f->n_checkpoints };
	schema_str findings[FSCK_FINDINGS];
	struct namespace_totals t;
	unsigned i;

	namespace_totals(journal_namespace(op->m->journal), &t);
	reply.inodes = t.inodes;
	reply.mounts = t.mounts;
	for (i = 0; i < f->n_findings; i++)
		findings[i] = str_of(f->findings[i]);
	reply.findings.at = findings;
	reply.findings.n = f->n_findings;
	if (f->damaged_checkpoint)
		journal_checkpoint(op->m->journal);
	rpc_reply(op->call, &reply);
	op->m->fscking = false;
	op->m->asking--;
	fsck_clear(f);
	free(op);
}

void serve_fsck_tree(void *role, struct rpc_call *call, const void *request)
{
	const struct fsck_tree_request *req = request;
	struct master *m = role;
	struct fsck_op *op;
	struct err err;
	int rv;

	if (m->fscking) {
		rpc_fail(call, -EBUSY, "another check is under way");
		return;
	}
	op = mem_alloc(sizeof(*op));
	op->m = m;
	op->call = call;
	op->fsck.loop = m->o.loop;
	op->fsck.pool = m->o.pool;
	op->fsck.tree = journal_namespace(m->journal);
	op->fsck.checkpoints = req->checkpoints ? m->o.checkpoints : NULL;
	rv = fsck_start(&op->fsck, on_checked, &err);
	if (rv) {
		rpc_fail_err(call, rv, &err);
		free(op);
		return;
	}
	m->fscking = true;
	m->asking++;
}

/* What workers hold. */

struct page {
	uint64_t gone[PAGE], untold[PAGE], ids[PAGE];
};

static void compare(const struct master *m, const struct holdings_request *req,
		    struct page *page, struct holdings_reply *reply)
{
	struct inode_view v;
	uint64_t id;
	size_t i;

	for (i = 0; i < req->ids.n && i < PAGE; i++) {
		id = req->ids.at[i];
		if (namespace_get(journal_namespace(m->journal), id, &v))
			page->gone[reply->gone.n++] = id;
		else if (!holders_has(&m->workers.holders, id, req->worker))
			page->untold[reply->untold.n++] = id;
	}
}

/* The map's order holds while it does not change; who asks looks twice. */
static void list(const struct master *m, const struct holdings_request *req,
		 struct page *page, struct holdings_reply *reply)
{
	const struct holders *h = &m->workers.holders;
	size_t at = (size_t)req->at, steps = 0;
	const struct map_slot *slot;

	while (steps++ < PAGE && (slot = map_next(&h->by_file, &at)))
		if (holders_has(h, slot->key, req->worker))
			page->ids[reply->ids.n++] = slot->key;
	reply->next = at < h->by_file.size ? at : 0;
}

void serve_holdings(void *role, struct rpc_call *call, const void *request)
{
	const struct holdings_request *req = request;
	struct page *page = mem_alloc(sizeof(*page));
	struct holdings_reply reply = { 0 };
	const struct master *m = role;

	reply.gone.at = page->gone;
	reply.untold.at = page->untold;
	reply.ids.at = page->ids;
	compare(m, req, page, &reply);
	if (req->list)
		list(m, req, page, &reply);
	rpc_reply(call, &reply);
	free(page);
}
