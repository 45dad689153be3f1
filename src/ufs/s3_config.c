#include "ufs/s3_config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/mem.h"
#include "ufs/s3_profile.h"
#include "ufs/text.h"

enum {
	MIN_BUCKET = 3,
	MAX_BUCKET = 63,
	TIMEOUT_S = 20,
	MAX_TIMEOUT_S = 600,
	ATTEMPTS = 10, /* some 15 s of waiting in all */
	MAX_ATTEMPTS = 100,
	MAX_REQUESTS = 512, /* at once */
};

static int set_verify(struct s3_config *c, const struct s3_options *o,
		      struct err *err)
{
	const char *v = s3_option(o, "s3.verify", NULL);

	c->verify = S3_VERIFY_CRC32C;
	return v && !s3_verify_parse(v, &c->verify)
		       ? err_set(err, -EINVAL,
				 "s3.verify=%s: none, crc32c or md5 is wanted",
				 v)
		       : 0;
}

/* What is done about a storage that is slow or wrong. */
static int set_patience(struct s3_config *c, const struct s3_options *o,
			struct err *err)
{
	int rv;

	c->timeout_s = TIMEOUT_S;
	c->attempts = ATTEMPTS;
	c->max_requests = MAX_REQUESTS;
	c->min_requests = 1;
	rv = s3_option_number(o, "s3.timeout", MAX_TIMEOUT_S, "s",
			      &c->timeout_s, err);
	if (!rv)
		rv = s3_option_number(o, "s3.attempts", MAX_ATTEMPTS, "",
				      &c->attempts, err);
	if (!rv)
		rv = s3_option_number(o, "s3.max-requests", MAX_REQUESTS, "",
				      &c->max_requests, err);
	if (!rv)
		rv = s3_option_number(o, "s3.min-requests", c->max_requests, "",
				      &c->min_requests, err);
	return rv ? rv : set_verify(c, o, err);
}

static bool is_bucket(const char *s, size_t len)
{
	size_t i;

	if (len < MIN_BUCKET || len > 4 * MAX_BUCKET)
		return false;
	for (i = 0; i < len; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUV"
			    "WXYZ0123456789.-_",
			    s[i]))
			return false;
	return true;
}

static int set_bucket(struct s3_config *c, const char *root, struct err *err)
{
	size_t len = strcspn(root, "/");
	const char *rest = root + len + (root[len] == '/');
	size_t end = strlen(rest);

	if (!is_bucket(root, len))
		return err_set(err, -EINVAL, "\"%.*s\" is no name of a bucket",
			       (int)len, root);
	while (end && rest[end - 1] == '/')
		end--;
	c->bucket = mem_strn(root, len);
	c->prefix = end ? mem_printf("%.*s/", (int)end, rest) : mem_str("");
	return 0;
}

static bool is_host(const char *s, size_t len)
{
	return len && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRST"
				"UVWXYZ0123456789.-_:[]") >= len;
}

static bool ends_in(const char *s, const char *tail)
{
	size_t len = strlen(s), n = strlen(tail);

	return len >= n && strcasecmp(s + len - n, tail) == 0;
}

/* Amazon's host of a region, the caller's. */
static char *amazon_host(const char *region)
{
	return mem_printf("s3.%s.amazonaws.com", region);
}

static const char *find_endpoint(const struct s3_options *o,
				 const struct s3_profile *p)
{
	const char *e = s3_option(o, "s3.endpoint", "AWS_ENDPOINT_URL_S3");

	if (!e)
		e = s3_option(o, "s3.endpoint", "AWS_ENDPOINT_URL");
	return e ? e : p->endpoint;
}

/* "https://host:port", "host:port" or, by default, Amazon's of the region.
 * *host is the caller's. */
static int set_endpoint(struct s3_config *c, const struct s3_options *o,
			const struct s3_profile *p, char **host,
			struct err *err)
{
	const char *e = find_endpoint(o, p), *at = e;
	size_t len;
	int rv;

	c->tls = true;
	rv = s3_option_bool(o, "s3.tls", &c->tls, err);
	if (rv)
		return rv;
	if (!e) {
		*host = amazon_host(c->region);
		c->amazon = true;
		return 0;
	}
	if (strncasecmp(at, "http://", 7) == 0) {
		c->tls = false;
		at += 7;
	} else if (strncasecmp(at, "https://", 8) == 0) {
		c->tls = true;
		at += 8;
	}
	len = strlen(at);
	while (len && at[len - 1] == '/')
		len--;
	if (!is_host(at, len))
		return err_set(err, -EINVAL,
			       "s3.endpoint=%s: http://HOST[:PORT] or "
			       "https://HOST[:PORT] is wanted",
			       e);
	*host = mem_strn(at, len);
	return 0;
}

/* Whether the bucket goes into the path: where its own name in the domain
 * system is not sure to exist, or not to fit a certificate. */
static bool default_path_style(const struct s3_config *c, const char *host)
{
	return !ends_in(host, ".amazonaws.com") || strchr(c->bucket, '.') ||
	       strlen(c->bucket) > MAX_BUCKET;
}

static void drop_default_port(const struct s3_config *c, char *host)
{
	const char *port = c->tls ? ":443" : ":80";
	size_t len = strlen(host), n = strlen(port);

	if (len > n && strcmp(host + len - n, port) == 0)
		host[len - n] = '\0';
}

/* What follows from the host of the endpoint. */
static void set_host(struct s3_config *c, const char *host)
{
	struct text base = { 0 };

	free(c->host);
	free(c->origin);
	free(c->base);
	c->host = c->path_style ? mem_str(host)
				: mem_printf("%s.%s", c->bucket, host);
	c->origin = mem_printf("http%s://%s", c->tls ? "s" : "", c->host);
	text_add(&base, "/");
	if (c->path_style) {
		text_encode(&base, c->bucket, strlen(c->bucket), false);
		text_add(&base, "/");
	}
	c->base = base.at;
}

static int set_place(struct s3_config *c, const struct s3_options *o,
		     const struct s3_profile *p, struct err *err)
{
	char *host = NULL, *amazon;
	int rv;

	rv = set_endpoint(c, o, p, &host, err);
	if (rv)
		return rv;
	drop_default_port(c, host);
	amazon = amazon_host(c->region);
	c->amazon |= strcasecmp(host, amazon) == 0;
	free(amazon);
	c->path_style = default_path_style(c, host);
	rv = s3_option_bool(o, "s3.path-style", &c->path_style, err);
	set_host(c, host);
	free(host);
	return rv;
}

bool s3_config_is_amazon(const struct s3_config *c)
{
	return ends_in(c->host, ".amazonaws.com") ||
	       ends_in(c->host, ".amazonaws.com.cn");
}

bool s3_config_is_region(const char *region)
{
	size_t len = strlen(region);

	return len &&
	       strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-") >= len;
}

void s3_config_move(struct s3_config *c, const char *region)
{
	char *host;

	free(c->region);
	c->region = mem_str(region);
	if (!c->amazon)
		return;
	host = amazon_host(region);
	set_host(c, host);
	free(host);
}

static void set_region(struct s3_config *c, const struct s3_options *o,
		       const struct s3_profile *p)
{
	const char *region = s3_option(o, "s3.region", "AWS_REGION");

	if (!region)
		region = s3_option(o, "s3.region", "AWS_DEFAULT_REGION");
	if (!region)
		region = p->region;
	c->region = mem_str(region ? region : "us-east-1");
}

/* Each role opens it, wherever it runs. */
static int set_ca_file(struct s3_config *c, const struct s3_options *o,
		       struct err *err)
{
	const char *file = s3_option(o, "s3.ca-file", "AWS_CA_BUNDLE");

	if (!file || !c->tls)
		return 0;
	if (file[0] != '/')
		return err_set(err, -EINVAL,
			       "s3.ca-file=%s: an absolute path is wanted",
			       file);
	if (access(file, R_OK) < 0)
		return err_set(err, -errno, "s3.ca-file=%s: %m", file);
	c->ca_file = mem_str(file);
	return 0;
}

/* What its profile says, if only of the place. */
static void load_profile(struct s3_profile *p, const struct s3_options *o)
{
	struct s3_profile_place at;

	s3_profile_find(&at, o);
	s3_profile_load(p, &at);
	s3_profile_place_close(&at);
}

int s3_config_load(struct s3_config *c, const char *root,
		   const struct s3_options *o, struct err *err)
{
	struct s3_profile p;
	int rv;

	*c = (struct s3_config){ 0 };
	load_profile(&p, o);
	set_region(c, o, &p);
	rv = s3_options_check(o, err);
	if (!rv)
		rv = set_bucket(c, root, err);
	if (!rv)
		rv = set_place(c, o, &p, err);
	if (!rv)
		rv = set_ca_file(c, o, err);
	if (!rv)
		rv = set_patience(c, o, err);
	if (!rv)
		rv = s3_option_bool(o, "s3.anonymous", &c->anonymous, err);
	if (!rv)
		rv = s3_option_bool(o, "s3.requester-pays", &c->requester_pays,
				    err);
	s3_profile_close(&p);
	if (rv)
		s3_config_close(c);
	return rv;
}

void s3_config_close(struct s3_config *c)
{
	free(c->bucket);
	free(c->prefix);
	free(c->host);
	free(c->base);
	free(c->origin);
	free(c->region);
	free(c->ca_file);
	*c = (struct s3_config){ 0 };
}
