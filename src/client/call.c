#include "client/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/log.h"

#define RETRY_FIRST_MS 10
#define RETRY_MAX_MS   500
#define RETRY_NEAR_MS  200  /* of a worker: others have what it has */
#define VAIN_MS        5000 /* after a wait in vain the next ones are ... */
#define SHORT_WAIT_MS  1000 /* ... that long */

/* ---- the request, kept to be sent again ---- */

static void grow(struct client_call *call, size_t size)
{
	if (call->request == call->small)
		call->request = memcpy(mem_resize(NULL, size, 1), call->small,
				       call->request_len);
	else
		call->request = mem_resize(call->request, size, 1);
	call->request_size = size;
}

static int append(void *data, const char *bytes, size_t len)
{
	struct client_call *call = data;

	if (call->request_len + len > call->request_size)
		grow(call, 2 * (call->request_len + len));
	if (len)
		memcpy(call->request + call->request_len, bytes, len);
	call->request_len += len;
	return 0;
}

void call_encode(struct client_call *call, const void *request)
{
	msgpack_packer packer;

	call->request_len = 0;
	msgpack_packer_init(&packer, call, append);
	call->method->encode_request(request, &packer);
}

/* ---- the end ---- */

static void finish(struct client_call *call, int code, const void *reply)
{
	struct client *c = call->client;

	call->wait = CLIENT_WAIT_NOTHING;
	list_remove(&call->link);
	loop_timer_stop(&call->retry);
	loop_timer_stop(&call->limit);
	if (call->request != call->small)
		free(call->request);
	call->done(call, code, reply);
	client_put(c);
}

static void on_finish(struct task *t)
{
	struct client_call *call = container_of(t, struct client_call, task);

	finish(call, call->err.code, NULL);
}

/* For when the caller may be on the stack. */
static void finish_soon(struct client_call *call, int code)
{
	if (call->err.code != code || !call->err.msg[0])
		err_set(&call->err, code, "%s", err_text(code));
	call->wait = CLIENT_WAIT_NOTHING;
	list_remove(&call->link);
	loop_timer_stop(&call->retry);
	loop_timer_stop(&call->limit);
	loop_post(call->client->loop, &call->task, on_finish);
}

/* Once, until it has answered again. */
static void log_missing(struct client_call *call)
{
	struct client *c = call->client;
	struct vain *vain = &c->vain[call->target];

	vain->at_ms = loop_now_ms(c->loop);
	if (vain->logged)
		return;
	vain->logged = true;
	if (call->target == CLIENT_MASTER)
		log_error("gave up waiting for the master",
			  "waited_ms=%" PRIu64 " last=\"%s\"", call->wait_ms,
			  call->err.msg);
	else
		log_error("gave up waiting for a worker",
			  "worker=%" PRIu32 " waited_ms=%" PRIu64
			  " last=\"%s\"",
			  call->worker, call->wait_ms, call->err.msg);
}

static void time_out(struct client_call *call)
{
	const char *what =
		call->target == CLIENT_MASTER ? "the master" : "a worker";
	struct err last = call->err;

	if (call->wait == CLIENT_WAIT_WORKERS) {
		what = "the master";
		last = call->client->ask.err;
	}
	if (!last.msg[0])
		err_set(&last, -ETIMEDOUT, "no answer");
	call->err = last;
	log_missing(call);
	err_set(&call->err, -ETIMEDOUT, "waited %" PRIu64 " ms for %s: %s",
		call->wait_ms, what, last.msg);
	finish(call, -ETIMEDOUT, NULL);
}

/* ---- waiting for what is missing ---- */

static void attempt(struct client_call *call);

/* `wait_ms` are over.  Who is there and just takes his time may go on. */
static void on_limit(struct timer *t)
{
	struct client_call *call = container_of(t, struct client_call, limit);

	call->deadline_ms = 0;
	if (call->wait == CLIENT_WAIT_ANSWER) {
		if (rpc_client_is_ready(call->pending.client))
			return;
		call->expired = true;
		rpc_cancel(&call->pending);
		return;
	}
	time_out(call);
}

/* Who waited in vain and asks again at once (the kernel does so for a read) has
 * waited already. */
static uint64_t patience(const struct client *c, enum client_target target)
{
	const struct vain *vain = &c->vain[target];

	if (vain->at_ms && loop_now_ms(c->loop) - vain->at_ms < VAIN_MS &&
	    c->wait_ms > SHORT_WAIT_MS)
		return SHORT_WAIT_MS;
	return c->wait_ms;
}

static void start_limit(struct client_call *call)
{
	struct client *c = call->client;

	if (call->deadline_ms)
		return;
	call->wait_ms = patience(c, call->target);
	call->deadline_ms = loop_now_ms(c->loop) + call->wait_ms;
	loop_timer_start(c->loop, &call->limit, call->wait_ms, on_limit);
}

static void on_retry(struct timer *t)
{
	attempt(container_of(t, struct client_call, retry));
}

static void retry_later(struct client_call *call)
{
	uint64_t max =
		call->target == CLIENT_MASTER ? RETRY_MAX_MS : RETRY_NEAR_MS;
	uint64_t delay = RETRY_FIRST_MS;
	unsigned i;

	for (i = 0; i < call->tries && delay < max; i++)
		delay *= 2;
	if (delay > max)
		delay = max;
	call->tries++;
	call->wait = CLIENT_WAIT_RETRY;
	start_limit(call);
	loop_timer_start(call->client->loop, &call->retry, delay, on_retry);
}

/* Another master or another way to the worker, the next time. */
static void try_another(struct client_call *call, int code)
{
	const struct rpc_pending *p = &call->pending;
	struct client *c = call->client;
	struct worker *w;

	if (call->target == CLIENT_MASTER) {
		if (c->current == call->worker)
			c->current = (c->current + 1) % c->n_masters;
		return;
	}
	if (!p->answered)
		call->unreached++;
	w = workers_find(c, call->worker);
	if (w && !p->answered && w->rpc == p->client) {
		if (worker_in_vain(w))
			call->tries = 0; /* the next one at once */
		worker_next_address(w, code);
	}
	workers_refresh(c);
}

/* Whether the answer means that who should answer is not there. */
static bool is_missing(const struct rpc_pending *p, int code)
{
	if (p->answered)
		return code == ERR_NOT_LEADER || code == ERR_WRONG_EPOCH ||
		       code == -ESHUTDOWN;
	/* What another try will not mend: not our key, cluster, version. */
	return code != -EACCES && code != -EPROTO && code != -EINVAL;
}

static void on_missing(struct client_call *call, int code)
{
	call->err = call->pending.err;
	if (code == ERR_WRONG_EPOCH && call->tries == 0 && !call->once) {
		call->tries++;
		start_limit(call);
		workers_wait(call, true);
		return;
	}
	try_another(call, code);
	if (call->once)
		finish(call, code, NULL);
	else
		retry_later(call);
}

/* Its worker says nothing. */
static void on_moved(struct client_call *call)
{
	err_set(&call->err, -ETIMEDOUT, "worker %" PRIu32 " says nothing",
		call->worker);
	call->unreached++;
	if (call->once)
		finish(call, -ETIMEDOUT, NULL);
	else
		attempt(call);
}

static void on_done(struct rpc_pending *p, int code, const void *reply)
{
	struct client_call *call = container_of(p, struct client_call, pending);
	struct client *c = call->client;

	if (call->expired) {
		time_out(call);
		return;
	}
	if (call->wait == CLIENT_WAIT_NOTHING || c->closed) { /* cancelled */
		if (p->fd >= 0)
			close(p->fd);
		err_set(&call->err, -ECANCELED, "%s", err_text(-ECANCELED));
		finish(call, -ECANCELED, NULL);
		return;
	}
	if (call->moved && code == -ECANCELED) {
		on_moved(call);
		return;
	}
	if (code && is_missing(p, code)) {
		on_missing(call, code);
		return;
	}
	c->vain[call->target] = (struct vain){ 0 };
	if (p->fd >= 0 && call->method != RPC_WORKER_METHOD(open)) {
		close(p->fd); /* nobody asked for it */
		p->fd = -1;
	}
	call->err = p->err;
	finish(call, code, reply);
}

/* ---- trying ---- */

static struct rpc_client *master_rpc(struct client *c, unsigned i)
{
	struct master *m = &c->masters[i];

	if (!m->rpc)
		m->rpc = rpc_client_new(c->loop, m->address, &c->identity);
	return m->rpc;
}

/* Nobody is there whom we could ask. */
static void nobody(struct client_call *call)
{
	err_set(&call->err, ERR_NO_WORKER, "%s",
		call->target == CLIENT_WORKER
			? "there is no such worker"
			: "there is no worker that serves");
	workers_refresh(call->client);
	if (call->once)
		finish_soon(call, ERR_NO_WORKER);
	else
		retry_later(call);
}

static struct rpc_client *find_server(struct client_call *call)
{
	struct client *c = call->client;
	struct block_id block;
	uint32_t home = 0;
	struct worker *w;

	if (call->target == CLIENT_MASTER) {
		call->worker = c->current;
		return master_rpc(c, c->current);
	}
	if (!c->known) {
		if (!call->once)
			start_limit(call);
		workers_wait(call, false);
		return NULL;
	}
	block.file = call->file;
	block.index = (uint32_t)(call->offset / c->block_size);
	if (call->target == CLIENT_HOME)
		w = workers_for(c, block, call->unreached, &home);
	else
		w = workers_find(c, call->worker);
	if (!w || !w->n_addresses) {
		nobody(call);
		return NULL;
	}
	call->worker = w->id;
	call->instead_of = home != w->id ? home : 0;
	return worker_rpc(w);
}

static void attempt(struct client_call *call)
{
	struct rpc_client *rpc = find_server(call);

	if (!rpc)
		return;
	call->epoch = call->client->set.epoch;
	call->moved = false;
	if (call->prepare)
		call->prepare(call);
	call->wait = CLIENT_WAIT_ANSWER;
	if (!rpc_client_is_ready(rpc))
		start_limit(call);
	rpc_call_encoded(rpc, call->method, &call->pending, call->request,
			 call->request_len, on_done);
}

void call_workers_known(struct client_call *call, int code,
			const struct err *err)
{
	list_push_back(&call->client->calls, &call->link);
	if (!code) {
		attempt(call);
		return;
	}
	call->err = *err;
	finish(call, code, NULL);
}

void call_start(struct client *c, struct client_call *call,
		const struct rpc_method *method, const void *request,
		client_done_fn done)
{
	call->client = c;
	call->method = method;
	call->done = done;
	call->request = call->small;
	call->request_size = sizeof(call->small);
	call->err.code = 0;
	call->err.msg[0] = '\0';
	call->expired = false;
	call->tries = call->unreached = 0;
	call->deadline_ms = 0;
	call->pending.deadline_ms = 0;
	list_init(&call->retry.link);
	list_init(&call->limit.link);
	list_push_back(&c->calls, &call->link);
	c->refs++;
	if (request)
		call_encode(call, request);
	if (c->closed)
		finish_soon(call, -ECANCELED);
	else
		attempt(call);
}

void client_cancel(struct client_call *call)
{
	enum client_wait wait = call->wait;

	call->wait = CLIENT_WAIT_NOTHING;
	switch (wait) {
	case CLIENT_WAIT_NOTHING:
		return;
	case CLIENT_WAIT_ANSWER:
		rpc_cancel(&call->pending);
		return;
	case CLIENT_WAIT_RETRY:
	case CLIENT_WAIT_WORKERS:
		finish_soon(call, -ECANCELED);
	}
}

static void cancel_all(struct list *calls)
{
	struct list mine, *link;
	struct client_call *call;

	list_take(&mine, calls);
	while ((link = list_pop_front(&mine))) {
		call = list_entry(link, struct client_call, link);
		list_push_back(&call->client->calls, link);
		client_cancel(call);
	}
}

void calls_cancel(struct client *c)
{
	cancel_all(&c->calls);
	cancel_all(&c->waiting);
}

/* Whether another can answer it too.  One that is alone is waited for. */
static bool can_move(const struct client *c, const struct client_call *call)
{
	if (call->wait != CLIENT_WAIT_ANSWER || call->expired)
		return false;
	if (call->target == CLIENT_HOME)
		return c->set.n > 1 || call->once;
	return call == &c->ask && call->target == CLIENT_WORKER;
}

void calls_hurry(struct client *c, uint32_t worker)
{
	struct client_call *call;
	struct list *at;

	for (at = c->calls.next; at != &c->calls; at = at->next) {
		call = list_entry(at, struct client_call, link);
		if (call->target != CLIENT_HOME || call->worker != worker ||
		    call->wait != CLIENT_WAIT_RETRY)
			continue;
		loop_timer_stop(&call->retry);
		loop_timer_start(c->loop, &call->retry, 0, on_retry);
	}
}

void calls_move(struct client *c, uint32_t worker)
{
	struct client_call *call;
	struct list *at;

	calls_hurry(c, worker);
	for (at = c->calls.next; at != &c->calls; at = at->next) {
		call = list_entry(at, struct client_call, link);
		if (call->worker != worker || !can_move(c, call))
			continue;
		call->moved = true;
		rpc_cancel(&call->pending);
	}
}

void client_master(struct client *c, const struct rpc_method *method,
		   struct client_call *call, const void *request,
		   client_done_fn done)
{
	call->target = CLIENT_MASTER;
	call->once = false;
	call->prepare = NULL;
	call->pending.data = NULL;
	call->pending.data_len = 0;
	call->pending.progress = NULL;
	call_start(c, call, method, request, done);
}

void client_worker(struct client *c, uint32_t worker,
		   const struct rpc_method *method, struct client_call *call,
		   const void *request, client_done_fn done)
{
	call->target = CLIENT_WORKER;
	call->worker = worker;
	call->once = false;
	call->prepare = NULL;
	call->pending.data = NULL;
	call->pending.data_len = 0;
	call->pending.progress = NULL;
	call_start(c, call, method, request, done);
}
