/*
 * A call to an S3 server as it goes on the wire: its URL and its header fields,
 * signed with the keys, the region and the clock of the moment.
 *
 * Source: GetObject, HeadObject, ListObjectsV2 of the S3 API reference.
 */
#pragma once

#include "ufs/s3_call.h"

/* Sets path, url and moves from the key and the query. */
void s3_request_url(struct s3_call *call);

/* Whether the storage is asked for checksums: only where it could have them. */
bool s3_request_wants_checksum(const struct s3_call *call);

/* Sets headers, of the URL as it is, and signed_s. */
void s3_request_fields(struct s3_call *call);
