/*
 * Amazon's Signature Version 4 in the Authorization header, for S3: a path is
 * encoded once and never normalised.
 *
 * It signs what it is given and looks at no clock, so that a server can verify
 * with it: both sides make the same canonical request, whatever encoding of
 * path and query was sent.  A signer belongs to one thread; it keeps the
 * derived key of the last day, region and secret.
 *
 * Source: "Authenticating Requests: Using the Authorization Header (AWS
 * Signature Version 4)" of the S3 API reference.
 */
#pragma once

#include <stddef.h>
#include <time.h>

#define S3_SHA256_HEX 64
#define S3_DATE_LEN   16 /* 20130524T000000Z */

/* SHA-256 of nothing: the payload of a GET. */
#define S3_EMPTY_SHA256 \
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define S3_UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"

struct s3_signer;
struct text;

struct s3_header {
	const char *name, *value;
};

struct s3_signed_request {
	const char *method;
	const char *path;  /* as sent, from the first slash */
	const char *query; /* as sent, behind the question mark, or "" */
	/* What is signed: host and all x-amz-*, at least; each name once. */
	const struct s3_header *headers;
	size_t n_headers;
	const char *payload; /* the value of x-amz-content-sha256 */
	const char *date;    /* of x-amz-date */
};

struct s3_scope {
	const char *access_key, *secret_key, *region;
};

struct s3_signer *s3_signer_new(void);
void s3_signer_free(struct s3_signer *s); /* wipes the key */

void s3_date(char date[S3_DATE_LEN + 1], time_t now);

/* Adds the value of the Authorization header to `out`. */
void s3_sign(struct s3_signer *s, const struct s3_scope *scope,
	     const struct s3_signed_request *r, struct text *out);
