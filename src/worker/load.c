/* Call load. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"
#include "worker/state.h"

/* One call of load. */
struct loader {
	struct worker *w;
	struct rpc_call *call;
	struct file *file;
	uint64_t at; /* present up to here, as far as it is ours */
	uint64_t fetched, epoch;
	bool complete;
	struct flight *on;
	struct file_wait info;
	struct set_wait set;
	struct waiter wait;
};

enum { LOAD_AHEAD = 4 }; /* units under way at once */

/* Calls that come less than this after each other are one load. */
#define LOAD_GAP_MS 10000

static void load_step(struct loader *l);

static void load_begin(struct worker *w)
{
	if (!w->load.calls &&
	    (!w->load.number ||
	     loop_now_ms(w->loop) > w->load.ended_ms + LOAD_GAP_MS))
		w->load.number++;
	w->load.calls++;
}

static void load_end(struct loader *l)
{
	struct worker *w = l->w;

	w->load.calls--;
	w->load.ended_ms = loop_now_ms(w->loop);
	if (l->file)
		file_put(l->file);
	free(l);
	worker_end(w);
}

static void load_fail(struct loader *l, int code, const struct err *err)
{
	if (err && err->msg[0])
		rpc_fail_err(l->call, code, err);
	else
		rpc_fail(l->call, code, "load: %s", err_text(code));
	load_end(l);
}

static void load_answer(struct loader *l)
{
	const struct load_reply reply = {
		.bytes = l->file->length,
		.fetched = l->fetched,
		.complete = l->complete,
	};

	rpc_reply(l->call, &reply);
	load_end(l);
}

static void on_loaded(struct waiter *wait, int code, const struct err *err)
{
	struct loader *l = container_of(wait, struct loader, wait);

	flight_put(l->on);
	l->on = NULL;
	if (code) {
		load_fail(l, code, err);
		return;
	}
	/* A range that has come and is not there will not be. */
	l->complete = store_present(l->w->store, l->file->id, l->at, 1) > 0;
	if (l->complete)
		load_step(l);
	else
		load_answer(l);
}

/* The next byte from `at` on that is ours to cache and not there. */
static uint64_t load_next(const struct loader *l, uint64_t at)
{
	const uint64_t size = l->file->length, block = l->w->control.block_size;
	struct block_id id = { .file = l->file->id };
	uint64_t end;

	while (at < size) {
		id.index = block ? (uint32_t)(at / block) : 0;
		end = block && size - at > block - at % block
			      ? at + block - at % block
			      : size;
		if (control_keeps(l->w, id, 0))
			at += store_present(l->w->store, id.file, at, end - at);
		else
			at = end;
		if (at < end)
			break;
	}
	return at;
}

static void load_ahead(struct loader *l)
{
	uint64_t at = l->at, size = l->file->length;
	struct flight *fl;
	unsigned n;

	for (n = 0; n < LOAD_AHEAD && at < size; n++) {
		at = load_next(l, at);
		if (at >= size)
			break;
		fl = flight_find(l->file, at);
		if (fl && fl->state == KEPT &&
		    (fl->unsettled || fl->left_out)) {
			flight_forget(fl); /* it may be otherwise by now */
			fl = NULL;
		}
		if (!fl) {
			fl = flight_start(l->file, at, at + FETCH_UNIT, 0);
			l->fetched += fl->len;
		}
		fl->load = l->w->load.number;
		at = flight_end(fl);
	}
}

static void load_step(struct loader *l)
{
	const uint64_t size = l->file->length;

	l->at = load_next(l, l->at);
	if (l->at >= size) {
		l->complete = true;
		load_answer(l);
		return;
	}
	load_ahead(l);
	l->on = flight_find(l->file, l->at);
	if (!l->on) {
		load_fail(l, -EIO, NULL);
		return;
	}
	if (l->on->state == KEPT) { /* it could not be cached just now */
		l->on = NULL;
		l->complete = false;
		load_answer(l);
		return;
	}
	flight_get(l->on);
	l->wait.ready = on_loaded;
	flight_wait(l->on, &l->wait, UINT64_MAX);
}

/* The file and the set are known: we know what is ours. */
static void load_start(struct loader *l)
{
	const uint64_t ours = l->w->control.set.epoch;
	struct err err;

	if (l->epoch && l->epoch < ours)
		load_fail(l,
			  err_set(&err, ERR_WRONG_EPOCH,
				  "the workers are those of epoch %" PRIu64
				  " by now, not %" PRIu64,
				  ours, l->epoch),
			  &err);
	else
		load_step(l);
}

static void on_load_set(struct set_wait *wait)
{
	load_start(container_of(wait, struct loader, set));
}

static void on_load_info(struct file_wait *wait, int code,
			 const struct err *err)
{
	struct loader *l = container_of(wait, struct loader, info);

	if (code)
		load_fail(l, code, err);
	else if (control_wait(l->w, &l->set, l->epoch))
		load_start(l);
}

static void on_load_cancel(void *owner)
{
	struct loader *l = owner;

	if (l->on) {
		waiter_leave(&l->wait);
		flight_put(l->on);
	} else {
		file_forget_wait(&l->info);
		list_remove(&l->set.link);
	}
	load_fail(l, -ECANCELED, NULL);
}

void serve_load(void *role, struct rpc_call *call, const void *request)
{
	const struct load_request *req = request;
	struct loader *l = mem_alloc(sizeof(*l));
	struct worker *w = role;

	l->w = w;
	l->call = call;
	l->epoch = req->epoch;
	l->complete = true;
	l->set.done = on_load_set;
	list_init(&l->set.link);
	list_init(&l->info.link);
	list_init(&l->wait.link);
	l->file = file_get(w, req->id);
	l->info.done = on_load_info;
	worker_begin(w);
	load_begin(w);
	rpc_call_on_cancel(call, on_load_cancel, l);
	if (file_know(l->file, &l->info))
		on_load_info(&l->info, 0, NULL);
}
