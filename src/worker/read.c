/* Call read. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/metrics.h"
#include "worker/state.h"

/* What readers' buffers may take together. */
#define MAX_READING (UINT64_C(512) << 20)

/* From here on bytes of the store are sent from its files; what is less costs
 * less to read. */
#define LEND_LEAST (UINT64_C(256) << 10)

/* One call of read, until its bytes have left. */
struct reader {
	struct worker *w;
	struct list link; /* in reads.waiting */
	uint64_t charged; /* bytes of reads.bytes */
	struct rpc_call *call;
	uint64_t id, offset, epoch;
	size_t len, done; /* bytes wanted, and those in `buf` */
	uint32_t instead_of;
	bool peer;
	bool knows_set;     /* or has waited for it */
	bool cancelled;     /* while the store is at it */
	bool skip_store;    /* it has the bytes, and cannot read them now */
	bool skip_loan;     /* it lends none of them */
	char *buf;          /* NULL: a flight's, or not needed yet */
	struct flight *out; /* whose buffer is being sent */
	enum source source;
	struct file *file;
	struct flight *on; /* waited for */
	struct file_wait info;
	struct set_wait set;
	struct waiter wait;
	struct store_req store;
	struct store_loan loan;
	bool in_store;
};

static void step(struct reader *r);

/* A call that needs more than there is waits until nothing else is read. */
static bool may_begin(const struct worker *w, const struct reader *r)
{
	return w->reads.bytes == 0 || w->reads.bytes + r->len <= MAX_READING;
}

static void begin_waiting(struct worker *w)
{
	struct reader *r;

	if (w->reads.starting) /* by who has called us */
		return;
	w->reads.starting = true;
	while (!list_empty(&w->reads.waiting)) {
		r = list_entry(w->reads.waiting.next, struct reader, link);
		if (!may_begin(w, r))
			break;
		list_remove(&r->link);
		r->charged = r->len;
		w->reads.bytes += r->charged;
		step(r);
	}
	w->reads.starting = false;
}

static void release(struct reader *r)
{
	struct worker *w = r->w;

	w->reads.bytes -= r->charged;
	if (r->file)
		file_put(r->file);
	if (r->out)
		flight_put(r->out);
	free(r->buf);
	free(r);
	begin_waiting(w);
	worker_end(w);
}

static void on_sent(void *owner)
{
	release(owner);
}

static void fail(struct reader *r, int code, const struct err *err)
{
	if (err && err->msg[0])
		rpc_fail_err(r->call, code, err);
	else
		rpc_fail(r->call, code, "read: %s", err_text(code));
	release(r);
}

static void count(const struct reader *r)
{
	static const enum metric reads[] = { METRIC_reads_local,
					     METRIC_reads_peer,
					     METRIC_reads_ufs };
	static const enum metric bytes[] = { METRIC_bytes_local,
					     METRIC_bytes_peer,
					     METRIC_bytes_ufs };

	metric_add(reads[r->source], 1);
	metric_add(bytes[r->source], r->len);
}

/* For who is to be served here and not instead of another. */
static void look_ahead(struct reader *r)
{
	struct file *f;

	if (r->peer || r->instead_of ||
	    !map_get(&r->w->files.by_id, r->id)) /* all of it is here */
		return;
	f = file_get(r->w, r->id);
	read_ahead(f, r->offset, r->len);
	file_put(f);
}

static void answer(struct reader *r, const char *bytes)
{
	const struct read_reply reply = { .source = r->source };

	count(r);
	look_ahead(r);
	rpc_reply_data(r->call, &reply, bytes, r->len, on_sent, r);
}

static void need_buffer(struct reader *r)
{
	if (!r->buf)
		r->buf = mem_resize(NULL, r->len, 1);
}

/* ---- from the store ---- */

static void on_read(struct store_req *req, ssize_t n)
{
	struct reader *r = container_of(req, struct reader, store);

	r->in_store = false;
	if (r->cancelled) {
		fail(r, -ECANCELED, NULL);
		return;
	}
	/* What was damaged is fetched again. */
	if (n > 0)
		r->done += (size_t)n;
	else if (n != -ENOENT)
		r->skip_store = true;
	step(r);
}

static void on_file_sent(void *owner)
{
	struct reader *r = owner;

	store_return(&r->loan);
	release(r);
}

static void on_lent(struct store_req *req, ssize_t n)
{
	struct reader *r = container_of(req, struct reader, store);
	const struct read_reply reply = { .source = SOURCE_LOCAL };

	r->in_store = false;
	if (n >= 0) {
		/* Of a call that was cancelled nothing is sent. */
		count(r);
		look_ahead(r);
		rpc_reply_file(r->call, &reply, r->loan.fd, r->offset, r->len,
			       on_file_sent, r);
	} else if (r->cancelled) {
		fail(r, -ECANCELED, NULL);
	} else {
		r->skip_loan = true;
		step(r);
	}
}

/* All of it lies there. */
static bool can_be_lent(const struct reader *r)
{
	return !r->skip_loan && r->done == 0 && r->len > LEND_LEAST &&
	       store_present(r->w->store, r->id, r->offset, r->len) == r->len;
}

static void borrow(struct reader *r)
{
	r->store = (struct store_req){
		.loop = r->w->loop,
		.file = r->id,
		.offset = r->offset,
		.len = r->len,
	};
	r->in_store = true;
	store_lend(r->w->store, &r->store, &r->loan, on_lent);
}

/* Whether there is more to do at once. */
static bool from_store(struct reader *r)
{
	ssize_t n;

	if (can_be_lent(r)) {
		borrow(r);
		return false;
	}
	need_buffer(r);
	r->store = (struct store_req){
		.loop = r->w->loop,
		.file = r->id,
		.offset = r->offset + r->done,
		.buf = r->buf + r->done,
		.len = r->len - r->done,
	};
	n = store_try_read(r->w->store, &r->store);
	if (n == -EAGAIN) {
		r->in_store = true;
		store_read(r->w->store, &r->store, on_read);
		return false;
	}
	if (n > 0)
		r->done += (size_t)n;
	return true;
}

static bool is_stored(const struct reader *r)
{
	return !r->skip_store &&
	       store_present(r->w->store, r->id, r->offset + r->done, 1) > 0;
}

/* ---- from flights ---- */

static void on_info(struct file_wait *wait, int code, const struct err *err)
{
	struct reader *r = container_of(wait, struct reader, info);

	if (code)
		fail(r, code, err);
	else
		step(r);
}

static void on_flight(struct waiter *wait, int code, const struct err *err)
{
	struct reader *r = container_of(wait, struct reader, wait);

	flight_put(r->on);
	r->on = NULL;
	if (code)
		fail(r, code, err);
	else
		step(r);
}

/* Bytes that have come; whether there is more to do at once. */
static bool take(struct reader *r, struct flight *fl, uint64_t end)
{
	uint64_t at = r->offset + r->done;
	const char *bytes = fl->buf + (at - fl->offset);

	/* The peer would cache it. */
	if (r->peer && fl->unsettled) {
		fail(r, -ENOENT, NULL);
		return false;
	}
	if (fl->source > r->source)
		r->source = fl->source;
	if (r->done == 0 && end == r->offset + r->len) {
		flight_get(fl);
		r->out = fl;
		answer(r, bytes);
		return false;
	}
	need_buffer(r);
	memcpy(r->buf + r->done, bytes, end - at);
	r->done += end - at;
	return true;
}

static bool from_flight(struct reader *r, struct flight *fl)
{
	uint64_t end = r->offset + r->len;

	if (end > flight_end(fl))
		end = flight_end(fl);
	if (fl->offset + fl->got >= end)
		return take(r, fl, end);
	flight_get(fl);
	r->on = fl;
	r->wait.ready = on_flight;
	flight_wait(fl, &r->wait, end);
	return false;
}

/* All that is missing, side by side. */
static void start_missing(struct reader *r)
{
	uint64_t at = r->offset + r->done, end = r->offset + r->len;
	struct flight *fl;

	while (at < end) {
		if (!r->skip_store)
			at += store_present(r->w->store, r->id, at, end - at);
		if (at >= end)
			break;
		fl = flight_find(r->file, at);
		if (!fl)
			fl = flight_start(r->file, at, end, r->instead_of);
		at = flight_end(fl);
	}
}

static void on_set(struct set_wait *wait)
{
	step(container_of(wait, struct reader, set));
}

/* Whether we may fetch for this call; else it waits or has failed. */
static bool may_start(struct reader *r)
{
	const uint64_t ours = r->w->control.set.epoch;
	struct err failure;

	if (r->peer) {
		fail(r, -ENOENT, NULL);
		return false;
	}
	if (file_failure(r->file, &failure)) {
		fail(r, failure.code, &failure);
		return false;
	}
	if (!r->knows_set) {
		r->knows_set = true;
		r->set.done = on_set;
		if (!control_wait(r->w, &r->set, r->epoch))
			return false;
	}
	if (r->epoch && r->epoch < ours) {
		rpc_fail(r->call, ERR_WRONG_EPOCH,
			 "the workers are those of epoch %" PRIu64
			 " by now, not %" PRIu64,
			 ours, r->epoch);
		release(r);
		return false;
	}
	return true;
}

/* The length is known: the end of the file may come before that of the
 * request. */
static void clip(struct reader *r)
{
	uint64_t left =
		r->file->length > r->offset ? r->file->length - r->offset : 0;

	if (r->len > left)
		r->len = (size_t)left;
}

/* What is not in the store; whether there is more to do at once. */
static bool from_elsewhere(struct reader *r)
{
	struct flight *fl;

	if (!r->file) {
		r->file = file_get(r->w, r->id);
		r->info.done = on_info;
		if (!file_know(r->file, &r->info))
			return false;
	}
	clip(r);
	if (r->done >= r->len)
		return true;
	fl = flight_find(r->file, r->offset + r->done);
	/* Two that ask each other would wait for each other. */
	if (fl && r->peer && fl->asking_peer) {
		fail(r, -ENOENT, NULL);
		return false;
	}
	if (!fl) {
		if (!may_start(r))
			return false;
		start_missing(r);
		look_ahead(r);
		fl = flight_find(r->file, r->offset + r->done);
	}
	/* None: it has come to the store meanwhile. */
	return !fl || from_flight(r, fl);
}

static void step(struct reader *r)
{
	bool more = true;

	while (more) {
		if (r->done >= r->len) {
			answer(r, r->buf);
			return;
		}
		more = is_stored(r) ? from_store(r) : from_elsewhere(r);
	}
}

static void on_cancel(void *owner)
{
	struct reader *r = owner;

	if (r->in_store) {
		r->cancelled = true;
		return;
	}
	if (r->on) {
		waiter_leave(&r->wait);
		flight_put(r->on);
	} else {
		file_forget_wait(&r->info);
		list_remove(&r->set.link);
		list_remove(&r->link);
	}
	fail(r, -ECANCELED, NULL);
}

void serve_read(void *role, struct rpc_call *call, const void *request)
{
	const struct read_request *req = request;
	struct worker *w = role;
	struct reader *r;

	if (req->len > MAX_READ || req->offset > INT64_MAX) {
		rpc_fail(call, -EINVAL, "read of %" PRIu32 " bytes at %" PRIu64,
			 req->len, req->offset);
		return;
	}
	r = mem_alloc(sizeof(*r));
	r->w = w;
	r->call = call;
	r->id = req->id;
	r->offset = req->offset;
	r->len = req->len;
	r->epoch = req->epoch;
	r->peer = req->peer;
	r->instead_of = req->instead_of;
	list_init(&r->info.link);
	list_init(&r->set.link);
	list_init(&r->wait.link);
	worker_begin(w);
	rpc_call_on_cancel(call, on_cancel, r);
	list_push_back(&w->reads.waiting, &r->link);
	begin_waiting(w);
}
