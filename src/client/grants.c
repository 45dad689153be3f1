#include "client/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

#define SWEEP_MS    100
#define TELL_MS     1000
#define RELEASE_MAX 1024 /* ids of one call */

/*
 * The map holds one reference, each reader one.  Only the loop takes the first
 * away, so a grant with one reference is idle and stays so while the loop looks
 * at it.
 */
struct client_grant {
	struct list link;   /* in c->lru */
	struct list opened; /* in c->opened */
	uint64_t id;
	uint32_t worker;
	int fd;
	bool wanted; /* by the worker, as soon as it is idle */
	atomic_uint refs;
};

struct release {
	struct client_call call;
	uint64_t *ids;
	size_t n;
};

static void on_released(struct client_call *call, int code ATTR_UNUSED,
			const void *reply ATTR_UNUSED)
{
	struct release *r = container_of(call, struct release, call);

	free(r->ids);
	free(r);
}

/* If the worker is gone, so is what it granted. */
static void tell(struct client *c, uint32_t worker,
		 const struct release_request *req)
{
	struct release *r;

	if (c->closed)
		return;
	r = mem_alloc(sizeof(*r));
	r->call.target = CLIENT_WORKER;
	r->call.worker = worker;
	r->call.once = true;
	call_start(c, &r->call, RPC_WORKER_METHOD(release), req, on_released);
}

static void release(struct client *c, uint32_t worker, const uint64_t *ids,
		    size_t n)
{
	const struct release_request req = { .ids = { ids, n } };

	if (n)
		tell(c, worker, &req);
}

void client_grant_put(struct client_grant *g)
{
	if (atomic_fetch_sub(&g->refs, 1) > 1)
		return;
	close(g->fd);
	free(g);
}

/* Forgets it; readers that hold it may go on reading. */
static void drop(struct client *c, struct client_grant *g)
{
	map_remove(&c->grants, g->id);
	list_remove(&g->link);
	list_remove(&g->opened);
	c->n_grants--;
	client_grant_put(g);
}

static bool is_idle(struct client_grant *g)
{
	return atomic_load(&g->refs) == 1;
}

static void drop_and_release(struct client *c, struct client_grant *g)
{
	uint64_t id = g->id;
	uint32_t worker = g->worker;

	drop(c, g);
	release(c, worker, &id, 1);
}

/* Makes room for one more, if anything is idle. */
static void evict(struct client *c)
{
	struct client_grant *g;
	struct list *at;

	for (at = c->lru.next; at != &c->lru; at = at->next) {
		g = list_entry(at, struct client_grant, link);
		if (is_idle(g)) {
			drop_and_release(c, g);
			return;
		}
	}
}

void grants_add(struct client *c, uint64_t id, uint32_t worker, int fd)
{
	struct client_grant *g = map_get(&c->grants, id);

	if (g && g->worker == worker) { /* two opens at once */
		close(fd);
		return;
	}
	if (g)
		drop_and_release(c, g);
	if (c->n_grants >= c->max_grants)
		evict(c);
	if (c->n_grants >= c->max_grants || c->closed) {
		close(fd);
		release(c, worker, &id, 1);
		return;
	}
	g = mem_alloc(sizeof(*g));
	g->id = id;
	g->worker = worker;
	g->fd = fd;
	atomic_init(&g->refs, 1);
	list_init(&g->opened);
	list_push_back(&c->lru, &g->link);
	map_put(&c->grants, id, g);
	c->n_grants++;
}

struct client_grant *client_grant_get(struct client *c, uint64_t id)
{
	struct client_grant *g = map_get(&c->grants, id);

	if (!g || g->wanted)
		return NULL;
	atomic_fetch_add(&g->refs, 1);
	list_remove(&g->link);
	list_push_back(&c->lru, &g->link);
	return g;
}

/* Those of one worker; the rest stays. */
static void tell_one(struct client *c)
{
	struct list *at = c->opened.next, *next;
	struct client_grant *g = list_entry(at, struct client_grant, opened);
	const uint32_t worker = g->worker;
	uint64_t ids[RELEASE_MAX];
	struct release_request req = { .opened = { ids, 0 } };

	for (; at != &c->opened && req.opened.n < RELEASE_MAX; at = next) {
		next = at->next;
		g = list_entry(at, struct client_grant, opened);
		if (g->worker != worker)
			continue;
		ids[req.opened.n++] = g->id;
		list_remove(at);
	}
	tell(c, worker, &req);
}

static void on_tell(struct timer *t)
{
	struct client *c = container_of(t, struct client, tell);

	c->telling = false;
	while (!list_empty(&c->opened))
		tell_one(c);
}

/* What is opened without the worker would look cold to it. */
static void note_open(struct client *c, struct client_grant *g)
{
	if (list_empty(&g->opened))
		list_push_back(&c->opened, &g->opened);
	if (c->telling)
		return;
	c->telling = true;
	loop_timer_start(c->loop, &c->tell, TELL_MS, on_tell);
}

bool client_grant_open(struct client *c, uint64_t id)
{
	struct client_grant *g = map_get(&c->grants, id);

	if (!g || g->wanted)
		return false;
	note_open(c, g);
	return true;
}

int client_grant_fd(const struct client_grant *g)
{
	return g->fd;
}

/* `worker` 0: of all. */
void grants_forget(struct client *c, uint32_t worker)
{
	struct list *at = c->lru.next, *next;
	struct client_grant *g;

	for (; at != &c->lru; at = next) {
		next = at->next;
		g = list_entry(at, struct client_grant, link);
		if (!worker || g->worker == worker)
			drop(c, g);
	}
}

static void start_sweep(struct client *c);

/* Those that the worker wants back and that have become idle. */
static void on_sweep(struct timer *t)
{
	struct client *c = container_of(t, struct client, sweep);
	struct list *at = c->lru.next, *next;
	struct client_grant *g;
	bool more = false;

	c->sweeping = false;
	for (; at != &c->lru; at = next) {
		next = at->next;
		g = list_entry(at, struct client_grant, link);
		if (g->wanted && is_idle(g))
			drop_and_release(c, g);
		else
			more |= g->wanted;
	}
	if (more)
		start_sweep(c);
}

static void start_sweep(struct client *c)
{
	if (c->sweeping)
		return;
	c->sweeping = true;
	loop_timer_start(c->loop, &c->sweep, SWEEP_MS, on_sweep);
}

void client_grants_let_go(struct client *c, struct worker *w,
			  const struct let_go_notice *notice)
{
	uint64_t *ids = mem_array(notice->ids.n, sizeof(*ids));
	struct client_grant *g;
	size_t i, n = 0;

	for (i = 0; i < notice->ids.n; i++) {
		g = map_get(&c->grants, notice->ids.at[i]);
		if (g && g->worker == w->id && !is_idle(g)) {
			g->wanted = true;
			start_sweep(c);
			continue;
		}
		if (g && g->worker == w->id)
			drop(c, g);
		/* One that we do not hold (any more) too: its grant may have
		 * crossed a cancelled open. */
		ids[n++] = notice->ids.at[i];
		if (n == RELEASE_MAX) {
			release(c, w->id, ids, n);
			n = 0;
		}
	}
	release(c, w->id, ids, n);
	free(ids);
}

void client_grants_close(struct client *c)
{
	loop_timer_stop(&c->sweep);
	loop_timer_stop(&c->tell);
	grants_forget(c, 0);
}

/* ---- opening ---- */

static void on_open_answer(struct client_call *call, int code,
			   const void *reply)
{
	struct client_open *open = container_of(call, struct client_open, call);
	const struct open_reply *r = reply;

	if (!code && call->pending.fd >= 0) {
		grants_add(call->client, open->id, call->worker,
			   call->pending.fd);
		call->pending.fd = -1;
	}
	/* For want of a worker reading waits, not opening. */
	if (code && !call->pending.answered && code != -ECANCELED)
		code = 0;
	if (code == ERR_NO_WORKER || code == ERR_WRONG_EPOCH ||
	    code == -ESHUTDOWN || code == -EOPNOTSUPP)
		code = 0;
	if (r && !code)
		open->length = r->length;
	open->complete = r && !code && r->complete;
	open->err = call->err;
	open->done(open, code);
}

static void on_held(struct task *t)
{
	struct client_open *open = container_of(t, struct client_open, task);
	struct client *c = open->client;

	open->complete = true;
	open->done(open, 0);
	client_put(c);
}

/* A grant is worth asking for over a unix socket only. */
static void prepare_open(struct client_call *call)
{
	struct client_open *open = container_of(call, struct client_open, call);
	struct client *c = call->client;
	const struct open_request req = {
		.id = open->id,
		.grant = c->max_grants > 0 &&
			 worker_is_local(workers_find(c, call->worker)),
	};

	call_encode(call, &req);
}

void client_open(struct client *c, struct client_open *open,
		 client_open_fn done)
{
	struct client_call *call = &open->call;
	struct client_grant *g;

	open->client = c;
	open->done = done;
	open->err.code = 0;
	open->err.msg[0] = '\0';
	call->wait = CLIENT_WAIT_NOTHING;
	g = map_get(&c->grants, open->id);
	if (g) {
		note_open(c, g);
		c->refs++;
		loop_post(c->loop, &open->task, on_held);
		return;
	}
	call->target = CLIENT_HOME;
	call->file = open->id;
	call->offset = 0;
	call->once = true;
	call->prepare = prepare_open;
	call->pending.data = NULL;
	call->pending.data_len = 0;
	call->pending.progress = NULL;
	call->pending.answered = false;
	call_start(c, call, RPC_WORKER_METHOD(open), NULL, on_open_answer);
}

void client_open_cancel(struct client_open *open)
{
	client_cancel(&open->call);
}
