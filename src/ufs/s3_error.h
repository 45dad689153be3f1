/*
 * What an S3 server or the way to it has against a request: as a code, and as a
 * sentence that says what to do.
 *
 *	403, 401: -EACCES      404: -ENOENT      412: ERR_CHANGED
 *	all others, and no answer in time: -EIO
 *
 * -ETIMEDOUT is kept for the wait for a role that is missing (doc/errors.md).
 */
#pragma once

#include "base/err.h"
#include "ufs/http_client.h"
#include "ufs/s3_config.h"
#include "ufs/s3_xml.h"

/* Whether the same request may succeed a little later. */
bool s3_error_passes(int status, const struct s3_error *e);

/* The region of the bucket, if it is another's that was asked: "" if the answer
 * does not tell which.  NULL: that is not the reason. */
const char *s3_error_region(const struct http_answer *a,
			    const struct s3_error *e);

/* An answer that was not what was asked for. */
int s3_error_answer(struct err *err, const struct s3_config *c,
		    const struct http_answer *a, const struct s3_error *e);

/* No answer, or not a whole one; `rv` and the sentence are http_req's. */
int s3_error_transport(struct err *err, const struct s3_config *c, int rv,
		       const char *sentence);
