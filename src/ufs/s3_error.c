#include "ufs/s3_error.h"

#include <errno.h>
#include <string.h>

/* What to do about a code. */
static const struct advice {
	const char *code, *text;
} advices[] = {
	{ "AccessDenied",
	  "check that these keys may list and read this bucket" },
	{ "InvalidAccessKeyId",
	  "check aws.accessKeyId, and that s3.endpoint is the server which "
	  "gave it out" },
	{ "SignatureDoesNotMatch", "check aws.secretKey" },
	{ "ExpiredToken", "get a new aws.sessionToken with its keys" },
	{ "InvalidToken", "check aws.sessionToken" },
	{ "NoSuchBucket", "check the bucket's name and s3.endpoint" },
	{ "InvalidBucketName", "check the bucket's name and s3.path-style" },
	{ "RequestTimeTooSkewed",
	  "the clocks of this machine and of the storage differ: set the "
	  "clock" },
	{ "InvalidRequest", "check s3.endpoint and s3.region" },
	{ "SlowDown", "the storage asks for fewer requests" },
};

/* These tell the right region, if the answer has it. */
static const char *const region_codes[] = {
	"PermanentRedirect",
	"TemporaryRedirect",
	"Redirect",
	"AuthorizationHeaderMalformed",
	"IllegalLocationConstraintException",
};

bool s3_error_passes(int status, const struct s3_error *e)
{
	switch (status) {
	case 408:
	case 429:
	case 500:
	case 502:
	case 503:
	case 504:
		return true;
	default:
		return strcmp(e->code, "RequestTimeout") == 0 ||
		       strcmp(e->code, "SlowDown") == 0;
	}
}

/* Whether another region is the reason; an answer to HEAD has no code. */
static bool is_about_region(const struct http_answer *a,
			    const struct s3_error *e)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(region_codes); i++)
		if (strcmp(e->code, region_codes[i]) == 0)
			return true;
	return a->status == 301 || a->status == 307 ||
	       (a->status == 400 && !e->code[0] && a->bucket_region[0]);
}

const char *s3_error_region(const struct http_answer *a,
			    const struct s3_error *e)
{
	if (!is_about_region(a, e))
		return NULL;
	return e->region[0] ? e->region : a->bucket_region;
}

static int to_code(int status)
{
	switch (status) {
	case 401:
	case 403:
		return -EACCES;
	case 404:
		return -ENOENT;
	case 412:
		return ERR_CHANGED;
	default:
		return -EIO;
	}
}

static const char *find_advice(const struct s3_config *c, int status,
			       const struct s3_error *e)
{
	size_t i;

	if (c->no_keys && (status == 403 || status == 401))
		return "no keys were found: give aws.accessKeyId and "
		       "aws.secretKey, or put them in the environment or in "
		       "~/.aws/credentials of acached";
	for (i = 0; i < ARRAY_SIZE(advices); i++)
		if (strcmp(e->code, advices[i].code) == 0)
			return advices[i].text;
	if (e->code[0])
		return NULL;
	if (status == 403 || status == 401)
		return advices[0].text;
	return s3_error_passes(status, e) || status == 404 || status == 412
		       ? NULL
		       : "check that s3.endpoint is an S3 server";
}

int s3_error_answer(struct err *err, const struct s3_config *c,
		    const struct http_answer *a, const struct s3_error *e)
{
	const char *region = s3_error_region(a, e);
	const char *advice = find_advice(c, a->status, e);
	const char *space = e->code[0] ? " " : "";
	const char *colon = e->message[0] ? ": " : "";
	int code = to_code(a->status);

	if (region && region[0])
		return err_set(err, code,
			       "%d%s%s%s%s; the bucket is in region %s: give "
			       "s3.region=%s%s",
			       a->status, space, e->code, colon, e->message,
			       region, region,
			       c->amazon ? "" : " and its s3.endpoint");
	if (region)
		advice = "check s3.region and s3.endpoint";
	return err_set(err, code, "%d%s%s%s%s%s%s", a->status, space, e->code,
		       colon, e->message, advice ? "; " : "",
		       advice ? advice : "");
}

int s3_error_transport(struct err *err, const struct s3_config *c, int rv,
		       const char *sentence)
{
	const int code = -EIO;

	switch (rv) {
	case -ETIMEDOUT:
		return err_set(err, code,
			       "%s: %s; check s3.endpoint if it stays so",
			       c->origin, sentence);
	case -ECONNRESET: /* in the middle of something */
		return err_set(err, code,
			       "%s: %s; check http:// or https:// "
			       "in s3.endpoint if it stays so",
			       c->origin, sentence);
	case -EPROTO:
		return err_set(err, code,
			       "%s: %s; if its certificate is not of a "
			       "public authority, give s3.ca-file",
			       c->origin, sentence);
	case -EHOSTUNREACH:
		return err_set(
			err, code,
			"could not connect to %s: %s; check s3.endpoint, "
			"s3.region and s3.path-style",
			c->origin, sentence);
	default:
		return err_set(err, code,
			       "could not connect to %s: %s; check s3.endpoint",
			       c->origin, strerror(-rv));
	}
}
