#include "lib/test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/http_fake.h"
#include "runtime/loop_uv.h"
#include "ufs/ufs.h"

static struct fixture {
	struct ufs_env env;
	struct http_fake *server;
	struct ufs *ufs;
	struct ufs_req req;
	struct ufs_version version;
	char buf[10];
	ssize_t result;
} f;

static void on_done(struct ufs_req *req ATTR_UNUSED, ssize_t result)
{
	f.result = result;
	loop_uv_stop(f.env.loop);
}

static const char *keys_file; /* instead of keys as options */

static void start(bool anonymous)
{
	char endpoint[64];
	struct ufs_option options[] = {
		{ "s3.endpoint", endpoint },
		{ keys_file ? "aws.credentialsFile" : "aws.accessKeyId",
		  keys_file ? keys_file : "id" },
		{ keys_file ? "aws.profile" : "aws.secretKey",
		  keys_file ? "default" : "secret" },
		{ "s3.region", "us-east-1" },
		{ "s3.anonymous", anonymous ? "true" : "false" },
	};

	snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%d",
		 http_fake_port(f.server));
	f.env.options = options;
	f.env.n_options = ARRAY_SIZE(options);
	assert_int_equal(ufs_open(&f.ufs, &f.env, "s3://bucket", NULL), 0);
}

static int setup(void **state ATTR_UNUSED)
{
	signal(SIGPIPE, SIG_IGN);
	f = (struct fixture){ 0 };
	f.env.loop = loop_uv_new();
	f.server = http_fake_new(f.env.loop);
	f.version = (struct ufs_version){ .len = 1, .bytes = "v" };
	f.req = (struct ufs_req){
		.path = "k",
		.attempts = 1, /* what is learned is no attempt more */
		.buf = f.buf,
		.len = sizeof(f.buf),
		.version = &f.version,
	};
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	f.ufs->ops->close(f.ufs);
	http_fake_free(f.server);
	loop_uv_free(f.env.loop);
	return 0;
}

static void read_it(void)
{
	f.ufs->ops->read(f.ufs, &f.req, on_done);
	loop_uv_run(f.env.loop);
}

static void stat_it(void)
{
	f.ufs->ops->stat(f.ufs, &f.req, on_done);
	loop_uv_run(f.env.loop);
}

static void refuse(const char *status, const char *fields, const char *xml)
{
	char *raw = mem_printf("HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n"
			       "%s",
			       status, strlen(xml), fields, xml);

	http_fake_answer(f.server, raw, false);
	free(raw);
}

static void serve(void)
{
	http_fake_answer(f.server,
			 "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n"
			 "ETag: \"v\"\r\n\r\n0123456789",
			 false);
}

/* The Date field of a clock that is `ahead` seconds ahead. */
static char *date(int ahead)
{
	time_t then = time(NULL) + ahead;
	char text[64];

	strftime(text, sizeof(text), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n",
		 gmtime(&then));
	return mem_str(text);
}

static void refuse_clock(int ahead)
{
	char *fields = date(ahead);

	refuse("403 Forbidden", fields,
	       "<Error><Code>RequestTimeTooSkewed</Code></Error>");
	free(fields);
}

/* How far ahead the last request was signed, and for which region. */
static int64_t signed_ahead(void)
{
	const char *at = strstr(http_fake_head(f.server), "x-amz-date: ");
	struct tm tm = { 0 };

	assert_non_null(at);
	assert_non_null(strptime(at + 12, "%Y%m%dT%H%M%SZ", &tm));
	return timegm(&tm) - time(NULL);
}

static bool is_signed_for(const char *region)
{
	char scope[64];

	snprintf(scope, sizeof(scope), "/%s/s3/aws4_request", region);
	return strstr(http_fake_head(f.server), scope) != NULL;
}

static void another_clock_is_followed(void **state ATTR_UNUSED)
{
	start(false);
	refuse_clock(-7200);
	serve();
	read_it();
	assert_int_equal(f.result, 10);
	assert_in_range(signed_ahead() + 7200, 0, 4);
	serve(); /* and remembered */
	read_it();
	assert_int_equal(f.result, 10);
	assert_int_equal(http_fake_requests(f.server), 3);
	assert_in_range(signed_ahead() + 7200, 0, 4);
	/* it was set right */
	refuse_clock(0);
	serve();
	read_it();
	assert_int_equal(f.result, 10);
	assert_in_range(signed_ahead() + 2, 0, 4);
}

static void a_head_tells_the_time_too(void **state ATTR_UNUSED)
{
	char *fields = date(86400);

	start(false);
	refuse("403 Forbidden", fields, "");
	serve();
	stat_it();
	free(fields);
	assert_int_equal(f.result, 0);
	assert_in_range(signed_ahead() - 86400 + 2, 0, 4);
}

static void a_clock_that_is_never_right_is_an_error(void **state ATTR_UNUSED)
{
	start(false);
	refuse_clock(7200);
	refuse_clock(14400);
	read_it();
	assert_int_equal(f.result, -EACCES);
	assert_non_null(strstr(f.req.err.msg, "403 RequestTimeTooSkewed"));
	assert_non_null(strstr(f.req.err.msg, "set the clock"));
	assert_int_equal(http_fake_requests(f.server), 2);
}

static void a_refusal_by_a_right_clock_is_final(void **state ATTR_UNUSED)
{
	char *fields = date(100);

	start(false);
	refuse("403 Forbidden", fields, "");
	free(fields);
	read_it();
	assert_int_equal(f.result, -EACCES);
	assert_int_equal(http_fake_requests(f.server), 1);
}

#define MOVED                                              \
	"<Error><Code>AuthorizationHeaderMalformed</Code>" \
	"<Region>eu-west-1</Region></Error>"

static void another_region_is_followed_and_remembered(void **state ATTR_UNUSED)
{
	start(false);
	refuse("400 Bad Request", "", MOVED);
	serve();
	read_it();
	assert_int_equal(f.result, 10);
	assert_true(is_signed_for("eu-west-1"));
	serve();
	read_it();
	assert_int_equal(f.result, 10);
	assert_true(is_signed_for("eu-west-1"));
	assert_int_equal(http_fake_requests(f.server), 3);
}

static void a_head_tells_the_region_by_its_fields(void **state ATTR_UNUSED)
{
	start(false);
	refuse("301 Moved", "x-amz-bucket-region: eu-west-1\r\n", "");
	serve();
	stat_it();
	assert_int_equal(f.result, 0);
	assert_true(is_signed_for("eu-west-1"));
}

static void a_second_move_is_an_error(void **state ATTR_UNUSED)
{
	start(false);
	refuse("400 Bad Request", "", MOVED);
	refuse("301 Moved", "x-amz-bucket-region: us-east-1\r\n", "");
	read_it();
	assert_int_equal(f.result, -EIO);
	assert_string_equal(f.req.err.msg,
			    "s3://bucket/k: 301; the bucket is in region "
			    "us-east-1: give s3.region=us-east-1 and its "
			    "s3.endpoint");
	assert_int_equal(http_fake_requests(f.server), 2);
}

static void what_is_no_region_is_not_followed(void **state ATTR_UNUSED)
{
	start(false);
	refuse("301 Moved", "x-amz-bucket-region: evil.example/\r\n", "");
	read_it();
	assert_int_equal(f.result, -EIO);
	refuse("301 Moved", "", "");
	read_it();
	assert_int_equal(f.result, -EIO);
	assert_non_null(strstr(f.req.err.msg, "check s3.region"));
	refuse("307 Temporary Redirect", "Location: http://else.where/\r\n",
	       "<Error><Code>TemporaryRedirect</Code></Error>");
	read_it();
	assert_int_equal(f.result, -EIO);
	assert_non_null(strstr(f.req.err.msg, "check s3.region"));
	assert_int_equal(http_fake_requests(f.server), 3);
}

static bool is_asked_for_checksums(void)
{
	return strstr(http_fake_head(f.server), "x-amz-checksum-mode") != NULL;
}

static void who_refuses_to_be_asked_for_checksums_is_not(
	void **state ATTR_UNUSED)
{
	static const char *const refusals[] = {
		"<Error><Code>InvalidArgument</Code><Message>Unsupported "
		"header</Message></Error>",
		"<Error><Code>SignatureDoesNotMatch</Code></Error>",
	};

	start(false);
	refuse("400 Bad Request", "", refusals[0]);
	refuse("400 Bad Request", "", refusals[0]); /* it was not that */
	read_it();
	assert_int_equal(f.result, -EIO);
	assert_false(is_asked_for_checksums());
	refuse("403 Forbidden", "", refusals[1]);
	serve();
	read_it();
	assert_int_equal(f.result, 10);
	assert_false(is_asked_for_checksums());
	serve(); /* and is remembered */
	read_it();
	assert_int_equal(f.result, 10);
	assert_false(is_asked_for_checksums());
	assert_int_equal(http_fake_requests(f.server), 5);
}

static void what_is_no_refusal_of_checksums_is_not_taken_for_one(
	void **state ATTR_UNUSED)
{
	start(false);
	f.req.attempts = 2;
	refuse("400 Bad Request", "",
	       "<Error><Code>RequestTimeout</Code></Error>");
	serve();
	read_it();
	assert_int_equal(f.result, 10);
	serve();
	read_it();
	assert_int_equal(f.result, 10);
	assert_true(is_asked_for_checksums());
}

static void write_keys(const char *path, const char *id)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	fprintf(file,
		"[default]\naws_access_key_id = %s\n"
		"aws_secret_access_key = secret\naws_session_token = t\n",
		id);
	assert_int_equal(fclose(file), 0);
}

/* Whether the keys are others when it is asked again or only later. */
static void keys_that_expire_are_no_refusal_of_checksums(
	void **state ATTR_UNUSED)
{
	static const char expired[] =
		"<Error><Code>ExpiredToken</Code></Error>";
	char path[] = "/tmp/test_s3_adapt.XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	write_keys(path, "first");
	keys_file = path;
	start(false);
	keys_file = NULL;
	write_keys(path, "the-second");
	refuse("400 Bad Request", "", expired);
	refuse("400 Bad Request", "", expired); /* without it too */
	serve();
	read_it();
	assert_int_equal(f.result, 10);
	assert_non_null(strstr(http_fake_head(f.server), "the-second"));
	assert_true(is_asked_for_checksums());
	serve();
	read_it();
	assert_true(is_asked_for_checksums());
	assert_int_equal(unlink(path), 0);
}

/* Nothing would be another: no signature, and the host stays. */
static void who_signs_nothing_follows_nowhere(void **state ATTR_UNUSED)
{
	start(true);
	refuse("301 Moved", "x-amz-bucket-region: eu-west-1\r\n", "");
	read_it();
	assert_int_equal(f.result, -EIO);
	refuse_clock(7200);
	read_it();
	assert_int_equal(f.result, -EACCES);
	assert_int_equal(http_fake_requests(f.server), 2);
}

TEST_MAIN(TEST_WITH(another_clock_is_followed),
	  TEST_WITH(a_head_tells_the_time_too),
	  TEST_WITH(a_clock_that_is_never_right_is_an_error),
	  TEST_WITH(a_refusal_by_a_right_clock_is_final),
	  TEST_WITH(another_region_is_followed_and_remembered),
	  TEST_WITH(a_head_tells_the_region_by_its_fields),
	  TEST_WITH(a_second_move_is_an_error),
	  TEST_WITH(what_is_no_region_is_not_followed),
	  TEST_WITH(who_refuses_to_be_asked_for_checksums_is_not),
	  TEST_WITH(what_is_no_refusal_of_checksums_is_not_taken_for_one),
	  TEST_WITH(keys_that_expire_are_no_refusal_of_checksums),
	  TEST_WITH(who_signs_nothing_follows_nowhere))
