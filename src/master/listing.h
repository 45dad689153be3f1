/*
 * Listings under way: pages of a directory become records of the journal.
 *
 * Of a directory that is not known in full, everything is journalled between
 * `first`, which goes before the first request, and `last`.  Of one that is,
 * only what differs: what is seen is remembered here, and what was not seen is
 * forgotten at the end.  A record has few entries, and few are on their way, so
 * that no turn of the loop is long.
 *
 * A name that was asked for by itself after the page was is newer than the
 * page, which says nothing of it then.  One whose answer is on its way when the
 * page comes, or when the listing begins, may be older, and is asked for again,
 * unless the page has what nobody knew and answers it; a listing waits for a
 * name that it has overtaken again and again.  For loader.c; master's loop.
 */
#pragma once

#include "master/loader.h"

/* What one name is, as it was found by itself, is about to be journalled; or
 * it is what is known.  Whether it has to be journalled even then.  `asked` is
 * the place of its request among all. */
bool listing_note(struct loader *l, uint64_t dir, uint64_t hash, uint64_t asked,
		  bool there);

/* Lists a directory of which nobody waits, at most `pages` of it. */
void listing_begin(struct loader *l, uint64_t dir, unsigned pages);

/* Where a directory lies; its path has room for LOADER_PATH. */
#define LOADER_PATH 8192
int loader_storage(struct loader *l, uint64_t dir, char *path, uint32_t *mount,
		   struct storage **out, struct err *err) MUST_CHECK;
/* Whether the directory is another mount's by now: the root keeps its id when
 * something else is mounted there, and the answer is about what was. */
bool loader_remounted(const struct loader *l, uint64_t dir, uint32_t mount);
/* A listing of this directory begins, or a page of it has come: names of it
 * that are being asked for are asked for once more, those on their way into the
 * journal are noted. */
void loader_doubt(struct loader *l, uint64_t dir);
/* Names of it have become known: who waits for one of them is told. */
void loader_learned(struct loader *l, uint64_t dir);
/* Whether a name of it has been asked for so often that no page may come before
 * its answer.  Then listing_go_on() is called after it. */
bool loader_is_late(struct loader *l, uint64_t dir);
void listing_go_on(struct loader *l, uint64_t dir);
/* All of it is known now, from so many pages. */
void loader_listed(struct loader *l, uint64_t dir, unsigned pages);
void loader_tell(struct list *waiters, int code, const struct err *err);
