/*
 * HTTP requests to storages, hundreds at once on one loop: curl_multi behind
 * runtime/watch and the loop's timers.
 *
 * One attempt each: who asks decides what is worth another.  HTTP/1.1,
 * connections are kept and reused, never more at once than limit.h decides (the
 * others wait in line), TLS is verified, proxies of the environment are not
 * used, redirects are not followed.  A request fails with -ETIMEDOUT if it
 * cannot connect in time or if nothing comes for `stall_s`.
 *
 * All on the loop's thread; all callbacks too.  Times are in the unit of their
 * name.  Source of curl's traps: its documentation and measurement.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/loop.h"

struct http_client;
struct http_req;
struct curl_slist;

struct http_config {
	struct loop *loop;
	const char *ca_file; /* NULL: the system's */
	unsigned max_in_flight;
	/* Between this and `max_in_flight` as many as the storage takes, by
	 * limit.h.  0: always as many as may be. */
	unsigned min_in_flight;
	const char *name; /* of the storage, for the log */
	/* Until the first answer, if the server has a name: curl resolves it in
	 * a thread for each request that finds it unknown.  0: the same. */
	unsigned first_in_flight;
	unsigned connect_timeout_ms;
	unsigned stall_s;
};

/* The header fields that storages answer with; -1 and "" where there is none.
 */
struct http_answer {
	int status;                               /* 0: none came */
	int64_t length;                           /* of this body */
	int64_t range_from, range_to, range_size; /* Content-Range */
	int64_t mtime_s;                          /* Last-Modified */
	int64_t date_s;        /* of its clock, if `status` is no success */
	int64_t retry_after_s; /* a date: from the server's own on */
	char etag[256];        /* as it came; longer ones: ends in "..." */
	char bucket_region[32];
	char crc32c[16];  /* x-amz-checksum-crc32c; longer ones: "" */
	bool of_parts;    /* that is of the parts' checksums */
	bool etag_no_md5; /* encrypted so that it cannot be */
};

/* A method, URL and the rest as they go on the wire. */
struct http_req {
	/* the caller's */
	const char *method; /* "GET", "HEAD", "POST" or "PUT" */
	const char *url;
	const char *const *headers; /* "Name: value", NULL-terminated */
	const void *body;           /* of a POST */
	size_t body_len;
	/* How long it takes says nothing of how busy the server is. */
	bool untimed;
	/* Bytes of the body as they come, `answer` being complete.  False ends
	 * the request with -EPROTO.  Nothing of curl may be called inside, but
	 * http_submit() and http_cancel() may. */
	bool (*on_body)(struct http_req *r, const void *data, size_t len);
	/* Exactly once, never before http_submit() returns; the request may be
	 * reused or freed inside.  `rv` is 0 if an answer came whole, whatever
	 * its status, else what is in `error`. */
	void (*done)(struct http_req *r, int rv);

	/* the answer */
	struct http_answer answer;
	char error[256]; /* a sentence, if rv is not 0 */
	bool retry;      /* if rv is not 0: whether it may pass */

	/* private */
	struct list link;
	struct http_client *client;
	struct http_handle *handle;
	struct curl_slist *fields;
	bool cancelled, head_ended, stalled;
	uint64_t sent_ms;
	uint64_t moved_ms; /* when a byte of it came last */
};

struct http_client *http_client_new(const struct http_config *c);
/* No request may be in flight; inside the last one's done() too. */
void http_client_free(struct http_client *c);

/* What the caller's fields point to must live until done(). */
void http_submit(struct http_client *c, struct http_req *r);

/* done() comes with -ECANCELED, or its result if that was too late.  Not after
 * done(). */
void http_cancel(struct http_req *r);
