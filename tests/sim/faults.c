#include "sim/sim.h"

#include <errno.h>

#include "lib/sim.h"

static struct loop *some_loop(struct cluster *c)
{
	const uint64_t i = random_below(1 + N_WORKERS + N_CLIENTS);

	if (i == 0)
		return c->master.loop;
	if (i <= N_WORKERS)
		return c->workers[i - 1].loop;
	return c->actors[i - 1 - N_WORKERS].loop;
}

static void net_weather(struct cluster *c)
{
	struct sim_net_faults f = { .min_ms = 0, .max_ms = 2 };

	if (random_once_in(2))
		f.max_ms = (unsigned)random_below(60);
	if (random_once_in(3))
		f.cut_per_million = (unsigned)random_below(20000);
	if (f.max_ms > 20 && random_once_in(2))
		f.min_ms = 15;
	sim_net_set(c->net, &f);
}

static void storage_weather(struct cluster *c)
{
	struct fake_ufs_faults f = { .min_ms = 1, .page = 3 };

	f.max_ms = 1 + (unsigned)random_below(random_once_in(4) ? 400 : 50);
	if (random_once_in(3)) {
		f.fail_per_million = (unsigned)random_below(200000);
		f.code = random_once_in(2) ? -EIO : -ETIMEDOUT;
	}
	fake_ufs_set(c->model.storage, &f);
	if (random_once_in(4))
		fake_ufs_fail(c->model.storage, (unsigned)random_below(10),
			      (unsigned)random_below(10), -EIO);
}

static void disk_weather(struct cluster *c)
{
	sim_disk_delay(c->master.disk, random_below(15));
	if (random_once_in(3))
		sim_disk_fail_checkpoints(c->master.disk, 1);
}

static void cut(struct cluster *c)
{
	struct loop *a = some_loop(c), *b = some_loop(c);

	if (a && b && a != b)
		sim_net_cut(c->net, a, b);
}

/* Some time without each other. */
static void part(struct cluster *c)
{
	struct loop *a = some_loop(c), *b = some_loop(c);

	if (!a || !b || a == b)
		return;
	sim_net_part(c->net, a, b, true);
	sim_run(c->near, random_below(8000));
	sim_net_part(c->net, a, b, false);
}

static void part_from_all(struct cluster *c, struct loop *l, bool parted)
{
	unsigned i;

	if (c->master.loop)
		sim_net_part(c->net, l, c->master.loop, parted);
	for (i = 0; i < N_WORKERS; i++)
		if (c->workers[i].loop && c->workers[i].loop != l)
			sim_net_part(c->net, l, c->workers[i].loop, parted);
	for (i = 0; i < N_CLIENTS; i++)
		if (c->actors[i].loop)
			sim_net_part(c->net, l, c->actors[i].loop, parted);
}

/* Says nothing to anybody, for so long perhaps that it is taken for lost. */
static void worker_sleeps(struct cluster *c)
{
	struct sim_worker *w = &c->workers[random_below(N_WORKERS)];

	if (!w->loop)
		return;
	part_from_all(c, w->loop, true);
	sim_run(c->near, random_below(20000));
	part_from_all(c, w->loop, false);
}

static void worker_falls(struct cluster *c)
{
	struct sim_worker *w = &c->workers[random_below(N_WORKERS)];

	if (!w->loop)
		return;
	if (random_once_in(3))
		sim_worker_stop(w);
	else
		sim_worker_crash(w);
	trace(w->number);
	c->falls++;
}

static void worker_rises(struct cluster *c)
{
	struct sim_worker *w = &c->workers[random_below(N_WORKERS)];

	if (!w->loop)
		sim_worker_start(w);
}

static void master_falls(struct cluster *c)
{
	if (random_once_in(3))
		sim_master_stop(&c->master);
	else
		sim_master_crash(&c->master);
	trace(99);
	c->falls++;
	sim_run(c->near, random_below(10000));
	sim_master_start(&c->master);
}

static void client_falls(struct cluster *c)
{
	actor_crash(&c->actors[random_below(N_CLIENTS)]);
	c->falls++;
}

void faults_step(struct cluster *c)
{
	const uint64_t what = random_below(100);

	if (c->master.broken)
		fail("the master is broken: %s", c->master.err.msg);
	if (what < 30)
		model_change(&c->model);
	if (c->calm)
		return;
	if (what >= 97)
		master_falls(c);
	else if (what >= 94)
		worker_falls(c);
	else if (what >= 86)
		worker_rises(c);
	else if (what >= 80)
		cut(c);
	else if (what >= 78)
		random_once_in(3) ? worker_sleeps(c) : part(c);
	else if (what >= 72)
		net_weather(c);
	else if (what >= 66)
		storage_weather(c);
	else if (what >= 62)
		disk_weather(c);
	else if (what >= 59)
		client_falls(c);
}

void faults_end(struct cluster *c)
{
	const struct sim_net_faults fair = { .min_ms = 1, .max_ms = 1 };
	const struct fake_ufs_faults quick = { .page = 5 };
	unsigned i;

	sim_net_set(c->net, &fair);
	fake_ufs_set(c->model.storage, &quick);
	fake_ufs_fail(c->model.storage, 0, 0, 0);
	sim_disk_delay(c->master.disk, 1);
	sim_disk_fail_checkpoints(c->master.disk, 0);
	for (i = 0; i < N_WORKERS; i++)
		if (!c->workers[i].loop)
			sim_worker_start(&c->workers[i]);
}
