/*
 * An under-storage in memory, like a bucket: objects by path, directories where
 * paths have them.
 *
 * Any number of loops of one thread open it by its URI, as if over a network;
 * answers take time and fail as told.  What an object contains follows from a
 * number, its content, which its version names: whoever has a version can tell
 * every byte that is right.  Times are in ms, sizes in bytes.
 */

#pragma once

#include "ufs/ufs.h"

struct fake_ufs;

struct fake_ufs_faults {
	unsigned min_ms, max_ms;   /* how long a request takes */
	unsigned fail_per_million; /* requests that fail */
	int code;                  /* with this; -EIO if 0 */
	unsigned page;             /* entries a page; 0: 1,000 */
	unsigned list_back_ms;     /* a page is so old when it comes */
	unsigned stat_back_ms;     /* so is what one path is */
};

struct fake_ufs_numbers {
	uint64_t stats, lists, reads; /* requests */
	uint64_t bytes;               /* read */
	uint64_t failed;              /* requests that were made to fail */
	unsigned reading, most_reading;
	/* Reads that overlapped one of the same version in flight: from the
	 * same loop, and from any. */
	uint64_t overlaps, any_overlaps;
};

/* `uri` such as "fake://bucket"; no two of the same at a time. */
struct fake_ufs *fake_ufs_new(const char *uri, uint64_t seed);
void fake_ufs_free(struct fake_ufs *f); /* everybody has closed it */

/* As ufs_open(), but of a fake one. */
int fake_ufs_open(struct ufs **out, const struct ufs_env *env, const char *uri,
		  struct err *err) MUST_CHECK;

/* Puts an object, new or in place of another; its content. */
uint64_t fake_ufs_put(struct fake_ufs *f, const char *path, uint64_t size);
/* The same, a symbolic link; the target stays the caller's. */
void fake_ufs_link(struct fake_ufs *f, const char *path, const char *target);
void fake_ufs_remove(struct fake_ufs *f, const char *path);
/* The content under this path and its size; 0: no object. */
uint64_t fake_ufs_content(const struct fake_ufs *f, const char *path,
			  uint64_t *size);

/* From now on; without it no time and no faults. */
void fake_ufs_set(struct fake_ufs *f, const struct fake_ufs_faults *faults);
/* The request after `after` others fails with `code`, and so all `n` on. */
void fake_ufs_fail(struct fake_ufs *f, unsigned after, unsigned n, int code);
/* Holds all requests until released: none is answered meanwhile. */
void fake_ufs_hold(struct fake_ufs *f, bool hold);

const struct fake_ufs_numbers *fake_ufs_numbers(const struct fake_ufs *f);

/* The process of this loop has crashed: its requests end here, unanswered, and
 * what it had open is closed. */
void fake_ufs_drop(struct loop *l);

/* The content that a version names. */
uint64_t fake_ufs_version(const void *version, size_t len);
/* What a content has at `offset`. */
void fake_ufs_bytes(uint64_t content, uint64_t offset, void *buf, size_t len);
/* Where the first wrong byte of `buf` is; `len`: all are right. */
size_t fake_ufs_compare(uint64_t content, uint64_t offset, const void *buf,
			size_t len);
