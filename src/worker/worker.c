#include "worker/worker.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "worker/state.h"

#define LOG_MODULE "worker"
#include "runtime/log.h"

/* What calls in flight get to end when the worker stops, then to tell that they
 * have failed, then what was cancelled to end. */
#define PATIENCE_MS 5000
#define LAST_MS     1000
#define GIVE_UP_MS  2000

uint64_t worker_wall_ms(const struct worker *w)
{
	struct timespec now;

	if (w->o.wall_ms)
		return w->o.wall_ms();
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void on_lost(void *role, struct rpc_session *s)
{
	grants_lost(role, s);
}

static int listen_all(struct worker *w, struct err *err)
{
	char bound[300];
	unsigned n = 0;
	int rv = 0;

	while (w->o.listen[n])
		n++;
	w->addresses = mem_array(n + 1, sizeof(*w->addresses));
	for (n = 0; w->o.listen[n] && !rv; n++) {
		rv = rpc_server_listen(w->server, w->o.listen[n], bound, err);
		if (!rv)
			w->addresses[n] = mem_str(bound);
	}
	return rv;
}

static void start_server(struct worker *w)
{
	const struct rpc_service service = {
		.name = "worker",
		.methods = rpc_worker_methods,
		.handlers = worker_handlers,
		.n_methods = worker_n_handlers,
		.role = w,
		.lost = on_lost,
	};

	w->server = rpc_server_new(w->loop, &service, &w->identity);
}

int worker_start(struct worker **out, const struct worker_options *o,
		 struct err *err)
{
	struct worker *w = mem_alloc(sizeof(*w));
	int rv;

	w->o = *o;
	w->loop = o->loop;
	w->store = o->store;
	w->identity = *o->identity;
	list_init(&w->mounts.waiting);
	list_init(&w->files.idle);
	list_init(&w->reads.waiting);
	list_init(&w->verifies.waiting);
	list_init(&w->patience.link);
	flights_open(w);
	start_server(w);
	rv = listen_all(w, err);
	if (rv) {
		rpc_server_close(w->server);
		worker_free(w);
		return rv;
	}
	master_open(w);
	store_on_let_go(w->store, grants_let_go, w);
	control_start(w);
	*out = w;
	return 0;
}

const char *worker_address(const struct worker *w, unsigned i)
{
	return w->addresses[i];
}

/* ---- the end ---- */

static void on_all_over(struct task *t)
{
	struct worker *w = container_of(t, struct worker, stop_task);

	if (w->given_up)
		return;
	loop_timer_stop(&w->patience);
	w->stopped(w->stopped_owner, true);
}

void worker_end(struct worker *w)
{
	assert(w->busy > 0);
	if (--w->busy == 0 && w->served)
		loop_post(w->loop, &w->stop_task, on_all_over);
}

/* A system call that hangs. */
static void on_given_up(struct timer *t)
{
	struct worker *w = container_of(t, struct worker, patience);

	if (!w->busy)
		return;
	w->given_up = true;
	log_warn("worker stops without what hangs", "left=%u", w->busy);
	w->stopped(w->stopped_owner, false);
}

/* Nobody is served any more; what nobody waits for ends too. */
static void on_drained(void *owner)
{
	struct worker *w = owner;

	loop_timer_stop(&w->patience);
	rpc_server_close(w->server);
	store_on_let_go(w->store, NULL, NULL);
	grants_close(w);
	worker_begin(w);
	flights_stop(w);
	control_stop(w);
	master_stop(w);
	w->served = true;
	loop_timer_start(w->loop, &w->patience, GIVE_UP_MS, on_given_up);
	worker_end(w);
}

/* Somebody takes no answer. */
static void on_last(struct timer *t)
{
	on_drained(container_of(t, struct worker, patience));
}

static void on_impatience(struct timer *t)
{
	struct worker *w = container_of(t, struct worker, patience);

	flights_stop(w);
	master_stop(w);
	loop_timer_start(w->loop, &w->patience, LAST_MS, on_last);
}

void worker_stop(struct worker *w, void (*stopped)(void *owner, bool all),
		 void *owner)
{
	w->stopping = true;
	w->stopped = stopped;
	w->stopped_owner = owner;
	loop_timer_start(w->loop, &w->patience, PATIENCE_MS, on_impatience);
	rpc_server_drain(w->server, on_drained, w);
}

void worker_free(struct worker *w)
{
	char **a;

	fsck_close(w);
	mounts_close(w);
	files_close(w);
	shares_close(&w->flights.shares);
	history_close(&w->history);
	busiest_close(&w->busiest);
	control_close(w);
	master_close(w);
	for (a = w->addresses; *a; a++)
		free(*a);
	free(w->addresses);
	free(w);
}
