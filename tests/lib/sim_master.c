#include "lib/sim_master.h"

#include <assert.h>
#include <string.h>

#include "lib/fake_ufs.h"
#include "lib/sim.h"

#define ARENA_BYTES ((size_t)256 << 20)
#define EPOCH_MS    UINT64_C(1700000000000)
#define NEGATIVE_MS 5000
#define STOP_MS     20000

static uint64_t wall_ms(void *owner)
{
	struct sim_master *s = owner;

	return EPOCH_MS + loop_now_ms(s->loop) - s->clock_back_ms;
}

static void on_ready(void *owner, int code, const struct err *err)
{
	struct sim_master *s = owner;

	s->ready = code == 0;
	s->code = code;
	if (code)
		s->err = *err;
}

static void on_broken(void *owner, const struct err *err)
{
	struct sim_master *s = owner;

	s->broken = true;
	s->err = *err;
}

void sim_master_init(struct sim_master *s)
{
	s->disk = sim_disk_new();
	s->loop = NULL;
}

void sim_master_close(struct sim_master *s)
{
	assert(!s->loop);
	sim_disk_free(s->disk);
}

void sim_master_start(struct sim_master *s)
{
	static const char *const listen[] = { SIM_MASTER_ADDRESS,
					      SIM_MASTER_TCP, NULL };
	struct master_options o = {
		.uuid = "simulated master",
		.member = 1,
		.listen = listen,
		.host = "host",
		.negative_ttl_ms = NEGATIVE_MS,
		.owner = s,
		.wall_ms = wall_ms,
		.ready = on_ready,
		.broken = on_broken,
	};

	s->ready = s->broken = s->stopped = false;
	s->code = 0;
	s->loop = sim_new_beside(s->near);
	sim_net_join(s->net, s->loop);
	assert(workpool_new(&s->pool, "sim", 0) == 0);
	assert(arena_map(&s->arena, ARENA_BYTES, NULL) == 0);
	s->io = sim_raft_open(s->disk, s->loop, 1);
	o.loop = s->loop;
	o.storage.ufs_loop = s->loop;
	o.storage.pool = s->pool;
	o.storage.open = fake_ufs_open;
	o.pool = s->pool;
	o.io = s->io;
	o.empty = sim_disk_empty(s->disk);
	o.checkpoints = sim_disk_checkpoints(s->disk);
	o.arena = &s->arena;
	o.checkpoint_bytes = s->checkpoint_bytes;
	o.block_size = s->block_size ? s->block_size : (uint64_t)256 << 20;
	o.key = s->key;
	s->master = master_start(&o);
}

static void on_stopped(void *owner, bool clean)
{
	struct sim_master *s = owner;

	assert(clean);
	s->stopped = true;
}

static void end(struct sim_master *s)
{
	unsigned i;

	for (i = 0; i < STOP_MS && !s->stopped; i++)
		sim_run(s->near, 1);
	assert(s->stopped);
	/* What it posted at last, and under-storage's late answers. */
	do
		sim_run(s->near, 1);
	while (i++ < STOP_MS && !list_empty(&s->loop->timers));
	sim_net_leave(s->net, s->loop);
	sim_raft_free(s->io);
	workpool_close(s->pool);
	arena_unmap(&s->arena);
	sim_free(s->loop);
	s->loop = NULL;
}

void sim_master_stop(struct sim_master *s)
{
	master_end(s->master, on_stopped, s);
	end(s);
}

void sim_master_crash(struct sim_master *s)
{
	sim_net_crash(s->net, s->loop);
	sim_raft_crash(s->io);
	master_kill(s->master, on_stopped, s);
	end(s);
}
