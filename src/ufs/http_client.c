#include "ufs/http_client.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/map.h"
#include "base/mem.h"
#include "runtime/metrics.h"
#include "runtime/watch.h"
#include "ufs/limit.h"

#define LOG_MODULE "ufs"
#include "runtime/log.h"

/* The server may close what has been idle for longer (S3: some 20 s). */
enum {
	MAX_IDLE_S = 20,
	RECEIVE_BUFFER = 128 << 10,
	HAPPY_EYEBALLS_MS = 25,
	TICK_MS = 500, /* how often is looked for silence */
	START_IN_FLIGHT = 64,
	TELL_EVERY_MS = 10000,
};

/*
 * A socket of curl's and its watch.  Curl wants it watched for each request
 * anew; we go on watching in between, so that a request on a connection that is
 * kept needs no epoll_ctl(2).  Only those of which curl will tell us that it
 * closes them: what open_socket() made and what was connected (7.88 closes what
 * is still connecting by itself, and its resolver's sockets).
 */
struct http_socket {
	struct http_client *client;
	struct watch *watch; /* NULL: none */
	bool made;           /* by open_socket() */
	bool connected;
	bool wanted; /* by curl */
};

/* An easy handle, kept for the next request. */
struct http_handle {
	struct list link;
	CURL *easy;
	bool put; /* the last request was one */
	char error[CURL_ERROR_SIZE];
};

struct http_client {
	struct loop *loop;
	CURLM *multi;
	struct timer timer;
	unsigned first_in_flight, in_flight;
	struct limit limit;
	char *name;
	uint64_t told_ms; /* when it was last logged that it was lowered */
	bool answered;    /* the name of the server is known by now */
	char *ca_file;
	unsigned connect_timeout_ms, stall_s;
	struct timer tick; /* runs while any is active */
	uint64_t tick_ms;  /* when it is due */

	struct list queue;  /* of requests that wait for their turn */
	struct list active; /* of requests that curl has */
	struct list ended;  /* of requests that were cancelled */
	struct list idle;   /* of handles */
	struct map sockets; /* by descriptor */
	struct task work;   /* to end those */
	bool work_posted;
	unsigned busy; /* depth of calls into curl or of done() */
	bool closing;
};

/* curl's calls that fail for want of memory or by our own mistake. */
static void must(CURLMcode code)
{
	if (code != CURLM_OK)
		abort();
}

static void set_long(CURL *easy, CURLoption option, long value)
{
	if (curl_easy_setopt(easy, option, value) != CURLE_OK)
		abort();
}

static void set_ptr(CURL *easy, CURLoption option, const void *value)
{
	if (curl_easy_setopt(easy, option, value) != CURLE_OK)
		abort();
}

/* If `line` is the field `name`, its value, else NULL. */
static const char *field(const char *line, const char *name)
{
	size_t len = strlen(name);

	if (strncasecmp(line, name, len) != 0 || line[len] != ':')
		return NULL;
	line += len + 1;
	return line + strspn(line, " \t");
}

static void set_range(struct http_answer *a, const char *value)
{
	long long from, to, size;

	if (sscanf(value, "bytes %lld-%lld/%lld", &from, &to, &size) == 3) {
		a->range_from = from;
		a->range_to = to;
		a->range_size = size;
	} else if (sscanf(value, "bytes */%lld", &size) == 1) {
		a->range_size = size;
	}
}

static void set_etag(struct http_answer *a, const char *value)
{
	if (strlen(value) < sizeof(a->etag))
		snprintf(a->etag, sizeof(a->etag), "%s", value);
	else
		snprintf(a->etag, sizeof(a->etag), "%.*s...",
			 (int)sizeof(a->etag) - 4, value);
}

/* Seconds, or a date. */
static void set_retry_after(struct http_answer *a, const char *value)
{
	char *end;
	int64_t at, now = a->date_s >= 0 ? a->date_s : time(NULL);

	a->retry_after_s = strtoll(value, &end, 10);
	if (end != value && *end == '\0')
		return;
	at = curl_getdate(value, NULL);
	a->retry_after_s = at >= 0 ? at - now : -1;
}

/* Amazon's own fields. */
static void set_amz(struct http_answer *a, const char *line)
{
	const char *v;

	if ((v = field(line, "x-amz-bucket-region"))) {
		snprintf(a->bucket_region, sizeof(a->bucket_region), "%s", v);
	} else if ((v = field(line, "x-amz-checksum-crc32c"))) {
		if (strlen(v) < sizeof(a->crc32c))
			snprintf(a->crc32c, sizeof(a->crc32c), "%s", v);
	} else if ((v = field(line, "x-amz-checksum-type"))) {
		a->of_parts = strcasecmp(v, "COMPOSITE") == 0;
	} else if ((v = field(line, "x-amz-server-side-encryption"))) {
		a->etag_no_md5 |= strncmp(v, "aws:kms", 7) == 0;
	} else if (field(line, "x-amz-server-side-encryption-"
			       "customer-algorithm")) {
		a->etag_no_md5 = true;
	}
}

static void set_field(struct http_answer *a, const char *line)
{
	const char *v;

	switch (line[0] | 0x20) { /* in lower case: most lines are others */
	case 'c':
		if ((v = field(line, "Content-Length")))
			a->length = strtoll(v, NULL, 10);
		else if ((v = field(line, "Content-Range")))
			set_range(a, v);
		break;
	case 'd':
		if (a->status >= 300 && (v = field(line, "Date")))
			a->date_s = curl_getdate(v, NULL);
		break;
	case 'e':
		if ((v = field(line, "ETag")))
			set_etag(a, v);
		break;
	case 'l':
		if ((v = field(line, "Last-Modified")))
			a->mtime_s = curl_getdate(v, NULL);
		break;
	case 'r':
		if ((v = field(line, "Retry-After")))
			set_retry_after(a, v);
		break;
	case 'x':
		set_amz(a, line);
		break;
	}
}

static void clear_answer(struct http_answer *a)
{
	*a = (struct http_answer){
		.length = -1,
		.range_from = -1,
		.range_to = -1,
		.range_size = -1,
		.mtime_s = -1,
		.date_s = -1,
		.retry_after_s = -1,
	};
}

static size_t on_header(char *data, size_t size, size_t n, void *owner)
{
	struct http_req *r = owner;
	size_t len = size * n, end = len;
	char line[512];

	r->moved_ms = loop_now_ms(r->client->loop);
	while (end && (data[end - 1] == '\n' || data[end - 1] == '\r' ||
		       data[end - 1] == ' '))
		end--;
	if (end >= sizeof(line)) /* none that we want is as long */
		end = sizeof(line) - 1;
	memcpy(line, data, end);
	line[end] = '\0';
	if (strncmp(line, "HTTP/", 5) == 0) {
		clear_answer(&r->answer);
		r->answer.status = atoi(line + strcspn(line, " "));
		r->head_ended = false;
	} else if (end == 0) {
		r->head_ended = true;
	} else {
		set_field(&r->answer, line);
	}
	return len;
}

static size_t on_body(char *data, size_t size, size_t n, void *owner)
{
	struct http_req *r = owner;

	r->moved_ms = loop_now_ms(r->client->loop);
	if (r->cancelled || !r->on_body(r, data, size * n))
		return 0;
	return r->cancelled ? 0 : size * n;
}

static void stop_watch(struct http_socket *s)
{
	if (s->watch)
		watch_free(s->watch);
	s->watch = NULL;
	s->wanted = s->connected = false;
}

static void drop_socket(struct http_client *c, curl_socket_t fd)
{
	struct http_socket *s = map_remove(&c->sockets, (uint64_t)fd);

	if (s)
		stop_watch(s);
	free(s);
}

static struct http_socket *add_socket(struct http_client *c, curl_socket_t fd)
{
	struct http_socket *s = mem_alloc(sizeof(*s));

	drop_socket(c, fd); /* of another that had the number */
	s->client = c;
	map_put(&c->sockets, (uint64_t)fd, s);
	return s;
}

static curl_socket_t open_socket(void *owner, curlsocktype purpose ATTR_UNUSED,
				 struct curl_sockaddr *a)
{
	int fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);

	if (fd < 0)
		return CURL_SOCKET_BAD;
	add_socket(owner, fd)->made = true;
	return fd;
}

static int close_socket(void *owner, curl_socket_t fd)
{
	drop_socket(owner, fd);
	return close(fd);
}

static struct http_handle *handle_new(struct http_client *c)
{
	struct http_handle *h = mem_alloc(sizeof(*h));
	CURL *e = curl_easy_init();

	if (!e)
		abort();
	h->easy = e;
	set_ptr(e, CURLOPT_ERRORBUFFER, h->error);
	set_long(e, CURLOPT_NOSIGNAL, 1);
	/* Who gives up a name that is being resolved does not wait for it. */
	set_long(e, CURLOPT_QUICK_EXIT, 1);
	set_ptr(e, CURLOPT_PROTOCOLS_STR, "http,https");
	set_ptr(e, CURLOPT_PROXY, ""); /* those of the environment neither */
	set_long(e, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	set_long(e, CURLOPT_PATH_AS_IS, 1);
	set_long(e, CURLOPT_BUFFERSIZE, RECEIVE_BUFFER);
	set_long(e, CURLOPT_TCP_KEEPALIVE, 1);
	set_long(e, CURLOPT_MAXAGE_CONN, MAX_IDLE_S);
	set_long(e, CURLOPT_HAPPY_EYEBALLS_TIMEOUT_MS, HAPPY_EYEBALLS_MS);
	set_long(e, CURLOPT_CONNECTTIMEOUT_MS, (long)c->connect_timeout_ms);
	set_ptr(e, CURLOPT_USERAGENT, PACKAGE_NAME "/" PACKAGE_VERSION);
	if (c->ca_file)
		set_ptr(e, CURLOPT_CAINFO, c->ca_file);
	set_ptr(e, CURLOPT_OPENSOCKETDATA, c);
	set_ptr(e, CURLOPT_CLOSESOCKETDATA, c);
	if (curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header) ||
	    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body) ||
	    curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, open_socket) ||
	    curl_easy_setopt(e, CURLOPT_CLOSESOCKETFUNCTION, close_socket))
		abort();
	return h;
}

static void handle_free(struct http_handle *h)
{
	curl_easy_cleanup(h->easy);
	free(h);
}

static struct http_handle *handle_get(struct http_client *c)
{
	struct list *link = list_pop_front(&c->idle);

	return link ? list_entry(link, struct http_handle, link)
		    : handle_new(c);
}

static void set_method(struct http_handle *h, const struct http_req *r)
{
	bool put = strcmp(r->method, "PUT") == 0;

	if (put != h->put)
		set_ptr(h->easy, CURLOPT_CUSTOMREQUEST, put ? "PUT" : NULL);
	h->put = put;
	if (strcmp(r->method, "POST") == 0) {
		set_long(h->easy, CURLOPT_POST, 1);
		set_long(h->easy, CURLOPT_POSTFIELDSIZE, (long)r->body_len);
		set_ptr(h->easy, CURLOPT_POSTFIELDS, r->body);
	} else {
		set_long(h->easy,
			 strcmp(r->method, "HEAD") == 0 ? CURLOPT_NOBODY
							: CURLOPT_HTTPGET,
			 1);
	}
}

static void on_tick(struct timer *t);

static void start_tick(struct http_client *c)
{
	c->tick_ms = loop_now_ms(c->loop) + TICK_MS;
	loop_timer_stop(&c->tick);
	loop_timer_start(c->loop, &c->tick, TICK_MS, on_tick);
}

/* Gives a request to curl. */
static void start(struct http_client *c, struct http_req *r)
{
	struct http_handle *h = handle_get(c);
	size_t i;

	for (i = 0; r->headers[i]; i++) {
		struct curl_slist *l =
			curl_slist_append(r->fields, r->headers[i]);

		if (!l)
			abort();
		r->fields = l;
	}
	h->error[0] = '\0';
	set_ptr(h->easy, CURLOPT_URL, r->url);
	set_ptr(h->easy, CURLOPT_HTTPHEADER, r->fields);
	set_method(h, r);
	set_ptr(h->easy, CURLOPT_HEADERDATA, r);
	set_ptr(h->easy, CURLOPT_WRITEDATA, r);
	set_ptr(h->easy, CURLOPT_PRIVATE, r);
	r->handle = h;
	r->moved_ms = r->sent_ms = loop_now_ms(c->loop);
	if (list_empty(&c->active))
		start_tick(c);
	list_push_back(&c->active, &r->link);
	c->in_flight++;
	must(curl_multi_add_handle(c->multi, h->easy));
}

/* Whether the host of this URL is an address of version 4 or 6. */
static bool is_address(const char *url)
{
	const char *host = strstr(url, "://");

	host = host ? host + 3 : url;
	host += strspn(host, "0123456789.");
	return host[0] == '[' || host[0] == ':' || host[0] == '/';
}

static bool has_room(const struct http_client *c, const struct http_req *r)
{
	if (c->in_flight >= c->limit.now)
		return false;
	return c->in_flight < c->first_in_flight ||
	       (c->answered || is_address(r->url));
}

static void pump(struct http_client *c)
{
	struct http_req *r;

	while (!list_empty(&c->queue)) {
		r = list_entry(c->queue.next, struct http_req, link);
		if (!has_room(c, r))
			break;
		list_remove(&r->link);
		start(c, r);
	}
}

/* What curl's `code` is to us; sets r->retry. */
static int to_rv(struct http_req *r, CURLcode code)
{
	long os = 0;

	r->retry = true;
	switch (code) {
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_COULDNT_CONNECT:
		curl_easy_getinfo(r->handle->easy, CURLINFO_OS_ERRNO, &os);
		return os > 0 ? -(int)os : -ECONNREFUSED;
	case CURLE_COULDNT_RESOLVE_HOST:
		return -EHOSTUNREACH;
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_PARTIAL_FILE:
	case CURLE_SSL_CONNECT_ERROR:
	/* what came is no answer: the rest of another, it may be */
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return -ECONNRESET;
	default: /* verification, a bad URL, what on_body() refused */
		r->retry = false;
		return -EPROTO;
	}
}

static bool adapts(const struct limit *l)
{
	return l->min < l->max;
}

/* From the end of the request to the first byte of the answer. */
static uint32_t wait_us(const struct http_handle *h)
{
	curl_off_t sent = 0, came = 0;

	curl_easy_getinfo(h->easy, CURLINFO_PRETRANSFER_TIME_T, &sent);
	curl_easy_getinfo(h->easy, CURLINFO_STARTTRANSFER_TIME_T, &came);
	return came > sent ? (uint32_t)(came - sent) : 0;
}

static void tell_lowered(struct http_client *c, enum limit_change why)
{
	uint64_t now = loop_now_ms(c->loop);

	metric_add(why == LIMIT_SLOW ? METRIC_ufs_lowered_slow
				     : METRIC_ufs_lowered_refused,
		   1);
	if (c->told_ms && now - c->told_ms < TELL_EVERY_MS)
		return;
	c->told_ms = now;
	log_info("storage is sent fewer requests at once",
		 "storage=%s reason=%s limit=%u", c->name,
		 why == LIMIT_SLOW ? "slow" : "refused", c->limit.now);
}

/* What a request that has ended says of how many there may be. */
static void judge(struct http_client *c, const struct http_req *r, int rv)
{
	uint64_t now = loop_now_ms(c->loop);
	unsigned before = c->limit.now;
	enum limit_change change;
	int status = r->answer.status;

	if (!adapts(&c->limit) || rv == -ECANCELED || (rv && !r->retry))
		return;
	if (rv || status == 429 || status >= 500)
		change = limit_refused(&c->limit, now, r->sent_ms);
	else if (r->untimed)
		return;
	else
		change = limit_answered(&c->limit, now, r->sent_ms,
					wait_us(r->handle),
					!list_empty(&c->queue));
	if (change == LIMIT_SAME)
		return;
	metric_add(METRIC_ufs_limit, (uint64_t)c->limit.now - before);
	if (change != LIMIT_MORE)
		tell_lowered(c, change);
}

/* Ends a request that curl has or that waits. */
static void finish(struct http_req *r, CURLcode code)
{
	struct http_client *c = r->client;
	struct http_handle *h = r->handle;
	int rv = 0;

	r->retry = false;
	r->error[0] = '\0';
	if (r->stalled && code == CURLE_OK) {
		code = CURLE_OPERATION_TIMEDOUT;
		snprintf(h->error, sizeof(h->error),
			 "nothing came for %u seconds", c->stall_s);
	}
	if (code == CURLE_OK && !r->head_ended)
		code = CURLE_PARTIAL_FILE; /* curl is content with half a head
					    */
	if (code != CURLE_OK && h) {
		rv = to_rv(r, code);
		snprintf(r->error, sizeof(r->error), "%s",
			 h->error[0] ? h->error : curl_easy_strerror(code));
	}
	if (r->cancelled) {
		rv = -ECANCELED;
		r->retry = false;
	}
	list_remove(&r->link);
	c->answered |= r->answer.status != 0;
	if (h) {
		judge(c, r, rv);
		must(curl_multi_remove_handle(c->multi, h->easy));
		list_push_back(&c->idle, &h->link);
		c->in_flight--;
	}
	curl_slist_free_all(r->fields);
	r->fields = NULL;
	r->handle = NULL;
	r->done(r, rv);
}

static void destroy(struct http_client *c)
{
	struct map_slot *slot;
	struct list *link;
	size_t at = 0;

	assert(c->in_flight == 0 && list_empty(&c->queue) &&
	       list_empty(&c->ended));
	while ((link = list_pop_front(&c->idle)))
		handle_free(list_entry(link, struct http_handle, link));
	must(curl_multi_cleanup(c->multi));
	while ((slot = map_next(&c->sockets, &at))) {
		stop_watch(slot->value); /* closed while connecting */
		free(slot->value);
	}
	map_close(&c->sockets);
	loop_timer_stop(&c->timer);
	loop_timer_stop(&c->tick);
	curl_global_cleanup();
	if (adapts(&c->limit))
		metric_add(METRIC_ufs_limit, -(uint64_t)c->limit.now);
	free(c->ca_file);
	free(c->name);
	free(c);
}

/* After every call into curl: what has ended, what was cancelled, what can
 * start now. */
static void work(struct http_client *c)
{
	struct list *link;
	CURLMsg *m;
	char *owner;
	int left;

	while ((m = curl_multi_info_read(c->multi, &left))) {
		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &owner);
		finish((struct http_req *)(void *)owner, m->data.result);
	}
	while ((link = list_pop_front(&c->ended)))
		finish(list_entry(link, struct http_req, link), CURLE_OK);
	pump(c);
}

static void leave(struct http_client *c)
{
	work(c);
	if (--c->busy == 0 && c->closing && !c->work_posted)
		destroy(c);
}

static void on_timer(struct timer *t)
{
	struct http_client *c = container_of(t, struct http_client, timer);
	int running;

	c->busy++;
	must(curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0,
				      &running));
	leave(c);
}

/* Ends what has been silent for too long.  That it was not looked at, because
 * this thread did not run, is no silence. */
static void on_tick(struct timer *t)
{
	struct http_client *c = container_of(t, struct http_client, tick);
	uint64_t now = loop_now_ms(c->loop), late;
	struct list *link, *next;
	struct http_req *r;

	late = now > c->tick_ms ? now - c->tick_ms : 0;
	for (link = c->active.next; link != &c->active; link = next) {
		next = link->next;
		r = list_entry(link, struct http_req, link);
		r->moved_ms += late > TICK_MS ? late : 0;
		if (now < r->moved_ms + c->stall_s * UINT64_C(1000))
			continue;
		r->stalled = true;
		list_remove(link);
		list_push_back(&c->ended, link);
	}
	c->busy++;
	if (!list_empty(&c->active))
		start_tick(c);
	leave(c);
}

static void on_ready(void *owner, int fd, unsigned events)
{
	struct http_socket *s = owner;
	struct http_client *c = s->client;
	int what = 0, running;

	if (!s->wanted) { /* the server hung up; curl will see it in time */
		watch_set(s->watch, 0);
		return;
	}
	if (events & WATCH_READ)
		what |= CURL_CSELECT_IN;
	if (events & WATCH_WRITE)
		what |= CURL_CSELECT_OUT;
	if (events & WATCH_ERROR)
		what |= CURL_CSELECT_ERR;
	s->connected = s->connected || events == WATCH_READ;
	c->busy++;
	must(curl_multi_socket_action(c->multi, fd, what, &running));
	leave(c);
}

/* curl wants to be woken after `ms`. */
static int set_timer(CURLM *multi ATTR_UNUSED, long ms, void *owner)
{
	struct http_client *c = owner;

	loop_timer_stop(&c->timer);
	if (ms >= 0)
		loop_timer_start(c->loop, &c->timer, (uint64_t)ms, on_timer);
	return 0;
}

/* curl wants a socket watched. */
static int set_socket(CURL *easy ATTR_UNUSED, curl_socket_t fd, int what,
		      void *owner, void *unused ATTR_UNUSED)
{
	struct http_client *c = owner;
	struct http_socket *s = map_get(&c->sockets, (uint64_t)fd);

	if (what == CURL_POLL_REMOVE) {
		if (s && s->made && s->connected)
			s->wanted = false;
		else if (s && s->made)
			stop_watch(s);
		else
			drop_socket(c, fd);
		return 0;
	}
	if (!s)
		s = add_socket(c, fd);
	if (!s->watch)
		s->watch = watch_new(c->loop, fd, on_ready, s);
	s->wanted = true;
	watch_set(s->watch, (what & CURL_POLL_IN ? WATCH_READ : 0) |
				    (what & CURL_POLL_OUT ? WATCH_WRITE : 0));
	return 0;
}

static void init_limit(struct limit *l, const struct http_config *c)
{
	unsigned max = c->max_in_flight;
	unsigned min = c->min_in_flight ? c->min_in_flight : max;

	limit_init(l, min, min > START_IN_FLIGHT ? min : START_IN_FLIGHT, max);
}

struct http_client *http_client_new(const struct http_config *config)
{
	struct http_client *c = mem_alloc(sizeof(*c));

	if (curl_global_init(CURL_GLOBAL_DEFAULT))
		abort();
	c->loop = config->loop;
	c->first_in_flight = config->max_in_flight;
	init_limit(&c->limit, config);
	if (adapts(&c->limit))
		metric_add(METRIC_ufs_limit, c->limit.now);
	c->name = mem_str(config->name ? config->name : "");
	if (config->first_in_flight)
		c->first_in_flight = config->first_in_flight;
	c->connect_timeout_ms = config->connect_timeout_ms;
	c->stall_s = config->stall_s;
	c->ca_file = config->ca_file ? mem_str(config->ca_file) : NULL;
	list_init(&c->queue);
	list_init(&c->active);
	list_init(&c->tick.link);
	list_init(&c->ended);
	list_init(&c->idle);
	list_init(&c->timer.link);
	map_init(&c->sockets);
	c->multi = curl_multi_init();
	if (!c->multi)
		abort();
	/* Fewer than there are in flight would close what is about to be
	 * used again. */
	must(curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS,
			       (long)c->limit.max));
	must(curl_multi_setopt(c->multi, CURLMOPT_PIPELINING,
			       CURLPIPE_NOTHING));
	must(curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, set_socket));
	must(curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c));
	must(curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, set_timer));
	must(curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c));
	return c;
}

void http_client_free(struct http_client *c)
{
	if (c->busy || c->work_posted)
		c->closing = true; /* leave() does it */
	else
		destroy(c);
}

static void run_work(struct task *t)
{
	struct http_client *c = container_of(t, struct http_client, work);

	c->work_posted = false;
	c->busy++;
	leave(c);
}

void http_submit(struct http_client *c, struct http_req *r)
{
	r->client = c;
	r->handle = NULL;
	r->fields = NULL;
	r->cancelled = r->head_ended = r->stalled = false;
	clear_answer(&r->answer);
	list_push_back(&c->queue, &r->link);
	if (!c->busy) /* else we may be inside of curl; leave() does it */
		pump(c);
}

void http_cancel(struct http_req *r)
{
	struct http_client *c = r->client;

	if (r->cancelled)
		return;
	r->cancelled = true;
	list_remove(&r->link);
	list_push_back(&c->ended, &r->link);
	if (!c->work_posted) {
		c->work_posted = true;
		loop_post(c->loop, &c->work, run_work);
	}
}
