/* Opening a file: what is known of it, and its descriptor where all of it is
 * here. */

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/metrics.h"
#include "worker/state.h"

/* What is not longer is compared with its checksums before the answer, if that
 * was not done since the start: that takes less than to send its bytes. */
#define CHECK_MAX STORE_PAGE

/* ---- a file of which nothing is here ---- */

/* A call of open that waits for what the master knows of the file. */
struct opener {
	struct worker *w;
	struct rpc_call *call;
	struct file *file;
	struct file_wait info;
};

static void answer_unknown(struct opener *o, int code, const struct err *err)
{
	const struct open_reply reply = {
		.length = o->file->length,
		.complete = o->file->length == 0,
	};
	struct worker *w = o->w;

	if (code) {
		rpc_fail_err(o->call, code, err);
	} else {
		if (reply.complete)
			history_open(w, o->file->id, true, true);
		rpc_reply(o->call, &reply);
	}
	file_put(o->file);
	free(o);
	worker_end(w);
}

static void on_info(struct file_wait *wait, int code, const struct err *err)
{
	answer_unknown(container_of(wait, struct opener, info), code, err);
}

static void on_open_cancel(void *owner)
{
	struct opener *o = owner;
	struct err err = { 0 };

	file_forget_wait(&o->info);
	answer_unknown(o, err_set(&err, -ECANCELED, "open: cancelled"), &err);
}

/* Nothing of it is here: its length comes from the master, who is asked what
 * the read that follows needs to know too. */
static void open_unknown(struct worker *w, struct rpc_call *call, uint64_t id)
{
	struct opener *o = mem_alloc(sizeof(*o));

	o->w = w;
	o->call = call;
	o->file = file_get(w, id);
	o->info.done = on_info;
	list_init(&o->info.link);
	worker_begin(w);
	if (file_know(o->file, &o->info))
		answer_unknown(o, 0, NULL);
	else
		rpc_call_on_cancel(call, on_open_cancel, o);
}

/* ---- a file that is here ---- */

/* With the descriptor, if there is one. */
static void answer(struct rpc_call *call, struct open_reply *reply, int fd)
{
	metric_add(fd >= 0           ? METRIC_opens_local
		   : reply->complete ? METRIC_opens_remote
				     : METRIC_opens_miss,
		   1);
	reply->granted = fd >= 0;
	if (fd < 0) {
		rpc_reply(call, reply);
		return;
	}
	rpc_reply_fd(call, reply, fd);
	close(fd);
}

/* A call of open that waits for the file to be compared. */
struct checker {
	struct worker *w;
	struct rpc_call *call;
	struct open_reply reply;
	struct store_req store;
	struct store_loan loan;
	bool cancelled;
};

static void on_check_cancel(void *owner)
{
	((struct checker *)owner)->cancelled = true;
}

static void on_checked(struct store_req *req, ssize_t n)
{
	struct checker *c = container_of(req, struct checker, store);
	struct worker *w = c->w;
	struct store_file_state st = { 0 };
	int fd = -1;

	if (n >= 0)
		store_return(&c->loan);
	else /* it may have been damaged */
		c->reply.complete =
			!store_file_state(w->store, req->file, &st) &&
			st.complete;
	if (n >= 0 && !c->cancelled && !w->served)
		fd = grant_take(w, rpc_call_session(c->call), req->file, false);
	answer(c->call, &c->reply, fd);
	free(c);
	worker_end(w);
}

static void check_first(struct worker *w, struct rpc_call *call, uint64_t id,
			const struct open_reply *reply)
{
	struct checker *c = mem_alloc(sizeof(*c));

	c->w = w;
	c->call = call;
	c->reply = *reply;
	c->store.loop = w->loop;
	c->store.file = id;
	c->store.len = reply->length;
	worker_begin(w);
	rpc_call_on_cancel(call, on_check_cancel, c);
	store_lend(w->store, &c->store, &c->loan, on_checked);
}

static void open_here(struct worker *w, struct rpc_call *call,
		      const struct open_request *req,
		      const struct store_file_state *st)
{
	const bool small = st->size <= CHECK_MAX;
	struct open_reply reply = {
		.length = st->size,
		.complete = st->complete,
	};
	int fd = -1;

	if (st->complete && req->grant && rpc_call_peer(call)->local)
		fd = grant_take(w, rpc_call_session(call), req->id, !small);
	if (fd == -EAGAIN && small && !st->verified)
		check_first(w, call, req->id, &reply);
	else
		answer(call, &reply, fd);
}

void serve_open(void *role, struct rpc_call *call, const void *request)
{
	const struct open_request *req = request;
	struct store_file_state st = { 0 };
	struct worker *w = role;
	int rv = store_file_state(w->store, req->id, &st);

	store_touch(w->store, req->id);
	history_open(w, req->id, st.complete, st.present > 0);
	busiest_note(w, req->id);
	if (rv == 0) {
		open_here(w, call, req, &st);
		return;
	}
	metric_add(METRIC_opens_miss, 1);
	open_unknown(w, call, req->id);
}
