#include "ufs/s3_backoff.h"

enum {
	FIRST_MS = 100,
	MAX_MS = 5000,
	MAX_DOUBLINGS = 6,
	MAX_RETRY_AFTER_S = 30,
	RETRY_AFTER_SPREAD_MS = 500,
};

/* xorshift: chance enough to spread requests. */
static uint64_t next(uint64_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random;
}

unsigned s3_backoff_ms(uint64_t *random, unsigned attempt,
		       int64_t retry_after_s)
{
	unsigned doublings = attempt - 1, ms = MAX_MS, asked;

	if (doublings < MAX_DOUBLINGS)
		ms = FIRST_MS << doublings;
	ms = ms / 2 + (unsigned)(next(random) % (ms / 2 + 1));
	if (retry_after_s <= 0)
		return ms;
	if (retry_after_s > MAX_RETRY_AFTER_S)
		retry_after_s = MAX_RETRY_AFTER_S;
	asked = (unsigned)retry_after_s * 1000 +
		(unsigned)(next(random) % RETRY_AFTER_SPREAD_MS);
	return asked > ms ? asked : ms;
}
