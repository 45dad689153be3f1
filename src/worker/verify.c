/*
 * Reading again what is on disk of a file, for who wants to be sure.
 *
 * The store compares each chunk with its checksum and drops what is damaged; a
 * few files at a time, a page of each in memory.
 */

#include <stdlib.h>

#include "base/mem.h"
#include "worker/state.h"

#define AT_ONCE 4

struct verify_op {
	struct worker *w;
	struct rpc_call *call;
	struct list link; /* in verifies.waiting */
	uint64_t id, size, at;
	struct store_req store;
	char *buf;
	bool cancelled;
};

static void step(struct verify_op *op);

static void begin_waiting(struct worker *w)
{
	struct verify_op *op;

	while (w->verifies.running < AT_ONCE &&
	       !list_empty(&w->verifies.waiting)) {
		op = list_entry(list_pop_front(&w->verifies.waiting),
				struct verify_op, link);
		w->verifies.running++;
		op->buf = mem_array(1, STORE_PAGE);
		step(op);
	}
}

static void over(struct verify_op *op)
{
	struct worker *w = op->w;

	explain(w, op->call, op->id);
	free(op->buf);
	free(op);
	w->verifies.running--;
	begin_waiting(w);
	worker_end(w);
}

/* What was damaged is no more: the answer tells. */
static void on_read(struct store_req *req, ssize_t n ATTR_UNUSED)
{
	struct verify_op *op = container_of(req, struct verify_op, store);

	op->at += req->len;
	step(op);
}

/* The next page that is present. */
static void step(struct verify_op *op)
{
	struct store *s = op->w->store;
	uint64_t left;

	while (op->at < op->size && !op->cancelled && !op->w->stopping) {
		left = op->size - op->at < STORE_PAGE ? op->size - op->at
						      : STORE_PAGE;
		if (store_present(s, op->id, op->at, left) < left) {
			op->at += left;
			continue;
		}
		op->store = (struct store_req){
			.loop = op->w->loop,
			.file = op->id,
			.file_size = op->size,
			.offset = op->at,
			.buf = op->buf,
			.len = left,
		};
		store_read(s, &op->store, on_read);
		return;
	}
	over(op);
}

static void on_cancel(void *owner)
{
	((struct verify_op *)owner)->cancelled = true;
}

void verify(struct worker *w, struct rpc_call *call, uint64_t id)
{
	struct verify_op *op = mem_alloc(sizeof(*op));
	struct store_file_state st = { 0 };

	if (store_file_state(w->store, id, &st))
		st.size = 0;
	op->w = w;
	op->call = call;
	op->id = id;
	op->size = st.size;
	worker_begin(w);
	rpc_call_on_cancel(call, on_cancel, op);
	list_push_back(&w->verifies.waiting, &op->link);
	begin_waiting(w);
}
