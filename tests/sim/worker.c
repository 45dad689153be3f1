#define _XOPEN_SOURCE 700

#include "sim/sim.h"

#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/sim.h"
#include "lib/tempdir.h"

#define STOP_MS 20000

static const char *const masters[] = { SIM_MASTER_TCP, NULL };

void sim_worker_init(struct sim_worker *w)
{
	w->dir = tempdir_make();
	snprintf(w->addresses[0], sizeof(w->addresses[0]), "unix:/worker%u",
		 w->number);
	snprintf(w->addresses[1], sizeof(w->addresses[1]), "worker%u:1",
		 w->number);
	snprintf(w->host, sizeof(w->host), "host%u", w->number);
	w->listen[0] = w->addresses[0];
	w->listen[1] = w->addresses[1];
	w->listen[2] = NULL;
	w->identity =
		(struct rpc_identity){ .role = RPC_WORKER, .key = w->key };
	memset(w->uuid, (int)w->number, sizeof(w->uuid));
	w->loop = NULL;
}

void sim_worker_close(struct sim_worker *w)
{
	tempdir_remove(w->dir);
}

static void on_failed(void *owner, const char *dir, const struct err *err)
{
	const struct sim_worker *w = owner;

	fail("worker %u gave up %s: %s", w->number, dir, err->msg);
}

static uint64_t wall_ms(void)
{
	return UINT64_C(1700000000000);
}

void sim_worker_start(struct sim_worker *w)
{
	const struct store_dir dir = { .path = w->dir,
				       .capacity = w->capacity };
	struct store_options so = { .dirs = &dir,
				    .n_dirs = 1,
				    .block_size = BLOCK,
				    .evictor = w->evictor,
				    .failed = on_failed,
				    .owner = w };
	struct worker_options o = { .identity = &w->identity,
				    .masters = masters,
				    .listen = w->listen,
				    .uuid = w->uuid,
				    .open_ufs = fake_ufs_open,
				    .wall_ms = wall_ms };
	struct err err;

	w->stopped = false;
	w->loop = sim_new_beside(w->near);
	sim_net_join(w->net, w->loop);
	if (workpool_new(&w->pool, "sim", 0))
		fail("no pool");
	so.loop = w->loop;
	if (store_open(&w->store, &so, &err))
		fail("worker %u: %s", w->number, err.msg);
	o.loop = w->loop;
	o.store = w->store;
	o.pool = w->pool;
	o.host = w->host;
	if (worker_start(&w->worker, &o, &err))
		fail("worker %u: %s", w->number, err.msg);
}

static void on_stopped(void *owner, bool all)
{
	struct sim_worker *w = owner;

	w->stopped = all;
}

static void end(struct sim_worker *w)
{
	unsigned i;

	worker_stop(w->worker, on_stopped, w);
	for (i = 0; i < STOP_MS && !w->stopped; i++)
		sim_run(w->near, 1);
	if (!w->stopped)
		fail("worker %u does not stop", w->number);
	store_close(w->store);
	sim_run(w->near, 1); /* what was posted at last */
	worker_free(w->worker);
	sim_net_leave(w->net, w->loop);
	workpool_close(w->pool);
	sim_free(w->loop);
	w->loop = NULL;
}

void sim_worker_stop(struct sim_worker *w)
{
	end(w);
}

/* Directories. */

static void copy_file(const char *from, const char *to, off_t size)
{
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	off_t at = 0, hole;
	char buf[65536];
	ssize_t n;

	if (in < 0 || out < 0 || ftruncate(out, size))
		fail("copy of %s: %m", from);
	/* Holes stay holes: they are what capacity is about. */
	while ((at = lseek(in, at, SEEK_DATA)) >= 0) {
		hole = lseek(in, at, SEEK_HOLE);
		for (; at < hole; at += n) {
			n = hole - at < (off_t)sizeof(buf) ? hole - at
							   : (off_t)sizeof(buf);
			n = pread(in, buf, (size_t)n, at);
			if (n <= 0 || pwrite(out, buf, (size_t)n, at) != n)
				fail("copy of %s: %m", from);
		}
	}
	close(in);
	close(out);
}

static const char *copy_to; /* nftw() takes no argument */
static size_t copy_skip;
static uint64_t allocated;

static int copy_one(const char *path, const struct stat *st, int type,
		    struct FTW *ftw ATTR_UNUSED)
{
	char *to = mem_printf("%s%s", copy_to, path + copy_skip);

	if (type == FTW_D && mkdir(to, 0700))
		fail("%s: %m", to);
	if (type == FTW_F && S_ISREG(st->st_mode))
		copy_file(path, to, st->st_size);
	free(to);
	return 0;
}

static void copy_dir(const char *from, const char *to)
{
	copy_to = to;
	copy_skip = strlen(from);
	if (nftw(from, copy_one, 8, FTW_PHYS))
		fail("copy of %s: %m", from);
}

static int add_one(const char *path ATTR_UNUSED, const struct stat *st,
		   int type ATTR_UNUSED, struct FTW *ftw)
{
	if (ftw->level)
		allocated += (uint64_t)st->st_blocks * 512;
	return 0;
}

/*
 * The disk stays as it is at this moment; what the worker does while it is
 * taken down reaches nobody and is thrown away.
 */
void sim_worker_crash(struct sim_worker *w)
{
	char *was = mem_printf("%s.crash", w->dir);
	char *old;

	copy_dir(w->dir, was);
	sim_net_crash(w->net, w->loop);
	end(w);
	old = w->dir;
	w->dir = mem_str(old);
	tempdir_remove(old);
	if (rename(was, w->dir))
		fail("%s: %m", was);
	free(was);
}

void sim_worker_check(const struct sim_worker *w)
{
	struct store_totals totals;

	if (!w->loop)
		return;
	allocated = 0;
	nftw(w->dir, add_one, 8, FTW_PHYS);
	store_totals(w->store, &totals);
	if (allocated > w->capacity || totals.used > w->capacity)
		fail("worker %u uses %" PRIu64 " (it says %" PRIu64
		     ") of %" PRIu64 " bytes",
		     w->number, allocated, totals.used, w->capacity);
}
