#include "ufs/s3_credentials.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/loop.h"
#include "ufs/s3_profile.h"

#define LOG_MODULE "s3"
#include "runtime/log.h"

enum {
	LOOK_MS = 5000,  /* between two looks at the files */
	EARLY_S = 300,   /* renewed so long before the end, or in */
	EARLY_PART = 4,  /* the last quarter of a short life */
	FRESH_MS = 2000, /* what is refused so soon is not asked for again */
	MIN_LIFE_S = 2,
	FIRST_PAUSE_MS = 200,
	MAX_PAUSE_MS = 10000,
};

#define INSTANCE  "http://169.254.169.254"
#define CONTAINER "http://169.254.170.2"

struct s3_credentials {
	struct loop *loop;
	time_t (*wall)(void);
	char *region, *ca_file;
	struct s3_keys keys;
	unsigned number;
	time_t renew_at; /* wall clock; 0: never */

	/* files */
	struct s3_profile_place profile;
	struct s3_stamp stamps[2];
	uint64_t look_ms; /* when next */
	bool watched;     /* they are where keys come from, or may come */

	/* what gives out keys */
	struct s3_issuer *issuer; /* NULL: nothing does */
	bool guessed;             /* perhaps there is none */
	bool asking;
	unsigned failures;
	uint64_t pause_until_ms, asked_ms;
	struct err err; /* why there are none */

	struct list waiting; /* for an answer */
	struct list ended;   /* to be told what they wait for */
	struct timer tell;
	bool anonymous;
};

static bool has_keys(const struct s3_credentials *c)
{
	return c->keys.access_key != NULL;
}

/* Nothing gives keys, as far as we know. */
static bool is_unsigned(const struct s3_credentials *c)
{
	return !has_keys(c) && (!c->issuer || (c->guessed && c->failures));
}

static void on_tell(struct timer *t)
{
	struct s3_credentials *c = container_of(t, struct s3_credentials, tell);
	struct list ended, *link;
	struct s3_keys_wait *w;
	const struct err *err;
	struct err refused;
	int code;

	list_take(&ended, &c->ended);
	while ((link = list_pop_front(&ended))) {
		w = list_entry(link, struct s3_keys_wait, link);
		err = &c->err;
		code = w->refused || is_unsigned(c) ? 0 : c->err.code;
		if (w->refused && w->number == c->number) {
			code = err_set(&refused, -EACCES, "no other keys");
			err = &refused;
		}
		w->done(w, code, err);
	}
}

static void tell_soon(struct s3_credentials *c)
{
	if (list_empty(&c->tell.link))
		loop_timer_start(c->loop, &c->tell, 0, on_tell);
}

static void end_waiting(struct s3_credentials *c)
{
	struct list *link;

	while ((link = list_pop_front(&c->waiting)))
		list_push_back(&c->ended, link);
	if (!list_empty(&c->ended))
		tell_soon(c);
}

/* Keys that came; `from` is theirs no more. */
static void set_keys(struct s3_credentials *c, struct s3_keys *from)
{
	time_t now = c->wall(), life, early;

	if (!s3_keys_equal(&c->keys, from))
		c->number++;
	s3_keys_close(&c->keys);
	c->keys = *from;
	*from = (struct s3_keys){ 0 };
	c->err = (struct err){ 0 };
	c->renew_at = 0;
	if (!c->keys.expires)
		return;
	if (c->keys.expires <= now) { /* by our clock: not at once again */
		log_warn("storage keys came expired, check the clock",
			 "late_s=%lld", (long long)(now - c->keys.expires));
		c->keys.expires = now + MIN_LIFE_S;
	}
	life = c->keys.expires - now;
	early = (life + EARLY_PART - 1) / EARLY_PART;
	c->renew_at = c->keys.expires - (early < EARLY_S ? early : EARLY_S);
	log_info("storage keys renewed", "valid_s=%lld", (long long)life);
}

/* What gives out keys. */

static uint64_t pause_ms(const struct s3_credentials *c)
{
	uint64_t ms = FIRST_PAUSE_MS;

	if (c->failures < 16)
		ms <<= c->failures;
	return ms < MAX_PAUSE_MS && c->failures < 16 ? ms : MAX_PAUSE_MS;
}

static void on_issued(void *owner, int code, struct s3_keys *keys,
		      const struct err *err)
{
	struct s3_credentials *c = owner;
	uint64_t now = loop_now_ms(c->loop);

	c->asking = false;
	c->asked_ms = now;
	if (!code) {
		c->failures = 0;
		c->pause_until_ms = 0;
		set_keys(c, keys);
	} else {
		c->pause_until_ms = now + pause_ms(c);
		c->failures++;
		if (c->guessed && !has_keys(c))
			log_info("no keys found, requests are not signed",
				 "metadata=\"%s\"", err->msg);
		else
			log_warn("storage keys not renewed", "error=\"%s\"",
				 err->msg);
		c->err = *err;
	}
	end_waiting(c);
}

static void ask(struct s3_credentials *c)
{
	if (c->asking || loop_now_ms(c->loop) < c->pause_until_ms)
		return;
	c->asking = true;
	s3_issuer_ask(c->issuer);
}

static void set_issuer(struct s3_credentials *c,
		       const struct s3_issuer_config *config)
{
	struct s3_issuer_config full = *config;

	full.loop = c->loop;
	if (c->issuer)
		s3_issuer_free(c->issuer);
	c->issuer = s3_issuer_new(&full, on_issued, c);
	c->asking = false;
	c->failures = 0;
	c->pause_until_ms = c->asked_ms = 0;
}

static char *sts_url(const struct s3_credentials *c, const struct s3_options *o)
{
	const char *url =
		s3_option(o, "aws.stsEndpoint", "AWS_ENDPOINT_URL_STS");
	size_t len = url ? strlen(url) : 0;

	if (!url)
		return mem_printf("https://sts.%s.amazonaws.com", c->region);
	while (len && url[len - 1] == '/')
		len--;
	return mem_strn(url, len);
}

static void use_web_identity(struct s3_credentials *c,
			     const struct s3_options *o, const char *role,
			     const char *token_file, const char *session)
{
	char *url = sts_url(c, o);

	set_issuer(c, &(struct s3_issuer_config){
			      .kind = S3_WEB_IDENTITY,
			      .url = url,
			      .ca_file = c->ca_file,
			      .role_arn = role,
			      .token_file = token_file,
			      .session_name = session,
		      });
	free(url);
}

/* Places, each: 1 if it is the one, 0 if not, or a code. */

static int from_options(struct s3_credentials *c, const struct s3_options *o,
			struct err *err)
{
	const char *id = s3_option(o, "aws.accessKeyId", NULL);
	const char *secret = s3_option(o, "aws.secretKey", NULL);
	const char *token = s3_option(o, "aws.sessionToken", NULL);
	const char *role = s3_option(o, "aws.roleArn", NULL);
	const char *file = s3_option(o, "aws.identityTokenFile", NULL);

	if (!id != !secret)
		return err_set(err, -EINVAL, "%s is missing: it belongs to %s",
			       id ? "aws.secretKey" : "aws.accessKeyId",
			       id ? "aws.accessKeyId" : "aws.secretKey");
	if (!role != !file)
		return err_set(err, -EINVAL, "%s is missing: it belongs to %s",
			       role ? "aws.identityTokenFile" : "aws.roleArn",
			       role ? "aws.roleArn" : "aws.identityTokenFile");
	if (id) {
		c->keys.access_key = mem_str(id);
		c->keys.secret_key = mem_str(secret);
		c->keys.session_token = token ? mem_str(token) : NULL;
		return 1;
	}
	if (role)
		use_web_identity(c, o, role, file,
				 s3_option(o, "aws.roleSessionName", NULL));
	return role != NULL;
}

static const char *variable(const char *name)
{
	const struct s3_options none = { 0 };

	return s3_option(&none, "", name);
}

static int from_environment(struct s3_credentials *c,
			    const struct s3_options *o)
{
	const char *id = variable("AWS_ACCESS_KEY_ID");
	const char *secret = variable("AWS_SECRET_ACCESS_KEY");
	const char *token = variable("AWS_SESSION_TOKEN");
	const char *role = variable("AWS_ROLE_ARN");
	const char *file = variable("AWS_WEB_IDENTITY_TOKEN_FILE");

	if (id && secret) {
		c->keys.access_key = mem_str(id);
		c->keys.secret_key = mem_str(secret);
		c->keys.session_token = token ? mem_str(token) : NULL;
		return 1;
	}
	if (role && file)
		use_web_identity(c, o, role, file,
				 variable("AWS_ROLE_SESSION_NAME"));
	return role && file;
}

/* Looks into the files; -ENOENT if they have no such profile, -ENOKEY if it
 * has nothing that we can use. */
static int read_profile(struct s3_credentials *c, struct s3_profile *p)
{
	c->stamps[0] = s3_stamp_of(c->profile.credentials);
	c->stamps[1] = s3_stamp_of(c->profile.config);
	c->look_ms = loop_now_ms(c->loop) + LOOK_MS;
	s3_profile_load(p, &c->profile);
	if (!p->found)
		return -ENOENT;
	return (p->access_key && p->secret_key) ||
			       (p->role_arn && p->token_file)
		       ? 0
		       : -ENOKEY;
}

static void keys_of(struct s3_profile *p, struct s3_keys *k)
{
	*k = (struct s3_keys){ p->access_key, p->secret_key, p->session_token,
			       0 };
	p->access_key = p->secret_key = p->session_token = NULL;
}

static int from_profile(struct s3_credentials *c, const struct s3_options *o,
			struct err *err)
{
	struct s3_profile p;
	int rv = read_profile(c, &p);

	c->watched = true;
	if (!rv && p.access_key && p.secret_key)
		keys_of(&p, &c->keys);
	else if (!rv)
		use_web_identity(c, o, p.role_arn, p.token_file,
				 p.role_session_name);
	if (rv == -ENOENT && c->profile.by_name)
		err_set(err, rv, "profile %s is neither in %s nor in %s",
			c->profile.name, c->profile.credentials,
			c->profile.config);
	else if (rv == -ENOKEY && p.source)
		rv = err_set(err, -EINVAL,
			     "profile %s has no keys: source_profile, "
			     "credential_source, credential_process and SSO "
			     "are not supported",
			     c->profile.name);
	else
		rv = rv ? 0 : 1;
	s3_profile_close(&p);
	return rv;
}

/* Others than the machine itself and its container host may not be told the
 * container's token in the clear. */
static bool is_near(const char *url)
{
	static const char *const hosts[] = {
		"https://",     "http://127.0.0.1", "http://localhost",
		"http://[::1]", CONTAINER,          "http://169.254.170.23"
	};
	size_t i, len;

	for (i = 0; i < ARRAY_SIZE(hosts); i++) {
		len = strlen(hosts[i]);
		if (strncmp(url, hosts[i], len) == 0 &&
		    (i == 0 || strchr("/:", url[len])))
			return true;
	}
	return false;
}

static int from_container(struct s3_credentials *c, struct err *err)
{
	const char *path = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	char *url;

	if (!path && !full)
		return 0;
	if (!path && !is_near(full))
		return err_set(err, -EINVAL,
			       "AWS_CONTAINER_CREDENTIALS_FULL_URI=%s: neither "
			       "https nor on this machine",
			       full);
	url = path ? mem_printf(CONTAINER "%s", path) : mem_str(full);
	set_issuer(
		c,
		&(struct s3_issuer_config){
			.kind = S3_CONTAINER,
			.url = url,
			.ca_file = c->ca_file,
			.token = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
			.token_file =
				variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_"
					 "FILE"),
		});
	free(url);
	return 1;
}

static void from_instance(struct s3_credentials *c, const struct s3_options *o,
			  bool amazon)
{
	const char *off = variable("AWS_EC2_METADATA_DISABLED");
	const char *url = s3_option(o, "aws.metadataEndpoint",
				    "AWS_EC2_METADATA_SERVICE_ENDPOINT");
	size_t len = url ? strlen(url) : 0;
	char *base;

	if (!url && (!amazon || (off && strcmp(off, "true") == 0)))
		return;
	while (len && url[len - 1] == '/')
		len--;
	base = url ? mem_strn(url, len) : mem_str(INSTANCE);
	set_issuer(c, &(struct s3_issuer_config){ .kind = S3_INSTANCE,
						  .url = base });
	c->guessed = !url;
	free(base);
}

static int find_keys(struct s3_credentials *c,
		     const struct s3_credentials_config *config,
		     struct err *err)
{
	const struct s3_options *o = config->options;
	int rv = from_options(c, o, err);

	if (!rv && s3_option(o, "aws.profile", NULL)) {
		rv = from_profile(c, o, err);
	} else if (!rv) {
		rv = from_environment(c, o);
		if (!rv)
			rv = from_profile(c, o, err);
	}
	if (!rv)
		rv = from_container(c, err);
	if (!rv)
		from_instance(c, o, config->amazon);
	return rv < 0 ? rv : 0;
}

static time_t system_wall(void)
{
	return time(NULL);
}

int s3_credentials_new(struct s3_credentials **out,
		       const struct s3_credentials_config *config,
		       struct err *err)
{
	struct s3_credentials *c = mem_alloc(sizeof(*c));
	int rv = 0;

	c->loop = config->loop;
	c->wall = config->wall ? config->wall : system_wall;
	c->region = mem_str(config->region);
	c->ca_file = config->ca_file ? mem_str(config->ca_file) : NULL;
	c->anonymous = config->anonymous;
	list_init(&c->waiting);
	list_init(&c->ended);
	list_init(&c->tell.link);
	s3_profile_find(&c->profile, config->options);
	if (!c->anonymous)
		rv = find_keys(c, config, err);
	if (rv)
		s3_credentials_free(c);
	else
		*out = c;
	return rv;
}

void s3_credentials_free(struct s3_credentials *c)
{
	if (c->issuer)
		s3_issuer_free(c->issuer);
	loop_timer_stop(&c->tell);
	s3_keys_close(&c->keys);
	s3_profile_place_close(&c->profile);
	free(c->region);
	free(c->ca_file);
	free(c);
}

/* Files that changed. */
static void look(struct s3_credentials *c)
{
	const struct s3_stamp now[2] = { s3_stamp_of(c->profile.credentials),
					 s3_stamp_of(c->profile.config) };
	struct s3_profile p;
	struct s3_keys keys;

	c->look_ms = loop_now_ms(c->loop) + LOOK_MS;
	if (s3_stamp_equal(&now[0], &c->stamps[0]) &&
	    s3_stamp_equal(&now[1], &c->stamps[1]))
		return;
	read_profile(c, &p);
	if (p.access_key && p.secret_key) {
		keys_of(&p, &keys);
		if (c->issuer)
			s3_issuer_free(c->issuer);
		c->issuer = NULL;
		c->asking = false;
		set_keys(c, &keys);
		log_info("storage keys read again", "file=%s profile=%s",
			 c->profile.credentials, c->profile.name);
		end_waiting(c);
	} else if (has_keys(c)) {
		log_warn("profile has no keys any more, the old ones are kept",
			 "file=%s profile=%s", c->profile.credentials,
			 c->profile.name);
	}
	s3_profile_close(&p);
}

bool s3_credentials_ready(struct s3_credentials *c)
{
	time_t now;

	if (c->watched && loop_now_ms(c->loop) >= c->look_ms)
		look(c);
	if (!c->issuer || is_unsigned(c))
		return true;
	if (!has_keys(c))
		return false;
	if (!c->renew_at)
		return true;
	now = c->wall();
	if (now >= c->renew_at)
		ask(c);
	return now < c->keys.expires;
}

const struct s3_keys *s3_credentials_keys(const struct s3_credentials *c)
{
	return has_keys(c) ? &c->keys : NULL;
}

unsigned s3_credentials_number(const struct s3_credentials *c)
{
	return c->number;
}

bool s3_credentials_missing(const struct s3_credentials *c)
{
	return !c->anonymous && !has_keys(c);
}

/* For an answer that is on its way, or for nothing. */
static void wait(struct s3_credentials *c, struct s3_keys_wait *w)
{
	if (c->asking) {
		list_push_back(&c->waiting, &w->link);
	} else {
		list_push_back(&c->ended, &w->link);
		tell_soon(c);
	}
}

void s3_credentials_wait(struct s3_credentials *c, struct s3_keys_wait *w)
{
	w->refused = false;
	if (c->issuer)
		ask(c);
	wait(c, w);
}

void s3_credentials_refused(struct s3_credentials *c, unsigned number,
			    struct s3_keys_wait *w)
{
	uint64_t now = loop_now_ms(c->loop);

	w->refused = true;
	w->number = number;
	if (c->watched)
		look(c);
	if (number == c->number && c->issuer &&
	    (!c->asked_ms || now >= c->asked_ms + FRESH_MS))
		ask(c);
	wait(c, w);
}

void s3_credentials_forget(struct s3_keys_wait *w)
{
	list_remove(&w->link);
}
