/* For admin fsck: the index against the backing files, and which files there
 * are, page by page. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "worker/state.h"

#define PAGE 20000 /* ids a reply */

struct worker_fsck {
	struct worker *w;
	struct rpc_call *call; /* that waits; NULL: it is done */
	struct store_fsck fsck;
};

static void reply_page(struct worker_fsck *op, struct rpc_call *call, size_t at)
{
	const struct store_fsck *f = &op->fsck;
	schema_str findings[STORE_FSCK_FINDINGS];
	struct fsck_store_reply reply = { .files = f->files,
					  .bytes = f->bytes,
					  .found = f->found };
	size_t left = at < f->n_ids ? f->n_ids - at : 0;
	unsigned i;

	for (i = 0; at == 0 && i < f->n_findings; i++)
		findings[i] =
			(schema_str){ f->findings[i], strlen(f->findings[i]) };
	reply.findings.at = findings;
	reply.findings.n = i;
	reply.ids.at = f->ids ? f->ids + (left ? at : 0) : NULL;
	reply.ids.n = left < PAGE ? left : PAGE;
	reply.next = left > PAGE ? at + PAGE : 0;
	rpc_reply(call, &reply);
}

static void on_checked(struct store_fsck *f)
{
	struct worker_fsck *op = container_of(f, struct worker_fsck, fsck);
	struct rpc_call *call = op->call;

	op->call = NULL;
	reply_page(op, call, 0);
	worker_end(op->w);
}

static void start(struct worker *w, struct rpc_call *call)
{
	fsck_close(w);
	w->fsck = mem_alloc(sizeof(*w->fsck));
	w->fsck->w = w;
	w->fsck->call = call;
	w->fsck->fsck.loop = w->loop;
	worker_begin(w);
	store_fsck(w->store, &w->fsck->fsck, on_checked);
}

void serve_fsck_store(void *role, struct rpc_call *call, const void *request)
{
	const struct fsck_store_request *req = request;
	struct worker *w = role;

	if (w->fsck && w->fsck->call)
		rpc_fail(call, -EBUSY, "another check is under way");
	else if (req->start)
		start(w, call);
	else if (w->fsck)
		reply_page(w->fsck, call, (size_t)req->at);
	else
		rpc_fail(call, -EINVAL, "no check was made");
}

void fsck_close(struct worker *w)
{
	if (w->fsck)
		store_fsck_clear(&w->fsck->fsck);
	free(w->fsck);
	w->fsck = NULL;
}
