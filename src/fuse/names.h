/*
 * Names that the master has told of, so that it need not be asked again while
 * nothing has changed: the kernel asks for each name once a TTL.
 *
 * Each answer of the master carries a number that counts whatever changed its
 * tree (LOOKUP_REPLY, LIST_REPLY).  While the number stays, what it said stays
 * true; any answer tells of it for all.  Only names that exist are kept: one
 * that does not may turn up in under-storage unseen.
 *
 * Pure but for memory; times are the caller's, in milliseconds.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "wire/messages.h"

enum { NAMES_SLOTS = 1 << 18 }; /* a name is in one place, or forgotten */

struct names {
	struct name *slots;
	uint64_t change;   /* the last number that is known */
	uint64_t as_of_ms; /* when it was asked for */
	bool known;
};

void names_init(struct names *n);
void names_close(struct names *n);

/* An answer to what was asked at `asked_ms`. */
void names_seen(struct names *n, uint64_t change, uint64_t asked_ms);
/* Something turned out to be older than it should be: ask again. */
void names_doubt(struct names *n);

/* What such an answer said; the bytes of version and target are not kept. */
void names_put(struct names *n, uint64_t parent, const void *name, size_t len,
	       const struct attr *a, uint64_t change);

/* What is known to have been so at names->as_of_ms; NULL: ask. */
const struct attr *names_get(const struct names *n, uint64_t parent,
			     const void *name, size_t len);
