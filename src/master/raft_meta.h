/*
 * Checksums of raft's metadata, its term and its vote, which libraft writes
 * without any: two files of 32 bytes, overwritten by turns.
 *
 * `metadata.sum` has, for each of the two, what it holds and what it is about
 * to hold; it is made durable before libraft writes.  Synchronous; rare: a
 * change of term.  Format: uv_metadata.c of libraft 0.22.1.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"

/* 0, or -EBADMSG with the file that is not what was written.  There is a log.
 */
int raft_meta_check(const char *dir, struct err *err) MUST_CHECK;

/* A new term with no vote, or (if 0) a vote in the same, comes next. */
int raft_meta_expect(const char *dir, uint64_t term, uint64_t vote) MUST_CHECK;
