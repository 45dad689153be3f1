#include "lib/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ufs/s3_keys.h"

static struct s3_keys k;

static int setup(void **state ATTR_UNUSED)
{
	k = (struct s3_keys){ 0 };
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	s3_keys_close(&k);
	return 0;
}

#define SECOND "2033-05-18T03:33:20"

static void a_machines_answer_has_keys(void **state ATTR_UNUSED)
{
	assert_int_equal(
		s3_keys_from_json(&k,
				  "{\n \"Code\" : \"Success\",\n"
				  " \"Note\": \"\\\"AccessKeyId\\\": 1\",\n"
				  " \"AccessKeyId\" : \"id\",\n"
				  " \"SecretAccessKey\":\"a\\/b+c=\",\n"
				  " \"Token\" : \"token\", \"Old\": [1, {}],\n"
				  " \"Expiration\" : \"" SECOND "Z\"\n}"),
		0);
	assert_string_equal(k.access_key, "id");
	assert_string_equal(k.secret_key, "a/b+c=");
	assert_string_equal(k.session_token, "token");
	assert_int_equal(k.expires, 2000000000);
}

static void a_services_answer_has_keys(void **state ATTR_UNUSED)
{
	assert_int_equal(
		s3_keys_from_xml(&k, "<A xmlns=\"x\"><R><Credentials>"
				     "<AccessKeyId>id</AccessKeyId>"
				     "<SecretAccessKey>s+/=</SecretAccessKey>"
				     "<SessionToken>t</SessionToken>"
				     "<Expiration>" SECOND ".123Z</Expiration>"
				     "</Credentials></R></A>"),
		0);
	assert_string_equal(k.secret_key, "s+/=");
	assert_string_equal(k.session_token, "t");
	assert_int_equal(k.expires, 2000000000);
}

/* Cut anywhere, an answer is refused or whole, and nothing is read beyond. */
static void half_an_answer_has_none(void **state ATTR_UNUSED)
{
	static const char json[] = "{\"AccessKeyId\":\"id\",\"Token\":\"\","
				   "\"SecretAccessKey\":\"s\\/\"}";
	char *part;
	size_t len;

	for (len = 0; len < sizeof(json) - 2; len++) {
		part = mem_strn(json, len);
		assert_int_equal(s3_keys_from_json(&k, part), -EBADMSG);
		free(part);
	}
	assert_int_equal(s3_keys_from_json(&k, json), 0);
	assert_null(k.session_token);
	assert_int_equal(k.expires, 0);
}

static void what_are_no_keys_is_refused(void **state ATTR_UNUSED)
{
	static const char *const none[] = {
		"",
		"<html></html>",
		"{\"Code\":\"Failed\"}",
		"\"\\",
		"{\"AccessKeyId\":\"\",\"SecretAccessKey\":\"\"}",
		"{\"AccessKeyId\":7,\"SecretAccessKey\":\"x\"}",
		"{\"AccessKeyId\":\"\\u0041\",\"SecretAccessKey\":\"x\"}",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(none); i++) {
		assert_int_equal(s3_keys_from_json(&k, none[i]), -EBADMSG);
		assert_int_equal(s3_keys_from_xml(&k, none[i]), -EBADMSG);
		assert_null(k.access_key);
	}
	assert_int_equal(s3_keys_from_xml(&k, "<AccessKeyId>a</AccessKeyId>"
					      "<SecretAccessKey>b&amp;"
					      "</SecretAccessKey>"),
			 -EBADMSG);
}

static void equal_keys_may_end_at_different_times(void **state ATTR_UNUSED)
{
	char id[] = "id", secret[] = "s", token[] = "t";
	const struct s3_keys a = { id, secret, NULL, 1 };
	const struct s3_keys b = { id, secret, NULL, 2 };
	const struct s3_keys c = { id, secret, token, 1 };

	assert_true(s3_keys_equal(&a, &b));
	assert_false(s3_keys_equal(&a, &c));
}

TEST_MAIN(TEST_WITH(a_machines_answer_has_keys),
	  TEST_WITH(a_services_answer_has_keys),
	  TEST_WITH(half_an_answer_has_none),
	  TEST_WITH(what_are_no_keys_is_refused),
	  TEST_WITH(equal_keys_may_end_at_different_times))
