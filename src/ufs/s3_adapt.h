/*
 * What a refusal teaches of the storage: that its clock is another than ours,
 * or that the bucket is in another region.  Both are kept for all calls to the
 * bucket, and the one that was refused is sent again at once, made anew.
 *
 * A region is learned once: a storage that names another one then is refused
 * with a sentence.
 *
 * Source: RequestTimeTooSkewed, PermanentRedirect and
 * AuthorizationHeaderMalformed of the S3 API reference.
 */
#pragma once

#include "ufs/s3_call.h"

/* Whether the call is worth another attempt at once, with what is known now.
 * At most once a call for each of the two. */
bool s3_adapt(struct s3_call *call, const struct s3_error *e);
