/*
 * Where a bucket is and how to ask for it: what the options of a mount say,
 * else the environment of this process, else its profile in ~/.aws.  The keys
 * are s3_credentials.h's.
 *
 * Reads two small files at most; meant for the opening of a storage.
 */
#pragma once

#include <stdbool.h>

#include "ufs/s3_options.h"
#include "ufs/s3_verify.h"

struct s3_config {
	bool tls;
	bool anonymous;      /* no signature is wanted */
	bool no_keys;        /* the calls': none are there, for advice */
	bool requester_pays; /* who asks is willing to pay for it */
	char *bucket;
	char *prefix; /* of all keys: "" or ends in a slash */
	char *host; /* as in the Host header, with the bucket if it is there */
	char *base; /* "/" or "/BUCKET/", encoded: in front of each key */
	char *origin; /* "https://HOST" */
	char *region;
	bool amazon; /* the host is Amazon's, of that region */
	bool path_style;
	unsigned timeout_s; /* of silence, before it is asked again */
	unsigned attempts;
	enum s3_verify verify;
	unsigned min_requests, max_requests; /* at once */
	char *ca_file;                       /* NULL: the system's */
};

/* `root` is "BUCKET/PREFIX", as behind s3://. */
int s3_config_load(struct s3_config *c, const char *root,
		   const struct s3_options *options,
		   struct err *err) MUST_CHECK;
void s3_config_close(struct s3_config *c);

/* Whether it is Amazon who answers. */
bool s3_config_is_amazon(const struct s3_config *c);

/* Whether the storage could be in a region of that name. */
bool s3_config_is_region(const char *region);
/* The bucket is in this region: the signatures say so, and Amazon's host is
 * another. */
void s3_config_move(struct s3_config *c, const char *region);
