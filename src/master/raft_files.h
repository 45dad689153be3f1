/*
 * raft's files, looked at before raft reads them.
 *
 * libraft checks what it reads but believes too much of it: a damaged entry in
 * a segment that was not closed is the end of the log to it, whatever follows,
 * and a damaged snapshot makes it take the one before.  After a kill or a power
 * cut that would lose what was acknowledged, in silence.  So every entry is
 * checked here first.  What the end of a log may look like is known: the last
 * write lacks whole sectors if the power went in its middle, and was answered
 * to nobody; anything else is damage, which is named and refused.
 *
 * Format: uv_segment.c, uv_encoding.c, uv_snapshot.c and uv_metadata.c of
 * libraft 0.22.1.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/*
 * 0, or -EBADMSG with the file and the byte where damage begins.  Mends what a
 * crash can leave and libraft cannot read: a beginning that got no further than
 * `metadata1`, and a segment with no room for another header at its end.
 * *begun: there is a log.
 */
int raft_files_check(const char *dir, bool *begun, struct err *err) MUST_CHECK;

/*
 * Calls with each command of the log that lies in `dir`, oldest first, until
 * `fn` returns false.  Any thread, while raft writes: what is not whole yet is
 * the end.
 */
int raft_files_read(const char *dir,
		    bool (*fn)(void *owner, const void *entry, size_t len),
		    void *owner, struct err *err) MUST_CHECK;

/* What raft keeps as its snapshot: where the checkpoint is. */
struct raft_marker {
	uint64_t version, index, pad[5];
	uint64_t crc; /* CRC32C of what is before it */
};

struct raft_marker raft_marker(uint64_t index);
bool raft_marker_ok(const void *marker, size_t len);
