#include "lib/disk_journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/loop_uv.h"

/* raft/uv.h, whose system headers have another struct dirent. */
void raft_uv_set_segment_size(struct raft_io *io, size_t size);

#define ARENA       ((size_t)64 << 20)
#define GUARD_MS    30000
#define PADDING_MAX 8192

static uint64_t wall_ms(void *owner ATTR_UNUSED)
{
	return 1000000;
}

static void on_ready(void *owner, int code, const struct err *err)
{
	struct disk_journal *j = owner;

	j->ready = code == 0;
	j->code = code;
	j->err = *err;
	loop_uv_stop(j->loop);
}

static void on_applied(void *owner,
		       const struct journal_record *record ATTR_UNUSED,
		       const struct namespace_result *res ATTR_UNUSED)
{
	struct disk_journal *j = owner;

	if (j->applied)
		j->applied(j->owner);
}

static void on_broken(void *owner, const struct err *err)
{
	struct disk_journal *j = owner;

	j->broken = true;
	j->code = err->code;
	j->err = *err;
	loop_uv_stop(j->loop);
}

static void on_guard(struct timer *t ATTR_UNUSED)
{
	fprintf(stderr, "a journal on disk: nothing happened for %d ms\n",
		GUARD_MS);
	abort();
}

void disk_journal_run(struct disk_journal *j)
{
	loop_timer_start(j->loop, &j->guard, GUARD_MS, on_guard);
	loop_uv_run(j->loop);
	loop_timer_stop(&j->guard);
}

static int open_all(struct disk_journal *j)
{
	int rv;

	j->loop = loop_uv_new();
	if (workpool_new(&j->pool, "ckpt", 1) ||
	    arena_map(&j->arena, ARENA, NULL))
		abort();
	rv = checkpoints_open(&j->checkpoints, j->dir, &j->err);
	if (!rv)
		rv = raft_disk_open(&j->disk, j->loop, j->dir, &j->err);
	if (!rv && j->segment_bytes)
		raft_uv_set_segment_size(raft_disk_io(j->disk),
					 j->segment_bytes);
	return rv;
}

int disk_journal_start(struct disk_journal *j)
{
	struct journal_options o = {
		.wall_ms = wall_ms,
		.block_size = 1 << 28,
		.ready = on_ready,
		.applied = on_applied,
		.broken = on_broken,
		.checkpoint_bytes = j->checkpoint_bytes,
		.owner = j,
	};
	const struct raft_member *member;

	j->ready = j->broken = false;
	j->code = open_all(j);
	if (j->code)
		return j->code;
	member = raft_disk_member(j->disk);
	o.loop = j->loop;
	o.pool = j->pool;
	o.io = raft_disk_io(j->disk);
	o.member = member->id;
	o.empty = member->empty;
	memcpy(o.uuid, member->uuid, sizeof(o.uuid));
	o.checkpoints = j->checkpoints;
	o.arena = &j->arena;
	raft_disk_on_failure(j->disk, on_broken, j);
	j->journal = journal_start(&o);
	disk_journal_run(j);
	return j->code;
}

static void on_closed(void *owner)
{
	loop_uv_stop(((struct disk_journal *)owner)->loop);
}

void disk_journal_stop(struct disk_journal *j)
{
	if (j->journal) {
		journal_close(j->journal, on_closed, j);
		disk_journal_run(j);
	}
	j->journal = NULL;
	if (j->disk)
		raft_disk_close(j->disk);
	if (j->checkpoints)
		checkpoints_close(j->checkpoints);
	j->disk = NULL;
	j->checkpoints = NULL;
	workpool_close(j->pool);
	arena_unmap(&j->arena);
	loop_uv_free(j->loop);
}

void disk_journal_mount(struct disk_journal *j, uint64_t number, size_t padding,
			struct journal_req *req,
			void (*done)(struct journal_req *req,
				     const struct namespace_result *res))
{
	struct journal_record r = { .type = JOURNAL_mount };
	char path[32], uri[16 + PADDING_MAX] = "file:///";

	r.mount.path.len = (size_t)snprintf(path, sizeof(path), "/%llu",
					    (unsigned long long)number);
	r.mount.path.ptr = path;
	memset(uri + 8, 'x', padding);
	r.mount.uri = (schema_str){ uri, 8 + padding };
	journal_submit(j->journal, &r, req, done);
}

static void on_one(struct journal_req *req, const struct namespace_result *res)
{
	struct disk_journal *j = container_of(req, struct disk_journal, req);

	j->code = res->code;
	loop_uv_stop(j->loop);
}

int disk_journal_mount_one(struct disk_journal *j, uint64_t number,
			   size_t padding)
{
	disk_journal_mount(j, number, padding, &j->req, on_one);
	disk_journal_run(j);
	return j->code;
}

bool disk_journal_has(struct disk_journal *j, uint64_t number)
{
	struct inode_view v;
	char path[32];
	size_t rest;
	int len = snprintf(path, sizeof(path), "/%llu",
			   (unsigned long long)number);

	return namespace_find(journal_namespace(j->journal), path, (size_t)len,
			      &v, &rest) == 0;
}
