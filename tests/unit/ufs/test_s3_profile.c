#include "lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/tempdir.h"
#include "ufs/s3_options.h"
#include "ufs/s3_profile.h"

static char *dir;
static struct s3_profile p;

static int setup(void **state ATTR_UNUSED)
{
	dir = tempdir_make();
	p = (struct s3_profile){ 0 };
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	s3_profile_close(&p);
	tempdir_remove(dir);
	return 0;
}

static void load(const char *credentials, const char *config, const char *name)
{
	struct s3_profile_place at = { 0 };

	s3_profile_close(&p);
	at.credentials = mem_str(tempdir_file(dir, "credentials", credentials));
	at.config = mem_str(tempdir_file(dir, "config", config));
	at.name = mem_str(name);
	s3_profile_load(&p, &at);
	s3_profile_place_close(&at);
}

static void each_file_names_its_sections_its_own_way(void **state ATTR_UNUSED)
{
	load("# a comment\n[work]\naws_access_key_id = id \r\n"
	     "aws_secret_access_key= s+/=\n"
	     "[profile work]\naws_session_token = not-this\n",
	     "[work]\nregion = not-here\n[ profile  work ]\nregion=here\n",
	     "work");
	assert_true(p.found);
	assert_string_equal(p.access_key, "id");
	assert_string_equal(p.secret_key, "s+/=");
	assert_null(p.session_token);
	assert_string_equal(p.region, "here");
	load("", "[profile default]\nregion=a\n[default]\nregion=b\n",
	     "default");
	assert_string_equal(p.region, "b");
	load("[workers]\nregion=a\n", "[profile workers]\nregion=b\n", "work");
	assert_false(p.found);
}

static void the_credentials_file_goes_first(void **state ATTR_UNUSED)
{
	load("[a]\naws_access_key_id=1\naws_secret_access_key=2\n",
	     "[profile a]\naws_access_key_id=3\naws_secret_access_key=4\n"
	     "aws_session_token=5\n",
	     "a");
	assert_string_equal(p.access_key, "1");
	assert_string_equal(p.secret_key, "2");
	assert_null(p.session_token); /* which belongs to 3 and 4 */
	load("",
	     "[profile a]\naws_access_key_id=3\n"
	     "aws_secret_access_key=4\naws_session_token=5\n",
	     "a");
	assert_string_equal(p.session_token, "5");
}

static void a_role_and_keys_of_others_are_seen(void **state ATTR_UNUSED)
{
	load("",
	     "[profile a]\nrole_arn = arn:aws:iam::1:role/r\n"
	     "web_identity_token_file = /t\nrole_session_name = me\n"
	     "[profile b]\nsource_profile = a\n",
	     "a");
	assert_string_equal(p.role_arn, "arn:aws:iam::1:role/r");
	assert_string_equal(p.token_file, "/t");
	assert_string_equal(p.role_session_name, "me");
	assert_null(p.source);
	load("", "[profile b]\nsource_profile = a\n", "b");
	assert_string_equal(p.source, "a");
}

static void options_say_where_a_profile_is(void **state ATTR_UNUSED)
{
	const struct s3_options none = { 0 };
	struct ufs_option given[] = { { "aws.profile", "p" },
				      { "aws.credentialsFile", "/c" } };
	const struct s3_options o = { given, 2 };
	struct s3_profile_place at;

	setenv("HOME", "/home/me", 1);
	setenv("AWS_CONFIG_FILE", "/f", 1);
	unsetenv("AWS_PROFILE");
	unsetenv("AWS_SHARED_CREDENTIALS_FILE");
	s3_profile_find(&at, &o);
	assert_string_equal(at.name, "p");
	assert_string_equal(at.credentials, "/c");
	assert_string_equal(at.config, "/f");
	assert_true(at.by_name);
	s3_profile_place_close(&at);
	unsetenv("AWS_CONFIG_FILE");
	s3_profile_find(&at, &none);
	assert_string_equal(at.name, "default");
	assert_string_equal(at.credentials, "/home/me/.aws/credentials");
	assert_string_equal(at.config, "/home/me/.aws/config");
	assert_false(at.by_name);
	s3_profile_place_close(&at);
}

static void a_file_that_is_replaced_has_another_stamp(void **state ATTR_UNUSED)
{
	char *path = mem_str(tempdir_file(dir, "f", "one"));
	char *other = mem_str(tempdir_file(dir, "g", "two"));
	struct s3_stamp before = s3_stamp_of(path), now = s3_stamp_of(path);

	assert_true(s3_stamp_equal(&before, &now));
	assert_int_equal(rename(other, path), 0);
	now = s3_stamp_of(path);
	assert_false(s3_stamp_equal(&before, &now));
	unlink(path);
	before = now;
	now = s3_stamp_of(path);
	assert_false(s3_stamp_equal(&before, &now));
	free(path);
	free(other);
}

TEST_MAIN(TEST_WITH(each_file_names_its_sections_its_own_way),
	  TEST_WITH(the_credentials_file_goes_first),
	  TEST_WITH(a_role_and_keys_of_others_are_seen),
	  TEST_WITH(options_say_where_a_profile_is),
	  TEST_WITH(a_file_that_is_replaced_has_another_stamp))
