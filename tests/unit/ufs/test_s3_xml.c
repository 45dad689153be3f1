#include "lib/test.h"

#include <errno.h>
#include <string.h>

#include "ufs/s3_xml.h"

static const char page[] =
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	"<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
	"<Name>b</Name><Prefix>not this</Prefix><KeyCount>3</KeyCount>"
	"<IsTruncated>true</IsTruncated>"
	"<NextContinuationToken>1ueG/+=</NextContinuationToken>"
	"<Contents><Key>a+b%2Bc</Key>"
	"<LastModified>2009-10-12T17:50:30.999Z</LastModified>"
	"<ETag>&quot;fba9dede5f27731c9771645a39863328&quot;</ETag>"
	"<Size>434234</Size><StorageClass>STANDARD</StorageClass>"
	"<Owner><ID>75aa</ID><Key>nor this</Key></Owner></Contents>\n"
	"<Contents><Key>b</Key><Size>12345678901</Size><ETag>x</ETag>"
	"<New><Key>or this</Key></New></Contents>"
	"<CommonPrefixes><Prefix>d%2F</Prefix></CommonPrefixes>"
	"<EncodingType>url</EncodingType>"
	"</ListBucketResult>";

static struct s3_xml *x;

static int setup(void **state ATTR_UNUSED)
{
	x = s3_xml_new();
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	s3_xml_free(x);
	return 0;
}

static enum s3_root parse(const char *s)
{
	s3_xml_reset(x);
	(void)!s3_xml_feed(x, s, strlen(s));
	return s3_xml_finish(x);
}

static void check_page(void)
{
	const struct s3_listing *l = s3_xml_listing(x);

	assert_int_equal(l->n_objects, 2);
	assert_string_equal(l->objects[0].key, "a b+c");
	assert_string_equal(l->objects[0].etag,
			    "\"fba9dede5f27731c9771645a39863328\"");
	assert_int_equal(l->objects[0].size, 434234);
	assert_int_equal(l->objects[0].mtime_s, 1255369830);
	assert_string_equal(l->objects[1].key, "b");
	assert_true(l->objects[1].size == 12345678901);
	assert_int_equal(l->n_prefixes, 1);
	assert_string_equal(l->prefixes[0], "d/");
	assert_true(l->truncated);
	assert_string_equal(l->next, "1ueG/+=");
}

static void a_page_is_read_in_any_pieces(void **state ATTR_UNUSED)
{
	size_t size, at, n;

	for (size = 1; size < sizeof(page); size += 1 + size / 3) {
		s3_xml_reset(x);
		for (at = 0; at < sizeof(page) - 1; at += n) {
			n = sizeof(page) - 1 - at;
			n = n < size ? n : size;
			assert_int_equal(s3_xml_feed(x, page + at, n), 0);
		}
		assert_int_equal(s3_xml_finish(x), S3_ROOT_LISTING);
		check_page();
	}
}

static void a_page_that_is_not_whole_is_none(void **state ATTR_UNUSED)
{
	size_t len;

	for (len = 0; len < sizeof(page) - 1; len += 7) {
		s3_xml_reset(x);
		assert_int_equal(s3_xml_feed(x, page, len), 0);
		assert_int_equal(s3_xml_finish(x), S3_ROOT_NONE);
	}
}

static void names_are_decoded_only_if_they_were_encoded(
	void **state ATTR_UNUSED)
{
	assert_int_equal(parse("<ListBucketResult><Contents><Key>a+b%2F</Key>"
			       "<ETag>x</ETag></Contents></ListBucketResult>"),
			 S3_ROOT_LISTING);
	assert_string_equal(s3_xml_listing(x)->objects[0].key, "a+b%2F");
	assert_false(s3_xml_listing(x)->truncated);
}

static void an_error_has_code_message_and_region(void **state ATTR_UNUSED)
{
	const struct s3_error *e = s3_xml_error(x);

	assert_int_equal(
		parse("<Error><Code>AuthorizationHeaderMalformed</Code>"
		      "<Message>expecting 'eu-west-1'</Message>"
		      "<Region>eu-west-1</Region><HostId>h</HostId></Error>"),
		S3_ROOT_ERROR);
	assert_string_equal(e->code, "AuthorizationHeaderMalformed");
	assert_string_equal(e->message, "expecting 'eu-west-1'");
	assert_string_equal(e->region, "eu-west-1");
	assert_int_equal(parse("<Error><Code/></Error>"), S3_ROOT_ERROR);
	assert_string_equal(e->code, "");
	assert_string_equal(e->message, "");
}

static void what_could_mislead_is_refused(void **state ATTR_UNUSED)
{
	static const char *const bad[] = {
		"",
		"hello",
		"<html><body>",
		"<ListBucketResult></Error>",
		"<!DOCTYPE a [<!ENTITY b \"c\">]><ListBucketResult/>",
		/* more to come, and no way to ask for it */
		"<ListBucketResult><IsTruncated>true</IsTruncated>"
		"</ListBucketResult>",
		/* no key, no version */
		"<ListBucketResult><Contents><ETag>x</ETag></Contents>"
		"</ListBucketResult>",
		"<ListBucketResult><Contents><Key>x</Key></Contents>"
		"</ListBucketResult>",
		"<ListBucketResult/><ListBucketResult/>",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse(bad[i]), S3_ROOT_NONE);
	assert_int_equal(parse("<html></html>"), S3_ROOT_OTHER);
	assert_int_equal(parse("<ListBucketResult/>"), S3_ROOT_LISTING);
}

static void a_text_without_end_is_refused(void **state ATTR_UNUSED)
{
	char a[4096];
	int i, rv = 0;

	memset(a, 'a', sizeof(a));
	assert_int_equal(
		s3_xml_feed(x, "<ListBucketResult><Contents><Key>", 33), 0);
	for (i = 0; i < 100 && !rv; i++)
		rv = s3_xml_feed(x, a, sizeof(a));
	assert_int_equal(rv, -EBADMSG);
	assert_true(i < 10);
}

static void depth_has_an_end(void **state ATTR_UNUSED)
{
	int i, rv = 0;

	for (i = 0; i < 1000 && !rv; i++)
		rv = s3_xml_feed(x, "<a>", 3);
	assert_int_equal(rv, -EBADMSG);
	assert_true(i < 100);
}

static void keys_with_a_nul_are_set_aside(void **state ATTR_UNUSED)
{
	const struct s3_listing *l = s3_xml_listing(x);

	assert_int_equal(
		parse("<ListBucketResult><EncodingType>url</EncodingType>"
		      "<Contents><Key>a%00b</Key><ETag>x</ETag></Contents>"
		      "<Contents><Key>a%2500b</Key><ETag>y</ETag></Contents>"
		      "<CommonPrefixes><Prefix>%00/</Prefix></CommonPrefixes>"
		      "<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>"
		      "</ListBucketResult>"),
		S3_ROOT_LISTING);
	assert_int_equal(l->n_objects, 1);
	assert_string_equal(l->objects[0].key, "a%00b");
	assert_string_equal(l->objects[0].etag, "y");
	assert_int_equal(l->n_prefixes, 1);
	assert_string_equal(l->prefixes[0], "p/");
	assert_int_equal(l->n_nuls, 2);
	assert_string_equal(l->nuls[0], "a%00b");
	assert_string_equal(l->nuls[1], "%00/");
	assert_int_equal(parse("<ListBucketResult><Contents><Key>a&#0;b</Key>"
			       "<ETag>x</ETag></Contents></ListBucketResult>"),
			 S3_ROOT_NONE);
}

static void characters_that_xml_forbids_are_taken(void **state ATTR_UNUSED)
{
	const struct s3_listing *l = s3_xml_listing(x);

	assert_int_equal(
		parse("<ListBucketResult><Prefix>&#x02;</Prefix>"
		      "<IsTruncated>true</IsTruncated><NextContinuationToken>"
		      "a&#x01;b\xef\xbf\xbe</NextContinuationToken>"
		      "<Contents><Key>&#x1f;</Key><ETag>x</ETag></Contents>"
		      "</ListBucketResult>"),
		S3_ROOT_LISTING);
	assert_string_equal(l->next, "a\1b\xef\xbf\xbe");
	assert_string_equal(l->objects[0].key, "\x1f");
}

static void times_without_their_fraction(void **state ATTR_UNUSED)
{
	assert_int_equal(s3_xml_time("1970-01-01T00:00:00.000Z"), 0);
	assert_int_equal(s3_xml_time("2026-11-23T05:00:00.123Z"), 1795410000);
	assert_int_equal(s3_xml_time("yesterday"), 0);
}

TEST_MAIN(TEST_WITH(a_page_is_read_in_any_pieces),
	  TEST_WITH(a_page_that_is_not_whole_is_none),
	  TEST_WITH(names_are_decoded_only_if_they_were_encoded),
	  TEST_WITH(an_error_has_code_message_and_region),
	  TEST_WITH(what_could_mislead_is_refused),
	  TEST_WITH(a_text_without_end_is_refused), TEST_WITH(depth_has_an_end),
	  TEST_WITH(keys_with_a_nul_are_set_aside),
	  TEST_WITH(characters_that_xml_forbids_are_taken),
	  TEST_WITH(times_without_their_fraction))
