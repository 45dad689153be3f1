/*
 * What a refusal teaches of the storage: that its clock is another than ours,
 * that the bucket is in another region, or that it does not know the field that
 * asks for checksums (Backblaze, gaul/s3proxy).  All are kept for all calls to
 * the bucket, and the one that was refused is sent again at once, made anew.
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
 * At most once a call for each of the three. */
bool s3_adapt(struct s3_call *call, const struct s3_error *e);

/* The answer is good: what was tried for it alone is kept. */
void s3_adapt_worked(struct s3_call *call);
