/*
 * Keys that sign requests, and how they are written where they are given out:
 * in JSON by the metadata of machines and containers, in XML by the security
 * token service.
 *
 * Reads such answers and asks nobody.  Never logged, wiped when let go.
 */
#pragma once

#include <stdbool.h>
#include <time.h>

#include "base/defs.h"

struct s3_keys {
	char *access_key, *secret_key, *session_token; /* NULL: none */
	time_t expires;                                /* 0: never */
};

void s3_keys_close(struct s3_keys *k);
bool s3_keys_equal(const struct s3_keys *a, const struct s3_keys *b);

/* Frees a string that may be secret, and forgets it. */
void s3_keys_wipe(char **s);

/* {"AccessKeyId": "...", "SecretAccessKey": ..., "Token": ..., "Expiration":
 * ...}; -EBADMSG if it has no keys. */
int s3_keys_from_json(struct s3_keys *k, const char *json) MUST_CHECK;
/* The same from <Credentials>, where the token is <SessionToken>. */
int s3_keys_from_xml(struct s3_keys *k, const char *xml) MUST_CHECK;
