#include "lib/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "http/admin.h"
#include "runtime/loop_uv.h"
#include "runtime/watch.h"

/* A server with a page that answers at once and one that answers later, and a
 * client on the same loop. */
static struct fixture {
	struct loop *loop;
	struct http *http;
	struct http_admin admin;

	int fd;
	struct watch *watch;
	char got[32 << 10];
	size_t len;
	const char *until; /* stops the loop when it was received */
	bool closed;

	struct http_call *later;
	struct timer timer, patience;
	bool stop_now;
	int sick;
	int served;
} f;

static void serve_now(void *owner, struct http_call *call)
{
	assert_ptr_equal(owner, &f);
	f.served++;
	http_answer(call, 200, "text/plain", mem_str("now"), 3);
}

static void answer_later(struct timer *t ATTR_UNUSED)
{
	struct http_call *call = f.later;

	f.later = NULL;
	http_answer(call, 200, "text/plain", mem_str("later"), 5);
}

static void serve_later(void *owner ATTR_UNUSED, struct http_call *call)
{
	f.served++;
	f.later = call;
	if (f.stop_now)
		loop_uv_stop(f.loop);
	else
		loop_timer_start(f.loop, &f.timer, 20, answer_later);
}

static const struct http_route routes[] = {
	{ "/now", serve_now, &f },
	{ "/later", serve_later, &f },
	{ NULL, NULL, NULL },
};

static int ask_health(void *owner ATTR_UNUSED, struct err *err)
{
	return f.sick ? err_set(err, f.sick, "the worker is away") : 0;
}

static int setup(void **state ATTR_UNUSED)
{
	signal(SIGPIPE, SIG_IGN);
	f = (struct fixture){ .fd = -1 };
	list_init(&f.timer.link);
	list_init(&f.patience.link);
	f.loop = loop_uv_new();
	return http_start(&f.http, f.loop, "127.0.0.1:0", routes, NULL);
}

static void hang_up(void)
{
	if (f.fd < 0)
		return;
	watch_free(f.watch);
	close(f.fd);
	f.fd = -1;
}

static int teardown(void **state ATTR_UNUSED)
{
	hang_up();
	loop_timer_stop(&f.patience);
	if (f.http)
		http_stop(f.http);
	loop_uv_free(f.loop);
	return 0;
}

static void on_readable(void *owner ATTR_UNUSED, int fd,
			unsigned events ATTR_UNUSED)
{
	ssize_t n = read(fd, f.got + f.len, sizeof(f.got) - 1 - f.len);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0)
		f.len += (size_t)n;
	f.got[f.len] = '\0';
	f.closed = n <= 0;
	if (f.closed || strstr(f.got, f.until)) {
		watch_set(f.watch, 0);
		loop_uv_stop(f.loop);
	}
}

static void lose_patience(struct timer *t ATTR_UNUSED)
{
	loop_uv_stop(f.loop);
}

static void dial(const char *address)
{
	struct sockaddr_in sa = { .sin_family = AF_INET };

	sa.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	f.fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(f.fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	f.watch = watch_new(f.loop, f.fd, on_readable, NULL);
}

static void say_bytes(const char *bytes, size_t len)
{
	while (len) {
		ssize_t n = write(f.fd, bytes, len);

		assert_true(n > 0);
		bytes += n;
		len -= (size_t)n;
	}
}

/* Runs the loop until the answer has `until` in it, or ends. */
static void hear(const char *until)
{
	f.until = until;
	f.len = 0;
	f.closed = false;
	watch_set(f.watch, WATCH_READ);
	loop_timer_start(f.loop, &f.patience, 10000, lose_patience);
	loop_uv_run(f.loop);
	loop_timer_stop(&f.patience);
	f.got[f.len] = '\0';
}

static void ask(const char *request, const char *until)
{
	if (f.fd < 0)
		dial(http_address(f.http));
	say_bytes(request, strlen(request));
	hear(until);
}

static void starts_with(const char *status)
{
	assert_memory_equal(f.got, status, strlen(status));
}

static void a_page_is_served(void **state ATTR_UNUSED)
{
	ask("GET /now?a=b HTTP/1.1\r\nHost: a\r\n\r\n", "\r\n\r\nnow");
	starts_with("HTTP/1.1 200 ");
	assert_non_null(strstr(f.got, "Content-Length: 3\r\n"));
	assert_int_equal(f.served, 1);
}

static void a_connection_serves_one_request_after_another(
	void **state ATTR_UNUSED)
{
	int i;

	for (i = 1; i <= 20; i++) {
		ask("GET /now HTTP/1.1\r\nHost: a\r\n\r\n", "\r\n\r\nnow");
		starts_with("HTTP/1.1 200 ");
		assert_int_equal(f.served, i);
	}
}

static void head_has_no_body(void **state ATTR_UNUSED)
{
	ask("HEAD /now HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
	    "\r\n\r\nnow");
	starts_with("HTTP/1.1 200 ");
	assert_true(f.closed);
	assert_memory_equal(f.got + f.len - 4, "\r\n\r\n", 4);
}

static void an_answer_may_come_later(void **state ATTR_UNUSED)
{
	int i;

	for (i = 1; i <= 3; i++) {
		ask("GET /later HTTP/1.1\r\nHost: a\r\n\r\n", "\r\n\r\nlater");
		starts_with("HTTP/1.1 200 ");
		assert_int_equal(f.served, i);
	}
}

/* With a chunked body MHD calls the handler again although it is suspended. */
static void a_chunked_body_is_read_and_dropped(void **state ATTR_UNUSED)
{
	ask("GET /later HTTP/1.1\r\nHost: a\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n"
	    "5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n"
	    "GET /now HTTP/1.1\r\nHost: a\r\n\r\n",
	    "\r\n\r\nnow");
	starts_with("HTTP/1.1 200 ");
	assert_non_null(strstr(f.got, "\r\n\r\nlater"));
	assert_int_equal(f.served, 2);
}

/* Its sender is still writing: an answer that comes earlier would be lost. */
static void a_refused_upload_is_answered_after_its_end(void **state ATTR_UNUSED)
{
	static char body[60 << 10];

	memset(body, 'x', sizeof(body));
	dial(http_address(f.http));
	say_bytes("PUT /now HTTP/1.1\r\nHost: a\r\n"
		  "Content-Length: 61440\r\n\r\n",
		  53);
	say_bytes(body, sizeof(body));
	hear("GET and HEAD");
	starts_with("HTTP/1.1 405 ");
	assert_non_null(strstr(f.got, "Allow: GET, HEAD\r\n"));
	assert_int_equal(f.served, 0);
}

static void an_endless_upload_is_cut(void **state ATTR_UNUSED)
{
	static char body[70 << 10];

	memset(body, 'x', sizeof(body));
	dial(http_address(f.http));
	say_bytes("PUT /now HTTP/1.1\r\nHost: a\r\n"
		  "Content-Length: 99999999\r\n\r\n",
		  56);
	say_bytes(body, sizeof(body));
	hear("nothing of the kind");
	assert_true(f.closed);
	assert_int_equal(f.served, 0);
}

static void an_unknown_page_is_404(void **state ATTR_UNUSED)
{
	ask("GET /now/ HTTP/1.1\r\nHost: a\r\n\r\n", "no such page");
	starts_with("HTTP/1.1 404 ");
}

/* Each is refused, its connection closed, and nothing of it served. */
static void what_is_malformed_is_refused(void **state ATTR_UNUSED)
{
#define BAD(status, headers)                                                   \
	{                                                                      \
		status, "GET /now HTTP/1.1\r\nHost: a\r\n" headers "\r\n\r\n", \
			sizeof("GET /now HTTP/1.1\r\nHost: a\r\n" headers      \
			       "\r\n\r\n") -                                   \
				1                                              \
	}
	static const struct {
		const char *status, *request;
		size_t len;
	} bad[] = {
		BAD("400", "Content-Length: 0\r\nTransfer-Encoding: chunked"),
		BAD("400", "Transfer-Encoding: chunked\r\nContent-Length: 0"),
		BAD("400", "Content-Length: 0\r\nContent-Length: 0"),
		BAD("400", "Content-Length: 0\r\nContent-Length: 5"),
		BAD("400", "Content-Length: +0"),
		BAD("400", "Content-Length : 0"),
		BAD("501", "Transfer-Encoding: xchunked"),
		BAD("501", "Transfer-Encoding: gzip, chunked"),
		BAD("501", "Transfer-Encoding: identity"),
		BAD("400", "Host: b"),
		BAD("400", "X: a\rb"),
		BAD("400", "X: a\x01"),
		BAD("400", "X\0Y: ab"),
		BAD("400", "X Y: a"),
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		dial(http_address(f.http));
		say_bytes(bad[i].request, bad[i].len);
		hear("nothing of the kind");
		assert_true(f.closed);
		if (f.len)
			assert_memory_equal(f.got + 9, bad[i].status, 3);
		assert_int_equal(f.served, 0);
		hang_up();
	}
	ask("GET /now HTTP/1.1\r\nHost: a\r\n\r\n", "\r\n\r\nnow");
}

static void stopping_drops_what_is_not_answered(void **state ATTR_UNUSED)
{
	f.stop_now = true;
	ask("GET /later HTTP/1.1\r\nHost: a\r\n\r\n", "nothing of the kind");
	assert_non_null(f.later);
	http_stop(f.http);
	f.http = NULL;
	answer_later(&f.timer);
}

static void a_client_that_hangs_up_costs_nothing(void **state ATTR_UNUSED)
{
	ask("GET /later HTTP/1.1\r\nHost: a\r\n", "nothing"
						  " of the kind");
	hang_up();
	ask("GET /now HTTP/1.1\r\nHost: a\r\n\r\n", "\r\n\r\nnow");
	assert_int_equal(f.served, 1);
}

static void a_bad_address_is_refused_with_a_sentence(void **state ATTR_UNUSED)
{
	struct http *h;
	struct err err = { 0 };

	assert_int_equal(http_start(&h, f.loop, "8080", routes, &err), -EINVAL);
	assert_string_equal(err.msg, "\"8080\" is not HOST:PORT");
	assert_int_equal(
		http_start(&h, f.loop, http_address(f.http), routes, &err),
		-EADDRINUSE);
	assert_non_null(strstr(err.msg, "Address already in use"));
}

static void every_role_shows_metrics_and_health(void **state ATTR_UNUSED)
{
	f.admin.health = ask_health;
	assert_int_equal(
		http_admin_start(&f.admin, f.loop, "127.0.0.1:0", NULL), 0);
	dial(http_address(f.admin.http));
	ask("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n",
	    "acached_fuse_read_seconds_count 0\n");
	starts_with("HTTP/1.1 200 ");
	assert_non_null(strstr(f.got, "version=0.0.4"));
	ask("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "\r\n\r\nok\n");
	starts_with("HTTP/1.1 200 ");
	f.sick = -EIO;
	ask("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "worker is away\n");
	starts_with("HTTP/1.1 503 ");
	hang_up();
	http_admin_stop(&f.admin);
}

static void without_an_address_nobody_listens(void **state ATTR_UNUSED)
{
	assert_int_equal(http_admin_start(&f.admin, f.loop, "", NULL), 0);
	assert_null(f.admin.http);
	http_admin_stop(&f.admin);
}

TEST_MAIN(TEST_WITH(a_page_is_served),
	  TEST_WITH(a_connection_serves_one_request_after_another),
	  TEST_WITH(head_has_no_body), TEST_WITH(an_answer_may_come_later),
	  TEST_WITH(a_chunked_body_is_read_and_dropped),
	  TEST_WITH(a_refused_upload_is_answered_after_its_end),
	  TEST_WITH(an_endless_upload_is_cut),
	  TEST_WITH(an_unknown_page_is_404),
	  TEST_WITH(what_is_malformed_is_refused),
	  TEST_WITH(stopping_drops_what_is_not_answered),
	  TEST_WITH(a_client_that_hangs_up_costs_nothing),
	  TEST_WITH(a_bad_address_is_refused_with_a_sentence),
	  TEST_WITH(every_role_shows_metrics_and_health),
	  TEST_WITH(without_an_address_nobody_listens))
