/*
 * A growing string, for requests that are put together piece by piece; and the
 * percent-encoding of URLs as Amazon's signatures want it.
 *
 * Always ends in a NUL once something was added.  Exits on out of memory: what
 * goes in is bounded by the caller (keys, headers, tokens).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/defs.h"

struct text {
	char *at;
	size_t len, size;
};

void text_close(struct text *t);
void text_clear(struct text *t); /* keeps its memory */

void text_add(struct text *t, const char *s);
void text_addn(struct text *t, const void *s, size_t len);
void text_addf(struct text *t, const char *fmt, ...) ATTR_PRINTF(2, 3);

/* RFC 3986 with capital digits: all but A-Z a-z 0-9 - . _ ~ and, with `path`,
 * the slash. */
void text_encode(struct text *t, const void *s, size_t len, bool path);

/* Undoes percent-encoding in place, with `plus` also + for a space; what is no
 * valid escape stays.  The new length. */
size_t text_decode(char *s, size_t len, bool plus);
