#include "ufs/s3_call.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "runtime/metrics.h"
#include "ufs/s3_adapt.h"
#include "ufs/s3_backoff.h"
#include "ufs/s3_request.h"

#define LOG_MODULE "s3"
#include "runtime/log.h"

enum {
	MAX_ERROR_BODY = 64 << 10,
	WARN_EVERY_MS = 10000,
	MAX_TOTAL_MS = 60000, /* without a byte, whatever is left to try */
	MAX_RENEWALS = 3,     /* of keys, for one call */
};

void s3_call_init(struct s3_call *call, struct s3 *s3)
{
	*call = (struct s3_call){ .s3 = s3 };
	list_init(&call->timer.link);
	list_init(&call->keys.link);
}

void s3_call_close(struct s3_call *call)
{
	text_close(&call->path);
	text_close(&call->url);
	text_close(&call->fields);
	text_close(&call->error_body);
}

int s3_version(struct ufs_version *v, const char *etag)
{
	size_t len = strlen(etag);

	if (len >= 2 && etag[0] == '"' && etag[len - 1] == '"') {
		etag++;
		len -= 2;
	}
	if (len == 0)
		return -EBADMSG;
	if (len > sizeof(v->bytes))
		return -EOVERFLOW;
	*v = (struct ufs_version){ .len = (uint8_t)len };
	memcpy(v->bytes, etag, len);
	return 0;
}

static bool is_good(const struct http_answer *a)
{
	return a->status >= 200 && a->status < 300;
}

/* Its Content-Length and its Content-Range contradict each other. */
static bool is_miscounted(const struct http_answer *a)
{
	return a->status == 206 && a->length >= 0 && a->range_from >= 0 &&
	       a->length != a->range_to - a->range_from + 1;
}

/* Whether a good answer is of the version and the range that were asked for;
 * 0 or what is wrong with it. */
static int check_answer(struct s3_call *call)
{
	const struct http_answer *a = &call->http.answer;
	uint64_t wanted = call->to - call->from + 1;
	struct ufs_version v;

	if (call->version &&
	    (s3_version(&v, a->etag) || !ufs_version_equal(&v, call->version)))
		return err_set(&call->err, ERR_CHANGED, "%s",
			       err_text(ERR_CHANGED));
	if (!call->ranged)
		return 0;
	if (a->status == 200 && call->from == 0 && a->length >= 0 &&
	    (uint64_t)a->length <= wanted)
		return 0; /* all of it, and no more */
	if (is_miscounted(a))
		return err_set(&call->err, -EIO,
			       "its Content-Length and its Content-Range "
			       "contradict each other");
	if (a->status != 206 || a->range_from != (int64_t)call->from ||
	    a->range_to < a->range_from || a->range_to > (int64_t)call->to ||
	    (a->range_to < (int64_t)call->to &&
	     a->range_to + 1 != a->range_size))
		return err_set(&call->err, -EIO,
			       "asked for bytes %" PRIu64 "-%" PRIu64
			       ", got status %d and bytes %" PRIi64 "-%" PRIi64,
			       call->from, call->to, a->status, a->range_from,
			       a->range_to);
	return 0;
}

/* The answer is good, and may tell of bytes that are all of the object. */
static void take_digest(struct s3_call *call)
{
	const struct http_answer *a = &call->http.answer;

	if (call->ranged && call->from == 0 && call->on_whole &&
	    (a->status == 200 || a->range_to + 1 == a->range_size))
		s3_digest_take(&call->digest, call->s3->config.verify, a,
			       call->version);
}

static bool on_body(struct http_req *http, const void *data, size_t len)
{
	struct s3_call *call = container_of(http, struct s3_call, http);

	if (!is_good(&http->answer)) {
		if (call->error_body.len + len <= MAX_ERROR_BODY)
			text_addn(&call->error_body, data, len);
		return true;
	}
	if (!call->checked) {
		call->checked = true;
		call->refused = check_answer(call);
		if (call->refused)
			return false;
		take_digest(call);
	}
	if (call->ranged && len > call->to - call->from + 1 - call->received)
		call->refused = err_set(&call->err, -EIO,
					"sent more than was asked for");
	else if (!call->on_data(call, data, len))
		call->refused = -EIO; /* its sentence is set */
	call->received += len;
	return !call->refused;
}

static void attempt(struct s3_call *call);

/* At once, which is no attempt more: it was our mistake. */
static void again(struct s3_call *call)
{
	metric_add(METRIC_ufs_retries, 1);
	s3_request_url(call);
	call->attempt--;
	attempt(call);
}

/* Takes what this attempt brought off what is wanted; whether that was all. */
static bool advance(struct s3_call *call)
{
	if (call->ranged && call->received)
		call->since_ms = loop_now_ms(call->s3->ufs.env.loop);
	call->from += call->received;
	call->received = 0;
	return call->ranged && call->from > call->to;
}

static void on_delay_over(struct timer *t);

/* What call->err says may pass: once more a little later, or gives up. */
static void retry(struct s3_call *call)
{
	struct s3 *s3 = call->s3;
	unsigned max = s3->config.attempts;
	uint64_t now = loop_now_ms(s3->ufs.env.loop);
	unsigned delay;

	if (call->max_attempts && call->max_attempts < max)
		max = call->max_attempts;
	if (call->attempt >= max || now - call->since_ms >= MAX_TOTAL_MS) {
		err_set(&call->err, call->err.code, "%s (%u attempts)",
			call->err.msg, call->attempt);
		call->done(call, call->err.code);
		return;
	}
	delay = s3_backoff_ms(&s3->random, call->attempt,
			      call->http.answer.retry_after_s);
	metric_add(METRIC_ufs_retries, 1);
	if (!s3->warned_ms || now - s3->warned_ms >= WARN_EVERY_MS) {
		s3->warned_ms = now;
		log_warn("request to storage failed, it is sent again",
			 "path=%s reason=\"%s\" attempt=%u "
			 "delay_ms=%u",
			 call->path.at, call->err.msg, call->attempt, delay);
	}
	call->waiting = true;
	loop_timer_start(s3->ufs.env.loop, &call->timer, delay, on_delay_over);
}

/* All that was wanted has come. */
static void whole(struct s3_call *call)
{
	if (!call->on_whole || call->on_whole(call)) {
		call->done(call, 0);
		return;
	}
	metric_add(METRIC_ufs_wrong_bytes, 1);
	call->from = call->first;
	call->received = 0;
	call->digest.kind = S3_VERIFY_NONE;
	retry(call);
}

/* It broke off; it is gone on with if anything is missing. */
static void broken(struct s3_call *call)
{
	if (advance(call)) /* after the last byte */
		whole(call);
	else
		retry(call);
}

static void count_status(int status)
{
	metric_add(status == 0    ? METRIC_ufs_error
		   : status < 400 ? METRIC_ufs_ok
		   : status < 500 ? METRIC_ufs_4xx
				  : METRIC_ufs_5xx,
		   1);
}

/* A whole and good answer; short of what it announced in its range? */
static bool is_short(const struct s3_call *call)
{
	const struct http_answer *a = &call->http.answer;
	int64_t announced =
		a->status == 206 ? a->range_to - a->range_from + 1 : a->length;

	return call->ranged && (int64_t)call->received < announced;
}

static void on_good(struct s3_call *call)
{
	int rv = call->checked ? 0 : check_answer(call);

	if (!rv && is_short(call)) {
		err_set(&call->err, -EIO, "the body ended early");
		broken(call);
	} else if (rv) {
		call->done(call, rv);
	} else {
		s3_adapt_worked(call);
		whole(call);
	}
}

/* Whether other keys may make the difference; an answer to HEAD has no code. */
static bool is_about_keys(const struct http_answer *a, const struct s3_error *e)
{
	static const char *const codes[] = {
		"AccessDenied", "ExpiredToken",          "InvalidAccessKeyId",
		"InvalidToken", "SignatureDoesNotMatch", "TokenRefreshRequired"
	};
	size_t i;

	if (!e->code[0])
		return a->status == 401 || a->status == 403 ||
		       (a->status == 400 && !a->bucket_region[0]);
	for (i = 0; i < ARRAY_SIZE(codes); i++)
		if (strcmp(e->code, codes[i]) == 0)
			return true;
	return false;
}

static void on_keys_renewed(struct s3_keys_wait *w, int code,
			    const struct err *err ATTR_UNUSED)
{
	struct s3_call *call = container_of(w, struct s3_call, keys);

	if (code)
		call->done(call, call->err.code);
	else
		again(call);
}

/* Asks whether there are other keys than those that were refused. */
static bool renew_keys(struct s3_call *call)
{
	struct s3 *s3 = call->s3;

	if (s3->config.anonymous || call->renewals == MAX_RENEWALS)
		return false;
	call->renewals++;
	call->keys.done = on_keys_renewed;
	s3_credentials_refused(s3->credentials, call->keys_number, &call->keys);
	return true;
}

static void on_refusal(struct s3_call *call)
{
	struct s3_error none = { 0 };
	const struct s3_error *e = &none;
	struct s3_xml *xml = NULL;
	bool passes, adapted, of_keys;

	if (call->error_body.len) {
		xml = s3_xml_new();
		if (!s3_xml_feed(xml, call->error_body.at,
				 call->error_body.len) &&
		    s3_xml_finish(xml) == S3_ROOT_ERROR)
			e = s3_xml_error(xml);
	}
	call->s3->config.no_keys =
		s3_credentials_missing(call->s3->credentials);
	of_keys = is_about_keys(&call->http.answer, e);
	s3_error_answer(&call->err, &call->s3->config, &call->http.answer, e);
	passes = s3_error_passes(call->http.answer.status, e);
	adapted = s3_adapt(call, e);
	if (xml)
		s3_xml_free(xml);
	if (adapted)
		again(call);
	else if (passes)
		retry(call);
	else if (!of_keys || !renew_keys(call))
		call->done(call, call->err.code);
}

static void on_done(struct http_req *http, int rv)
{
	struct s3_call *call = container_of(http, struct s3_call, http);

	call->status = http->answer.status;
	count_status(call->refused || !rv ? call->status : 0);
	metric_add(METRIC_ufs_bytes, call->received);
	if (call->cancelled) {
		call->done(call, err_set(&call->err, -ECANCELED, "cancelled"));
	} else if (call->refused && is_miscounted(&http->answer)) {
		retry(call);
	} else if (call->refused) {
		call->done(call, call->refused);
	} else if (rv) {
		s3_error_transport(&call->err, &call->s3->config, rv,
				   http->error);
		if (http->retry)
			broken(call);
		else
			call->done(call, call->err.code);
	} else if (is_good(&http->answer)) {
		on_good(call);
	} else {
		on_refusal(call);
	}
}

static void send_request(struct s3_call *call)
{
	call->attempt++;
	call->received = 0;
	call->checked = false;
	call->refused = 0;
	text_clear(&call->error_body);
	s3_request_fields(call);
	call->http.method = call->head ? "HEAD" : "GET";
	call->http.url = call->url.at;
	call->http.headers = call->headers;
	call->http.untimed = !call->key; /* a listing */
	call->http.on_body = on_body;
	call->http.done = on_done;
	http_submit(call->s3->http, &call->http);
}

static void on_keys(struct s3_keys_wait *w, int code, const struct err *err)
{
	struct s3_call *call = container_of(w, struct s3_call, keys);

	if (!code) {
		attempt(call);
		return;
	}
	call->attempt++;
	call->err = *err;
	call->http.answer.retry_after_s = -1; /* the last one's */
	if (code == -EAGAIN) {
		call->err.code = -EIO;
		retry(call);
	} else {
		call->done(call, code);
	}
}

/* When there are keys. */
static void attempt(struct s3_call *call)
{
	struct s3_credentials *c = call->s3->credentials;

	if (s3_credentials_ready(c)) {
		send_request(call);
		return;
	}
	call->received = 0;
	call->keys.done = on_keys;
	s3_credentials_wait(c, &call->keys);
}

static void on_delay_over(struct timer *t)
{
	struct s3_call *call = container_of(t, struct s3_call, timer);

	call->waiting = false;
	if (call->cancelled)
		call->done(call, err_set(&call->err, -ECANCELED, "cancelled"));
	else
		attempt(call);
}

void s3_call_start(struct s3_call *call)
{
	s3_request_url(call);
	call->attempt = call->renewals = 0;
	call->clock_tried = call->plain = false;
	call->first = call->from;
	call->digest.kind = S3_VERIFY_NONE;
	call->since_ms = loop_now_ms(call->s3->ufs.env.loop);
	call->waiting = call->cancelled = false;
	call->err = (struct err){ 0 };
	attempt(call);
}

void s3_call_cancel(struct s3_call *call)
{
	if (call->cancelled)
		return;
	call->cancelled = true;
	if (!call->waiting && list_empty(&call->keys.link)) {
		http_cancel(&call->http);
		return;
	}
	s3_credentials_forget(&call->keys);
	loop_timer_stop(&call->timer);
	loop_timer_start(call->s3->ufs.env.loop, &call->timer, 0,
			 on_delay_over);
}
