#include "ufs/limit.h"

enum {
	WINDOW_MS = 30000,
	TARGET_US = 100000, /* of waiting at the storage, at least */
	SLOW_FLOOR = 32,
	SLOW_PART = 8,
	GROWTH = 16,
	AVERAGE = 8,
};

void limit_init(struct limit *l, unsigned min, unsigned first, unsigned max)
{
	*l = (struct limit){ .min = min < max ? min : max, .max = max };
	l->now = first < max ? first : max;
}

static enum limit_change lower(struct limit *l, uint64_t now_ms, unsigned to,
			       enum limit_change why)
{
	l->steady = true;
	l->credit = 0;
	l->lowered_ms = now_ms;
	if (to < l->min)
		to = l->min;
	if (to >= l->now)
		return LIMIT_SAME;
	l->now = to;
	return why;
}

/* The fastest of the last minute, half a minute at a time. */
static void learn(struct limit *l, uint64_t now_ms, uint32_t wait_us)
{
	if (!l->fastest_us || now_ms - l->window_ms >= WINDOW_MS) {
		l->before_us = l->fastest_us;
		l->fastest_us = wait_us;
		l->window_ms = now_ms;
	}
	if (wait_us < l->fastest_us)
		l->fastest_us = wait_us;
	if (!l->usual_us)
		l->usual_us = wait_us;
	l->usual_us =
		(uint32_t)(((uint64_t)l->usual_us * (AVERAGE - 1) + wait_us) /
			   AVERAGE);
}

static bool is_slow(const struct limit *l)
{
	uint32_t best = l->fastest_us;
	uint32_t worth;

	if (l->before_us && l->before_us < best)
		best = l->before_us;
	worth = best > TARGET_US ? best : TARGET_US;
	return l->usual_us > best && l->usual_us - best > worth;
}

static enum limit_change raise(struct limit *l)
{
	if (l->now >= l->max)
		return LIMIT_SAME;
	l->credit += l->steady ? 1 + l->now / GROWTH : l->now;
	if (l->credit < l->now)
		return LIMIT_SAME;
	l->credit -= l->now;
	l->now++;
	return LIMIT_MORE;
}

/* Whether it was sent under the limit that there is now. */
static bool is_news(const struct limit *l, uint64_t sent_ms)
{
	return !l->steady || sent_ms > l->lowered_ms;
}

enum limit_change limit_answered(struct limit *l, uint64_t now_ms,
				 uint64_t sent_ms, uint32_t wait_us, bool held)
{
	unsigned less = l->now - l->now / SLOW_PART;

	learn(l, now_ms, wait_us ? wait_us : 1);
	if (!held)
		return LIMIT_SAME;
	if (!is_slow(l))
		return raise(l);
	if (!is_news(l, sent_ms) || l->now <= SLOW_FLOOR)
		return LIMIT_SAME;
	return lower(l, now_ms, less > SLOW_FLOOR ? less : SLOW_FLOOR,
		     LIMIT_SLOW);
}

enum limit_change limit_refused(struct limit *l, uint64_t now_ms,
				uint64_t sent_ms)
{
	return is_news(l, sent_ms) ? lower(l, now_ms, l->now / 2, LIMIT_REFUSED)
				   : LIMIT_SAME;
}
