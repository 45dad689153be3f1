#include "lib/test.h"

#include <string.h>

#include "base/crc32c.h"

/* One bit at a time, from the polynomial itself. */
static uint32_t by_definition(const uint8_t *buf, size_t len)
{
	uint32_t crc = UINT32_MAX;
	unsigned bit;
	size_t i;

	for (i = 0; i < len; i++) {
		crc ^= buf[i];
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
	}
	return ~crc;
}

static void known_values(void **state ATTR_UNUSED)
{
	uint8_t zeros[32] = { 0 };

	assert_int_equal(crc32c(0, "", 0), 0);
	/* RFC 3720, B.4, and the usual check value. */
	assert_int_equal(crc32c(0, "123456789", 9), UINT32_C(0xe3069283));
	assert_int_equal(crc32c(0, zeros, 32), UINT32_C(0x8a9136aa));
}

static void every_length_and_alignment(void **state ATTR_UNUSED)
{
	uint8_t buf[300];
	size_t start, len;

	for (len = 0; len < sizeof(buf); len++)
		buf[len] = (uint8_t)(len * 37 + len / 7);
	for (start = 0; start < 9; start++)
		for (len = 0; start + len <= sizeof(buf); len += 13)
			assert_int_equal(crc32c(0, buf + start, len),
					 by_definition(buf + start, len));
}

static void parts_give_the_same_as_the_whole(void **state ATTR_UNUSED)
{
	const char text[] = "the quick brown fox jumps over the lazy dog";
	uint32_t whole = crc32c(0, text, strlen(text));
	size_t cut;

	for (cut = 0; cut <= strlen(text); cut++)
		assert_int_equal(crc32c(crc32c(0, text, cut), text + cut,
					strlen(text) - cut),
				 whole);
}

TEST_MAIN(TEST(known_values), TEST(every_length_and_alignment),
	  TEST(parts_give_the_same_as_the_whole))
