/* Every journal record: its bytes, and that it comes back as it was. */

#include "unit/wire/golden.h"

#include "lib/fill.h"

#define GOLDEN_RECORD(number, name, fields)                          \
	static void name##_is_kept_as_ever(void **state ATTR_UNUSED) \
	{                                                            \
		struct journal_record r;                             \
                                                                     \
		fill_again();                                        \
		fill_journal_record(&r, JOURNAL_##name);             \
		GOLDEN_CHECK(journal_record, #name "_record", &r);   \
	}
JOURNAL_RECORDS(GOLDEN_RECORD)

static void a_record_that_is_not_known_is_refused(void **state ATTR_UNUSED)
{
	struct journal_record r;
	msgpack_zone zone;
	struct err err;

	msgpack_zone_init(&zone, 256);
	assert_int_equal(journal_record_decode(
				 &r, "\x93\xcd\x7f\xff\x93\x01\x01\x01\x90", 9,
				 &zone, &err),
			 ERR_BAD_MESSAGE);
	assert_string_equal(err.msg, "journal_record: bad type");
	assert_string_equal(journal_type_name(0x7fff), "?");
	assert_string_equal(journal_type_name(JOURNAL_mount), "mount");
	msgpack_zone_destroy(&zone);
}

#define LIST_RECORD(number, name, fields) TEST(name##_is_kept_as_ever),

TEST_MAIN(JOURNAL_RECORDS(LIST_RECORD)
		  TEST(a_record_that_is_not_known_is_refused))
