#include "lib/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/text.h"

static const char *size(uint64_t bytes)
{
	static char out[32];

	text_size(out, sizeof(out), bytes);
	return out;
}

static void sizes_are_in_binary_units(void **state ATTR_UNUSED)
{
	assert_string_equal(size(0), "0B");
	assert_string_equal(size(1023), "1023B");
	assert_string_equal(size(300000), "292.97KB");
	assert_string_equal(size(UINT64_C(3) << 29), "1.50GB");
}

static void sizes_are_read(void **state ATTR_UNUSED)
{
	static const char *const wrong[] = { "",
					     "-1",
					     "1.5",
					     "K",
					     "1KK",
					     "1X",
					     "99999999999999999999",
					     "17179869184G" };
	uint64_t n;
	size_t i;

	assert_int_equal(text_parse_size("17", &n), 0);
	assert_int_equal(n, 17);
	assert_int_equal(text_parse_size("4k", &n), 0);
	assert_int_equal(n, 4096);
	assert_int_equal(text_parse_size("2GB", &n), 0);
	assert_int_equal(n, UINT64_C(2) << 30);
	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(text_parse_size(wrong[i], &n), -EINVAL);
}

static void modes_look_as_ls_shows_them(void **state ATTR_UNUSED)
{
	char mode[11];

	text_mode(mode, 040755);
	assert_string_equal(mode, "drwxr-xr-x");
	text_mode(mode, 0100640);
	assert_string_equal(mode, "-rw-r-----");
	text_mode(mode, 0120777);
	assert_string_equal(mode, "lrwxrwxrwx");
}

static void a_name_cannot_forge_a_line(void **state ATTR_UNUSED)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	text_name(f, "a\nb\033[31m", 8);
	fclose(f);
	assert_string_equal(text, "a\\012b\\033[31m");
	free(text);
}

static void is_json(const char *bytes, size_t len, const char *want)
{
	json_t *value = text_json(bytes, len);

	assert_non_null(value);
	assert_string_equal(json_string_value(value), want);
	json_decref(value);
}

static void what_is_no_utf8_is_replaced(void **state ATTR_UNUSED)
{
	is_json("gr\xc3\xbc\xc3\x9f", 6, "gr\xc3\xbc\xc3\x9f");
	is_json("a\xff"
		"b",
		3,
		"a\xef\xbf\xbd"
		"b");
	is_json("\xed\xa0\x80", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	is_json("\xe2\x82", 2, "\xef\xbf\xbd\xef\xbf\xbd");
}

TEST_MAIN(TEST(sizes_are_in_binary_units), TEST(sizes_are_read),
	  TEST(modes_look_as_ls_shows_them), TEST(a_name_cannot_forge_a_line),
	  TEST(what_is_no_utf8_is_replaced))
