#include "ufs/s3_request.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

void s3_request_url(struct s3_call *call)
{
	const struct s3_config *c = &call->s3->config;

	text_clear(&call->path);
	text_add(&call->path, c->base);
	if (call->key)
		text_encode(&call->path, call->key, strlen(call->key), true);
	text_clear(&call->url);
	text_add(&call->url, c->origin);
	text_add(&call->url, call->path.at);
	if (call->query[0]) {
		text_add(&call->url, "?");
		text_add(&call->url, call->query);
	}
	call->moves = call->s3->moves;
}

/* Header fields are strings behind each other in call->fields. */
static void add_field(struct s3_call *call, size_t at[], size_t *n,
		      const char *name, const char *value)
{
	assert(*n < S3_MAX_HEADERS);
	at[(*n)++] = call->fields.len;
	text_add(&call->fields, name);
	text_add(&call->fields, ": ");
	text_add(&call->fields, value);
	text_addn(&call->fields, "", 1);
}

/* The storage is asked for checksums only where it could have them. */
static const struct s3_header checksum_mode = { "x-amz-checksum-mode",
						"ENABLED" };

static const struct s3_header requester_pays = { "x-amz-request-payer",
						 "requester" };

bool s3_request_wants_checksum(const struct s3_call *call)
{
	return call->ranged && call->from == 0 && call->on_whole &&
	       call->s3->config.verify != S3_VERIFY_NONE && !call->plain &&
	       !call->s3->plain;
}

static void add_signature(struct s3_call *call, const struct s3_keys *keys,
			  size_t at[], size_t *n)
{
	struct s3 *s3 = call->s3;
	const struct s3_config *c = &s3->config;
	char date[S3_DATE_LEN + 1];
	struct s3_header headers[S3_MAX_HEADERS] = {
		{ "host", c->host },
		{ "x-amz-content-sha256", S3_EMPTY_SHA256 },
		{ "x-amz-date", date },
	};
	size_t n_headers = 3, i;
	const struct s3_scope scope = {
		.access_key = keys->access_key,
		.secret_key = keys->secret_key,
		.region = c->region,
	};
	struct s3_signed_request r = {
		.method = call->head ? "HEAD" : "GET",
		.path = call->path.at,
		.query = call->query,
		.headers = headers,
		.payload = S3_EMPTY_SHA256,
		.date = date,
	};

	if (c->requester_pays)
		headers[n_headers++] = requester_pays;
	if (keys->session_token)
		headers[n_headers++] =
			(struct s3_header){ "x-amz-security-token",
					    keys->session_token };
	call->signed_s = time(NULL) + s3->clock_ahead_s;
	s3_date(date, call->signed_s);
	for (i = 1; i < n_headers; i++)
		add_field(call, at, n, headers[i].name, headers[i].value);
	if (s3_request_wants_checksum(call)) /* which is sent already */
		headers[n_headers++] = checksum_mode;
	r.n_headers = n_headers;
	add_field(call, at, n, "Authorization", "");
	call->fields.len--; /* goes on where the value begins */
	s3_sign(s3->signer, &scope, &r, &call->fields);
	text_addn(&call->fields, "", 1);
}

static void add_if_match(struct s3_call *call, size_t at[], size_t *n)
{
	const struct ufs_version *v = call->version;
	/* A weak one has kept its quotes, and none may be added. */
	const char *quote =
		v->bytes[0] == 'W' && v->bytes[1] == '/' ? "" : "\"";
	char value[sizeof(v->bytes) + 3];

	snprintf(value, sizeof(value), "%s%.*s%s", quote, (int)v->len, v->bytes,
		 quote);
	add_field(call, at, n, "If-Match", value);
}

void s3_request_fields(struct s3_call *call)
{
	struct s3_credentials *c = call->s3->credentials;
	const struct s3_keys *keys = s3_credentials_keys(c);
	size_t at[S3_MAX_HEADERS], n = 0, i;
	char range[64];

	text_clear(&call->fields);
	if (call->ranged) {
		snprintf(range, sizeof(range), "bytes=%" PRIu64 "-%" PRIu64,
			 call->from, call->to);
		add_field(call, at, &n, "Range", range);
	}
	if (call->version)
		add_if_match(call, at, &n);
	if (s3_request_wants_checksum(call))
		add_field(call, at, &n, checksum_mode.name,
			  checksum_mode.value);
	call->keys_number = s3_credentials_number(c);
	if (keys)
		add_signature(call, keys, at, &n);
	for (i = 0; i < n; i++)
		call->headers[i] = call->fields.at + at[i];
	call->headers[n] = NULL;
}
