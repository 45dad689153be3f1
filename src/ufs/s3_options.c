#include "ufs/s3_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "s3"
#include "runtime/log.h"

#define OURS(O)                    \
	O("aws.accessKeyId")       \
	O("aws.secretKey")         \
	O("aws.sessionToken")      \
	O("aws.profile")           \
	O("aws.credentialsFile")   \
	O("aws.configFile")        \
	O("aws.roleArn")           \
	O("aws.roleSessionName")   \
	O("aws.identityTokenFile") \
	O("aws.stsEndpoint")       \
	O("aws.metadataEndpoint")  \
	O("s3.endpoint")           \
	O("s3.region")             \
	O("s3.path-style")         \
	O("s3.tls")                \
	O("s3.ca-file")            \
	O("s3.anonymous")          \
	O("s3.verify")             \
	O("s3.timeout")            \
	O("s3.attempts")           \
	O("s3.requester-pays")     \
	O("s3.min-requests")       \
	O("s3.max-requests")
#define UNDERFS "alluxio.underfs.s3."

/* Alluxio's name, and ours. */
#define ALIASES(A)                                         \
	A("s3a.accessKeyId", "aws.accessKeyId")            \
	A("s3a.secretKey", "aws.secretKey")                \
	A(UNDERFS "endpoint", "s3.endpoint")               \
	A(UNDERFS "endpoint.region", "s3.region")          \
	A(UNDERFS "region", "s3.region")                   \
	A(UNDERFS "disable.dns.buckets", "s3.path-style")  \
	A(UNDERFS "secure.http.enabled", "s3.tls")         \
	A(UNDERFS "threads.max", "s3.max-requests")        \
	A(UNDERFS "admin.threads.max", NULL)               \
	A(UNDERFS "bulk.delete.enabled", NULL)             \
	A(UNDERFS "default.mode", NULL)                    \
	A(UNDERFS "directory.suffix", NULL)                \
	A(UNDERFS "inherit.acl", NULL)                     \
	A(UNDERFS "intermediate.upload.clean.age", NULL)   \
	A(UNDERFS "max.error.retry", NULL)                 \
	A(UNDERFS "owner.id.to.username.mapping", NULL)    \
	A(UNDERFS "request.timeout", NULL)                 \
	A(UNDERFS "server.side.encryption.enabled", NULL)  \
	A(UNDERFS "socket.timeout", NULL)                  \
	A(UNDERFS "streaming.upload.enabled", NULL)        \
	A(UNDERFS "streaming.upload.partition.size", NULL) \
	A(UNDERFS "upload.threads.max", NULL)

static const struct alias {
	const char *name, *ours; /* NULL: has no effect */
} aliases[] = {
#define ALIAS_ROW(name, ours) { name, ours },
	ALIASES(ALIAS_ROW)
#undef ALIAS_ROW
};

const char *const s3_option_names[] = {
#define OUR_NAME(name)         name,
#define ALIAS_NAME(name, ours) name,
	OURS(OUR_NAME) ALIASES(ALIAS_NAME)
#undef OUR_NAME
#undef ALIAS_NAME
		NULL,
};

/* What `given` means in our names, NULL: nothing. */
static const char *meaning(const char *given)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(aliases); i++)
		if (strcmp(aliases[i].name, given) == 0)
			return aliases[i].ours;
	return given;
}

static const struct ufs_option *find(const struct s3_options *o,
				     const char *name)
{
	const char *m;
	unsigned i;

	for (i = 0; i < o->n; i++) {
		m = meaning(o->at[i].key);
		if (m && strcmp(m, name) == 0)
			return &o->at[i];
	}
	return NULL;
}

int s3_options_check(const struct s3_options *o, struct err *err)
{
	const struct ufs_option *first;
	const char *m;
	unsigned i;

	for (i = 0; i < o->n; i++) {
		m = meaning(o->at[i].key);
		if (!m) {
			log_info("option of the mount has no effect",
				 "option=%s", o->at[i].key);
			continue;
		}
		first = find(o, m);
		if (strcmp(first->value, o->at[i].value) != 0)
			return err_set(err, -EINVAL,
				       "%s and %s mean the same, and are not",
				       first->key, o->at[i].key);
	}
	return 0;
}

const char *s3_option(const struct s3_options *o, const char *name,
		      const char *variable)
{
	const struct ufs_option *given = find(o, name);
	const char *value = given ? given->value : NULL;

	if (!given && variable)
		value = getenv(variable);
	return value && value[0] ? value : NULL;
}

int s3_option_bool(const struct s3_options *o, const char *name, bool *out,
		   struct err *err)
{
	const struct ufs_option *given = find(o, name);

	if (!given)
		return 0;
	if (strcmp(given->value, "true") == 0 ||
	    strcmp(given->value, "1") == 0) {
		*out = true;
	} else if (strcmp(given->value, "false") == 0 ||
		   strcmp(given->value, "0") == 0) {
		*out = false;
	} else {
		return err_set(err, -EINVAL,
			       "%s=%s: either true or false is wanted",
			       given->key, given->value);
	}
	return 0;
}

int s3_option_number(const struct s3_options *o, const char *name, unsigned max,
		     const char *unit, unsigned *out, struct err *err)
{
	const struct ufs_option *given = find(o, name);
	const char *v = given ? given->value : "";
	unsigned long n;
	char *end;

	if (!given)
		return 0;
	n = v[0] >= '0' && v[0] <= '9' ? strtoul(v, &end, 10) : 0;
	if (n < 1 || n > max || (end[0] && strcmp(end, unit) != 0))
		return err_set(err, -EINVAL,
			       "%s=%s: a number from 1%s to %u%s is wanted",
			       given->key, v, unit, max, unit);
	*out = (unsigned)n;
	return 0;
}
