#include "runtime/metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/defs.h"

enum kind { COUNTER, GAUGE, HISTOGRAM };

static const char *const kind_names[] = { "counter", "gauge", "histogram" };

static const struct row {
	enum kind kind;
	const char *name, *labels, *help;
} rows[METRIC_COUNT] = {
#define METRIC_ROW(kind, field, name, labels, help) \
	{ kind, name, labels, help },
	METRICS(METRIC_ROW)
#undef METRIC_ROW
};

/* Upper bounds of the buckets, and as Prometheus writes them, in seconds. */
static const struct bound {
	uint64_t us;
	const char *le;
} bounds[] = {
	{ 50, "5e-05" },   { 100, "0.0001" },  { 250, "0.00025" },
	{ 500, "0.0005" }, { 1000, "0.001" },  { 2500, "0.0025" },
	{ 5000, "0.005" }, { 10000, "0.01" },  { 25000, "0.025" },
	{ 50000, "0.05" }, { 100000, "0.1" },  { 250000, "0.25" },
	{ 500000, "0.5" }, { 1000000, "1" },   { 2500000, "2.5" },
	{ 5000000, "5" },  { 10000000, "10" }, { 30000000, "30" },
};

/* A counter or gauge uses `value` alone; a histogram counts there too. */
static struct {
	_Atomic uint64_t value;
	_Atomic uint64_t sum_us;
	_Atomic uint64_t bucket[ARRAY_SIZE(bounds)]; /* not cumulative */
} cells[METRIC_COUNT];

static void add(_Atomic uint64_t *to, uint64_t n)
{
	atomic_fetch_add_explicit(to, n, memory_order_relaxed);
}

static uint64_t get(const _Atomic uint64_t *from)
{
	return atomic_load_explicit(from, memory_order_relaxed);
}

void metric_add(enum metric m, uint64_t n)
{
	add(&cells[m].value, n);
}

void metric_set(enum metric m, uint64_t value)
{
	assert(rows[m].kind == GAUGE);
	atomic_store_explicit(&cells[m].value, value, memory_order_relaxed);
}

void metric_observe_us(enum metric m, uint64_t us)
{
	size_t i = 0;

	assert(rows[m].kind == HISTOGRAM);
	while (i < ARRAY_SIZE(bounds) && us > bounds[i].us)
		i++;
	if (i < ARRAY_SIZE(bounds))
		add(&cells[m].bucket[i], 1);
	add(&cells[m].sum_us, us);
	add(&cells[m].value, 1);
}

uint64_t metric_value(enum metric m)
{
	return get(&cells[m].value);
}

static void put_series(FILE *out, const char *name, const char *suffix,
		       const char *labels, const char *more)
{
	bool any = *labels || *more;

	fprintf(out, "%s%s%s%s%s%s%s ", name, suffix, any ? "{" : "", labels,
		*labels && *more ? "," : "", more, any ? "}" : "");
}

/* Observations may come between two lines: +Inf must not be less than what the
 * buckets already said. */
static void put_histogram(FILE *out, const struct row *r, enum metric m)
{
	uint64_t below = 0, n, sum_us;
	char le[32];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bounds); i++) {
		below += get(&cells[m].bucket[i]);
		snprintf(le, sizeof(le), "le=\"%s\"", bounds[i].le);
		put_series(out, r->name, "_bucket", r->labels, le);
		fprintf(out, "%" PRIu64 "\n", below);
	}
	n = get(&cells[m].value);
	n = n < below ? below : n;
	sum_us = get(&cells[m].sum_us);
	put_series(out, r->name, "_bucket", r->labels, "le=\"+Inf\"");
	fprintf(out, "%" PRIu64 "\n", n);
	put_series(out, r->name, "_sum", r->labels, "");
	fprintf(out, "%" PRIu64 ".%06u\n", sum_us / 1000000,
		(unsigned)(sum_us % 1000000));
	put_series(out, r->name, "_count", r->labels, "");
	fprintf(out, "%" PRIu64 "\n", n);
}

char *metrics_text(void)
{
	const struct row *r, *before = NULL;
	char *text = NULL;
	size_t len, m;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		abort();
	for (m = 0; m < METRIC_COUNT; before = r, m++) {
		r = &rows[m];
		if (!before || strcmp(before->name, r->name) != 0)
			fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", r->name,
				r->help, r->name, kind_names[r->kind]);
		if (r->kind == HISTOGRAM) {
			put_histogram(out, r, (enum metric)m);
			continue;
		}
		put_series(out, r->name, "", r->labels, "");
		fprintf(out, "%" PRIu64 "\n", get(&cells[m].value));
	}
	if (fclose(out))
		abort();
	return text;
}
