#include "lib/test.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/metrics.h"

static bool text_has(const char *line)
{
	char *text = metrics_text();
	const char *at = strstr(text, line);
	bool has = at && (at == text || at[-1] == '\n');

	free(text);
	return has;
}

static void a_counter_adds_up(void **state ATTR_UNUSED)
{
	metric_add(METRIC_reads_peer, 2);
	metric_add(METRIC_reads_peer, 3);
	assert_int_equal(metric_value(METRIC_reads_peer), 5);
	assert_true(text_has("acached_reads_total{source=\"peer\"} 5\n"));
	assert_true(text_has("acached_reads_total{source=\"local\"} 0\n"));
}

static void a_gauge_is_what_it_was_set_to(void **state ATTR_UNUSED)
{
	metric_set(METRIC_cache_used, 7);
	metric_set(METRIC_cache_used, UINT64_MAX);
	assert_true(text_has("acached_cache_used_bytes "
			     "18446744073709551615\n"));
}

static void a_histogram_counts_what_is_at_most_a_bound(void **state ATTR_UNUSED)
{
	metric_observe_us(METRIC_fill_us, 100);
	metric_observe_us(METRIC_fill_us, 101);
	metric_observe_us(METRIC_fill_us, 60000000);
	assert_int_equal(metric_value(METRIC_fill_us), 3);
	assert_true(text_has("acached_fill_seconds_bucket{le=\"5e-05\"} 0\n"));
	assert_true(text_has("acached_fill_seconds_bucket{le=\"0.0001\"} 1\n"));
	assert_true(
		text_has("acached_fill_seconds_bucket{le=\"0.00025\"} 2\n"));
	assert_true(text_has("acached_fill_seconds_bucket{le=\"30\"} 2\n"));
	assert_true(text_has("acached_fill_seconds_bucket{le=\"+Inf\"} 3\n"));
	assert_true(text_has("acached_fill_seconds_sum 60.000201\n"));
	assert_true(text_has("acached_fill_seconds_count 3\n"));
}

/* Prometheus refuses a second TYPE line of one name. */
static void every_name_is_introduced_once(void **state ATTR_UNUSED)
{
	static const char *const names[] = {
#define METRIC_NAME(kind, field, name, labels, help) name,
		METRICS(METRIC_NAME)
#undef METRIC_NAME
	};
	char *text = metrics_text(), line[128];
	const char *at;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(line, sizeof(line), "# TYPE %s ", names[i]);
		at = strstr(text, line);
		assert_non_null(at);
		assert_null(strstr(at + 1, line));
	}
	free(text);
}

TEST_MAIN(TEST(a_counter_adds_up), TEST(a_gauge_is_what_it_was_set_to),
	  TEST(a_histogram_counts_what_is_at_most_a_bound),
	  TEST(every_name_is_introduced_once))
