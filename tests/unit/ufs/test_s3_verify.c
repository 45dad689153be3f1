#include "lib/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ufs/http_client.h"
#include "ufs/s3_verify.h"
#include "ufs/ufs.h"

#define MD5_OF_123456789 "25f9e794323b453885f5181f1b624d0b"
#define CRC_OF_123456789 "4waSgw==" /* e3069283 */

static struct s3_digest digest;
static struct err err;

static enum s3_verify take(enum s3_verify wanted, const char *crc32c,
			   const char *etag, bool etag_no_md5)
{
	struct http_answer a = { .etag_no_md5 = etag_no_md5 };
	struct ufs_version v = { .len = (uint8_t)strlen(etag) };

	snprintf(a.crc32c, sizeof(a.crc32c), "%s", crc32c);
	memcpy(v.bytes, etag, v.len);
	s3_digest_take(&digest, wanted, &a, &v);
	return digest.kind;
}

static void check(const char *bytes, int code)
{
	err = (struct err){ 0 };
	assert_int_equal(s3_digest_check(&digest, bytes, strlen(bytes), &err),
			 code);
}

static void crc32c_is_checked(void **state ATTR_UNUSED)
{
	assert_int_equal(take(S3_VERIFY_CRC32C, CRC_OF_123456789, "x", false),
			 S3_VERIFY_CRC32C);
	check("123456789", 0);
	check("123456788", -EIO);
	assert_string_equal(err.msg, "wrong bytes came: their CRC32C is not "
				     "the object's; if it never is, give "
				     "s3.verify=none");
	check("", -EIO);
}

static void md5_is_checked_where_the_etag_is_one(void **state ATTR_UNUSED)
{
	assert_int_equal(take(S3_VERIFY_MD5, "", MD5_OF_123456789, false),
			 S3_VERIFY_MD5);
	check("123456789", 0);
	check("123456780", -EIO);
	assert_non_null(strstr(err.msg, "MD5 is not the ETag"));
	assert_int_equal(take(S3_VERIFY_MD5, "", MD5_OF_123456789, true),
			 S3_VERIFY_NONE);
	assert_int_equal(take(S3_VERIFY_MD5, "", MD5_OF_123456789 "-2", false),
			 S3_VERIFY_NONE);
	assert_int_equal(take(S3_VERIFY_MD5, "",
			      "25f9e794323b453885f5181f1b624d0x", false),
			 S3_VERIFY_NONE);
	assert_int_equal(take(S3_VERIFY_MD5, "", "25f9", false),
			 S3_VERIFY_NONE);
}

static void crc32c_goes_before_md5(void **state ATTR_UNUSED)
{
	assert_int_equal(
		take(S3_VERIFY_MD5, CRC_OF_123456789, MD5_OF_123456789, false),
		S3_VERIFY_CRC32C);
}

static void what_is_not_wanted_is_not_looked_at(void **state ATTR_UNUSED)
{
	assert_int_equal(
		take(S3_VERIFY_NONE, CRC_OF_123456789, MD5_OF_123456789, false),
		S3_VERIFY_NONE);
	check("anything", 0);
	assert_int_equal(take(S3_VERIFY_CRC32C, "", MD5_OF_123456789, false),
			 S3_VERIFY_NONE);
}

static void what_is_no_crc32c_of_the_bytes_is_ignored(void **state ATTR_UNUSED)
{
	static const char *const bad[] = { "4waSgw==-2", "4waSgw",   "4wa*gw==",
					   "========",   "4waSgwAA", "=" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(take(S3_VERIFY_CRC32C, bad[i], "x", false),
				 S3_VERIFY_NONE);
}

static void words_have_their_meaning(void **state ATTR_UNUSED)
{
	enum s3_verify v = S3_VERIFY_MD5;

	assert_true(s3_verify_parse("none", &v));
	assert_int_equal(v, S3_VERIFY_NONE);
	assert_true(s3_verify_parse("md5", &v));
	assert_int_equal(v, S3_VERIFY_MD5);
	assert_true(s3_verify_parse("crc32c", &v));
	assert_int_equal(v, S3_VERIFY_CRC32C);
	assert_false(s3_verify_parse("sha1", &v));
	assert_false(s3_verify_parse("", &v));
}

TEST_MAIN(TEST(crc32c_is_checked), TEST(md5_is_checked_where_the_etag_is_one),
	  TEST(crc32c_goes_before_md5),
	  TEST(what_is_not_wanted_is_not_looked_at),
	  TEST(what_is_no_crc32c_of_the_bytes_is_ignored),
	  TEST(words_have_their_meaning))
