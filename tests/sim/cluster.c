#include "sim/sim.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "lib/sim.h"

#define LOG_MODULE "sim"
#include "runtime/log.h"

#define STEPS   150
#define STEP_MS 200

static void check(struct cluster *c)
{
	const struct fake_ufs_numbers *n = fake_ufs_numbers(c->model.storage);
	unsigned i;

	for (i = 0; i < N_WORKERS && random_once_in(4); i++)
		sim_worker_check(&c->workers[i]);
	for (i = 0; i < N_CLIENTS; i++)
		actor_check(&c->actors[i]);
	if (n->overlaps && !c->frees)
		fail("a worker fetched a range twice at a time");
	if (c->calm && n->any_overlaps && !c->frees)
		fail("two workers fetched a range at a time");
}

static void start(struct cluster *c)
{
	static const char *const evictors[] = { "retain", "lru" };
	const bool tight = random_once_in(2);
	unsigned i;

	c->roomy = !tight;
	c->near = sim_new();
	c->net = sim_net_new(c->seed);
	memset(c->key, 7, sizeof(c->key));
	model_init(&c->model, c->near, c->seed);
	c->master.net = c->net;
	c->master.near = c->near;
	c->master.key = c->key;
	c->master.block_size = BLOCK;
	c->master.checkpoint_bytes = random_once_in(2) ? 4096 : 0;
	sim_master_init(&c->master);
	sim_master_start(&c->master);
	for (i = 0; i < N_WORKERS; i++) {
		c->workers[i].number = i + 1;
		c->workers[i].net = c->net;
		c->workers[i].near = c->near;
		c->workers[i].key = c->key;
		c->workers[i].capacity = tight ? 300000 + random_below(1000000)
					       : UINT64_C(64) << 20;
		c->workers[i].evictor =
			evictors[random_below(ARRAY_SIZE(evictors))];
		sim_worker_init(&c->workers[i]);
		sim_worker_start(&c->workers[i]);
	}
	for (i = 0; i < N_CLIENTS; i++) {
		c->actors[i].cluster = c;
		c->actors[i].number = i + 1;
		actor_start(&c->actors[i]);
	}
	sim_run(c->near, 5000); /* workers have registered */
}

static void mount(struct cluster *c)
{
	struct mount_request r = { .path = { "/data", 5 },
				   .uri = { URI, strlen(URI) } };
	int rv;

	r.origin = client_origin(c->actors[0].client);
	rv = actor_call(&c->actors[0], RPC_MASTER_METHOD(mount), &r, NULL,
			NULL);
	if (rv)
		fail("mount: code %d", rv);
}

static bool all_idle(const struct cluster *c)
{
	unsigned i;

	for (i = 0; i < N_CLIENTS; i++)
		if (!c->actors[i].idle)
			return false;
	return true;
}

/* Lets everybody end what they do. */
static void settle(struct cluster *c)
{
	unsigned i;

	for (i = 0; i < N_CLIENTS; i++)
		c->actors[i].stopping = true;
	while (!all_idle(c)) {
		sim_run(c->near, 100);
		check(c);
	}
	sim_run(c->near, 40000); /* for workers to be known again */
}

static void stop(struct cluster *c)
{
	unsigned i;

	for (i = 0; i < N_CLIENTS; i++)
		actor_close(&c->actors[i]);
	for (i = 0; i < N_WORKERS; i++) {
		sim_worker_stop(&c->workers[i]);
		sim_worker_close(&c->workers[i]);
	}
	sim_master_stop(&c->master);
	sim_master_close(&c->master);
	model_close(&c->model);
	sim_net_free(c->net);
	sim_free(c->near);
}

/* How much there was to it. */
static void describe(struct cluster *c)
{
	const struct fake_ufs_numbers *n = fake_ufs_numbers(c->model.storage);
	uint64_t done = 0, read = 0;
	struct store_totals totals;
	unsigned i;

	for (i = 0; i < N_CLIENTS; i++) {
		done += c->actors[i].done;
		read += c->actors[i].checked;
	}
	log_info("simulated",
		 "operations=%" PRIu64 " bytes_checked=%" PRIu64
		 " versions=%zu gets=%" PRIu64 " bytes_got=%" PRIu64
		 " lists=%" PRIu64 " failed=%" PRIu64 " falls=%u",
		 done, read, c->model.n_versions, n->reads, n->bytes, n->lists,
		 n->failed, c->falls);
	for (i = 0; i < N_WORKERS; i++) {
		store_totals(c->workers[i].store, &totals);
		log_info("simulated worker",
			 "worker=%u used=%" PRIu64 " files=%" PRIu64
			 " evictions=%" PRIu64 " not_admitted=%" PRIu64,
			 i + 1, totals.used, totals.files, totals.evictions,
			 totals.not_admitted);
	}
}

void cluster_run(uint64_t seed)
{
	struct cluster *c = mem_alloc(sizeof(*c));
	unsigned i, k;

	random_seed(seed);
	c->seed = seed;
	c->calm = seed % 5 == 0;
	c->stormy = seed % 5 == 3;
	c->frees = seed % 4 == 0;
	start(c);
	mount(c);
	for (i = 0; i < N_CLIENTS; i++)
		actor_go(&c->actors[i]);
	for (i = 0; i < STEPS; i++) {
		sim_run(c->near, random_below(2 * STEP_MS));
		for (k = c->stormy ? 4 : 1; k > 0; k--)
			faults_step(c);
		check(c);
	}
	faults_end(c);
	settle(c);
	final_check(c);
	check(c);
	for (i = 0; i < N_CLIENTS; i++)
		trace(c->actors[i].done);
	describe(c);
	stop(c);
	free(c);
}
