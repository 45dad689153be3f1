#include "lib/test.h"

#include <stdlib.h>
#include <string.h>

#include "master/dump.h"

static char *line;

static int teardown(void **state ATTR_UNUSED)
{
	free(line);
	line = NULL;
	return 0;
}

static int setup(void **state ATTR_UNUSED)
{
	return 0;
}

static schema_str str(const char *s)
{
	return (schema_str){ s, strlen(s) };
}

static void a_record_is_a_line_of_json(void **state ATTR_UNUSED)
{
	struct journal_record r = { .type = JOURNAL_unmount };

	r.stamp.time_ms = 12;
	r.unmount.path = str("/a\"b");
	line = dump_record(7, &r);
	assert_string_equal(line, "{\"index\":7,\"time_ms\":12,"
				  "\"record\":\"unmount\","
				  "\"path\":\"/a\\\"b\"}");
}

static void large_numbers_are_text(void **state ATTR_UNUSED)
{
	struct journal_record r = { .type = JOURNAL_unmount };

	r.stamp.client = UINT64_MAX;
	r.stamp.sequence = 5;
	line = dump_record(7, &r);
	assert_non_null(strstr(line, "\"client\":\"18446744073709551615\","
				     "\"sequence\":5"));
}

static void names_that_are_no_text_are_hexadecimal(void **state ATTR_UNUSED)
{
	const schema_bytes name = { "\xff\x01", 2 };
	struct journal_record r = { .type = JOURNAL_forget };

	r.forget.names.at = &name;
	r.forget.names.n = 1;
	line = dump_record(1, &r);
	assert_non_null(strstr(line, "[\"ff01\"]"));
}

static void secrets_are_not_shown(void **state ATTR_UNUSED)
{
	const struct mount_option options[] = {
		{ str("aws.secretKey"), str("hunter2"), { 0 } },
		{ str("aws.accessKeyId"), { 0 }, { "swordfish", 9 } },
		{ str("s3.region"), str("eu"), { 0 } },
	};
	struct journal_record r = { .type = JOURNAL_mount };

	r.mount.options.at = options;
	r.mount.options.n = 3;
	line = dump_record(1, &r);
	assert_null(strstr(line, "hunter2"));
	assert_null(strstr(line, "swordfish"));
	assert_non_null(strstr(line, "\"aws.secretKey\":\"(sealed)\""));
	assert_non_null(strstr(line, "\"s3.region\":\"eu\""));
}

static void long_arrays_are_cut(void **state ATTR_UNUSED)
{
	struct found found[500] = { 0 };
	struct journal_record r = { .type = JOURNAL_learn };

	r.learn.found.at = found;
	r.learn.found.n = 500;
	line = dump_record(1, &r);
	assert_non_null(strstr(line, "\"count\":500"));
	assert_true(strlen(line) < 20000);
}

TEST_MAIN(TEST_WITH(a_record_is_a_line_of_json),
	  TEST_WITH(large_numbers_are_text),
	  TEST_WITH(names_that_are_no_text_are_hexadecimal),
	  TEST_WITH(secrets_are_not_shown), TEST_WITH(long_arrays_are_cut))
