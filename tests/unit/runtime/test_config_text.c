#include "lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/committed.h"
#include "runtime/config.h"

/*
 * The committed files say what the table says.  After a change of the table,
 * UPDATE=1 tests/unit/runtime/test_config_text writes them anew.
 */

static const char begin_mark[] = ".\\\" keys: from src/runtime/config_keys.h\n";
static const char end_mark[] = ".\\\" end of keys\n";

static char *printed(void (*print)(FILE *out))
{
	char *text;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	print(f);
	fclose(f);
	return text;
}

static void the_sample_file_is_the_table(void **state ATTR_UNUSED)
{
	char *text = printed(config_sample);

	committed_compare("examples/acached.conf", text);
	free(text);
}

static void the_manual_page_is_the_table(void **state ATTR_UNUSED)
{
	char *page = committed_read("doc/man/acached.conf.5");
	char *keys = printed(config_man), *all;
	char *begin = strstr(page, begin_mark), *end = strstr(page, end_mark);

	assert_non_null(begin);
	assert_non_null(end);
	begin += sizeof(begin_mark) - 1;
	assert_true(asprintf(&all, "%.*s%s%s", (int)(begin - page), page, keys,
			     end) > 0);
	committed_compare("doc/man/acached.conf.5", all);
	free(all);
	free(keys);
	free(page);
}

static void the_sample_file_can_be_read(void **state ATTR_UNUSED)
{
	struct config c;
	struct err err = { 0 };

	if (config_load(&c, committed_path("examples/acached.conf"), NULL,
			&err))
		fail_msg("%s", err.msg);
	config_close(&c);
}

static void every_line_of_the_sample_is_a_default(void **state ATTR_UNUSED)
{
	char *text = printed(config_sample), *line, *save, *colon;
	struct err err = { 0 };
	struct config c;
	char set[256];
	const char *const sets[] = { set, NULL };

	for (line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (line[0] != '#' || line[1] == ' ' || line[1] == '\0')
			continue;
		colon = strchr(line, ':');
		assert_non_null(colon);
		snprintf(set, sizeof(set), "%.*s=%s", (int)(colon - line - 1),
			 line + 1, colon[1] ? colon + 2 : "");
		if (config_load(&c, committed_path("examples/acached.conf"),
				sets, &err))
			fail_msg("%s", err.msg);
		config_close(&c);
	}
	free(text);
}

static void explaining_tells_values_and_where_from(void **state ATTR_UNUSED)
{
	const char *const sets[] = { "worker.capacity=7G", NULL };
	struct config c;
	char *text;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	assert_int_equal(config_load(&c, "/dev/null", sets, NULL), 0);
	config_explain(&c, f, true);
	fclose(f);
	assert_non_null(strstr(text, "worker.capacity: 7G\t# --set\n"));
	assert_non_null(strstr(text, "log.level: info\t# default\n"));
	assert_non_null(strstr(text, "also: ACACHED_WORKER_CAPACITY\n"));
	assert_non_null(strstr(text, "accepts: retain, lru"));
	free(text);
	config_close(&c);
}

TEST_MAIN(TEST(the_sample_file_is_the_table),
	  TEST(the_manual_page_is_the_table), TEST(the_sample_file_can_be_read),
	  TEST(every_line_of_the_sample_is_a_default),
	  TEST(explaining_tells_values_and_where_from))
