/*
 * What an S3 server answers in XML: a page of ListObjectsV2, or an error.
 *
 * A push parser: bytes go in as they arrive.  Names come out decoded if the
 * server says that it encoded them; nothing is judged here, but that a name
 * with a NUL is none.  Characters that XML forbids are taken all the same.
 * Elements that are not known are skipped, document types refused, texts
 * bounded.
 *
 * Source: ListObjectsV2 and "Error responses" of the S3 API reference.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct s3_object {
	char *key;
	char *etag; /* as it came, with its quotes */
	uint64_t size;
	int64_t mtime_s; /* since the epoch; the fraction, which HEAD lacks, is
			    dropped */
};

struct s3_listing {
	struct s3_object *objects;
	size_t n_objects;
	char **prefixes;
	size_t n_prefixes;
	char **nuls; /* keys and prefixes that have a NUL, encoded */
	size_t n_nuls;
	bool truncated;
	char *next; /* the continuation token, or NULL */
};

/* All may be "". */
struct s3_error {
	char code[64];
	char message[256];
	char region[32];
};

enum s3_root { S3_ROOT_NONE, S3_ROOT_LISTING, S3_ROOT_ERROR, S3_ROOT_OTHER };

struct s3_xml;

struct s3_xml *s3_xml_new(void);
void s3_xml_free(struct s3_xml *x);
/* Forgets what it has; ready for the next answer. */
void s3_xml_reset(struct s3_xml *x);

/* Whether it began as a listing, however it went on. */
bool s3_xml_is_listing(const struct s3_xml *x);

/* 0 or -EBADMSG, once and for all. */
int s3_xml_feed(struct s3_xml *x, const void *data, size_t len);
/* Once, after the last byte: what it was; S3_ROOT_NONE if it was not whole. */
enum s3_root s3_xml_finish(struct s3_xml *x);

/* The parser's, until s3_xml_reset(). */
const struct s3_listing *s3_xml_listing(const struct s3_xml *x);
const struct s3_error *s3_xml_error(const struct s3_xml *x);

/* "2009-10-12T17:50:30.000Z" in seconds since the epoch; 0 if it is none. */
int64_t s3_xml_time(const char *s);
