#include "lib/test.h"

#include <string.h>

#include "base/option.h"

static bool secret(const char *key)
{
	return option_is_secret(key, strlen(key));
}

static void keys_and_tokens_are_secret(void **state ATTR_UNUSED)
{
	assert_true(secret("aws.accessKeyId"));
	assert_true(secret("aws.secretKey"));
	assert_true(secret("aws.sessionToken"));
	assert_true(secret("s3a.accessKeyId"));
	assert_true(secret("s3a.secretKey"));
	assert_true(secret("azure.account-KEY"));
	assert_true(secret("some.new.Password"));
}

static void the_rest_is_shown(void **state ATTR_UNUSED)
{
	assert_false(secret("s3.endpoint"));
	assert_false(secret("aws.profile"));
	assert_false(secret("aws.credentialsFile"));
	assert_false(secret("aws.identityTokenFile"));
	assert_false(secret("s3.region"));
	assert_false(secret("s3.ca-file"));
	assert_false(secret("kerberos.key-file"));
	assert_false(secret("uid"));
	assert_false(secret(""));
}

TEST_MAIN(TEST(keys_and_tokens_are_secret), TEST(the_rest_is_shown))
