#include "ufs/s3_adapt.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ufs/s3_request.h"

#define LOG_MODULE "s3"
#include "runtime/log.h"

/* S3 refuses what is 15 minutes off; others are stricter. */
enum { MAX_SKEW_S = 240 };

/* The answer to a HEAD does not say why it was refused; its date does. */
static bool adapt_clock(struct s3_call *call)
{
	const struct http_answer *a = &call->http.answer;
	struct s3 *s3 = call->s3;
	int64_t ahead;

	if (call->clock_tried || !s3_credentials_keys(s3->credentials) ||
	    a->date_s < 0 || a->status < 400 || a->status > 403 ||
	    llabs(a->date_s - call->signed_s) <= MAX_SKEW_S)
		return false;
	call->clock_tried = true;
	ahead = a->date_s - time(NULL);
	if (llabs(ahead - s3->clock_ahead_s) > MAX_SKEW_S)
		log_warn("clock of the storage is another, requests follow it",
			 "bucket=%s ahead_s=%" PRIi64, s3->config.bucket,
			 ahead);
	s3->clock_ahead_s = ahead;
	return true;
}

/* Whether a request to that region would be another one. */
static bool can_move(const struct s3 *s3, const char *region)
{
	const struct s3_config *c = &s3->config;

	return s3->moves == 0 && s3_config_is_region(region) &&
	       strcmp(region, c->region) != 0 &&
	       (c->amazon || s3_credentials_keys(s3->credentials));
}

static bool adapt_region(struct s3_call *call, const struct s3_error *e)
{
	const char *region = s3_error_region(&call->http.answer, e);
	struct s3 *s3 = call->s3;

	if (!region || call->moves != s3->moves) /* another call has moved */
		return region != NULL;
	if (!can_move(s3, region))
		return false;
	log_warn("bucket is in another region, requests go there",
		 "bucket=%s region=%s s3.region=%s", s3->config.bucket, region,
		 s3->config.region);
	s3_config_move(&s3->config, region);
	s3->moves++;
	return true;
}

/* They refuse a field that they do not know in more than one way. */
static bool may_refuse_field(int status, const struct s3_error *e)
{
	return !s3_error_passes(status, e) &&
	       (status == 400 || status == 501 ||
		strcmp(e->code, "SignatureDoesNotMatch") == 0);
}

static bool adapt_checksum(struct s3_call *call, const struct s3_error *e)
{
	if (!may_refuse_field(call->http.answer.status, e))
		return false;
	if (call->plain) { /* refused without it too: it was not that */
		call->plain = false;
		return false;
	}
	if (!s3_request_wants_checksum(call))
		return false;
	call->plain = true;
	call->plain_keys = call->keys_number;
	return true;
}

bool s3_adapt(struct s3_call *call, const struct s3_error *e)
{
	return adapt_region(call, e) || adapt_clock(call) ||
	       adapt_checksum(call, e);
}

void s3_adapt_worked(struct s3_call *call)
{
	struct s3 *s3 = call->s3;

	/* With other keys it may have been the keys. */
	if (!call->plain || s3->plain || call->keys_number != call->plain_keys)
		return;
	s3->plain = true;
	log_info("storage is not asked for checksums, it refuses that",
		 "bucket=%s", s3->config.bucket);
}
