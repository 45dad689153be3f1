/* Calls to the master: to the one that answered last, else to the next. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "worker/state.h"

#define CALL_MS    5000
#define GIVE_UP_MS 5000 /* who asks us goes on waiting, or asks another */
#define BETWEEN_MS 200

static void try(struct upcall *call);

void master_open(struct worker *w)
{
	struct master_link *l = &w->master;

	list_init(&l->waiting);
	while (w->o.masters[l->n])
		l->n++;
	l->clients = mem_array(l->n, sizeof(*l->clients));
	for (l->at = 0; l->at < l->n; l->at++)
		l->clients[l->at] = rpc_client_new(w->loop, w->o.masters[l->at],
						   &w->identity);
	l->at = 0;
}

static void finish(struct upcall *call, int code, const void *reply)
{
	struct worker *w = call->w;

	call->done(call, code, reply);
	worker_end(w);
}

void master_stop(struct worker *w)
{
	struct upcall *call;
	struct list *link;
	unsigned i;

	while ((link = list_pop_front(&w->master.waiting))) {
		call = list_entry(link, struct upcall, link);
		loop_timer_stop(&call->again);
		loop_timer_start(w->loop, &call->again, 0, call->again.fire);
	}
	for (i = 0; i < w->master.n; i++)
		rpc_client_close(w->master.clients[i]);
	w->master.n = 0;
}

void master_close(struct worker *w)
{
	free(w->master.clients);
}

static void on_again(struct timer *t)
{
	struct upcall *call = container_of(t, struct upcall, again);

	list_remove(&call->link);
	if (call->w->master.n == 0)
		finish(call,
		       err_set(&call->pending.err, -ECANCELED, "stopping"),
		       NULL);
	else
		try(call);
}

/* What another master, or the same one later, may answer otherwise. */
static bool may_try_again(const struct rpc_pending *p, int code)
{
	return code == ERR_NOT_LEADER || code == -EAGAIN ||
	       code == -ESHUTDOWN || (!p->answered && code != -ECANCELED);
}

static void on_answer(struct rpc_pending *p, int code, const void *reply)
{
	struct upcall *call = container_of(p, struct upcall, pending);
	struct worker *w = call->w;

	if (!code) {
		w->master.at = call->at;
	} else if (may_try_again(p, code)) {
		if (w->master.n && w->master.at == call->at)
			w->master.at = (call->at + 1) % w->master.n;
		if (!call->once && w->master.n &&
		    loop_now_ms(w->loop) < call->give_up_ms) {
			list_push_back(&w->master.waiting, &call->link);
			loop_timer_start(w->loop, &call->again, BETWEEN_MS,
					 on_again);
			return;
		}
		if (!p->answered && code != -ECANCELED)
			code = err_set(&p->err, -ESHUTDOWN,
				       "the worker reaches no master: %s",
				       p->err.msg[0] ? p->err.msg
						     : err_text(code));
	}
	finish(call, code, reply);
}

static void submit(struct upcall *call, const void *request)
{
	struct worker *w = call->w;

	call->at = w->master.at;
	call->pending = (struct rpc_pending){
		.deadline_ms = loop_now_ms(w->loop) + CALL_MS,
	};
	rpc_call(w->master.clients[call->at], call->method, &call->pending,
		 request, on_answer);
}

static void try(struct upcall *call)
{
	submit(call, call->request);
}

static void start(struct worker *w, const struct rpc_method *method,
		  struct upcall *call, const void *request, upcall_done_fn done)
{
	worker_begin(w);
	call->w = w;
	call->method = method;
	call->done = done;
	call->give_up_ms = loop_now_ms(w->loop) + GIVE_UP_MS;
	list_init(&call->link);
	if (w->master.n) {
		submit(call, request);
		return;
	}
	/* Stopping: ends as one that waits. */
	loop_timer_start(w->loop, &call->again, 0, on_again);
}

void master_ask(struct worker *w, const struct rpc_method *method,
		struct upcall *call, const void *request, upcall_done_fn done)
{
	memcpy(call->request, request, method->request_size);
	call->once = false;
	start(w, method, call, request, done);
}

void master_tell(struct worker *w, const struct rpc_method *method,
		 struct upcall *call, const void *request, upcall_done_fn done)
{
	call->once = true;
	start(w, method, call, request, done);
}
