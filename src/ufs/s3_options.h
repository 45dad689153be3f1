/*
 * The options of an s3:// mount: their names, and those that Alluxio's users
 * have in their scripts for the same thing.
 *
 * Of what Alluxio has and we have no use for, what does no harm is taken and
 * logged; the rest is refused like every unknown name.  Values are the
 * caller's; nothing is copied.
 */
#pragma once

#include <stdbool.h>

#include "ufs/ufs.h"

struct s3_options {
	const struct ufs_option *at;
	unsigned n;
};

/* All names that may be given, NULL-terminated. */
extern const char *const s3_option_names[];

/* Refuses one thing said twice in different words; logs what has no effect. */
int s3_options_check(const struct s3_options *o, struct err *err) MUST_CHECK;

/* The value of an option by our name, else of an environment variable (NULL:
 * none), else NULL.  An empty one is none. */
const char *s3_option(const struct s3_options *o, const char *name,
		      const char *variable);

/* Leaves *out alone if it was not given. */
int s3_option_bool(const struct s3_options *o, const char *name, bool *out,
		   struct err *err) MUST_CHECK;
/* From 1 to `max`, with `unit` behind it or not. */
int s3_option_number(const struct s3_options *o, const char *name, unsigned max,
		     const char *unit, unsigned *out,
		     struct err *err) MUST_CHECK;
