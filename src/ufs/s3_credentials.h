/*
 * The keys of one mount, from the first place that has any, and kept fresh:
 *
 *	options of the mount; the environment; a profile of ~/.aws; a web
 *	identity; the metadata of a container, then of the machine
 *
 * Files are looked at again every few seconds and after a refusal, so keys that
 * are changed there need no new mount; what expires is renewed before it does,
 * while requests go on with what there is.  Once there were keys, a file that
 * has none any more changes nothing.
 *
 * Nothing is asked before the first request.  All on the loop's thread.
 */
#pragma once

#include <stdint.h>

#include "base/list.h"
#include "ufs/s3_issuer.h"
#include "ufs/s3_keys.h"
#include "ufs/s3_options.h"

struct s3_credentials;

struct s3_credentials_config {
	struct loop *loop;
	const struct s3_options *options; /* what is needed of them is copied */
	const char *region;
	const char *ca_file; /* NULL: the system's */
	bool anonymous;      /* sign nothing */
	/* The storage is Amazon's, so that the role of the machine may be what
	 * it takes; other servers are not shown such keys. */
	bool amazon;
	time_t (*wall)(void); /* NULL: this machine's clock */
};

int s3_credentials_new(struct s3_credentials **out,
		       const struct s3_credentials_config *c,
		       struct err *err) MUST_CHECK;
/* Nobody may wait. */
void s3_credentials_free(struct s3_credentials *c);

/* Whether a request can be made now, else s3_credentials_wait(). */
bool s3_credentials_ready(struct s3_credentials *c);
/* When ready: the keys, until the loop's next turn; NULL: nothing is signed. */
const struct s3_keys *s3_credentials_keys(const struct s3_credentials *c);
/* Another number for other keys. */
unsigned s3_credentials_number(const struct s3_credentials *c);
/* Nothing is signed because no keys were found anywhere. */
bool s3_credentials_missing(const struct s3_credentials *c);

/* Who waits; zeroed, then left alone until `done`, which comes once, never
 * before the call that began it returns. */
struct s3_keys_wait {
	/* 0; or a code: -EAGAIN if it may pass. */
	void (*done)(struct s3_keys_wait *w, int code, const struct err *err);
	struct list link;
	unsigned number;
	bool refused;
};

void s3_credentials_wait(struct s3_credentials *c, struct s3_keys_wait *w);
/* A request was refused that was signed with the keys of this number.  Done
 * with 0 if there are others by now. */
void s3_credentials_refused(struct s3_credentials *c, unsigned number,
			    struct s3_keys_wait *w);
/* Waits no longer; `done` does not come. */
void s3_credentials_forget(struct s3_keys_wait *w);
