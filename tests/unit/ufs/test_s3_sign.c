#include "lib/test.h"

#include <stdio.h>
#include <string.h>

#include "ufs/s3_sign.h"
#include "ufs/text.h"

/* Amazon's own examples; test_s3_sign.py compares with botocore. */
#define DATE "20130524T000000Z"
#define HOST "examplebucket.s3.amazonaws.com"

static const struct s3_scope scope = {
	.access_key = "AKIAIOSFODNN7EXAMPLE",
	.secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
	.region = "us-east-1",
};

static struct s3_signer *s;
static struct text out;

static int setup(void **state ATTR_UNUSED)
{
	s = s3_signer_new();
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	s3_signer_free(s);
	text_close(&out);
	return 0;
}

static const char *sign(const struct s3_scope *sc, const char *date,
			const char *query)
{
	const struct s3_header headers[] = {
		{ "x-amz-date", date },
		{ "Host", HOST },
		{ "x-amz-content-sha256", S3_EMPTY_SHA256 },
	};
	const struct s3_signed_request r = {
		.method = "GET",
		.path = "/",
		.query = query,
		.headers = headers,
		.n_headers = ARRAY_SIZE(headers),
		.payload = S3_EMPTY_SHA256,
		.date = date,
	};

	text_clear(&out);
	s3_sign(s, sc, &r, &out);
	return out.at;
}

#define SIGNED(signature)                                      \
	"AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/"    \
	"20130524/us-east-1/s3/aws4_request, "                 \
	"SignedHeaders=host;x-amz-content-sha256;x-amz-date, " \
	"Signature=" signature

static void amazons_examples_come_out(void **state ATTR_UNUSED)
{
	assert_string_equal(sign(&scope, DATE, "lifecycle"),
			    SIGNED("fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0"
				   "f91ac7a200a0136783543"));
	assert_string_equal(sign(&scope, DATE, "prefix=J&max-keys=2"),
			    SIGNED("34b48302e7b5fa45bde8084f4b7868a86f0a534bc59"
				   "db6670ed5711ef69dc6f7"));
}

static void the_kept_key_is_not_used_for_another(void **state ATTR_UNUSED)
{
	struct s3_scope other = scope;
	char first[300], changed[300];

	snprintf(first, sizeof(first), "%s", sign(&scope, DATE, ""));
	other.secret_key = "another";
	snprintf(changed, sizeof(changed), "%s", sign(&other, DATE, ""));
	assert_string_not_equal(first, changed);
	assert_string_equal(sign(&scope, DATE, ""), first);
	other = scope;
	other.region = "eu-west-1";
	assert_string_not_equal(sign(&other, DATE, ""), first);
	assert_string_not_equal(sign(&scope, "20130525T000000Z", ""), first);
	assert_string_equal(sign(&scope, DATE, ""), first);
}

static void dates_are_in_universal_time(void **state ATTR_UNUSED)
{
	char date[S3_DATE_LEN + 1];

	s3_date(date, 1369353600);
	assert_string_equal(date, DATE);
	s3_date(date, 1795410061);
	assert_string_equal(date, "20261123T050101Z");
}

TEST_MAIN(TEST_WITH(amazons_examples_come_out),
	  TEST_WITH(the_kept_key_is_not_used_for_another),
	  TEST_WITH(dates_are_in_universal_time))
