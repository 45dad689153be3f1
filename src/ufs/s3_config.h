/*
 * Where a bucket is and with which keys: what the options of a mount say, else
 * the environment of this process, else ~/.aws/credentials.
 *
 * Reads a small file at most; meant for the opening of a storage.
 */
#pragma once

#include <stdbool.h>

#include "ufs/s3_verify.h"
#include "ufs/ufs.h"

struct s3_config {
	bool tls;
	bool anonymous; /* no signature: it is wanted so, or ... */
	bool no_keys;   /* ... none were found anywhere */
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
	char *access_key, *secret_key, *session_token; /* NULL: none */
	char *ca_file;                                 /* NULL: the system's */
};

extern const char *const s3_options[];

/* `root` is "BUCKET/PREFIX", as behind s3://. */
int s3_config_load(struct s3_config *c, const char *root,
		   const struct ufs_option *options, unsigned n,
		   struct err *err) MUST_CHECK;
void s3_config_close(struct s3_config *c); /* wipes the keys */

/* Whether the storage could be in a region of that name. */
bool s3_config_is_region(const char *region);
/* The bucket is in this region: the signatures say so, and Amazon's host is
 * another. */
void s3_config_move(struct s3_config *c, const char *region);
