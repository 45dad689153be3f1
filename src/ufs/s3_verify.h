/*
 * Whether the bytes of an object are those that were stored: by what its
 * storage tells along with them, the CRC32C of objects that were uploaded with
 * one, or the ETag where that is the MD5 of the bytes (one part, not encrypted
 * with keys that the storage does not keep).
 *
 * Only whole objects can be checked; a range of one has no checksum.
 *
 * Source: "Checking object integrity" and GetObject of the S3 API reference.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct http_answer;
struct ufs_version;

enum s3_verify { S3_VERIFY_NONE, S3_VERIFY_CRC32C, S3_VERIFY_MD5 };

/* False: `s` is none of the words for it. */
bool s3_verify_parse(const char *s, enum s3_verify *out);

struct s3_digest {
	enum s3_verify kind; /* NONE: nothing is known */
	uint8_t bytes[16];
};

/* What an answer that has the whole object, of this version or NULL, tells of
 * its bytes: the CRC32C if there is one, else the MD5 if that is wanted. */
void s3_digest_take(struct s3_digest *d, enum s3_verify wanted,
		    const struct http_answer *a, const struct ufs_version *v);

/* 0, or -EIO with a sentence: the bytes are others. */
int s3_digest_check(const struct s3_digest *d, const void *bytes, size_t len,
		    struct err *err) MUST_CHECK;
