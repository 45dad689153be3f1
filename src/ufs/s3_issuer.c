#include "ufs/s3_issuer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/loop.h"
#include "ufs/http_client.h"
#include "ufs/text.h"

enum {
	CONNECT_TIMEOUT_MS = 2000,
	STALL_S = 5,
	MAX_ANSWER = 64 << 10,
	MAX_TOKEN = 16 << 10,
	MAX_HEADERS = 3,
};

#define ROLES "/latest/meta-data/iam/security-credentials/"

struct s3_issuer {
	struct loop *loop;
	enum s3_issuer_kind kind;
	char *url, *token_file, *token, *role_arn, *session_name;
	s3_issued_fn issued;
	void *owner;

	struct http_client *http;
	struct http_req req;
	struct timer fail; /* what failed before anything was sent */
	struct err err;
	char *session; /* of a machine's metadata */
	struct text where, answer, body, fields[MAX_HEADERS];
	const char *headers[MAX_HEADERS + 1];
	unsigned step;
	bool asking, closing;
};

static char *copy(const char *s)
{
	return s ? mem_str(s) : NULL;
}

struct s3_issuer *s3_issuer_new(const struct s3_issuer_config *c,
				s3_issued_fn issued, void *owner)
{
	struct s3_issuer *i = mem_alloc(sizeof(*i));

	i->loop = c->loop;
	i->kind = c->kind;
	i->url = copy(c->url);
	i->token_file = copy(c->token_file);
	i->token = copy(c->token);
	i->role_arn = copy(c->role_arn);
	i->session_name = copy(c->session_name);
	i->issued = issued;
	i->owner = owner;
	list_init(&i->fail.link);
	i->http = http_client_new(&(struct http_config){
		.loop = c->loop,
		.ca_file = c->ca_file,
		.max_in_flight = 1,
		.connect_timeout_ms = CONNECT_TIMEOUT_MS,
		.stall_s = STALL_S,
	});
	return i;
}

static void wipe_text(struct text *t)
{
	if (t->at)
		explicit_bzero(t->at, t->size);
	text_clear(t);
}

/* What one question leaves behind. */
static void forget(struct s3_issuer *i)
{
	unsigned k;

	s3_keys_wipe(&i->session);
	wipe_text(&i->answer);
	wipe_text(&i->body);
	for (k = 0; k < MAX_HEADERS; k++)
		wipe_text(&i->fields[k]);
}

static void destroy(struct s3_issuer *i)
{
	unsigned k;

	forget(i);
	loop_timer_stop(&i->fail);
	http_client_free(i->http);
	text_close(&i->where);
	text_close(&i->answer);
	text_close(&i->body);
	for (k = 0; k < MAX_HEADERS; k++)
		text_close(&i->fields[k]);
	s3_keys_wipe(&i->token);
	free(i->url);
	free(i->token_file);
	free(i->role_arn);
	free(i->session_name);
	free(i);
}

void s3_issuer_free(struct s3_issuer *i)
{
	i->closing = true;
	if (i->asking && list_empty(&i->fail.link))
		http_cancel(&i->req); /* on_done() does the rest */
	else
		destroy(i);
}

static void tell(struct s3_issuer *i, int code, struct s3_keys *keys)
{
	i->asking = false;
	forget(i);
	if (code)
		err_wrap(&i->err, code, "no keys from %s", i->url);
	i->issued(i->owner, code, keys, &i->err);
}

static void on_fail(struct timer *t)
{
	struct s3_issuer *i = container_of(t, struct s3_issuer, fail);

	tell(i, i->err.code, NULL);
}

static void fail_later(struct s3_issuer *i)
{
	loop_timer_start(i->loop, &i->fail, 0, on_fail);
}

/* The token that lies in a file, without its line end: wipe it. */
static char *read_token(struct s3_issuer *i)
{
	int fd = open(i->token_file, O_RDONLY | O_CLOEXEC);
	char *token = mem_alloc(MAX_TOKEN + 1);
	ssize_t n = fd < 0 ? -1 : read(fd, token, MAX_TOKEN);

	if (n <= 0) {
		if (n < 0)
			err_set(&i->err, -EAGAIN, "%s: %m", i->token_file);
		else
			err_set(&i->err, -EAGAIN, "%s: empty", i->token_file);
		free(token);
		token = NULL;
	} else {
		token[strcspn(token, "\r\n")] = '\0';
	}
	if (fd >= 0)
		close(fd);
	return token;
}

static bool on_body(struct http_req *req, const void *data, size_t len)
{
	struct s3_issuer *i = container_of(req, struct s3_issuer, req);

	if (i->answer.len + len > MAX_ANSWER)
		return false;
	text_addn(&i->answer, data, len);
	return true;
}

static void add_header(struct s3_issuer *i, const char *name, const char *value)
{
	unsigned n = 0;

	while (i->headers[n])
		n++;
	text_clear(&i->fields[n]);
	text_addf(&i->fields[n], "%s: %s", name, value);
	i->headers[n] = i->fields[n].at;
}

static void on_done(struct http_req *req, int rv);

static void begin(struct s3_issuer *i, const char *method, const char *path)
{
	text_clear(&i->where);
	text_addf(&i->where, "%s%s", i->url, path);
	text_clear(&i->answer);
	memset(i->headers, 0, sizeof(i->headers));
	i->req.method = method;
	i->req.url = i->where.at;
	i->req.headers = i->headers;
	i->req.body = NULL;
	i->req.body_len = 0;
	i->req.on_body = on_body;
	i->req.done = on_done;
}

static void add_param(struct text *t, const char *name, const char *value)
{
	text_addf(t, "&%s=", name);
	text_encode(t, value, strlen(value), false);
}

static void ask_sts(struct s3_issuer *i)
{
	char *token = read_token(i);

	if (!token) {
		fail_later(i);
		return;
	}
	text_clear(&i->body);
	text_add(&i->body,
		 "Action=AssumeRoleWithWebIdentity&Version=2011-06-15");
	add_param(&i->body, "RoleArn", i->role_arn);
	add_param(&i->body, "RoleSessionName",
		  i->session_name ? i->session_name : "acached");
	add_param(&i->body, "WebIdentityToken", token);
	s3_keys_wipe(&token);
	begin(i, "POST", "/");
	add_header(i, "Content-Type", "application/x-www-form-urlencoded");
	i->req.body = i->body.at;
	i->req.body_len = i->body.len;
	http_submit(i->http, &i->req);
}

static void ask_container(struct s3_issuer *i)
{
	char *token = NULL;

	if (i->token_file) {
		token = read_token(i);
		if (!token) {
			fail_later(i);
			return;
		}
	} else if (i->token) {
		token = mem_str(i->token);
	}
	begin(i, "GET", "");
	if (token)
		add_header(i, "Authorization", token);
	s3_keys_wipe(&token);
	http_submit(i->http, &i->req);
}

/* A session, the name of the role, its keys. */
static void ask_instance(struct s3_issuer *i)
{
	struct text path = { 0 };

	if (i->step == 0) {
		begin(i, "PUT", "/latest/api/token");
		add_header(i, "X-aws-ec2-metadata-token-ttl-seconds", "21600");
	} else {
		text_add(&path, ROLES);
		if (i->step == 2)
			text_encode(&path, i->answer.at,
				    strcspn(i->answer.at, "\r\n"), false);
		begin(i, "GET", path.at);
		add_header(i, "X-aws-ec2-metadata-token", i->session);
		text_close(&path);
	}
	http_submit(i->http, &i->req);
}

/* Goes on if there is more to ask. */
static bool next_step(struct s3_issuer *i)
{
	if (i->kind != S3_INSTANCE || i->step == 2 || !i->answer.len)
		return false;
	if (i->step == 0)
		i->session =
			mem_strn(i->answer.at, strcspn(i->answer.at, "\r\n"));
	i->step++;
	ask_instance(i);
	return true;
}

/* Its answer may quote what it was given, a code may not. */
static int refusal(struct s3_issuer *i, int status)
{
	bool passes = status == 429 || status >= 500;
	const char *at, *code;
	int len;

	at = i->answer.len ? strstr(i->answer.at, "<Code>") : NULL;
	code = at ? at + strlen("<Code>") : "";
	len = (int)strspn(code, "abcdefghijklmnopqrstuvwxyz"
				"ABCDEFGHIJKLMNOPQRSTUVWXYZ");
	return err_set(&i->err, passes ? -EAGAIN : -EACCES, "%d%s%.*s", status,
		       len ? " " : "", len, code);
}

static int take_keys(struct s3_issuer *i, struct s3_keys *keys)
{
	int rv = !i->answer.len ? -EBADMSG
		 : i->kind == S3_WEB_IDENTITY
			 ? s3_keys_from_xml(keys, i->answer.at)
			 : s3_keys_from_json(keys, i->answer.at);

	if (rv)
		return err_set(&i->err, -EACCES, "its answer has no keys");
	return 0;
}

static void on_done(struct http_req *req, int rv)
{
	struct s3_issuer *i = container_of(req, struct s3_issuer, req);
	int status = req->answer.status;
	struct s3_keys keys = { 0 };
	int code;

	if (i->closing) {
		destroy(i);
		return;
	}
	if (rv)
		code = err_set(&i->err, -EAGAIN, "%s", req->error);
	else if (status < 200 || status >= 300)
		code = refusal(i, status);
	else if (next_step(i))
		return;
	else
		code = take_keys(i, &keys);
	tell(i, code, &keys);
}

void s3_issuer_ask(struct s3_issuer *i)
{
	i->asking = true;
	i->step = 0;
	i->err = (struct err){ 0 };
	switch (i->kind) {
	case S3_WEB_IDENTITY:
		ask_sts(i);
		break;
	case S3_CONTAINER:
		ask_container(i);
		break;
	case S3_INSTANCE:
		ask_instance(i);
		break;
	}
}
