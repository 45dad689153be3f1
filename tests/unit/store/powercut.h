/*
 * A disk that loses its power: everything that is done below a directory is
 * written down, and the directory can be built again as it may look after the
 * power went at any of these calls.
 *
 * What was synced is there; of all else anything may be missing: pages of 4 KiB
 * or parts of them, lengths, names, in any order.  A file's sync keeps its
 * bytes and length, not its name; a directory's keeps the names in it.
 *
 * Link with POWERCUT_WRAPS.  Calls of all threads are seen, if they name files
 * by a path that begins with the directory, or from descriptors of it that were
 * opened meanwhile.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* From now on, of `root`, which is empty or not there yet. */
void powercut_begin(const char *root);
/* Nothing is written down any more until it begins anew. */
void powercut_end(void);

/* How many calls there were that change something. */
size_t powercut_calls(void);

/* Builds `to`, which must not exist, as `root` may be after the first `calls`
 * of them. */
void powercut_build(const char *to, size_t calls, uint64_t seed);

/* Forgets it all. */
void powercut_free(void);
