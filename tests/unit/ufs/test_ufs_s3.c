#include "lib/test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "lib/http_fake.h"
#include "lib/tempdir.h"
#include "runtime/loop_uv.h"
#include "ufs/ufs.h"

/* What servers say that ours (test_s3.py) does not. */

static struct fixture {
	struct ufs_env env;
	struct http_fake *server;
	char endpoint[64], *dir;
	struct ufs *ufs;
	struct ufs_req req;
	struct ufs_version version;
	char buf[10];
	size_t progress;
	ssize_t result;
	int calls;
	char names[256];
} f;

static void on_done(struct ufs_req *req, ssize_t result)
{
	size_t i, used = 0;

	f.result = result;
	f.calls++;
	for (i = 0; result == 0 && i < req->n_entries; i++)
		used += (size_t)snprintf(
			f.names + used, sizeof(f.names) - used, "%s%s ",
			req->entries[i].name,
			S_ISDIR(req->entries[i].stat.mode) ? "/" : "");
	loop_uv_stop(f.env.loop);
}

static void on_progress(struct ufs_req *req ATTR_UNUSED, size_t n)
{
	assert_true(n > f.progress && n <= sizeof(f.buf));
	f.progress = n;
}

typedef void (*op_fn)(struct ufs *u, struct ufs_req *req, ufs_done_fn done);

static void run(op_fn op)
{
	f.calls = 0;
	f.progress = 0;
	f.names[0] = '\0';
	op(f.ufs, &f.req, on_done);
	assert_int_equal(f.calls, 0);
	loop_uv_run(f.env.loop);
	assert_int_equal(f.calls, 1);
}

static int setup(void **state ATTR_UNUSED)
{
	struct ufs_option options[] = {
		{ "s3.endpoint", f.endpoint },
		{ "s3.anonymous", "true" },
	};

	signal(SIGPIPE, SIG_IGN);
	f = (struct fixture){ 0 };
	f.env.loop = loop_uv_new();
	f.server = http_fake_new(f.env.loop);
	snprintf(f.endpoint, sizeof(f.endpoint), "http://127.0.0.1:%d",
		 http_fake_port(f.server));
	f.env.options = options;
	f.env.n_options = ARRAY_SIZE(options);
	assert_int_equal(ufs_open(&f.ufs, &f.env, "s3://bucket", NULL), 0);
	f.version = (struct ufs_version){ .len = 1, .bytes = "v" };
	f.req = (struct ufs_req){
		.path = "k",
		.attempts = 2,
		.offset = 100,
		.buf = f.buf,
		.len = sizeof(f.buf),
		.version = &f.version,
		.progress = on_progress,
	};
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	ufs_req_close(&f.req);
	f.ufs->ops->close(f.ufs);
	http_fake_free(f.server);
	loop_uv_free(f.env.loop);
	return 0;
}

/* An answer of `status` with these fields and a body of ten bytes. */
static void answer(const char *status, const char *fields)
{
	char *raw = mem_printf("HTTP/1.1 %s\r\nContent-Length: 10\r\n%s\r\n"
			       "0123456789",
			       status, fields);

	http_fake_answer(f.server, raw, false);
	free(raw);
}

#define ETAG  "ETag: \"v\"\r\n"
#define RANGE "Content-Range: bytes 100-109/1000\r\n"

static void a_read_fills_the_buffer(void **state ATTR_UNUSED)
{
	answer("206 Partial", ETAG RANGE);
	run(f.ufs->ops->read);
	assert_int_equal(f.result, 10);
	assert_memory_equal(f.buf, "0123456789", 10);
	assert_int_equal(f.progress, 10);
	assert_int_equal(f.req.stat.size, 1000);
	assert_non_null(
		strstr(http_fake_head(f.server), "Range: bytes=100-109\r\n"));
	assert_non_null(
		strstr(http_fake_head(f.server), "If-Match: \"v\"\r\n"));
}

/* Nothing of a wrong answer may get into the buffer. */
static void check_refused(ssize_t code)
{
	assert_int_equal(f.result, code);
	assert_int_equal(f.progress, 0);
	assert_int_equal(f.buf[0], 0);
	assert_int_equal(http_fake_waiting(f.server), 0);
}

static void a_server_without_if_match_is_found_out(void **state ATTR_UNUSED)
{
	static const char *const fields[] = { "ETag: \"w\"\r\n" RANGE, RANGE,
					      "ETag: \"vv\"\r\n" RANGE,
					      "ETag: \"\"\r\n" RANGE };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fields); i++) {
		answer("206 Partial", fields[i]);
		run(f.ufs->ops->read);
		check_refused(ERR_CHANGED);
	}
}

static void an_etag_without_quotes_is_the_same(void **state ATTR_UNUSED)
{
	answer("206 Partial", "ETag: v\r\n" RANGE);
	run(f.ufs->ops->read);
	assert_int_equal(f.result, 10);
}

static void another_range_than_asked_for_is_refused(void **state ATTR_UNUSED)
{
	static const char *const fields[] = {
		ETAG "Content-Range: bytes 0-9/1000\r\n",
		ETAG "Content-Range: bytes 101-110/1000\r\n",
		ETAG,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fields); i++) {
		answer("206 Partial", fields[i]);
		run(f.ufs->ops->read);
		check_refused(-EIO);
	}
	answer("200 OK", ETAG RANGE); /* the range was not looked at */
	run(f.ufs->ops->read);
	check_refused(-EIO);
}

static void a_wrong_length_is_asked_for_again(void **state ATTR_UNUSED)
{
	static const char *const fields[] = {
		ETAG "Content-Range: bytes 100-108/1000\r\n",
		ETAG "Content-Range: bytes 100-1000/1000\r\n",
		ETAG "Content-Range: bytes 100-99/1000\r\n",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fields); i++) {
		answer("206 Partial", fields[i]);
		answer("206 Partial", fields[i]);
		run(f.ufs->ops->read);
		check_refused(-EIO);
	}
	answer("206 Partial", fields[0]);
	answer("206 Partial", ETAG RANGE);
	run(f.ufs->ops->read);
	assert_int_equal(f.result, 10);
	assert_memory_equal(f.buf, "0123456789", 10);
}

/* More than was announced: the rest of it is no answer to the next request. */
static void bytes_behind_a_body_are_no_answer(void **state ATTR_UNUSED)
{
	int i;

	http_fake_answer(
		f.server,
		"HTTP/1.1 206 Partial\r\nContent-Length: 10\r\n" ETAG RANGE
		"\r\n0123456789HTTP/1.1 garbage\r\n",
		false);
	for (i = 0; i < 4; i++)
		answer("206 Partial", ETAG RANGE);
	for (i = 0; i < 2; i++) {
		memset(f.buf, 0, sizeof(f.buf));
		run(f.ufs->ops->read);
		assert_int_equal(f.result, 10);
		assert_memory_equal(f.buf, "0123456789", 10);
	}
}

static void all_of_a_small_object_is_a_good_answer(void **state ATTR_UNUSED)
{
	f.req.offset = 0;
	answer("200 OK", ETAG);
	run(f.ufs->ops->read);
	assert_int_equal(f.result, 10);
	assert_int_equal(f.req.stat.size, 10);
	f.req.len = 9;
	f.buf[0] = 0;
	answer("200 OK", ETAG);
	run(f.ufs->ops->read);
	check_refused(-EIO);
}

static void a_stall_of_the_server_is_no_end(void **state ATTR_UNUSED)
{
	/* the head, half of the body, then the connection breaks */
	http_fake_answer(
		f.server,
		"HTTP/1.1 206 Partial\r\nContent-Length: 10\r\n" ETAG RANGE
		"\r\n01234",
		true);
	http_fake_answer(f.server,
			 "HTTP/1.1 206 Partial\r\nContent-Length: 5\r\n" ETAG
			 "Content-Range: bytes 105-109/1000\r\n\r\n56789",
			 false);
	run(f.ufs->ops->read);
	assert_int_equal(f.result, 10);
	assert_memory_equal(f.buf, "0123456789", 10);
	assert_non_null(
		strstr(http_fake_head(f.server), "Range: bytes=105-109\r\n"));
}

static void the_rest_of_another_version_is_refused(void **state ATTR_UNUSED)
{
	http_fake_answer(
		f.server,
		"HTTP/1.1 206 Partial\r\nContent-Length: 10\r\n" ETAG RANGE
		"\r\n01234",
		true);
	http_fake_answer(f.server,
			 "HTTP/1.1 206 Partial\r\nContent-Length: 5\r\n"
			 "ETag: \"w\"\r\n"
			 "Content-Range: bytes 105-109/1000\r\n\r\nxxxxx",
			 false);
	run(f.ufs->ops->read);
	assert_int_equal(f.result, ERR_CHANGED);
	assert_int_equal(f.progress, 5);
}

static void what_is_no_s3_server_gets_a_hint(void **state ATTR_UNUSED)
{
	f.req.path = "";
	http_fake_answer(f.server,
			 "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n"
			 "<html></html>",
			 false);
	run(f.ufs->ops->list);
	assert_int_equal(f.result, -EIO);
	assert_string_equal(f.req.err.msg,
			    "s3://bucket/: its answer is no listing; check "
			    "s3.endpoint");
	answer("405 No", "");
	run(f.ufs->ops->list);
	assert_string_equal(f.req.err.msg,
			    "s3://bucket/: 405; check that s3.endpoint is an "
			    "S3 server");
}

static void queue_listing(const char *xml)
{
	char *raw = mem_printf("HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n"
			       "%s",
			       strlen(xml), xml);

	http_fake_answer(f.server, raw, false);
	free(raw);
}

static void listed(const char *xml)
{
	queue_listing(xml);
	run(f.ufs->ops->list);
}

#define OBJECT(key)                                                \
	"<Contents><Key>" key "</Key><Size>1</Size><ETag>v</ETag>" \
	"</Contents>"
#define PREFIX(p) "<CommonPrefixes><Prefix>" p "</Prefix></CommonPrefixes>"

static void a_damaged_listing_is_asked_for_again(void **state ATTR_UNUSED)
{
	static const char *const damaged[] = {
		"<ListBucketResult>" OBJECT("x") "</ListBucketResulT>",
		"<ListBucketResult><Contents><Key>x</Ley></Contents>",
		"<ListBucketResult>" OBJECT("x"),
	};
	size_t i;

	f.req.path = "";
	for (i = 0; i < ARRAY_SIZE(damaged); i++) {
		queue_listing(damaged[i]);
		listed("<ListBucketResult>" OBJECT("a") "</ListBucketResult>");
		assert_int_equal(f.result, 0);
		assert_string_equal(f.names, "a ");
	}
	queue_listing(damaged[0]);
	listed(damaged[0]);
	assert_int_equal(f.result, -EIO);
	assert_string_equal(f.req.err.msg, "s3://bucket/: its listing is "
					   "damaged (2 attempts)");
}

static void keys_that_were_not_asked_for_are_refused(void **state ATTR_UNUSED)
{
	f.req.path = "dir";
	listed("<ListBucketResult>" OBJECT("other") "</ListBucketResult>");
	assert_int_equal(f.result, -EIO);
	listed("<ListBucketResult>" OBJECT("dir/a")
		       PREFIX("d/") "</ListBucketResult>");
	assert_int_equal(f.result, -EIO);
	listed("<ListBucketResult>" OBJECT("dir/a")
		       PREFIX("dir/b/") "</ListBucketResult>");
	assert_int_equal(f.result, 0);
	assert_string_equal(f.names, "a b/ ");
}

static void a_file_hides_its_directory_on_a_later_page(void **state ATTR_UNUSED)
{
	f.req.path = "";
	listed("<ListBucketResult><IsTruncated>true</IsTruncated>"
	       "<NextContinuationToken>t&amp;/</NextContinuationToken>" OBJECT(
		       "a") OBJECT("a b") OBJECT("a!") "</ListBucketResult>");
	assert_int_equal(f.result, 0);
	assert_true(f.req.more);
	listed("<ListBucketResult>" OBJECT("a.x") PREFIX("a/")
		       PREFIX("b/") "</ListBucketResult>");
	assert_non_null(strstr(http_fake_head(f.server),
			       "continuation-token=t%26%2F&"));
	assert_string_equal(f.names, "a.x b/ ");
	assert_int_equal(f.req.skipped, 1);
	assert_false(f.req.more);
	assert_null(f.req.token);
}

static void the_regions_name_is_passed_on(void **state ATTR_UNUSED)
{
	f.req.path = "";
	http_fake_answer(f.server,
			 "HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n"
			 "x-amz-bucket-region: eu-north-1\r\n\r\n",
			 false);
	run(f.ufs->ops->list);
	assert_int_equal(f.result, -EIO);
	assert_string_equal(f.req.err.msg,
			    "s3://bucket/: 301; the bucket is in region "
			    "eu-north-1: give s3.region=eu-north-1 and its "
			    "s3.endpoint");
	f.req.path = "k";
	http_fake_answer(f.server,
			 "HTTP/1.1 400 Bad\r\nConnection: close\r\n"
			 "x-amz-bucket-region: eu-west-1\r\n\r\n",
			 true);
	run(f.ufs->ops->stat);
	assert_non_null(strstr(f.req.err.msg, "give s3.region=eu-west-1"));
}

static void what_asks_for_patience_is_asked_again(void **state ATTR_UNUSED)
{
	static const char *const first[] = { "429 Many", "500 Oops", "503 Slow",
					     "504 Late", "408 Late" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(first); i++) {
		answer(first[i], "");
		answer("206 Partial", ETAG RANGE);
		run(f.ufs->ops->read);
		assert_int_equal(f.result, 10);
	}
	answer("501 Never", "");
	run(f.ufs->ops->read);
	assert_int_equal(f.result, -EIO);
	assert_int_equal(http_fake_waiting(f.server), 0);
}

static void retry_after_is_waited_for(void **state ATTR_UNUSED)
{
	uint64_t before = loop_now_ms(f.env.loop);

	answer("503 Slow", "Retry-After: 1\r\n");
	answer("206 Partial", ETAG RANGE);
	run(f.ufs->ops->read);
	assert_int_equal(f.result, 10);
	assert_true(loop_now_ms(f.env.loop) - before >= 1000);
}

static void a_timeout_of_the_storage_is_eio(void **state ATTR_UNUSED)
{
	answer("504 Late", "");
	answer("408 Late", "");
	run(f.ufs->ops->read);
	assert_int_equal(f.result, -EIO);
	assert_string_equal(f.req.err.msg, "s3://bucket/k: 408 (2 attempts)");
}

#define WHOLE "Content-Range: bytes 0-9/10\r\n"
#define CRC   "x-amz-checksum-crc32c: KAwGng==\r\n" /* of 0123456789 */

static void wrong_bytes_are_found_out_and_fetched_again(
	void **state ATTR_UNUSED)
{
	f.req.offset = 0;
	http_fake_answer(f.server,
			 "HTTP/1.1 206 Partial\r\nContent-Length: "
			 "10\r\n" ETAG WHOLE CRC "\r\n012345678X",
			 false);
	answer("206 Partial", ETAG WHOLE CRC);
	run(f.ufs->ops->read);
	assert_int_equal(f.result, 10);
	assert_memory_equal(f.buf, "0123456789", 10);
	assert_int_equal(f.progress, 10);
	assert_non_null(strstr(http_fake_head(f.server),
			       "x-amz-checksum-mode: ENABLED\r\n"));
}

static void bytes_that_stay_wrong_are_an_error(void **state ATTR_UNUSED)
{
	int i;

	f.req.offset = 0;
	for (i = 0; i < 2; i++)
		http_fake_answer(f.server,
				 "HTTP/1.1 200 OK\r\nContent-Length: "
				 "10\r\n" ETAG CRC "\r\n012345678X",
				 false);
	run(f.ufs->ops->read);
	assert_int_equal(f.result, -EIO);
	assert_int_equal(f.progress, 0); /* nobody has seen them */
	assert_string_equal(f.req.err.msg,
			    "s3://bucket/k: wrong bytes came: their CRC32C is "
			    "not the object's; if it never is, give "
			    "s3.verify=none (2 attempts)");
}

/* The second half has no checksum of its own. */
static void what_broke_off_is_checked_as_one(void **state ATTR_UNUSED)
{
	f.req.offset = 0;
	f.req.attempts = 3;
	http_fake_answer(f.server,
			 "HTTP/1.1 206 Partial\r\nContent-Length: "
			 "10\r\n" ETAG WHOLE CRC "\r\n0123X",
			 true);
	http_fake_answer(f.server,
			 "HTTP/1.1 206 Partial\r\nContent-Length: 5\r\n" ETAG
			 "Content-Range: bytes 5-9/10\r\n\r\n56789",
			 false);
	answer("206 Partial", ETAG WHOLE CRC);
	run(f.ufs->ops->read);
	assert_int_equal(f.result, 10);
	assert_memory_equal(f.buf, "0123456789", 10);
	assert_int_equal(f.progress, 10);
	assert_non_null(
		strstr(http_fake_head(f.server), "Range: bytes=0-9\r\n"));
}

static void a_part_of_an_object_has_no_checksum(void **state ATTR_UNUSED)
{
	answer("206 Partial", ETAG RANGE CRC);
	run(f.ufs->ops->read);
	assert_int_equal(f.result, 10);
	assert_null(strstr(http_fake_head(f.server), "x-amz-checksum-mode"));
	f.req.offset = 0;
	answer("206 Partial", ETAG WHOLE "x-amz-checksum-crc32c: AAAAAA==\r\n"
					 "x-amz-checksum-type: COMPOSITE\r\n");
	run(f.ufs->ops->read);
	assert_int_equal(f.result, 10);
	answer("206 Partial", ETAG "Content-Range: bytes 0-9/1000\r\n"
				   "x-amz-checksum-crc32c: AAAAAA==\r\n");
	run(f.ufs->ops->read);
	assert_int_equal(f.result, 10);
}

static void statuses_have_their_errno(void **state ATTR_UNUSED)
{
	static const struct {
		const char *status;
		int code;
	} table[] = {
		{ "401 x", -EACCES }, { "403 x", -EACCES },
		{ "404 x", -ENOENT }, { "412 x", ERR_CHANGED },
		{ "400 x", -EIO },    { "301 x", -EIO },
		{ "418 x", -EIO },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		answer(table[i].status, "");
		run(f.ufs->ops->read);
		assert_int_equal(f.result, table[i].code);
	}
}

static void a_stat_without_a_version_fails(void **state ATTR_UNUSED)
{
	char etag[200];

	http_fake_answer(f.server,
			 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
			 "\r\n",
			 false);
	run(f.ufs->ops->stat);
	assert_int_equal(f.result, -EIO);
	snprintf(etag, sizeof(etag),
		 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nETag: \"%0130d\"\r\n"
		 "\r\n",
		 7);
	http_fake_answer(f.server, etag, false);
	run(f.ufs->ops->stat);
	assert_int_equal(f.result, -EOVERFLOW);
}

/* Opens it again with keys: of these options, or of a file. */
static void open_with(const struct ufs_option *more, size_t n)
{
	struct ufs_option options[8] = { { "s3.endpoint", f.endpoint } };

	memcpy(options + 1, more, n * sizeof(*more));
	f.ufs->ops->close(f.ufs);
	f.env.options = options;
	f.env.n_options = (unsigned)n + 1;
	assert_int_equal(ufs_open(&f.ufs, &f.env, "s3://bucket", NULL), 0);
}

static bool was_sent(const char *text)
{
	return strstr(http_fake_head(f.server), text) != NULL;
}

static void tokens_and_payers_are_signed(void **state ATTR_UNUSED)
{
	const struct ufs_option keys[] = { { "aws.accessKeyId", "id" },
					   { "aws.secretKey", "secret" },
					   { "aws.sessionToken", "t0ken" },
					   { "s3.requester-pays", "true" } };

	open_with(keys, ARRAY_SIZE(keys));
	answer("206 Partial", ETAG RANGE);
	run(f.ufs->ops->read);
	assert_int_equal(f.result, 10);
	assert_true(was_sent("x-amz-security-token: t0ken\r\n"));
	assert_true(was_sent("x-amz-request-payer: requester\r\n"));
	assert_true(was_sent(";x-amz-date;x-amz-request-payer;"
			     "x-amz-security-token,"));
	answer("403 No", "");
	run(f.ufs->ops->read);
	assert_int_equal(f.result, -EACCES); /* there are no others */
}

static void write_keys(const char *dir, const char *id)
{
	char *text = mem_printf("[default]\naws_access_key_id=%s\n"
				"aws_secret_access_key=s\n",
				id);

	tempdir_file(dir, "keys", text);
	free(text);
}

static void replace_keys(struct ufs_req *req ATTR_UNUSED, size_t n ATTR_UNUSED)
{
	write_keys(f.dir, "second");
}

static void a_read_goes_on_with_other_keys(void **state ATTR_UNUSED)
{
	struct ufs_option file = { "aws.credentialsFile", NULL };
	char *path;

	f.dir = tempdir_make();
	path = mem_printf("%s/keys", f.dir);
	file.value = path;
	write_keys(f.dir, "one");
	open_with(&file, 1);
	/* half of it, then they expire */
	f.req.progress = replace_keys;
	http_fake_answer(
		f.server,
		"HTTP/1.1 206 Partial\r\nContent-Length: 10\r\n" ETAG RANGE
		"\r\n01234",
		true);
	http_fake_answer(f.server,
			 "HTTP/1.1 400 Bad\r\nContent-Length: 41\r\n\r\n"
			 "<Error><Code>ExpiredToken</Code></Error> ",
			 false);
	http_fake_answer(f.server,
			 "HTTP/1.1 206 Partial\r\nContent-Length: 5\r\n" ETAG
			 "Content-Range: bytes 105-109/1000\r\n\r\n56789",
			 false);
	run(f.ufs->ops->read);
	assert_int_equal(f.result, 10);
	assert_memory_equal(f.buf, "0123456789", 10);
	assert_true(was_sent("Credential=second/"));
	free(path);
	tempdir_remove(f.dir);
}

TEST_MAIN(TEST_WITH(tokens_and_payers_are_signed),
	  TEST_WITH(a_read_goes_on_with_other_keys),
	  TEST_WITH(a_read_fills_the_buffer),
	  TEST_WITH(a_server_without_if_match_is_found_out),
	  TEST_WITH(an_etag_without_quotes_is_the_same),
	  TEST_WITH(another_range_than_asked_for_is_refused),
	  TEST_WITH(a_wrong_length_is_asked_for_again),
	  TEST_WITH(bytes_behind_a_body_are_no_answer),
	  TEST_WITH(all_of_a_small_object_is_a_good_answer),
	  TEST_WITH(a_stall_of_the_server_is_no_end),
	  TEST_WITH(the_rest_of_another_version_is_refused),
	  TEST_WITH(what_is_no_s3_server_gets_a_hint),
	  TEST_WITH(a_damaged_listing_is_asked_for_again),
	  TEST_WITH(keys_that_were_not_asked_for_are_refused),
	  TEST_WITH(a_file_hides_its_directory_on_a_later_page),
	  TEST_WITH(the_regions_name_is_passed_on),
	  TEST_WITH(what_asks_for_patience_is_asked_again),
	  TEST_WITH(retry_after_is_waited_for),
	  TEST_WITH(a_timeout_of_the_storage_is_eio),
	  TEST_WITH(wrong_bytes_are_found_out_and_fetched_again),
	  TEST_WITH(bytes_that_stay_wrong_are_an_error),
	  TEST_WITH(what_broke_off_is_checked_as_one),
	  TEST_WITH(a_part_of_an_object_has_no_checksum),
	  TEST_WITH(statuses_have_their_errno),
	  TEST_WITH(a_stat_without_a_version_fails))
