#include "ufs/s3_config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/secret.h"
#include "ufs/text.h"

enum {
	MIN_BUCKET = 3,
	MAX_BUCKET = 63,
	TIMEOUT_S = 20,
	MAX_TIMEOUT_S = 600,
	ATTEMPTS = 10, /* some 15 s of waiting in all */
	MAX_ATTEMPTS = 100,
};

const char *const s3_options[] = {
	"aws.accessKeyId", "aws.secretKey", "aws.sessionToken", "s3.endpoint",
	"s3.region",       "s3.path-style", "s3.ca-file",       "s3.anonymous",
	"s3.verify",       "s3.timeout",    "s3.attempts",      NULL,
};

struct options {
	const struct ufs_option *at;
	unsigned n;
};

/* The value of an option, else of an environment variable, else NULL. */
static const char *get(const struct options *o, const char *key,
		       const char *variable)
{
	const char *value;
	unsigned i;

	for (i = 0; i < o->n; i++)
		if (strcmp(o->at[i].key, key) == 0)
			return o->at[i].value;
	value = variable ? getenv(variable) : NULL;
	return value && value[0] ? value : NULL;
}

static char *copy(const char *s)
{
	return s ? mem_str(s) : NULL;
}

static int get_bool(const struct options *o, const char *key, bool *out,
		    struct err *err)
{
	const char *v = get(o, key, NULL);

	if (!v)
		return 0;
	if (strcmp(v, "true") == 0 || strcmp(v, "1") == 0) {
		*out = true;
	} else if (strcmp(v, "false") == 0 || strcmp(v, "0") == 0) {
		*out = false;
	} else {
		return err_set(err, -EINVAL,
			       "%s=%s: either true or false is wanted", key, v);
	}
	return 0;
}

/* A number from 1 to `max`, with `unit` behind it or not. */
static int get_number(const struct options *o, const char *key, unsigned max,
		      const char *unit, unsigned *out, struct err *err)
{
	const char *v = get(o, key, NULL);
	unsigned long n;
	char *end;

	if (!v)
		return 0;
	n = v[0] >= '0' && v[0] <= '9' ? strtoul(v, &end, 10) : 0;
	if (n < 1 || n > max || (end[0] && strcmp(end, unit) != 0))
		return err_set(err, -EINVAL,
			       "%s=%s: a number from 1%s to %u%s is wanted",
			       key, v, unit, max, unit);
	*out = (unsigned)n;
	return 0;
}

static int set_verify(struct s3_config *c, const struct options *o,
		      struct err *err)
{
	const char *v = get(o, "s3.verify", NULL);

	c->verify = S3_VERIFY_CRC32C;
	return v && !s3_verify_parse(v, &c->verify)
		       ? err_set(err, -EINVAL,
				 "s3.verify=%s: none, crc32c or md5 is wanted",
				 v)
		       : 0;
}

/* What is done about a storage that is slow or wrong. */
static int set_patience(struct s3_config *c, const struct options *o,
			struct err *err)
{
	int rv;

	c->timeout_s = TIMEOUT_S;
	c->attempts = ATTEMPTS;
	rv = get_number(o, "s3.timeout", MAX_TIMEOUT_S, "s", &c->timeout_s,
			err);
	if (!rv)
		rv = get_number(o, "s3.attempts", MAX_ATTEMPTS, "",
				&c->attempts, err);
	return rv ? rv : set_verify(c, o, err);
}

/* Puts the value of "name = value" in *out if the line is one. */
static void take(const char *line, const char *name, char **out)
{
	size_t len = strlen(name), end;

	line += strspn(line, " \t");
	if (strncmp(line, name, len) != 0)
		return;
	line += len;
	line += strspn(line, " \t");
	if (*line++ != '=' || *out)
		return;
	line += strspn(line, " \t");
	end = strcspn(line, " \t\r\n");
	if (end)
		*out = mem_strn(line, end);
}

static void read_credentials(struct s3_config *c, FILE *f, const char *profile)
{
	bool ours = false;
	char line[4096];
	size_t len;

	while (fgets(line, sizeof(line), f)) {
		if (line[0] == '[') {
			len = strcspn(line + 1, "]");
			ours = len == strlen(profile) &&
			       strncmp(line + 1, profile, len) == 0;
		} else if (ours) {
			take(line, "aws_access_key_id", &c->access_key);
			take(line, "aws_secret_access_key", &c->secret_key);
			take(line, "aws_session_token", &c->session_token);
		}
	}
	secret_wipe(line, sizeof(line));
}

/* ~/.aws/credentials, or what stands for it. */
static void load_credentials(struct s3_config *c)
{
	const char *file = getenv("AWS_SHARED_CREDENTIALS_FILE");
	const char *profile = getenv("AWS_PROFILE");
	const char *home = getenv("HOME");
	char *path;
	FILE *f;

	path = file ? mem_str(file)
		    : mem_printf("%s/.aws/credentials", home ? home : "/root");
	f = fopen(path, "re");
	free(path);
	if (!f)
		return;
	read_credentials(c, f, profile ? profile : "default");
	fclose(f);
}

static void wipe(char **s)
{
	if (*s)
		secret_wipe(*s, strlen(*s));
	free(*s);
	*s = NULL;
}

static void drop_keys(struct s3_config *c)
{
	wipe(&c->access_key);
	wipe(&c->secret_key);
	wipe(&c->session_token);
}

/* All keys come from the first place that has any: the secret of one place
 * does not fit the id of another. */
static int load_keys(struct s3_config *c, const struct options *o,
		     struct err *err)
{
	static const struct {
		const char *key, *variable;
	} names[] = { { "aws.accessKeyId", "AWS_ACCESS_KEY_ID" },
		      { "aws.secretKey", "AWS_SECRET_ACCESS_KEY" },
		      { "aws.sessionToken", "AWS_SESSION_TOKEN" } };
	char **out[] = { &c->access_key, &c->secret_key, &c->session_token };
	const struct options none = { 0 };
	size_t i;

	if (c->anonymous)
		return 0;
	for (i = 0; i < ARRAY_SIZE(names); i++)
		*out[i] = copy(get(o, names[i].key, NULL));
	if (!!c->access_key != !!c->secret_key)
		return err_set(err, -EINVAL, "%s is missing: it belongs to %s",
			       names[!!c->access_key].key,
			       names[!c->access_key].key);
	if (!c->access_key) {
		drop_keys(c);
		for (i = 0; i < ARRAY_SIZE(names); i++)
			*out[i] = copy(get(&none, "", names[i].variable));
	}
	if (!c->access_key || !c->secret_key) {
		drop_keys(c);
		load_credentials(c);
	}
	c->no_keys = c->anonymous = !c->access_key || !c->secret_key;
	return 0;
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

/* "https://host:port", "host:port" or, by default, Amazon's of the region.
 * *host is the caller's. */
static int set_endpoint(struct s3_config *c, const struct options *o,
			char **host, struct err *err)
{
	const char *e = get(o, "s3.endpoint", "AWS_ENDPOINT_URL"), *at = e;
	size_t len;

	c->tls = true;
	if (!e) {
		*host = amazon_host(c->region);
		c->amazon = true;
		return 0;
	}
	if (strncasecmp(at, "http://", 7) == 0) {
		c->tls = false;
		at += 7;
	} else if (strncasecmp(at, "https://", 8) == 0) {
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

static int set_place(struct s3_config *c, const struct options *o,
		     struct err *err)
{
	char *host = NULL, *amazon;
	int rv;

	rv = set_endpoint(c, o, &host, err);
	if (rv)
		return rv;
	drop_default_port(c, host);
	amazon = amazon_host(c->region);
	c->amazon |= strcasecmp(host, amazon) == 0;
	free(amazon);
	c->path_style = default_path_style(c, host);
	rv = get_bool(o, "s3.path-style", &c->path_style, err);
	set_host(c, host);
	free(host);
	return rv;
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

static void set_region(struct s3_config *c, const struct options *o)
{
	const char *region = get(o, "s3.region", "AWS_REGION");

	if (!region)
		region = getenv("AWS_DEFAULT_REGION");
	c->region = mem_str(region && region[0] ? region : "us-east-1");
}

/* Each role opens it, wherever it runs. */
static int set_ca_file(struct s3_config *c, const struct options *o,
		       struct err *err)
{
	const char *file = get(o, "s3.ca-file", "AWS_CA_BUNDLE");

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

int s3_config_load(struct s3_config *c, const char *root,
		   const struct ufs_option *options, unsigned n,
		   struct err *err)
{
	const struct options o = { .at = options, .n = n };
	int rv;

	*c = (struct s3_config){ 0 };
	set_region(c, &o);
	rv = set_bucket(c, root, err);
	if (!rv)
		rv = set_place(c, &o, err);
	if (!rv)
		rv = set_ca_file(c, &o, err);
	if (!rv)
		rv = set_patience(c, &o, err);
	if (!rv)
		rv = get_bool(&o, "s3.anonymous", &c->anonymous, err);
	if (!rv)
		rv = load_keys(c, &o, err);
	if (rv)
		s3_config_close(c);
	return rv;
}

void s3_config_close(struct s3_config *c)
{
	drop_keys(c);
	free(c->bucket);
	free(c->prefix);
	free(c->host);
	free(c->base);
	free(c->origin);
	free(c->region);
	free(c->ca_file);
	*c = (struct s3_config){ 0 };
}
