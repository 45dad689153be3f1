#include "lib/test.h"

#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "lib/http_fake.h"
#include "runtime/loop_uv.h"
#include "ufs/http_client.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

enum { MAX_IN_FLIGHT = 4, FIRST_IN_FLIGHT = 2, STALL_S = 1, MANY = 60 };

static struct fixture {
	struct loop *loop;
	struct http_fake *server;
	struct http_client *client;
	char url[64];
	unsigned pending; /* the loop ends when there are none */
} f;

struct get {
	struct http_req http;
	char body[64];
	size_t len;
	int rv, calls;
	bool refuse, cancel_inside;
};

static const char *const no_headers[] = { NULL };

/* The resolver, which curl asks on a thread: one name takes for ever. */

static sem_t asked, released, ended;

typedef int (*getaddrinfo_fn)(const char *node, const char *service,
			      const struct addrinfo *hints,
			      struct addrinfo **res);

__attribute__((visibility("default"))) /* libcurl's calls come here */
int getaddrinfo(const char *node, const char *service,
		const struct addrinfo *hints, struct addrinfo **res)
{
	struct timespec until;
	getaddrinfo_fn real;

	if (node && strcmp(node, "hangs.test") == 0) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += 5; /* a test that fails ends, too */
		sem_post(&asked);
		sem_timedwait(&released, &until);
		sem_post(&ended);
		return EAI_AGAIN;
	}
	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	return real(node, service, hints, res);
}

static bool on_body(struct http_req *r, const void *data, size_t len)
{
	struct get *g = container_of(r, struct get, http);

	assert_true(g->len + len < sizeof(g->body));
	memcpy(g->body + g->len, data, len);
	g->len += len;
	if (g->cancel_inside)
		http_cancel(r);
	return !g->refuse;
}

static void on_done(struct http_req *r, int rv)
{
	struct get *g = container_of(r, struct get, http);

	g->rv = rv;
	g->calls++;
	if (--f.pending == 0)
		loop_uv_stop(f.loop);
}

static void submit(struct get *g)
{
	g->http.method = g->http.method ? g->http.method : "GET";
	g->http.url = f.url;
	g->http.headers = no_headers;
	g->http.on_body = on_body;
	g->http.done = g->http.done ? g->http.done : on_done;
	f.pending++;
	http_submit(f.client, &g->http);
	assert_int_equal(g->calls, 0);
}

static void get(struct get *g)
{
	submit(g);
	loop_uv_run(f.loop);
	assert_int_equal(g->calls, 1);
}

static int setup(void **state ATTR_UNUSED)
{
	signal(SIGPIPE, SIG_IGN);
	f = (struct fixture){ .loop = loop_uv_new() };
	f.server = http_fake_new(f.loop);
	f.client = http_client_new(&(struct http_config){
		.loop = f.loop,
		.max_in_flight = MAX_IN_FLIGHT,
		.first_in_flight = FIRST_IN_FLIGHT,
		.connect_timeout_ms = 2000,
		.stall_s = STALL_S,
	});
	snprintf(f.url, sizeof(f.url), "http://127.0.0.1:%d/a//b/../c%%20d?x=",
		 http_fake_port(f.server));
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	if (f.client)
		http_client_free(f.client);
	http_fake_free(f.server);
	loop_uv_free(f.loop);
	return 0;
}

static void the_answers_fields_are_read(void **state ATTR_UNUSED)
{
	struct get g = { 0 };
	const struct http_answer *a = &g.http.answer;

	http_fake_answer(f.server,
			 "HTTP/1.1 206 Partial\r\n"
			 "content-length: 5\r\n"
			 "ETag: \"abc-2\"\r\n"
			 "Content-Range: bytes 10-14/12345678901\r\n"
			 "Last-Modified: Fri, 24 May 2013 00:00:00 GMT\r\n"
			 "Retry-After: 7\r\n"
			 "X-Amz-Bucket-Region:   eu-west-3  \r\n\r\nhello",
			 false);
	get(&g);
	assert_int_equal(g.rv, 0);
	assert_int_equal(a->status, 206);
	assert_int_equal(a->length, 5);
	assert_string_equal(a->etag, "\"abc-2\"");
	assert_int_equal(a->range_from, 10);
	assert_int_equal(a->range_to, 14);
	assert_true(a->range_size == 12345678901);
	assert_int_equal(a->mtime_s, 1369353600);
	assert_int_equal(a->retry_after_s, 7);
	assert_string_equal(a->bucket_region, "eu-west-3");
	assert_memory_equal(g.body, "hello", 5);
}

static void what_was_not_told_is_not_there(void **state ATTR_UNUSED)
{
	struct get g = { 0 };
	const struct http_answer *a = &g.http.answer;

	http_fake_answer(f.server,
			 "HTTP/1.1 204 No\r\nContent-Range: x\r\n\r\n", false);
	get(&g);
	assert_int_equal(a->status, 204);
	assert_int_equal(a->length, -1);
	assert_int_equal(a->range_from, -1);
	assert_int_equal(a->range_size, -1);
	assert_int_equal(a->retry_after_s, -1);
	assert_string_equal(a->etag, "");
}

static void the_url_goes_out_as_it_is(void **state ATTR_UNUSED)
{
	struct get g = { 0 };

	http_fake_answer(f.server, OK, false);
	get(&g);
	assert_ptr_equal(strstr(http_fake_head(f.server),
				"GET /a//b/../c%20d?x= HTTP/1.1\r\n"),
			 http_fake_head(f.server));
	assert_non_null(strstr(http_fake_head(f.server), "Host: 127.0.0.1:"));
}

static void head_after_get_and_get_after_head(void **state ATTR_UNUSED)
{
	struct get get_one = { 0 }, head = { .http.method = "HEAD" },
		   get_two = { 0 };

	http_fake_answer(f.server, OK, false);
	http_fake_answer(f.server,
			 "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", false);
	http_fake_answer(f.server, OK, false);
	get(&get_one);
	get(&head);
	assert_int_equal(strncmp(http_fake_head(f.server), "HEAD ", 5), 0);
	assert_int_equal(head.http.answer.length, 9);
	assert_int_equal(head.len, 0);
	get(&get_two);
	assert_int_equal(strncmp(http_fake_head(f.server), "GET ", 4), 0);
	assert_int_equal(get_two.len, 5);
	assert_int_equal(http_fake_accepted(f.server), 1);
}

static void many_requests_share_a_few_connections(void **state ATTR_UNUSED)
{
	struct get *g = mem_array(MANY, sizeof(*g));
	int i;

	for (i = 0; i < MANY; i++)
		http_fake_answer(f.server, OK, false);
	for (i = 0; i < MANY; i++)
		submit(&g[i]);
	loop_uv_run(f.loop);
	for (i = 0; i < MANY; i++) {
		assert_int_equal(g[i].calls, 1);
		assert_int_equal(g[i].rv, 0);
		assert_int_equal(g[i].len, 5);
	}
	assert_in_range(http_fake_accepted(f.server), 1, MAX_IN_FLIGHT);
	free(g);
}

static void stop(struct timer *t ATTR_UNUSED)
{
	loop_uv_stop(f.loop);
}

/* Lets the loop run for a moment. */
static void pass(unsigned ms)
{
	struct timer t;

	loop_timer_start(f.loop, &t, ms, stop);
	loop_uv_run(f.loop);
}

static void wait_for_requests(unsigned n)
{
	int i;

	for (i = 0; i < 2000 && http_fake_waiting(f.server) < n; i++)
		pass(1);
	assert_int_equal(http_fake_waiting(f.server), n);
}

static void no_more_are_in_flight_than_allowed(void **state ATTR_UNUSED)
{
	struct get g[MAX_IN_FLIGHT + 2] = { 0 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(g); i++)
		submit(&g[i]);
	wait_for_requests(MAX_IN_FLIGHT);
	pass(20);
	assert_int_equal(http_fake_waiting(f.server), MAX_IN_FLIGHT);
	for (i = 0; i < ARRAY_SIZE(g); i++)
		http_fake_answer(f.server, OK, false);
	loop_uv_run(f.loop);
	for (i = 0; i < ARRAY_SIZE(g); i++)
		assert_int_equal(g[i].rv, 0);
}

static void a_name_is_resolved_by_few_requests(void **state ATTR_UNUSED)
{
	struct get g[MAX_IN_FLIGHT + 1] = { 0 };
	size_t i;

	snprintf(f.url, sizeof(f.url), "http://localhost:%d/",
		 http_fake_port(f.server));
	for (i = 0; i < ARRAY_SIZE(g); i++)
		submit(&g[i]);
	wait_for_requests(FIRST_IN_FLIGHT);
	pass(20);
	assert_int_equal(http_fake_waiting(f.server), FIRST_IN_FLIGHT);
	http_fake_answer(f.server, OK, false);
	wait_for_requests(MAX_IN_FLIGHT); /* now that it is known */
	for (i = 0; i < ARRAY_SIZE(g); i++)
		http_fake_answer(f.server, OK, false);
	loop_uv_run(f.loop);
	for (i = 0; i < ARRAY_SIZE(g); i++)
		assert_int_equal(g[i].rv, 0);
}

static void broken_connections_may_be_tried_again(void **state ATTR_UNUSED)
{
	static const char *const answers[] = {
		"", "HTTP/1.1 200 OK\r\nContent-Le",
		"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(answers); i++) {
		struct get g = { 0 };

		http_fake_answer(f.server, answers[i], true);
		get(&g);
		assert_int_equal(g.rv, -ECONNRESET);
		assert_true(g.http.retry);
		assert_true(g.http.error[0]);
	}
}

static void a_refused_connection_may_be_tried_again(void **state ATTR_UNUSED)
{
	struct get g = { 0 };

	snprintf(f.url, sizeof(f.url), "http://127.0.0.1:1/");
	get(&g);
	assert_int_equal(g.rv, -ECONNREFUSED);
	assert_true(g.http.retry);
}

static void silence_is_a_timeout(void **state ATTR_UNUSED)
{
	struct get g = { 0 };

	get(&g); /* no answer is queued */
	assert_int_equal(g.rv, -ETIMEDOUT);
	assert_true(g.http.retry);
}

/* Whatever came before, and however fast. */
static void silence_in_a_body_is_a_timeout(void **state ATTR_UNUSED)
{
	uint64_t before = loop_now_ms(f.loop);
	struct get g = { 0 };

	http_fake_answer(f.server,
			 "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
			 "0123456789012345678901234567890",
			 false);
	get(&g);
	assert_int_equal(g.rv, -ETIMEDOUT);
	assert_true(g.http.retry);
	assert_string_equal(g.http.error, "nothing came for 1 seconds");
	assert_in_range(loop_now_ms(f.loop) - before, 1000, 3000);
}

static void a_body_that_is_refused_ends_the_request(void **state ATTR_UNUSED)
{
	struct get g = { .refuse = true };

	http_fake_answer(f.server, OK, false);
	get(&g);
	assert_int_equal(g.rv, -EPROTO);
	assert_false(g.http.retry);
}

static void cancelling_in_the_body_ends_the_request(void **state ATTR_UNUSED)
{
	struct get g = { .cancel_inside = true };

	http_fake_answer(f.server, OK, false);
	get(&g);
	assert_int_equal(g.rv, -ECANCELED);
	assert_false(g.http.retry);
}

static void requests_are_cancelled_in_flight_and_in_line(
	void **state ATTR_UNUSED)
{
	struct get g[MAX_IN_FLIGHT + 1] = { 0 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(g); i++)
		submit(&g[i]);
	wait_for_requests(MAX_IN_FLIGHT);
	for (i = 0; i < ARRAY_SIZE(g); i++) {
		http_cancel(&g[i].http);
		http_cancel(&g[i].http); /* changes nothing */
		assert_int_equal(g[i].calls, 0);
	}
	loop_uv_run(f.loop);
	for (i = 0; i < ARRAY_SIZE(g); i++) {
		assert_int_equal(g[i].calls, 1);
		assert_int_equal(g[i].rv, -ECANCELED);
	}
}

static void a_resolver_that_hangs_holds_up_nobody(void **state ATTR_UNUSED)
{
	struct get g = { 0 };

	sem_init(&asked, 0, 0);
	sem_init(&released, 0, 0);
	sem_init(&ended, 0, 0);
	snprintf(f.url, sizeof(f.url), "http://hangs.test:1/");
	submit(&g);
	while (sem_trywait(&asked))
		pass(1);
	http_cancel(&g.http);
	loop_uv_run(f.loop);
	assert_int_equal(g.rv, -ECANCELED);
	http_client_free(f.client);
	f.client = NULL;
	assert_int_equal(sem_trywait(&ended), -1);
	sem_post(&released);
	sem_wait(&ended);
}

static struct get second;

static void on_first_done(struct http_req *r, int rv)
{
	submit(&second);
	on_done(r, rv);
}

static void a_request_may_be_made_in_the_callback(void **state ATTR_UNUSED)
{
	struct get first = { .http.done = on_first_done };

	second = (struct get){ 0 };
	http_fake_answer(f.server, OK, false);
	http_fake_answer(f.server, OK, false);
	submit(&first);
	loop_uv_run(f.loop);
	assert_int_equal(second.calls, 1);
	assert_int_equal(second.len, 5);
	assert_int_equal(http_fake_accepted(f.server), 1);
}

static void on_last_done(struct http_req *r, int rv)
{
	http_client_free(f.client);
	f.client = NULL;
	on_done(r, rv);
}

static void the_client_may_end_in_the_last_callback(void **state ATTR_UNUSED)
{
	struct get g = { .http.done = on_last_done };

	http_fake_answer(f.server, OK, false);
	get(&g);
	g = (struct get){ .http.done = on_last_done };
	assert_null(f.client);
}

static void the_client_may_end_after_a_cancellation(void **state ATTR_UNUSED)
{
	struct get g = { .http.done = on_last_done };

	submit(&g);
	wait_for_requests(1);
	http_cancel(&g.http);
	loop_uv_run(f.loop);
	assert_int_equal(g.rv, -ECANCELED);
	assert_null(f.client);
}

static void proxies_of_the_environment_are_not_used(void **state ATTR_UNUSED)
{
	struct get g = { 0 };

	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	http_fake_answer(f.server, OK, false);
	get(&g);
	unsetenv("http_proxy");
	unsetenv("ALL_PROXY");
	assert_int_equal(g.rv, 0);
}

TEST_MAIN(TEST_WITH(the_answers_fields_are_read),
	  TEST_WITH(what_was_not_told_is_not_there),
	  TEST_WITH(the_url_goes_out_as_it_is),
	  TEST_WITH(head_after_get_and_get_after_head),
	  TEST_WITH(many_requests_share_a_few_connections),
	  TEST_WITH(no_more_are_in_flight_than_allowed),
	  TEST_WITH(a_name_is_resolved_by_few_requests),
	  TEST_WITH(broken_connections_may_be_tried_again),
	  TEST_WITH(a_refused_connection_may_be_tried_again),
	  TEST_WITH(silence_is_a_timeout),
	  TEST_WITH(silence_in_a_body_is_a_timeout),
	  TEST_WITH(a_body_that_is_refused_ends_the_request),
	  TEST_WITH(cancelling_in_the_body_ends_the_request),
	  TEST_WITH(requests_are_cancelled_in_flight_and_in_line),
	  TEST_WITH(a_resolver_that_hangs_holds_up_nobody),
	  TEST_WITH(a_request_may_be_made_in_the_callback),
	  TEST_WITH(the_client_may_end_in_the_last_callback),
	  TEST_WITH(the_client_may_end_after_a_cancellation),
	  TEST_WITH(proxies_of_the_environment_are_not_used))
