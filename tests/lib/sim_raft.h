/*
 * The disk of a simulated master: a raft_io and checkpoints in memory.
 *
 * The disk outlives the master: open it again after a crash, on the new loop.
 * What was written by then is there; what was on its way is not.  For a cluster
 * of one member: it sends nothing.  Allocates as raft does (raft_malloc).
 */
#pragma once

#include <raft.h>

#include "master/checkpoint.h"
#include "runtime/loop.h"

struct sim_disk;

struct sim_disk *sim_disk_new(void);
void sim_disk_free(struct sim_disk *d);

/* How long a write takes; 0 at first. */
void sim_disk_delay(struct sim_disk *d, uint64_t ms);
/* The next `n` checkpoints fail. */
void sim_disk_fail_checkpoints(struct sim_disk *d, unsigned n);

/* Whether nothing was ever written. */
bool sim_disk_empty(const struct sim_disk *d);
size_t sim_disk_entries(const struct sim_disk *d);
/* The index of the next entry. */
uint64_t sim_disk_next(const struct sim_disk *d);
/* An entry with these bytes, written behind raft's back. */
void sim_disk_append(struct sim_disk *d, const void *data, size_t len);

/* One at a time.  Free it when raft has closed it. */
struct raft_io *sim_raft_open(struct sim_disk *d, struct loop *l,
			      uint64_t seed);
void sim_raft_free(struct raft_io *io);

/* Its process has crashed: nothing reaches the disk any more.  raft can then be
 * closed in good order, to free it. */
void sim_raft_crash(struct raft_io *io);

/* The disk's, for struct journal_options. */
struct checkpoints *sim_disk_checkpoints(struct sim_disk *d);
