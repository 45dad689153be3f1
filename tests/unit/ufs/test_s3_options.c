#include "lib/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ufs/s3_options.h"

#define GIVEN(...)                                                     \
	{                                                              \
		(struct ufs_option[]){ __VA_ARGS__ },                  \
			sizeof((struct ufs_option[]){ __VA_ARGS__ }) / \
				sizeof(struct ufs_option)              \
	}

static struct err err;

static void an_alias_is_found_by_our_name(void **state ATTR_UNUSED)
{
	const struct s3_options o = GIVEN({ "s3a.accessKeyId", "id" },
					  { "alluxio.underfs.s3.region", "r" },
					  { "s3.endpoint", "e" });

	assert_int_equal(s3_options_check(&o, &err), 0);
	assert_string_equal(s3_option(&o, "aws.accessKeyId", NULL), "id");
	assert_string_equal(s3_option(&o, "s3.region", NULL), "r");
	assert_string_equal(s3_option(&o, "s3.endpoint", NULL), "e");
	assert_null(s3_option(&o, "aws.secretKey", NULL));
}

static void what_is_given_goes_before_the_environment(void **state ATTR_UNUSED)
{
	const struct s3_options none = { 0 };
	const struct s3_options o = GIVEN({ "s3.region", "given" });
	const struct s3_options empty = GIVEN({ "s3.region", "" });

	setenv("ACACHED_TEST", "environment", 1);
	assert_string_equal(s3_option(&o, "s3.region", "ACACHED_TEST"),
			    "given");
	assert_string_equal(s3_option(&none, "s3.region", "ACACHED_TEST"),
			    "environment");
	/* an option may be given empty to say: not that of the environment */
	assert_null(s3_option(&empty, "s3.region", "ACACHED_TEST"));
	setenv("ACACHED_TEST", "", 1);
	assert_null(s3_option(&none, "s3.region", "ACACHED_TEST"));
}

static void two_names_of_one_thing_must_agree(void **state ATTR_UNUSED)
{
	const struct s3_options same = GIVEN(
		{ "s3.endpoint", "e" }, { "alluxio.underfs.s3.endpoint", "e" });
	const struct s3_options other = GIVEN({ "aws.secretKey", "hidden" },
					      { "s3a.secretKey", "veiled" });

	assert_int_equal(s3_options_check(&same, &err), 0);
	assert_int_equal(s3_options_check(&other, &err), -EINVAL);
	assert_string_equal(err.msg, "aws.secretKey and s3a.secretKey mean the "
				     "same, and are not");
}

static void what_has_no_effect_is_taken(void **state ATTR_UNUSED)
{
	const struct s3_options o =
		GIVEN({ "alluxio.underfs.s3.inherit.acl", "false" },
		      { "alluxio.underfs.s3.upload.threads.max", "20" });

	assert_int_equal(s3_options_check(&o, &err), 0);
}

static void values_that_are_none_are_named(void **state ATTR_UNUSED)
{
	const struct s3_options o =
		GIVEN({ "alluxio.underfs.s3.threads.max", "many" },
		      { "alluxio.underfs.s3.disable.dns.buckets", "yes" });
	unsigned n = 7;
	bool b = true;

	assert_int_equal(
		s3_option_number(&o, "s3.max-requests", 9, "", &n, &err),
		-EINVAL);
	assert_string_equal(err.msg, "alluxio.underfs.s3.threads.max=many: a "
				     "number from 1 to 9 is wanted");
	assert_int_equal(s3_option_bool(&o, "s3.path-style", &b, &err),
			 -EINVAL);
	assert_int_equal(s3_option_bool(&o, "s3.tls", &b, &err), 0);
	assert_true(b && n == 7);
}

static void every_name_is_there_once(void **state ATTR_UNUSED)
{
	const char *const *a, *const *b;

	for (a = s3_option_names; *a; a++)
		for (b = a + 1; *b; b++)
			assert_string_not_equal(*a, *b);
	assert_true(a - s3_option_names > 20);
}

TEST_MAIN(TEST(an_alias_is_found_by_our_name),
	  TEST(what_is_given_goes_before_the_environment),
	  TEST(two_names_of_one_thing_must_agree),
	  TEST(what_has_no_effect_is_taken),
	  TEST(values_that_are_none_are_named), TEST(every_name_is_there_once))
