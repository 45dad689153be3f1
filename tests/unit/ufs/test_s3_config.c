#include "lib/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/tempdir.h"
#include "ufs/s3_config.h"

static struct s3_config c;
static struct err err;
static char *home;

static const char *const variables[] = {
	"AWS_REGION",      "AWS_ENDPOINT_URL",
	"AWS_CA_BUNDLE",   "AWS_ENDPOINT_URL_S3",
	"AWS_PROFILE",     "AWS_DEFAULT_REGION",
	"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE",
};

static int setup(void **state ATTR_UNUSED)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(variables); i++)
		unsetenv(variables[i]);
	home = tempdir_make();
	setenv("HOME", home, 1);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	s3_config_close(&c);
	tempdir_remove(home);
	return 0;
}

static int load(const char *root, const struct ufs_option *options, unsigned n)
{
	s3_config_close(&c);
	err = (struct err){ 0 };
	return s3_config_load(&c, root, &(struct s3_options){ options, n },
			      &err);
}

#define LOAD(root, ...)                                     \
	load(root, (struct ufs_option[]){ __VA_ARGS__ },    \
	     sizeof((struct ufs_option[]){ __VA_ARGS__ }) / \
		     sizeof(struct ufs_option))

static void amazon_is_the_default(void **state ATTR_UNUSED)
{
	assert_int_equal(load("bucket", NULL, 0), 0);
	assert_string_equal(c.origin, "https://bucket.s3.us-east-1."
				      "amazonaws.com");
	assert_string_equal(c.base, "/");
	assert_string_equal(c.prefix, "");
	assert_string_equal(c.region, "us-east-1");
	assert_true(c.tls && s3_config_is_amazon(&c) && !c.anonymous);
	/* no certificate fits a name with dots */
	assert_int_equal(LOAD("a.bucket", { "s3.region", "eu-west-1" }), 0);
	assert_string_equal(c.origin, "https://s3.eu-west-1.amazonaws.com");
	assert_string_equal(c.base, "/a.bucket/");
}

static void other_servers_have_the_bucket_in_the_path(void **state ATTR_UNUSED)
{
	assert_int_equal(LOAD("bucket/some/where//",
			      { "s3.endpoint", "http://minio:9000/" }),
			 0);
	assert_string_equal(c.origin, "http://minio:9000");
	assert_string_equal(c.host, "minio:9000");
	assert_string_equal(c.base, "/bucket/");
	assert_string_equal(c.prefix, "some/where/");
	assert_false(c.tls);
	assert_int_equal(LOAD("bucket", { "s3.endpoint", "minio:443" },
			      { "s3.path-style", "false" }),
			 0);
	assert_string_equal(c.origin, "https://bucket.minio");
	assert_string_equal(c.base, "/");
	assert_int_equal(LOAD("bucket", { "s3.endpoint", "http://h:80" }), 0);
	assert_string_equal(c.host, "h");
}

static void bad_values_are_refused_by_name(void **state ATTR_UNUSED)
{
	assert_int_equal(LOAD("bucket", { "s3.path-style", "maybe" }), -EINVAL);
	assert_string_equal(err.msg, "s3.path-style=maybe: either true or "
				     "false is wanted");
	assert_int_equal(LOAD("bucket", { "s3.endpoint", "http://a/b" }),
			 -EINVAL);
	assert_non_null(strstr(err.msg, "s3.endpoint=http://a/b: "));
	assert_int_equal(LOAD("bucket", { "s3.endpoint", "http://" }), -EINVAL);
	assert_int_equal(LOAD("bucket", { "s3.endpoint", "http://u@h" }),
			 -EINVAL);
	assert_int_equal(LOAD("bucket", { "s3.ca-file", "ca.pem" }), -EINVAL);
	assert_int_equal(LOAD("bucket", { "s3.ca-file", "/no/ca.pem" }),
			 -ENOENT);
	assert_string_equal(err.msg, "s3.ca-file=/no/ca.pem: No such file or "
				     "directory");
	assert_int_equal(LOAD("bucket", { "s3.ca-file", "/no/ca.pem" },
			      { "s3.endpoint", "http://h" }),
			 0); /* which it needs not */
	assert_int_equal(LOAD("bucket", { "s3.timeout", "0" }), -EINVAL);
	assert_string_equal(err.msg, "s3.timeout=0: a number from 1s to 600s "
				     "is wanted");
	assert_int_equal(LOAD("bucket", { "s3.timeout", "5m" }), -EINVAL);
	assert_int_equal(LOAD("bucket", { "s3.timeout", "601" }), -EINVAL);
	assert_int_equal(LOAD("bucket", { "s3.timeout", "-1" }), -EINVAL);
	assert_int_equal(LOAD("bucket", { "s3.attempts", "101" }), -EINVAL);
	assert_string_equal(err.msg, "s3.attempts=101: a number from 1 to 100 "
				     "is wanted");
	assert_int_equal(LOAD("bucket", { "s3.attempts", "" }), -EINVAL);
	assert_int_equal(LOAD("bucket", { "s3.verify", "sha1" }), -EINVAL);
	assert_string_equal(err.msg, "s3.verify=sha1: none, crc32c or md5 is "
				     "wanted");
	assert_int_equal(load("", NULL, 0), -EINVAL);
	assert_int_equal(load("ab", NULL, 0), -EINVAL);
	assert_int_equal(load("my bucket", NULL, 0), -EINVAL);
	assert_string_equal(err.msg, "\"my bucket\" is no name of a bucket");
}

static void patience_and_checks_are_options(void **state ATTR_UNUSED)
{
	assert_int_equal(load("bucket", NULL, 0), 0);
	assert_int_equal(c.timeout_s, 20);
	assert_int_equal(c.attempts, 10);
	assert_int_equal(c.verify, S3_VERIFY_CRC32C);
	assert_int_equal(LOAD("bucket", { "s3.timeout", "5s" },
			      { "s3.attempts", "3" }, { "s3.verify", "md5" }),
			 0);
	assert_int_equal(c.timeout_s, 5);
	assert_int_equal(c.attempts, 3);
	assert_int_equal(c.verify, S3_VERIFY_MD5);
	assert_int_equal(LOAD("bucket", { "s3.timeout", "600" }), 0);
	assert_int_equal(c.timeout_s, 600);
}

static void amazons_host_moves_with_the_region(void **state ATTR_UNUSED)
{
	assert_int_equal(load("bucket", NULL, 0), 0);
	s3_config_move(&c, "eu-west-1");
	assert_string_equal(c.region, "eu-west-1");
	assert_string_equal(c.host, "bucket.s3.eu-west-1.amazonaws.com");
	assert_string_equal(c.origin,
			    "https://bucket.s3.eu-west-1.amazonaws.com");
	assert_string_equal(c.base, "/");
	assert_int_equal(LOAD("a.b", { "s3.endpoint",
				       "https://s3.us-east-1.amazonaws.com" }),
			 0);
	s3_config_move(&c, "eu-west-1");
	assert_string_equal(c.origin, "https://s3.eu-west-1.amazonaws.com");
	assert_string_equal(c.base, "/a.b/");
	/* all others are where they are */
	assert_int_equal(LOAD("bucket", { "s3.endpoint", "http://h" }), 0);
	s3_config_move(&c, "eu-west-1");
	assert_string_equal(c.region, "eu-west-1");
	assert_string_equal(c.origin, "http://h");
	assert_true(s3_config_is_region("eu-west-1"));
	assert_false(s3_config_is_region(""));
	assert_false(s3_config_is_region("evil.example"));
	assert_false(s3_config_is_region("a/b"));
}

static void options_go_before_the_environment(void **state ATTR_UNUSED)
{
	setenv("AWS_DEFAULT_REGION", "env-region", 1);
	setenv("AWS_ENDPOINT_URL", "http://general", 1);
	assert_int_equal(load("bucket", NULL, 0), 0);
	assert_string_equal(c.region, "env-region");
	assert_string_equal(c.host, "general");
	assert_false(s3_config_is_amazon(&c));
	setenv("AWS_ENDPOINT_URL_S3", "http://special", 1);
	assert_int_equal(LOAD("bucket", { "s3.region", "region" }), 0);
	assert_string_equal(c.region, "region");
	assert_string_equal(c.host, "special");
	assert_int_equal(LOAD("bucket", { "s3.endpoint", "http://given" }), 0);
	assert_string_equal(c.host, "given");
}

static void a_profile_has_a_place_too(void **state ATTR_UNUSED)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/.aws", home);
	assert_int_equal(mkdir(path, 0700), 0);
	tempdir_file(path, "config",
		     "[default]\nregion = here\n[profile far]\nregion=there\n"
		     "endpoint_url = http://far:1\n");
	assert_int_equal(load("bucket", NULL, 0), 0);
	assert_string_equal(c.region, "here");
	assert_int_equal(LOAD("bucket", { "aws.profile", "far" }), 0);
	assert_string_equal(c.region, "there");
	assert_string_equal(c.origin, "http://far:1");
	setenv("AWS_REGION", "env", 1);
	assert_int_equal(LOAD("bucket", { "aws.profile", "far" }), 0);
	assert_string_equal(c.region, "env");
}

static void alluxios_names_say_the_same(void **state ATTR_UNUSED)
{
	assert_int_equal(
		LOAD("bucket", { "alluxio.underfs.s3.endpoint", "minio:9000" },
		     { "alluxio.underfs.s3.endpoint.region", "r" },
		     { "alluxio.underfs.s3.disable.dns.buckets", "false" },
		     { "alluxio.underfs.s3.secure.http.enabled", "false" },
		     { "alluxio.underfs.s3.threads.max", "40" }),
		0);
	assert_string_equal(c.origin, "http://bucket.minio:9000");
	assert_string_equal(c.region, "r");
	assert_int_equal(c.max_requests, 40);
}

static void requests_at_once_have_a_bound(void **state ATTR_UNUSED)
{
	assert_int_equal(LOAD("bucket", { "s3.max-requests", "512" },
			      { "s3.requester-pays", "true" }),
			 0);
	assert_int_equal(c.max_requests, 512);
	assert_true(c.requester_pays);
	assert_int_equal(LOAD("bucket", { "s3.max-requests", "513" }), -EINVAL);
	assert_string_equal(err.msg, "s3.max-requests=513: a number from 1 to "
				     "512 is wanted");
	assert_int_equal(LOAD("bucket", { "s3.max-requests", "-1" }), -EINVAL);
	assert_int_equal(LOAD("bucket", { "s3.max-requests", "9" },
			      { "s3.min-requests", "10" }),
			 -EINVAL);
	assert_string_equal(err.msg, "s3.min-requests=10: a number from 1 to 9 "
				     "is wanted");
}

TEST_MAIN(TEST_WITH(amazon_is_the_default),
	  TEST_WITH(other_servers_have_the_bucket_in_the_path),
	  TEST_WITH(bad_values_are_refused_by_name),
	  TEST_WITH(patience_and_checks_are_options),
	  TEST_WITH(amazons_host_moves_with_the_region),
	  TEST_WITH(options_go_before_the_environment),
	  TEST_WITH(a_profile_has_a_place_too),
	  TEST_WITH(alluxios_names_say_the_same),
	  TEST_WITH(requests_at_once_have_a_bound))
