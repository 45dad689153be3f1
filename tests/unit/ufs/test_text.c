#include "lib/test.h"

#include <string.h>

#include "ufs/text.h"

static void pieces_are_put_behind_each_other(void **state ATTR_UNUSED)
{
	struct text t = { 0 };
	char long_one[1000];
	int i;

	text_add(&t, "a");
	text_addn(&t, "bcd", 2);
	text_addf(&t, "%s-%d", "e", 7);
	assert_string_equal(t.at, "abce-7");
	assert_int_equal(t.len, 6);
	memset(long_one, 'x', sizeof(long_one));
	for (i = 0; i < 5; i++)
		text_addn(&t, long_one, sizeof(long_one));
	assert_int_equal(t.len, 5006);
	assert_int_equal(strlen(t.at), 5006);
	text_clear(&t);
	assert_string_equal(t.at, "");
	text_close(&t);
	text_clear(&t);
	assert_null(t.at);
}

static void encoding_leaves_what_signatures_leave(void **state ATTR_UNUSED)
{
	static const char all[] = "aZ09-._~ /+%&=*'()\x7f\xc3\xa4";
	struct text t = { 0 };

	text_encode(&t, all, strlen(all), false);
	assert_string_equal(t.at, "aZ09-._~%20%2F%2B%25%26%3D%2A%27%28%29%7F"
				  "%C3%A4");
	text_clear(&t);
	text_encode(&t, "a/b c", 5, true);
	assert_string_equal(t.at, "a/b%20c");
	text_close(&t);
}

static void decoding_undoes_it(void **state ATTR_UNUSED)
{
	char bytes[256], copy[256];
	struct text t = { 0 };
	int i;

	for (i = 0; i < 256; i++)
		bytes[i] = copy[i] = (char)i;
	text_encode(&t, copy, 256, false);
	assert_int_equal(text_decode(t.at, t.len, true), 256);
	assert_memory_equal(t.at, bytes, 256);
	text_close(&t);
}

static void what_is_no_escape_stays(void **state ATTR_UNUSED)
{
	char s[] = "%+%4%zz%2b%c3%A4+%";

	assert_int_equal(text_decode(s, strlen(s), false), 12);
	assert_memory_equal(s, "%+%4%zz+\xc3\xa4+%", 12);
	assert_int_equal(text_decode(s, 12, true), 12);
	assert_memory_equal(s, "% %4%zz \xc3\xa4 %", 12);
}

TEST_MAIN(TEST(pieces_are_put_behind_each_other),
	  TEST(encoding_leaves_what_signatures_leave), TEST(decoding_undoes_it),
	  TEST(what_is_no_escape_stays))
