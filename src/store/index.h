/*
 * The index of a directory: which pages of which files are there, and their
 * checksums.
 *
 * An append-only log of records, each with its own checksum, rewritten when
 * most of it is out of date.  A record is queued in memory in the same breath
 * as what it says becomes true, after the data it tells of was written; one
 * thread at a time writes what is queued, so records keep their order and one
 * write takes many.  A torn or damaged record is skipped: what it told of is
 * not cached.  The last record of a clean stop says so; the next start puts
 * another behind it.
 */
#pragma once

#include "store/disk.h"

/* Reads the index, if there is one, into the directory's entries, and starts a
 * new one if not, or if it is of another layout.  *clean: the last stop was. */
int index_open(struct dir *d, bool *clean, struct err *err) MUST_CHECK;

/* With `clean`, leaves the mark of a clean stop. */
void index_close(struct dir *d, bool clean);

/* Pages of `e` are present now: `n` chunks from `first` on. */
void index_filled_locked(struct entry *e, uint64_t first, uint64_t n);
/* It has pages, and takes another number of bytes on disk than was said. */
void index_resized_locked(const struct entry *e);
void index_removed_locked(const struct entry *e);

/* Whether the index tells of all of it or of nothing, wherever a write ends. */
bool index_is_one_record(const struct entry *e);

/* What is queued now has been written when index_is_written_locked() says so of
 * this mark; or never will be, since the disk has failed. */
uint64_t index_mark_locked(const struct dir *d);
bool index_is_written_locked(const struct dir *d, uint64_t mark);

/* Writes what is queued, and perhaps the whole index again, unless another
 * thread is at it, which will. */
void index_flush(struct dir *d);

uint64_t index_record_bytes(const struct entry *e);
