/*
 * Which directories are worth a listing that nobody has asked for: those in
 * which one name after the other is looked up.
 *
 * A request for one name costs about as much as one for a thousand, so with the
 * second of them a listing of some pages is begun; after many more, where that
 * did not reach the end, a longer one.  Listings never cost more requests than
 * the lookups did, times PAGES_EACH.
 *
 * Where a listing came to its end in one directory after the other, those
 * beside them are probably next, and on top of that BESIDE of them are worth
 * one before anyone looks into them.
 *
 * Decides only.  What is not looked into for a minute is forgotten, and what
 * was looked into first where there are many directories.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"

struct interest {
	struct map by_dir;
	struct list by_age;
};

void interest_init(struct interest *i);
void interest_close(struct interest *i);

/* A name was looked up in `dir`, which is not known in full.  How many pages of
 * a listing that is worth now; 0: none. */
unsigned interest_note(struct interest *i, uint64_t dir, uint64_t now_ms);

/* `dir`, which lies in `parent`, was listed to its end.  How many directories
 * beside it are now worth a listing; 0: none. */
unsigned interest_listed(struct interest *i, uint64_t dir, uint64_t parent,
			 uint64_t now_ms);
/* Whether `dir` was not listed for that reason lately: what was too long then,
 * or failed, is left alone. */
bool interest_try(struct interest *i, uint64_t dir, uint64_t now_ms);
