/*
 * How many requests one storage is sent at once: as many as it takes without
 * getting slower.
 *
 * Grows with each answer while the limit is what holds requests back, twofold
 * a round trip until the storage first shows that it is too much, by a
 * sixteenth from then on.  Halved when requests are refused or lost (SlowDown,
 * 5xx, timeouts, broken connections), and taken an eighth off while answers
 * begin to come later than the fastest of the last minute by more than is
 * worth waiting for; both once for what was sent before, since the answers of
 * those who are on their way tell of the old limit.  Slowness alone does not
 * take it below a floor: a storage far away is not one that is overloaded.
 *
 * Decides only: who asks counts what is in flight and looks at the clock.
 * Times are in milliseconds of any clock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct limit {
	unsigned min, max; /* its owner's bounds, min >= 1 */
	unsigned now;      /* may be in flight */

	/* private */
	unsigned credit;     /* towards one more */
	bool steady;         /* the fast beginning is over */
	uint64_t lowered_ms; /* what was sent before does not count */
	uint64_t window_ms;  /* when `fastest` was begun */
	uint32_t fastest_us, before_us; /* in this window, in the last one */
	uint32_t usual_us;              /* moving average */
};

enum limit_change { LIMIT_SAME, LIMIT_MORE, LIMIT_SLOW, LIMIT_REFUSED };

void limit_init(struct limit *l, unsigned min, unsigned first, unsigned max);

/* An answer began to come `wait_us` after its request was sent at `sent_ms`;
 * `held`: others had to wait for a place meanwhile. */
enum limit_change limit_answered(struct limit *l, uint64_t now_ms,
				 uint64_t sent_ms, uint32_t wait_us, bool held);
/* It was refused, or no answer came. */
enum limit_change limit_refused(struct limit *l, uint64_t now_ms,
				uint64_t sent_ms);
