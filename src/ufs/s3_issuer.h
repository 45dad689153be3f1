/*
 * Who gives out keys for a while: the security token service in exchange for a
 * token that lies in a file (AssumeRoleWithWebIdentity), the metadata of a
 * container, or that of a machine (IMDSv2).
 *
 * One question at a time, on the loop.  It holds no keys longer than its
 * answer; no error has any in it.
 *
 * Source: "AssumeRoleWithWebIdentity" of the STS API reference; "Container
 * credential provider" of the SDKs' reference guide; "Use the Instance Metadata
 * Service" of the EC2 user guide.
 */
#pragma once

#include "base/err.h"
#include "ufs/s3_keys.h"

struct loop;
struct s3_issuer;

enum s3_issuer_kind { S3_WEB_IDENTITY, S3_CONTAINER, S3_INSTANCE };

/* Copied. */
struct s3_issuer_config {
	struct loop *loop;
	enum s3_issuer_kind kind;
	const char *url;        /* of the service, without a slash at the end */
	const char *ca_file;    /* NULL: the system's */
	const char *token_file; /* read for each question; may be NULL */
	const char *token;      /* a container's, if it has no file; or NULL */
	const char *role_arn, *session_name; /* of web identity */
};

/* `code` is 0, and the keys are the callee's; or a code with a sentence,
 * -EAGAIN if it may pass. */
typedef void (*s3_issued_fn)(void *owner, int code, struct s3_keys *keys,
			     const struct err *err);

struct s3_issuer *s3_issuer_new(const struct s3_issuer_config *c,
				s3_issued_fn issued, void *owner);
/* Also while it is asked: its answer does not come then. */
void s3_issuer_free(struct s3_issuer *i);

/* The answer comes once, never before this returns; no other question before.
 */
void s3_issuer_ask(struct s3_issuer *i);
