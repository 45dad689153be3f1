#include "lib/test.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/committed.h"
#include "runtime/metrics.h"

/*
 * doc/metrics.md says what the table says, and no document names a metric that
 * is not in it.  After a change of the table, `make doc` writes it anew.
 */

static const char head[] =
	"# Metrics\n"
	"\n"
	"What every process counts, for `acached admin metrics` and, where\n"
	"`master.http`, `worker.http` or `fuse.http` is set, at `/metrics`.  "
	"All are "
	"shown by\n"
	"all roles; those that are another role's business stay 0.  Counters "
	"begin at "
	"0 with\n"
	"the process; histograms are in seconds.  Made from "
	"`src/runtime/metrics.h` "
	"by\n"
	"`make doc`.\n"
	"\n"
	"| name | kind | label | what |\n"
	"|---|---|---|---|\n";

enum kind { COUNTER, GAUGE, HISTOGRAM };

static const char *const kinds[] = { "counter", "gauge", "histogram" };

static const struct row {
	enum kind kind;
	const char *name, *label, *help;
} rows[] = {
#define METRIC_ROW(kind, field, name, label, help) { kind, name, label, help },
	METRICS(METRIC_ROW)
#undef METRIC_ROW
};

/* `name="value"` of all rows of one metric: `name`: value, value. */
static void print_labels(FILE *out, const struct row *r)
{
	const char *name = r->name, *value;
	bool first = true;

	for (; r < rows + ARRAY_SIZE(rows) && strcmp(r->name, name) == 0; r++) {
		value = strchr(r->label, '"');
		if (!value)
			return;
		if (first)
			fprintf(out, "`%.*s`: ", (int)(value - r->label - 1),
				r->label);
		fprintf(out, "%s%.*s", first ? "" : ", ",
			(int)strcspn(value + 1, "\""), value + 1);
		first = false;
	}
}

static void the_document_is_the_table(void **state ATTR_UNUSED)
{
	const struct row *r;
	char *text;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	fputs(head, f);
	for (r = rows; r < rows + ARRAY_SIZE(rows); r++) {
		if (r > rows && strcmp(r->name, r[-1].name) == 0)
			continue;
		fprintf(f, "| `%s` | %s | ", r->name, kinds[r->kind]);
		print_labels(f, r);
		fprintf(f, " | %s |\n", r->help);
	}
	fclose(f);
	committed_compare("doc/metrics.md", text);
	free(text);
}

/* A histogram has names that end otherwise. */
static bool is_metric(const char *name, size_t len)
{
	const struct row *r;
	size_t n;

	for (r = rows; r < rows + ARRAY_SIZE(rows); r++) {
		n = strlen(r->name);
		if (len >= n && memcmp(name, r->name, n) == 0 &&
		    (len == n || (r->kind == HISTOGRAM && name[n] == '_')))
			return true;
	}
	return false;
}

static void no_document_names_another(void **state ATTR_UNUSED)
{
	static const char *const docs[] = {
		"README.md",           "doc/architecture.md",
		"doc/consistency.md",  "doc/errors.md",
		"doc/operations.md",   "doc/performance.md",
		"doc/under-storage.md"
	};
	static const char prefix[] = "acached_";
	size_t i, len, found = 0;
	const char *at;
	char *text;

	for (i = 0; i < ARRAY_SIZE(docs); i++) {
		text = committed_read(docs[i]);
		for (at = text; (at = strstr(at, prefix)); at += len, found++) {
			len = strlen(prefix);
			while (islower((unsigned char)at[len]) ||
			       isdigit((unsigned char)at[len]) ||
			       at[len] == '_')
				len++;
			if (!is_metric(at, len))
				fail_msg("%s: there is no metric %.*s", docs[i],
					 (int)len, at);
		}
		free(text);
	}
	assert_true(found > 5);
}

TEST_MAIN(TEST(the_document_is_the_table), TEST(no_document_names_another))
