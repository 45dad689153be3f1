/*
 * One call to an S3 server, as often as it takes (within bounds): signed anew
 * for each attempt, retried with back-off and jitter on 5xx, SlowDown, 429 (its
 * Retry-After is honoured), timeouts, resets, short and wrong bodies; a GET of
 * a range goes on where it broke off, for the same version.
 *
 * All on the storage's loop.  Memory of a call (URL, headers) is kept for its
 * next use: s3_call_init() once, then any number of s3_call_start().
 */
#pragma once

#include "ufs/http_client.h"
#include "ufs/s3_config.h"
#include "ufs/s3_credentials.h"
#include "ufs/s3_error.h"
#include "ufs/s3_sign.h"
#include "ufs/s3_xml.h"
#include "ufs/text.h"
#include "ufs/ufs.h"

/* What calls to one bucket share. */
struct s3 {
	struct ufs ufs;
	struct s3_config config;
	struct s3_credentials *credentials;
	struct http_client *http;
	struct s3_signer *signer;
	struct list idle_ops; /* ufs_s3.c's */
	uint64_t random;
	uint64_t warned_ms; /* when retries were last logged */
	/* what was learned of the storage (s3_adapt.h) */
	int64_t clock_ahead_s;
	unsigned moves;
	bool plain; /* it takes no x-amz-checksum-mode */
};

enum { S3_MAX_HEADERS = 10 };

struct s3_call {
	/* the caller's, for each start */
	bool head;
	const char *key;   /* with the mount's prefix; NULL: of the bucket */
	const char *query; /* encoded, "" for none */
	const struct ufs_version *version; /* If-Match; NULL: any */
	bool ranged;
	uint64_t from, to;     /* the bytes still wanted, both inclusive */
	unsigned max_attempts; /* 0: as the mount says, and never more */
	/* Bytes of a good answer; `received` are what this attempt had before.
	 * False ends the call with -EIO. */
	bool (*on_data)(struct s3_call *call, const void *data, size_t len);
	/* NULL: nothing to do.  All of it has come, from the first byte that
	 * was wanted.  False: wrong bytes, err says so; they are fetched
	 * again. */
	bool (*on_whole)(struct s3_call *call);
	/* Exactly once, never before s3_call_start() returns. */
	void (*done)(struct s3_call *call, int rv);

	/* the answer */
	int status; /* of the last attempt, 0: none came */
	uint64_t received;
	struct err err; /* without the name of the object */
	/* Of the bytes from 0 to the end of the object, if they are what was
	 * wanted and the storage told of them, before they come. */
	struct s3_digest digest;

	/* private */
	struct s3 *s3;
	struct http_req http;
	struct timer timer;
	struct s3_keys_wait keys; /* in line for them, or none */
	unsigned keys_number;     /* that the last attempt was signed with */
	unsigned renewals;
	bool waiting, cancelled, checked;
	int refused; /* why on_body() ended an attempt */
	bool clock_tried;
	bool plain; /* does not ask for checksums, since it was refused ... */
	unsigned plain_keys; /* ... with the keys of this number */
	unsigned attempt, moves;
	int64_t signed_s;  /* the time in the signature */
	uint64_t first;    /* `from` in the beginning */
	uint64_t since_ms; /* it began, or last got on */
	struct text path, url, fields, error_body;
	const char *headers[S3_MAX_HEADERS + 1];
};

void s3_call_init(struct s3_call *call, struct s3 *s3);
void s3_call_close(struct s3_call *call);

void s3_call_start(struct s3_call *call);
/* done() comes with -ECANCELED, or its result if that was too late. */
void s3_call_cancel(struct s3_call *call);

/* A version from an ETag, without its quotes; -EOVERFLOW, -EBADMSG: none. */
int s3_version(struct ufs_version *v, const char *etag) MUST_CHECK;
