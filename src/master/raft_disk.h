/*
 * The raft_io of a real master: raft_uv on a directory, for a cluster of one
 * member, which listens nowhere and connects to nobody.
 *
 * The member's random id and a UUID for a cluster that begins here are in the
 * file `member`, made before anything else.  Sources: raft.h, raft/uv.h of
 * libraft 0.22.1.
 */
#pragma once

#include <raft.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct loop;
struct raft_disk;

struct raft_member {
	raft_id id;
	uint8_t uuid[16]; /* for a new cluster */
	bool empty;       /* there is no log in the directory */
};

/* `l` is a loop of libuv. */
int raft_disk_open(struct raft_disk **out, struct loop *l, const char *dir,
		   struct err *err) MUST_CHECK;
/*
 * `failed` is called, at most once and inside raft, when an entry could not be
 * written.  libraft 0.22.1 would try again, by a timer that has another struct
 * in hand than it expects: the process must end before the loop turns.
 */
void raft_disk_on_failure(struct raft_disk *d,
			  void (*failed)(void *owner, const struct err *err),
			  void *owner);
struct raft_io *raft_disk_io(struct raft_disk *d);
const struct raft_member *raft_disk_member(const struct raft_disk *d);
/* After raft has closed the io, or if it never had it. */
void raft_disk_close(struct raft_disk *d);
