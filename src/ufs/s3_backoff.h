/*
 * How long to wait before a request is sent again: from 0.1 s, twice as long
 * each time up to 5 s, half of it by chance, lest all come back at once.  What
 * the server asks for (Retry-After, seconds) is waited for instead if it is
 * longer, up to half a minute.
 *
 * Pure but for `random`, the caller's state of a generator, never 0.
 */
#pragma once

#include <stdint.h>

/* Milliseconds.  `attempt` is the number of those that failed, from 1;
 * `retry_after_s` is -1 if the server did not say. */
unsigned s3_backoff_ms(uint64_t *random, unsigned attempt,
		       int64_t retry_after_s);
