#include "lib/test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/mem.h"
#include "lib/http_fake.h"
#include "lib/sim.h"
#include "lib/tempdir.h"
#include "runtime/loop_uv.h"
#include "ufs/s3_credentials.h"

static struct fixture {
	struct loop *sim, *real, *loop;
	struct http_fake *server;
	struct s3_credentials *c;
	struct s3_keys_wait wait;
	struct err err;
	char *home, *aws;
	char url[64];
	int code, calls;
	time_t now;
} f;

static time_t wall(void)
{
	return f.now;
}

static const char *const variables[] = {
	"AWS_ACCESS_KEY_ID",
	"AWS_SECRET_ACCESS_KEY",
	"AWS_SESSION_TOKEN",
	"AWS_PROFILE",
	"AWS_SHARED_CREDENTIALS_FILE",
	"AWS_CONFIG_FILE",
	"AWS_ROLE_ARN",
	"AWS_WEB_IDENTITY_TOKEN_FILE",
	"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
	"AWS_CONTAINER_CREDENTIALS_FULL_URI",
	"AWS_EC2_METADATA_SERVICE_ENDPOINT",
};

static int setup(void **state ATTR_UNUSED)
{
	size_t i;

	signal(SIGPIPE, SIG_IGN);
	for (i = 0; i < ARRAY_SIZE(variables); i++)
		unsetenv(variables[i]);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	f = (struct fixture){ .sim = sim_new(), .real = loop_uv_new() };
	f.now = 2000000000;
	f.loop = f.sim;
	f.server = http_fake_new(f.real);
	snprintf(f.url, sizeof(f.url), "http://127.0.0.1:%d",
		 http_fake_port(f.server));
	f.home = tempdir_make();
	f.aws = mem_printf("%s/.aws", f.home);
	assert_int_equal(mkdir(f.aws, 0700), 0);
	setenv("HOME", f.home, 1);
	return 0;
}

static void forget(void)
{
	if (f.c)
		s3_credentials_free(f.c);
	f.c = NULL;
	f.err = (struct err){ 0 };
}

static int teardown(void **state ATTR_UNUSED)
{
	forget();
	http_fake_free(f.server);
	loop_uv_free(f.real);
	sim_free(f.sim);
	free(f.aws);
	tempdir_remove(f.home);
	return 0;
}

static int load(const struct ufs_option *options, unsigned n, bool amazon)
{
	const struct s3_options o = { options, n };

	forget();
	return s3_credentials_new(&f.c,
				  &(struct s3_credentials_config){
					  .loop = f.loop,
					  .options = &o,
					  .region = "r",
					  .amazon = amazon,
					  .wall = wall,
				  },
				  &f.err);
}

#define LOAD(...)                                           \
	load((struct ufs_option[]){ __VA_ARGS__ },          \
	     sizeof((struct ufs_option[]){ __VA_ARGS__ }) / \
		     sizeof(struct ufs_option),             \
	     false)

/* Signed with "ID" and "ID-secret"? */
static void check_keys(const char *id)
{
	const struct s3_keys *k;
	char secret[64];

	assert_true(s3_credentials_ready(f.c));
	k = s3_credentials_keys(f.c);
	assert_non_null(k);
	snprintf(secret, sizeof(secret), "%s-secret", id);
	assert_string_equal(k->access_key, id);
	assert_string_equal(k->secret_key, secret);
}

static void check_none(void)
{
	assert_true(s3_credentials_ready(f.c));
	assert_null(s3_credentials_keys(f.c));
	assert_true(s3_credentials_missing(f.c));
}

/* As a file in ~/.aws has it. */
static void write_profile(const char *file, const char *section, const char *id)
{
	char *text = mem_printf("[%s]\naws_access_key_id=%s\n"
				"aws_secret_access_key=%s-secret\n",
				section, id, id);

	tempdir_file(f.aws, file, text);
	free(text);
}

static void on_wait(struct s3_keys_wait *w, int code, const struct err *err)
{
	assert_ptr_equal(w, &f.wait);
	f.calls++;
	f.code = code;
	if (code)
		f.err = *err;
	if (f.loop == f.real)
		loop_uv_stop(f.loop);
}

static int run_wait(void)
{
	assert_int_equal(f.calls, 0);
	if (f.loop == f.real)
		loop_uv_run(f.loop);
	else
		sim_run(f.loop, 0);
	assert_int_equal(f.calls, 1);
	return f.code;
}

static int wait_for_keys(void)
{
	f.calls = 0;
	f.wait = (struct s3_keys_wait){ .done = on_wait };
	s3_credentials_wait(f.c, &f.wait);
	return run_wait();
}

static int refused(unsigned number)
{
	f.calls = 0;
	f.wait = (struct s3_keys_wait){ .done = on_wait };
	s3_credentials_refused(f.c, number, &f.wait);
	return run_wait();
}

static void half_a_key_is_refused(void **state ATTR_UNUSED)
{
	assert_int_equal(LOAD({ "aws.accessKeyId", "a" }), -EINVAL);
	assert_string_equal(f.err.msg, "aws.secretKey is missing: it belongs "
				       "to aws.accessKeyId");
	assert_int_equal(LOAD({ "s3a.secretKey", "topsecret" }), -EINVAL);
	assert_string_equal(f.err.msg, "aws.accessKeyId is missing: it belongs "
				       "to aws.secretKey");
	assert_int_equal(LOAD({ "aws.roleArn", "arn" }), -EINVAL);
}

static void keys_come_from_the_first_place_that_has_any(
	void **state ATTR_UNUSED)
{
	assert_int_equal(load(NULL, 0, false), 0);
	check_none();
	write_profile("config", "default", "config");
	assert_int_equal(load(NULL, 0, false), 0);
	check_keys("config");
	write_profile("credentials", "default", "file");
	assert_int_equal(load(NULL, 0, false), 0);
	check_keys("file");
	setenv("AWS_ACCESS_KEY_ID", "env", 1);
	assert_int_equal(load(NULL, 0, false), 0);
	check_keys("file"); /* half a key in the environment is none */
	setenv("AWS_SECRET_ACCESS_KEY", "env-secret", 1);
	setenv("AWS_SESSION_TOKEN", "env-token", 1);
	assert_int_equal(load(NULL, 0, false), 0);
	check_keys("env");
	assert_string_equal(s3_credentials_keys(f.c)->session_token,
			    "env-token");
	assert_int_equal(LOAD({ "aws.profile", "default" }), 0);
	check_keys("file"); /* it was asked for */
	assert_int_equal(LOAD({ "aws.accessKeyId", "given" },
			      { "aws.secretKey", "given-secret" }),
			 0);
	check_keys("given");
	assert_null(s3_credentials_keys(f.c)->session_token);
}

static void a_profile_that_is_not_there_is_named(void **state ATTR_UNUSED)
{
	assert_int_equal(LOAD({ "aws.profile", "none" }), -ENOENT);
	assert_non_null(strstr(f.err.msg, "profile none is neither in "));
	setenv("AWS_PROFILE", "none", 1);
	assert_int_equal(load(NULL, 0, false), -ENOENT);
	tempdir_file(f.aws, "config", "[profile none]\nsource_profile=x\n");
	assert_int_equal(load(NULL, 0, false), -EINVAL);
	assert_non_null(strstr(f.err.msg, "profile none has no keys: "));
	tempdir_file(f.aws, "config", "[profile none]\nregion=x\n");
	assert_int_equal(load(NULL, 0, false), 0);
	check_none();
}

static void a_file_is_read_again_when_it_changed(void **state ATTR_UNUSED)
{
	unsigned number;

	write_profile("credentials", "default", "one");
	assert_int_equal(load(NULL, 0, false), 0);
	check_keys("one");
	number = s3_credentials_number(f.c);
	write_profile("credentials", "default", "second");
	check_keys("one");
	sim_run(f.sim, 5000);
	check_keys("second");
	assert_int_not_equal(s3_credentials_number(f.c), number);
	/* not without keys because somebody is writing it */
	tempdir_file(f.aws, "credentials", "[default]\naws_access_key_id=");
	sim_run(f.sim, 5000);
	check_keys("second");
}

static void a_file_that_comes_later_is_found(void **state ATTR_UNUSED)
{
	assert_int_equal(load(NULL, 0, false), 0);
	check_none();
	write_profile("credentials", "default", "late");
	sim_run(f.sim, 5000);
	check_keys("late");
	assert_false(s3_credentials_missing(f.c));
}

static void a_refusal_looks_at_once(void **state ATTR_UNUSED)
{
	unsigned number;

	write_profile("credentials", "default", "one");
	assert_int_equal(load(NULL, 0, false), 0);
	number = s3_credentials_number(f.c);
	assert_int_equal(refused(number), -EACCES);
	write_profile("credentials", "default", "second");
	assert_int_equal(refused(number), 0);
	check_keys("second");
	/* another that was under way with the old ones */
	assert_int_equal(refused(number), 0);
	assert_int_equal(refused(s3_credentials_number(f.c)), -EACCES);
}

static void who_waits_may_forget_it(void **state ATTR_UNUSED)
{
	assert_int_equal(load(NULL, 0, false), 0);
	f.wait = (struct s3_keys_wait){ .done = on_wait };
	s3_credentials_wait(f.c, &f.wait);
	s3_credentials_forget(&f.wait);
	sim_run(f.sim, 1000);
	assert_int_equal(f.calls, 0);
}

/* From here on keys are asked for, on a real loop. */

static void answer(const char *status, const char *body)
{
	char *raw = mem_printf("HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s",
			       status, strlen(body), body);

	http_fake_answer(f.server, raw, false);
	free(raw);
}

static void issue(const char *id, int valid_s)
{
	time_t at = f.now + valid_s;
	char when[64], *json;
	struct tm tm;

	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&at, &tm));
	json = mem_printf("{\"AccessKeyId\":\"%s\",\"SecretAccessKey\":"
			  "\"%s-secret\",\"Token\":\"t\",\"Expiration\":"
			  "\"%s\"}",
			  id, id, when);
	answer("200 OK", json);
	free(json);
}

static void load_container(void)
{
	f.loop = f.real;
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f.url, 1);
	assert_int_equal(load(NULL, 0, false), 0);
}

static void keys_are_asked_for_when_first_needed(void **state ATTR_UNUSED)
{
	load_container();
	assert_int_equal(http_fake_requests(f.server), 0);
	assert_false(s3_credentials_ready(f.c));
	issue("one", 3600);
	assert_int_equal(wait_for_keys(), 0);
	check_keys("one");
	assert_string_equal(s3_credentials_keys(f.c)->session_token, "t");
	assert_int_equal(http_fake_requests(f.server), 1);
}

static void many_who_wait_ask_once(void **state ATTR_UNUSED)
{
	struct s3_keys_wait other = { .done = on_wait };

	load_container();
	issue("one", 3600);
	s3_credentials_wait(f.c, &other);
	s3_credentials_forget(&other);
	assert_int_equal(wait_for_keys(), 0);
	assert_int_equal(http_fake_requests(f.server), 1);
}

static void stop(struct timer *t ATTR_UNUSED)
{
	loop_uv_stop(f.real);
}

static void turn(unsigned ms)
{
	struct timer t = { 0 };

	list_init(&t.link);
	loop_timer_start(f.real, &t, ms, stop);
	loop_uv_run(f.real);
}

static void what_nears_its_end_is_renewed_meanwhile(void **state ATTR_UNUSED)
{
	load_container();
	issue("one", 3600);
	assert_int_equal(wait_for_keys(), 0);
	f.now += 3600 - 301;
	check_keys("one");
	turn(1);
	assert_int_equal(http_fake_requests(f.server), 1);
	f.now++;
	check_keys("one"); /* which are good until there are others */
	issue("second", 3600);
	while (strcmp(s3_credentials_keys(f.c)->access_key, "one") == 0)
		turn(1);
	check_keys("second");
	assert_int_equal(http_fake_requests(f.server), 2);
}

static void a_renewal_that_fails_leaves_what_there_is(void **state ATTR_UNUSED)
{
	load_container();
	issue("one", 100);
	assert_int_equal(wait_for_keys(), 0);
	f.now += 75; /* three quarters of a short life */
	answer("500 Oops", "");
	check_keys("one");
	issue("second", 3600);
	while (strcmp(s3_credentials_keys(f.c)->access_key, "one") == 0) {
		assert_true(s3_credentials_ready(f.c));
		turn(5);
	}
	check_keys("second");
	assert_int_equal(http_fake_requests(f.server), 3);
}

static void expired_keys_are_waited_for(void **state ATTR_UNUSED)
{
	load_container();
	issue("one", 100);
	assert_int_equal(wait_for_keys(), 0);
	f.now += 100;
	issue("second", -5); /* by the issuer's clock, which goes before ours */
	assert_false(s3_credentials_ready(f.c));
	assert_int_equal(wait_for_keys(), 0);
	check_keys("second");
}

static void a_refusal_of_the_issuer_is_the_requests(void **state ATTR_UNUSED)
{
	load_container();
	answer("403 No", "<Code>AccessDenied</Code>");
	assert_int_equal(wait_for_keys(), -EACCES);
	assert_non_null(strstr(f.err.msg, "no keys from http://127.0.0.1:"));
	/* who asks again at once is answered, the issuer is left alone */
	assert_int_equal(wait_for_keys(), -EACCES);
	assert_int_equal(http_fake_requests(f.server), 1);
}

static void refused_keys_are_renewed_once_in_a_while(void **state ATTR_UNUSED)
{
	unsigned number;

	load_container();
	issue("one", 3600);
	assert_int_equal(wait_for_keys(), 0);
	number = s3_credentials_number(f.c);
	assert_int_equal(refused(number), -EACCES); /* they are fresh */
	assert_int_equal(http_fake_requests(f.server), 1);
}

static void a_machine_without_a_role_signs_nothing(void **state ATTR_UNUSED)
{
	f.loop = f.real;
	setenv("AWS_EC2_METADATA_DISABLED", "false", 1);
	assert_int_equal(load(NULL, 0, false), 0);
	check_none(); /* not Amazon's: such keys are not shown to others */
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f.url, 1);
	assert_int_equal(load(NULL, 0, false), 0);
	answer("200 OK", "session");
	answer("200 OK", "role");
	issue("machine", 3600);
	assert_false(s3_credentials_ready(f.c));
	assert_int_equal(wait_for_keys(), 0);
	check_keys("machine");
}

static void a_web_identity_may_be_in_a_profile(void **state ATTR_UNUSED)
{
	char *text = mem_printf("[default]\nrole_arn=arn\n"
				"web_identity_token_file=%s/token\n",
				f.aws);

	f.loop = f.real;
	tempdir_file(f.aws, "config", text);
	tempdir_file(f.aws, "token", "jwt");
	assert_int_equal(LOAD({ "aws.stsEndpoint", f.url }), 0);
	answer("200 OK", "<AccessKeyId>web</AccessKeyId><SecretAccessKey>"
			 "web-secret</SecretAccessKey>");
	assert_int_equal(wait_for_keys(), 0);
	check_keys("web");
	assert_non_null(
		strstr(http_fake_all(f.server), "WebIdentityToken=jwt"));
	free(text);
}

static void tokens_go_to_this_machine_alone(void **state ATTR_UNUSED)
{
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1.evil/",
	       1);
	assert_int_equal(load(NULL, 0, false), -EINVAL);
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://other/", 1);
	assert_int_equal(load(NULL, 0, false), -EINVAL);
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "https://other/", 1);
	assert_int_equal(load(NULL, 0, false), 0);
}

TEST_MAIN(TEST_WITH(half_a_key_is_refused),
	  TEST_WITH(keys_come_from_the_first_place_that_has_any),
	  TEST_WITH(a_profile_that_is_not_there_is_named),
	  TEST_WITH(a_file_is_read_again_when_it_changed),
	  TEST_WITH(a_file_that_comes_later_is_found),
	  TEST_WITH(a_refusal_looks_at_once),
	  TEST_WITH(who_waits_may_forget_it),
	  TEST_WITH(keys_are_asked_for_when_first_needed),
	  TEST_WITH(many_who_wait_ask_once),
	  TEST_WITH(what_nears_its_end_is_renewed_meanwhile),
	  TEST_WITH(a_renewal_that_fails_leaves_what_there_is),
	  TEST_WITH(expired_keys_are_waited_for),
	  TEST_WITH(a_refusal_of_the_issuer_is_the_requests),
	  TEST_WITH(refused_keys_are_renewed_once_in_a_while),
	  TEST_WITH(a_machine_without_a_role_signs_nothing),
	  TEST_WITH(a_web_identity_may_be_in_a_profile),
	  TEST_WITH(tokens_go_to_this_machine_alone))
