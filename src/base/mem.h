/*
 * Memory that cannot fail: these exit the process when there is none.
 *
 * For small allocations of our own.  A buffer whose size a peer or a user
 * chooses comes from a budget and can fail; do not use these for it.
 */

#pragma once

#include <stddef.h>

#include "base/defs.h"

/* Zeroed. */
void *mem_alloc(size_t size) MUST_CHECK;
void *mem_array(size_t n, size_t size) MUST_CHECK;
/* Not zeroed beyond what was there. */
void *mem_resize(void *old, size_t n, size_t size) MUST_CHECK;
void *mem_copy(const void *from, size_t size) MUST_CHECK;
char *mem_str(const char *s) MUST_CHECK;
char *mem_strn(const char *s, size_t len) MUST_CHECK; /* adds a NUL */
char *mem_printf(const char *fmt, ...) ATTR_PRINTF(1, 2) MUST_CHECK;
