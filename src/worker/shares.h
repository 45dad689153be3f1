/*
 * Who may fetch next: the bytes that are under way at once are bounded, and no
 * mount takes them all.
 *
 * A mount may have as many as are free besides, so one alone has at most half,
 * two have a third each, and there is always something left for a mount that
 * has none under way: if its storage is quick it does not wait for those that
 * hang.  Mounts take turns; within one, who came first is first.
 *
 * Decides only; on the worker's loop.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"

struct shares {
	struct map by_mount; /* struct share */
	struct list hungry;  /* those for which something waits */
	uint64_t bytes, max; /* under way, and at most */
};

/* Embedded in what waits. */
struct share_wait {
	struct list link;
	uint32_t mount;
	size_t len;
};

void shares_open(struct shares *s, uint64_t max);
/* Nothing is under way or waits. */
void shares_close(struct shares *s);

void shares_wait(struct shares *s, struct share_wait *w, uint32_t mount,
		 size_t len);
/* The next that may begin, and from then on is under way; NULL: none.  What is
 * larger than there is room for begins when nothing else is under way. */
struct share_wait *shares_next(struct shares *s);
/* Ends what was under way. */
void shares_done(struct shares *s, const struct share_wait *w);
/* Waits no longer: any of those that wait, NULL: none does. */
struct share_wait *shares_drop(struct shares *s);
