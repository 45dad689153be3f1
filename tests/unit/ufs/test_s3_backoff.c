#include "lib/test.h"

#include <limits.h>

#include "ufs/s3_backoff.h"

static uint64_t seed = 88172645463325252u;

static void the_wait_doubles_and_half_of_it_is_chance(void **state ATTR_UNUSED)
{
	unsigned attempt, most = 100, ms, i, least_seen, most_seen;

	for (attempt = 1; attempt < 20; attempt++) {
		least_seen = UINT_MAX;
		most_seen = 0;
		for (i = 0; i < 1000; i++) {
			ms = s3_backoff_ms(&seed, attempt, -1);
			assert_in_range(ms, most / 2, most);
			least_seen = ms < least_seen ? ms : least_seen;
			most_seen = ms > most_seen ? ms : most_seen;
		}
		assert_true(least_seen < most * 6 / 10);
		assert_true(most_seen > most * 9 / 10);
		most = most * 2 < 5000 ? most * 2 : 5000;
	}
	assert_int_equal(most, 5000);
	assert_in_range(s3_backoff_ms(&seed, UINT_MAX, -1), 2500, 5000);
}

static void what_the_server_asks_for_is_waited_for_within_bounds(
	void **state ATTR_UNUSED)
{
	assert_in_range(s3_backoff_ms(&seed, 1, 0), 50, 100);
	assert_in_range(s3_backoff_ms(&seed, 1, 1), 1000, 1499);
	assert_in_range(s3_backoff_ms(&seed, 1, 30), 30000, 30499);
	assert_in_range(s3_backoff_ms(&seed, 1, 86400), 30000, 30499);
	assert_in_range(s3_backoff_ms(&seed, 1, INT64_MAX), 30000, 30499);
	assert_in_range(s3_backoff_ms(&seed, 1, INT64_MIN), 50, 100);
	assert_in_range(s3_backoff_ms(&seed, 9, 1), 2500, 5000);
}

TEST_MAIN(TEST(the_wait_doubles_and_half_of_it_is_chance),
	  TEST(what_the_server_asks_for_is_waited_for_within_bounds))
