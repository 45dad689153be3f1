#include "lib/test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "lib/http_fake.h"
#include "lib/tempdir.h"
#include "runtime/loop_uv.h"
#include "ufs/s3_issuer.h"

static struct fixture {
	struct loop *loop;
	struct http_fake *server;
	struct s3_issuer *issuer;
	char *dir, *token_file;
	char url[64];
	struct s3_keys keys;
	struct err err;
	int code, calls;
} f;

static void on_issued(void *owner, int code, struct s3_keys *keys,
		      const struct err *err)
{
	assert_ptr_equal(owner, &f);
	f.calls++;
	f.code = code;
	if (code)
		f.err = *err;
	else
		f.keys = *keys;
	loop_uv_stop(f.loop);
}

static int setup(void **state ATTR_UNUSED)
{
	signal(SIGPIPE, SIG_IGN);
	f = (struct fixture){ .loop = loop_uv_new() };
	f.server = http_fake_new(f.loop);
	snprintf(f.url, sizeof(f.url), "http://127.0.0.1:%d",
		 http_fake_port(f.server));
	f.dir = tempdir_make();
	f.token_file = mem_str(tempdir_file(f.dir, "token", "a.b/c+d\n"));
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	if (f.issuer)
		s3_issuer_free(f.issuer);
	s3_keys_close(&f.keys);
	http_fake_free(f.server);
	loop_uv_free(f.loop);
	free(f.token_file);
	tempdir_remove(f.dir);
	return 0;
}

static void make(struct s3_issuer_config c)
{
	c.loop = f.loop;
	c.url = f.url;
	f.issuer = s3_issuer_new(&c, on_issued, &f);
}

static void make_web_identity(void)
{
	make((struct s3_issuer_config){ .kind = S3_WEB_IDENTITY,
					.token_file = f.token_file,
					.role_arn = "arn:aws:iam::1:role/r" });
}

static void ask(void)
{
	f.calls = 0;
	f.err = (struct err){ 0 };
	s3_keys_close(&f.keys);
	s3_issuer_ask(f.issuer);
	assert_int_equal(f.calls, 0);
	loop_uv_run(f.loop);
	assert_int_equal(f.calls, 1);
}

static void answer(const char *status, const char *body)
{
	char *raw = mem_printf("HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s",
			       status, strlen(body), body);

	http_fake_answer(f.server, raw, false);
	free(raw);
}

static bool was_sent(const char *text)
{
	return strstr(http_fake_all(f.server), text) != NULL;
}

#define XML                                                 \
	"<C><AccessKeyId>id</AccessKeyId><SecretAccessKey>" \
	"swordfish</SecretAccessKey><SessionToken>st</SessionToken></C>"
#define JSON                                                         \
	"{\"AccessKeyId\":\"id\",\"SecretAccessKey\":\"swordfish\"," \
	"\"Token\":\"st\",\"Expiration\":\"2033-05-18T03:33:20Z\"}"

static void a_web_identity_is_a_form(void **state ATTR_UNUSED)
{
	make_web_identity();
	answer("200 OK", XML);
	ask();
	assert_int_equal(f.code, 0);
	assert_string_equal(f.keys.secret_key, "swordfish");
	assert_true(was_sent("POST / HTTP/1.1\r\n"));
	assert_true(was_sent("\r\n\r\nAction=AssumeRoleWithWebIdentity&"
			     "Version=2011-06-15&"
			     "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&"
			     "RoleSessionName=acached&"
			     "WebIdentityToken=a.b%2Fc%2Bd"));
}

static void the_token_is_read_for_each_question(void **state ATTR_UNUSED)
{
	make_web_identity();
	answer("200 OK", XML);
	ask();
	tempdir_file(f.dir, "token", "newer");
	answer("200 OK", XML);
	ask();
	assert_true(was_sent("WebIdentityToken=newer"));
	remove(f.token_file);
	ask();
	assert_int_equal(f.code, -EAGAIN);
	assert_non_null(strstr(f.err.msg, "token: No such file"));
}

static void a_machine_is_asked_in_three_steps(void **state ATTR_UNUSED)
{
	make((struct s3_issuer_config){ .kind = S3_INSTANCE });
	answer("200 OK", "session==");
	answer("200 OK", "my role\n");
	answer("200 OK", JSON);
	ask();
	assert_int_equal(f.code, 0);
	assert_string_equal(f.keys.session_token, "st");
	assert_int_equal(f.keys.expires, 2000000000);
	assert_true(was_sent("PUT /latest/api/token HTTP/1.1\r\n"));
	assert_true(was_sent("X-aws-ec2-metadata-token-ttl-seconds: 21600"));
	assert_true(was_sent(
		"GET /latest/meta-data/iam/security-credentials/ HTTP"));
	assert_true(was_sent(
		"GET /latest/meta-data/iam/security-credentials/my%20role "));
	assert_non_null(strstr(http_fake_head(f.server),
			       "X-aws-ec2-metadata-token: session==\r\n"));
}

static void a_container_shows_its_token(void **state ATTR_UNUSED)
{
	make((struct s3_issuer_config){ .kind = S3_CONTAINER,
					.token = "Basic x" });
	answer("200 OK", JSON);
	ask();
	assert_int_equal(f.code, 0);
	assert_string_equal(f.keys.access_key, "id");
	assert_true(was_sent("Authorization: Basic x\r\n"));
}

static void a_refusal_tells_its_code_and_nothing_else(void **state ATTR_UNUSED)
{
	make_web_identity();
	answer("400 Bad", "<E><Code>InvalidIdentityToken</Code><Message>"
			  "a.b/c+d is no token</Message></E>");
	ask();
	assert_int_equal(f.code, -EACCES);
	assert_non_null(strstr(f.err.msg, ": 400 InvalidIdentityToken"));
	assert_null(strstr(f.err.msg, "a.b"));
	answer("503 Busy", "");
	ask();
	assert_int_equal(f.code, -EAGAIN);
	answer("200 OK", "<html>");
	ask();
	assert_int_equal(f.code, -EACCES);
	answer("200 OK", "");
	ask();
	assert_int_equal(f.code, -EACCES);
}

static void a_server_that_is_gone_may_come_back(void **state ATTR_UNUSED)
{
	make_web_identity();
	http_fake_answer(f.server, "", true);
	ask();
	assert_int_equal(f.code, -EAGAIN);
	assert_non_null(strstr(f.err.msg, "no keys from http://127.0.0.1:"));
}

static void stop(struct timer *t ATTR_UNUSED)
{
	loop_uv_stop(f.loop);
}

static void it_may_be_freed_while_it_is_asked(void **state ATTR_UNUSED)
{
	struct timer t = { 0 };

	make_web_identity();
	s3_issuer_ask(f.issuer);
	s3_issuer_free(f.issuer);
	f.issuer = NULL;
	list_init(&t.link);
	loop_timer_start(f.loop, &t, 5, stop);
	loop_uv_run(f.loop);
	assert_int_equal(f.calls, 0);
}

TEST_MAIN(TEST_WITH(a_web_identity_is_a_form),
	  TEST_WITH(the_token_is_read_for_each_question),
	  TEST_WITH(a_machine_is_asked_in_three_steps),
	  TEST_WITH(a_container_shows_its_token),
	  TEST_WITH(a_refusal_tells_its_code_and_nothing_else),
	  TEST_WITH(a_server_that_is_gone_may_come_back),
	  TEST_WITH(it_may_be_freed_while_it_is_asked))
