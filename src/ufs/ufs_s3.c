/*
 * Under-storage in a bucket of an S3 server.
 *
 * A key is a path; a common prefix is a directory, and so is a path below which
 * there are keys.  The object "a/" is how some tools mark the directory a: it
 * is not shown.  Where both an object "a" and keys below "a/" exist, a is the
 * file.  An object's version is its ETag.
 *
 * A listing's token is "LENGTH:" and the continuation token of that length,
 * then the names of files ("a/b/...") that a directory on the next page may
 * have too.
 */

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "runtime/secret.h"
#include "ufs/s3_call.h"

#define LOG_MODULE "s3"
#include "runtime/log.h"

enum {
	FIRST_IN_FLIGHT = 16,
	CONNECT_TIMEOUT_MS = 5000,
	MAX_KEYS = 1000, /* a page; more is not given */
};

/* A request of ours with the call that serves it, kept for the next one. */
struct op {
	struct list link;
	struct s3_call call;
	struct ufs_req *req;
	struct text key, query;
	struct s3_xml *xml; /* made when first needed */
	enum s3_root root;  /* what it was */
	struct ufs_entry *entries;
	size_t n_entries;
};

static struct s3 *to_s3(struct ufs *u)
{
	return container_of(u, struct s3, ufs);
}

static int open_credentials(struct s3 *s3, const struct ufs_env *env,
			    const struct s3_options *options, struct err *err)
{
	const struct s3_config *c = &s3->config;
	const struct s3_credentials_config config = {
		.loop = env->loop,
		.options = options,
		.region = c->region,
		.ca_file = c->ca_file,
		.anonymous = c->anonymous,
		.amazon = s3_config_is_amazon(c),
	};
	int rv = s3_credentials_new(&s3->credentials, &config, err);

	if (rv)
		s3_config_close(&s3->config);
	return rv;
}

static int s3_open(struct ufs **out, const struct ufs_env *env,
		   const char *root, struct err *err)
{
	const struct s3_options options = { env->options, env->n_options };
	struct s3 *s3 = mem_alloc(sizeof(*s3));
	int rv;

	rv = s3_config_load(&s3->config, root, &options, err);
	if (!rv)
		rv = open_credentials(s3, env, &options, err);
	if (rv) {
		free(s3);
		return rv;
	}
	s3->ufs = (struct ufs){ .ops = &ufs_s3, .env = *env };
	s3->http = http_client_new(&(struct http_config){
		.loop = env->loop,
		.ca_file = s3->config.ca_file,
		.max_in_flight = s3->config.max_requests,
		.min_in_flight = s3->config.min_requests,
		.name = s3->config.bucket,
		.first_in_flight = FIRST_IN_FLIGHT,
		.connect_timeout_ms = CONNECT_TIMEOUT_MS,
		.stall_s = s3->config.timeout_s,
	});
	s3->signer = s3_signer_new();
	list_init(&s3->idle_ops);
	secret_random(&s3->random, sizeof(s3->random));
	s3->random |= 1;
	*out = &s3->ufs;
	return 0;
}

static void op_free(struct op *op)
{
	s3_call_close(&op->call);
	text_close(&op->key);
	text_close(&op->query);
	if (op->xml)
		s3_xml_free(op->xml);
	free(op->entries);
	free(op);
}

static void s3_close(struct ufs *u)
{
	struct s3 *s3 = to_s3(u);
	struct list *link;

	while ((link = list_pop_front(&s3->idle_ops)))
		op_free(list_entry(link, struct op, link));
	http_client_free(s3->http);
	s3_signer_free(s3->signer);
	s3_credentials_free(s3->credentials);
	s3_config_close(&s3->config);
	free(s3);
}

static struct op *op_get(struct s3 *s3, struct ufs_req *req, ufs_done_fn done)
{
	struct list *link = list_pop_front(&s3->idle_ops);
	struct op *op;

	if (link) {
		op = list_entry(link, struct op, link);
	} else {
		op = mem_alloc(sizeof(*op));
		s3_call_init(&op->call, s3);
		list_init(&op->link);
	}
	op->req = req;
	op->call.max_attempts = req->attempts;
	op->call.version = NULL;
	op->call.ranged = op->call.head = false;
	op->call.key = NULL;
	op->call.query = "";
	op->call.on_data = NULL;
	op->call.on_whole = NULL;
	text_clear(&op->key);
	text_add(&op->key, s3->config.prefix);
	text_add(&op->key, req->path);
	req->done = done;
	req->state = op;
	return op;
}

/* What was asked for, and the call's sentence. */
static ssize_t name_error(struct op *op, ssize_t rv)
{
	const struct s3_config *c = &op->call.s3->config;
	const char *why = op->call.err.msg;

	return err_set(&op->req->err, (int)rv, "s3://%s/%s%s: %s", c->bucket,
		       c->prefix, op->req->path,
		       why[0] ? why : err_text((int)rv));
}

/* Answers a request and keeps the op.  Its caller may end the storage inside
 * the callback, so this comes last. */
static void answer(struct op *op, ssize_t rv)
{
	struct s3 *s3 = op->call.s3;
	struct ufs_req *req = op->req;

	if (rv < 0)
		rv = name_error(op, rv);
	if (op->xml) { /* large */
		op_free(op);
	} else {
		list_push_back(&s3->idle_ops, &op->link);
	}
	req->state = NULL;
	req->done(req, rv);
}

static ssize_t to_version(struct op *op, struct ufs_version *v,
			  const char *etag)
{
	int rv = s3_version(v, etag);

	if (rv == -EOVERFLOW)
		return err_set(&op->call.err, rv, "its ETag is too long");
	if (rv)
		return err_set(&op->call.err, -EIO, "it has no ETag");
	return 0;
}

static void set_directory(struct ufs_stat *st)
{
	*st = (struct ufs_stat){
		.mode = S_IFDIR,
		.uid = UINT32_MAX,
		.gid = UINT32_MAX,
	};
}

static void set_file(struct ufs_stat *st, uint64_t size, int64_t mtime_s)
{
	*st = (struct ufs_stat){
		.size = size,
		.mtime_ns = mtime_s > 0 ? (uint64_t)mtime_s * 1000000000 : 0,
		.mode = S_IFREG,
		.uid = UINT32_MAX,
		.gid = UINT32_MAX,
	};
}

/* What a HEAD or a GET tells. */
static ssize_t take_stat(struct op *op)
{
	const struct http_answer *a = &op->call.http.answer;
	int64_t size = a->status == 206 ? a->range_size : a->length;

	if (size < 0)
		return err_set(&op->call.err, -EIO, "its size is not told");
	set_file(&op->req->stat, (uint64_t)size, a->mtime_s);
	return to_version(op, &op->req->stat.version, a->etag);
}

/* Listings. */

static bool on_xml(struct s3_call *call, const void *data, size_t len)
{
	struct op *op = container_of(call, struct op, call);

	if (!op->xml)
		op->xml = s3_xml_new();
	else if (call->received == 0) /* once more from the first byte */
		s3_xml_reset(op->xml);
	if (s3_xml_feed(op->xml, data, len) == 0 ||
	    s3_xml_is_listing(op->xml)) /* then on_whole_xml() tells */
		return true;
	err_set(&call->err, -EIO,
		"its answer is no listing; check s3.endpoint");
	return false;
}

static bool on_whole_xml(struct s3_call *call)
{
	struct op *op = container_of(call, struct op, call);

	op->root = op->xml ? s3_xml_finish(op->xml) : S3_ROOT_NONE;
	if (op->root == S3_ROOT_LISTING || !op->xml ||
	    !s3_xml_is_listing(op->xml))
		return true;
	err_set(&call->err, -EIO, "its listing is damaged");
	return false;
}

/* The listing that came, or NULL with the sentence set. */
static const struct s3_listing *take_listing(struct op *op)
{
	if (op->root == S3_ROOT_LISTING)
		return s3_xml_listing(op->xml);
	err_set(&op->call.err, -EIO,
		"its answer is no listing; check s3.endpoint");
	return NULL;
}

static void add_param(struct text *t, const char *name, const char *value,
		      size_t len)
{
	text_add(t, t->len ? "&" : "");
	text_add(t, name);
	text_addn(t, "=", 1);
	text_encode(t, value, len, false);
}

/* Lists below op->key: what has it in front, up to the next slash unless
 * `deep`. */
static void start_list(struct op *op, unsigned max_keys, bool deep,
		       const char *token, size_t token_len,
		       void (*done)(struct s3_call *call, int rv))
{
	struct text *q = &op->query;

	text_clear(q);
	if (token_len)
		add_param(q, "continuation-token", token, token_len);
	if (!deep)
		add_param(q, "delimiter", "/", 1);
	text_addf(q, "%sencoding-type=url&list-type=2&max-keys=%u",
		  q->len ? "&" : "", max_keys);
	add_param(q, "prefix", op->key.at, op->key.len);
	op->call.head = false;
	op->call.key = NULL;
	op->call.query = q->at;
	op->call.on_data = on_xml;
	op->call.on_whole = on_whole_xml;
	op->root = S3_ROOT_NONE;
	op->call.done = done;
	s3_call_start(&op->call);
}

/* Why a name cannot be shown; NULL: it can. */
static const char *bad_name(const char *name)
{
	if (name[0] == '\0')
		return "an empty component";
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return "the component . or ..";
	if (strlen(name) > NAME_MAX)
		return "a component of more than 255 bytes";
	return NULL;
}

static void skip_encoded(struct op *op, const char *key, const char *reason)
{
	op->req->skipped++;
	log_warn("key skipped", "bucket=%s key=%s reason=\"%s\"",
		 op->call.s3->config.bucket, key, reason);
}

static void skip(struct op *op, const char *key, const char *reason)
{
	struct text shown = { 0 }; /* a key may have line ends */

	text_encode(&shown, key, strlen(key), true);
	skip_encoded(op, shown.at, reason);
	text_close(&shown);
}

static struct ufs_entry *add_entry(struct op *op, const char *name)
{
	struct ufs_entry *e = &op->entries[op->n_entries++];

	e->name = name;
	return e;
}

static void add_file(struct op *op, const struct s3_object *o)
{
	const char *name = o->key + op->key.len;
	const char *reason;
	struct ufs_entry *e;

	if (name[0] == '\0' && op->key.len && o->size == 0)
		return; /* the directory's own marker */
	reason = name[0] == '\0' && op->key.len
			 ? "bytes of the marker of a directory"
			 : bad_name(name);
	if (reason) {
		skip(op, o->key, reason);
		return;
	}
	e = add_entry(op, name);
	set_file(&e->stat, o->size, o->mtime_s);
	if (s3_version(&e->stat.version, o->etag)) {
		op->n_entries--;
		skip(op, o->key, "an ETag that is empty or too long");
	}
}

/* Names of files of earlier pages, as a token carries them. */
static bool is_carried(const char *carried, const char *name)
{
	size_t len, wanted = strlen(name);

	for (; *carried; carried += len + (carried[len] == '/')) {
		len = strcspn(carried, "/");
		if (len == wanted && memcmp(carried, name, len) == 0)
			return true;
	}
	return false;
}

static int compare_key(const void *key, const void *object)
{
	return strcmp(key, ((const struct s3_object *)object)->key);
}

/* `prefix` is the listing's: its slash is cut off. */
static void add_directory(struct op *op, const struct s3_listing *l,
			  char *prefix, const char *carried)
{
	size_t len = strlen(prefix);
	const char *name, *reason;

	if (len <= op->key.len || prefix[len - 1] != '/') {
		skip(op, prefix, "a prefix that is none");
		return;
	}
	name = prefix + op->key.len;
	prefix[len - 1] = '\0';
	reason = bad_name(name);
	if (!reason &&
	    (is_carried(carried, name) ||
	     (l->n_objects && bsearch(prefix, l->objects, l->n_objects,
				      sizeof(l->objects[0]), compare_key))))
		reason = "a directory of the name of a file";
	if (reason) {
		prefix[len - 1] = '/';
		skip(op, prefix, reason);
	} else {
		set_directory(&add_entry(op, name)->stat);
	}
}

static bool is_below(const struct op *op, const char *key)
{
	return strncmp(key, op->key.at, op->key.len) == 0;
}

/* Adds `name` to the token if a later page may have a directory of it: keys
 * sort, so all between "a" and "a/" begin with an a. */
static void carry(struct text *token, size_t start, const char *name,
		  size_t len, const char *last)
{
	if (len == 0 || strncmp(name, last, len) != 0)
		return;
	if (token->len > start)
		text_addn(token, "/", 1);
	text_addn(token, name, len);
}

static void make_token(struct op *op, const struct s3_listing *l,
		       const char *carried)
{
	const char *last = "", *name;
	struct text token = { 0 };
	size_t i, start, len;

	if (l->n_objects)
		last = l->objects[l->n_objects - 1].key + op->key.len;
	if (l->n_prefixes) {
		name = l->prefixes[l->n_prefixes - 1] + op->key.len;
		last = strcmp(name, last) > 0 ? name : last;
	}
	text_addf(&token, "%zu:%s", strlen(l->next), l->next);
	start = token.len;
	for (; *carried; carried += len + (carried[len] == '/')) {
		len = strcspn(carried, "/");
		carry(&token, start, carried, len, last);
	}
	for (i = 0; i < l->n_objects; i++) {
		name = l->objects[i].key + op->key.len;
		carry(&token, start, name, strlen(name), last);
	}
	free(op->req->token);
	op->req->token = token.at;
}

/* The parts of a token; an empty one has none. */
static void split_token(const char *token, const char **next, size_t *len,
			const char **carried)
{
	char *colon;

	*next = *carried = "";
	*len = 0;
	if (!token || !token[0])
		return;
	*len = strtoul(token, &colon, 10);
	if (*colon != ':' || *len > strlen(colon + 1)) {
		*len = 0;
		return;
	}
	*next = colon + 1;
	*carried = *next + *len;
}

/* Only what has the prefix in front: a server that knows no prefixes would be
 * misunderstood. */
static bool all_below(const struct op *op, const struct s3_listing *l)
{
	size_t i;

	for (i = 0; i < l->n_objects; i++)
		if (!is_below(op, l->objects[i].key))
			return false;
	for (i = 0; i < l->n_prefixes; i++)
		if (!is_below(op, l->prefixes[i]))
			return false;
	return true;
}

static ssize_t take_page(struct op *op, const char *carried, bool first)
{
	const struct s3_listing *l = take_listing(op);
	struct ufs_req *req = op->req;
	size_t i;

	if (!l)
		return -EIO;
	if (!all_below(op, l))
		return err_set(&op->call.err, -EIO,
			       "listed keys that were not asked for");
	if (first && req->path[0] && !l->n_objects && !l->n_prefixes &&
	    !l->n_nuls && !l->truncated)
		return err_set(&op->call.err, -ENOENT, "%s", err_text(-ENOENT));
	op->entries =
		mem_array(l->n_objects + l->n_prefixes, sizeof(op->entries[0]));
	for (i = 0; i < l->n_objects; i++)
		add_file(op, &l->objects[i]);
	for (i = 0; i < l->n_prefixes; i++)
		add_directory(op, l, l->prefixes[i], carried);
	for (i = 0; i < l->n_nuls; i++)
		skip_encoded(op, l->nuls[i], "a NUL byte");
	req->entries = op->entries;
	req->n_entries = op->n_entries;
	req->more = l->truncated;
	if (req->more) {
		make_token(op, l, carried);
	} else {
		free(req->token);
		req->token = NULL;
	}
	return 0;
}

static void on_listed(struct s3_call *call, int result)
{
	struct op *op = container_of(call, struct op, call);
	struct ufs_req *req = op->req;
	const char *next, *carried;
	ssize_t rv = result;
	size_t len;

	split_token(req->token, &next, &len, &carried);
	if (!rv)
		rv = take_page(op, carried, len == 0);
	if (rv)
		rv = name_error(op, rv);
	req->state = NULL;
	req->done(req, rv);
	op_free(op); /* not before: it has the entries */
}

static void s3_list(struct ufs *u, struct ufs_req *req, ufs_done_fn done)
{
	struct op *op = op_get(to_s3(u), req, done);
	const char *next, *carried;
	size_t len;

	req->entries = NULL;
	req->n_entries = 0;
	req->skipped = 0;
	req->more = false;
	if (req->path[0])
		text_add(&op->key, "/");
	split_token(req->token, &next, &len, &carried);
	start_list(op,
		   req->limit && req->limit < MAX_KEYS ? req->limit : MAX_KEYS,
		   false, next, len, on_listed);
}

/* What a path is. */

static void on_probed(struct s3_call *call, int result)
{
	struct op *op = container_of(call, struct op, call);
	const struct s3_listing *l;
	ssize_t rv = result;

	if (!rv) {
		l = take_listing(op);
		rv = l ? 0 : -EIO;
		if (l && op->req->path[0] && !l->n_objects && !l->n_nuls)
			rv = err_set(&call->err, -ENOENT, "%s",
				     err_text(-ENOENT));
	}
	if (!rv)
		set_directory(&op->req->stat);
	answer(op, rv);
}

static void on_head(struct s3_call *call, int rv)
{
	struct op *op = container_of(call, struct op, call);

	if (rv != -ENOENT) {
		answer(op, rv ? rv : take_stat(op));
		return;
	}
	text_add(&op->key, "/");
	start_list(op, 1, true, "", 0, on_probed);
}

static void start_head(struct op *op,
		       void (*done)(struct s3_call *call, int rv))
{
	op->call.head = true;
	op->call.ranged = false;
	op->call.key = op->key.at;
	op->call.query = "";
	op->call.done = done;
	s3_call_start(&op->call);
}

static void s3_stat(struct ufs *u, struct ufs_req *req, ufs_done_fn done)
{
	struct op *op = op_get(to_s3(u), req, done);

	if (req->path[0])
		start_head(op, on_head);
	else
		start_list(op, 1, true, "", 0, on_probed);
}

/* Reads. */

static bool on_bytes(struct s3_call *call, const void *data, size_t len)
{
	struct op *op = container_of(call, struct op, call);
	struct ufs_req *req = op->req;
	size_t at = (size_t)(call->from + call->received - req->offset);

	if (!req->stat.version.len && take_stat(op))
		return false;
	memcpy((char *)req->buf + at, data, len);
	/* Where they can be checked, not before they are. */
	if (req->progress && !call->digest.kind)
		req->progress(req, at + len);
	return true;
}

static bool on_whole(struct s3_call *call)
{
	struct op *op = container_of(call, struct op, call);
	struct ufs_req *req = op->req;
	size_t len = (size_t)(call->from + call->received - req->offset);

	if (!call->digest.kind)
		return true;
	if (s3_digest_check(&call->digest, req->buf, len, &call->err))
		return false;
	if (req->progress)
		req->progress(req, len);
	return true;
}

/* Nothing of it lies in the object, if it is still the same. */
static void on_beyond(struct s3_call *call, int result)
{
	struct op *op = container_of(call, struct op, call);
	ssize_t rv = result ? result : take_stat(op);

	if (!rv && op->req->len && op->req->offset < op->req->stat.size)
		rv = err_set(&call->err, -EIO,
			     "the storage refuses a range that exists");
	answer(op, rv);
}

static void on_read(struct s3_call *call, int result)
{
	struct op *op = container_of(call, struct op, call);
	ssize_t rv = result;

	if (call->status == 416 && rv != -ECANCELED) {
		start_head(op, on_beyond);
		return;
	}
	if (!rv)
		rv = take_stat(op);
	if (!rv)
		rv = (ssize_t)(call->from + call->received - op->req->offset);
	answer(op, rv);
}

static void s3_read(struct ufs *u, struct ufs_req *req, ufs_done_fn done)
{
	struct op *op = op_get(to_s3(u), req, done);

	op->call.version = req->version;
	req->stat = (struct ufs_stat){ 0 };
	if (!req->len) {
		start_head(op, on_beyond);
		return;
	}
	op->call.key = op->key.at;
	op->call.ranged = true;
	op->call.from = req->offset;
	op->call.to = req->offset + req->len - 1;
	op->call.on_data = on_bytes;
	op->call.on_whole = on_whole;
	op->call.done = on_read;
	s3_call_start(&op->call);
}

static void s3_cancel(struct ufs *u ATTR_UNUSED, struct ufs_req *req)
{
	struct op *op = req->state;

	if (op)
		s3_call_cancel(&op->call);
}

const struct ufs_ops ufs_s3 = {
	.scheme = "s3",
	.options = s3_option_names,
	.open = s3_open,
	.close = s3_close,
	.stat = s3_stat,
	.list = s3_list,
	.read = s3_read,
	.cancel = s3_cancel,
};
