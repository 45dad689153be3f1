/* The mount table. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/option.h"
#include "master/state.h"

#define LOG_MODULE "master"
#include "runtime/log.h"

#define PATH_BYTES 4096

struct mount_op {
	struct master *m;
	struct rpc_call *call;
	const struct mount_request *req;
	struct storage *storage;
	struct storage_req probe;
	struct journal_req journal;
	struct mount_request *update; /* `req` is this one; or NULL */
};

static struct namespace *tree(const struct master *m)
{
	return journal_namespace(m->journal);
}

static void *own(const void *ptr, size_t len)
{
	return mem_copy(ptr, len);
}

/* An update is a mount request of our own. */
static void update_free(struct mount_request *u)
{
	const struct mount_option *o;
	size_t i;

	for (i = 0; i < u->options.n; i++) {
		o = &u->options.at[i];
		free((char *)(uintptr_t)o->key.ptr);
		free((char *)(uintptr_t)o->value.ptr);
		free((void *)(uintptr_t)o->sealed.ptr);
	}
	free((void *)(uintptr_t)u->options.at);
	free((char *)(uintptr_t)u->uri.ptr);
	free(u);
}

static void mount_end(struct mount_op *op)
{
	if (op->storage)
		storage_put(op->storage);
	if (op->update)
		update_free(op->update);
	free(op);
}

/* Answers that another URI is mounted at `path` already. */
static void refuse_busy(struct master *m, struct rpc_call *call,
			const schema_str *path)
{
	char *at = mem_alloc(PATH_BYTES);
	struct mount_view v = { 0 };
	schema_str uri = { "something else", 14 };

	while (namespace_next_mount(tree(m), v.id, &v) == 0)
		if (namespace_path(tree(m), v.root, at, PATH_BYTES) ==
			    (ssize_t)path->len &&
		    memcmp(at, path->ptr, path->len) == 0)
			uri = v.uri;
	rpc_fail(call, -EBUSY, "mount at %.*s: %.*s is mounted there",
		 (int)path->len, path->ptr, (int)uri.len, uri.ptr);
	free(at);
}

/* What the namespace's refusal means here. */
static const char *why(int code)
{
	switch (code) {
	case -EEXIST:
	case -ENOTEMPTY:
		return "there is something of that name already";
	case -ENOENT:
		return "nothing is mounted there";
	case -EINVAL:
		return "not an absolute path";
	default:
		return err_text(code);
	}
}

static void on_mounted(struct journal_req *journal,
		       const struct namespace_result *res)
{
	struct mount_op *op = container_of(journal, struct mount_op, journal);
	const struct mount_reply reply = { (uint32_t)res->id, res->updated };
	const struct update_mount_reply updated = { op->req->uri };
	const schema_str *path = &op->req->path;

	if (res->code == -EBUSY)
		refuse_busy(op->m, op->call, path);
	else if (res->code)
		rpc_fail(op->call, res->code, "mount at %.*s: %s",
			 (int)path->len, path->ptr, why(res->code));
	else if (op->update)
		rpc_reply(op->call, &updated);
	else
		rpc_reply(op->call, &reply);
	mount_end(op);
}

static void journal_mount(struct mount_op *op)
{
	const struct mount_request *req = op->req;
	struct journal_record r = { .type = JOURNAL_mount };

	r.stamp.client = req->origin.client;
	r.stamp.sequence = req->origin.sequence;
	r.mount.path = req->path;
	r.mount.uri = req->uri;
	r.mount.uid = req->uid;
	r.mount.gid = req->gid;
	r.mount.umask = req->umask;
	r.mount.options = req->options;
	r.mount.update = op->update != NULL;
	journal_submit(op->m->journal, &r, &op->journal, on_mounted);
}

static void on_probed(struct storage_req *probe)
{
	struct mount_op *op = container_of(probe, struct mount_op, probe);
	const schema_str *uri = &op->req->uri;

	op->m->asking--;
	storage_req_close(probe);
	if (probe->code) {
		if (strncmp(probe->err.msg, "mount ", 6) != 0)
			err_wrap(&probe->err, probe->code, "mount %.*s",
				 (int)uri->len, uri->ptr);
		log_warn("mount refused", "error=\"%s\"", probe->err.msg);
		rpc_fail_err(op->call, probe->code, &probe->err);
		mount_end(op);
		return;
	}
	journal_mount(op);
}

/* A secret that is not sealed must not reach the journal. */
static int check_options(const struct mount_request *req, struct err *err)
{
	const struct mount_option *o;
	size_t i;

	for (i = 0; i < req->options.n; i++) {
		o = &req->options.at[i];
		if (o->value.len && option_is_secret(o->key.ptr, o->key.len))
			return err_set(err, -EINVAL,
				       "option %.*s is a secret and came "
				       "unsealed",
				       (int)o->key.len, o->key.ptr);
	}
	return 0;
}

/* Opens it and asks it something; then it is journalled.  Takes `update`. */
static void begin(struct master *m, struct rpc_call *call,
		  const struct mount_request *req, struct mount_request *update)
{
	const struct storage_look look = { req->uid, req->gid, req->umask };
	struct mount_op *op = mem_alloc(sizeof(*op));
	struct err err = { 0 };
	int rv = check_options(req, &err);

	op->m = m;
	op->call = call;
	op->req = req;
	op->update = update;
	if (!rv)
		rv = mounts_open(&m->mounts, &req->uri, req->options.at,
				 req->options.n, &look, &op->storage, &err);
	if (rv) {
		rpc_fail_err(call, rv, &err);
		mount_end(op);
		return;
	}
	m->asking++;
	if (req->check)
		storage_list(op->storage, &op->probe, "", 1, on_probed);
	else
		storage_check(op->storage, &op->probe, on_probed);
}

void serve_mount(void *role, struct rpc_call *call, const void *request)
{
	begin(role, call, request, NULL);
}

/* update */

/* Whether the option stays as it is. */
static bool stays(const struct update_mount_request *req, const schema_str *key)
{
	size_t i;

	for (i = 0; i < req->options.n; i++)
		if (schema_str_same(&req->options.at[i].key, key))
			return false;
	for (i = 0; i < req->unset.n; i++)
		if (schema_str_same(&req->unset.at[i], key))
			return false;
	return !req->replace;
}

static struct mount_option copy_option(const struct mount_option *o)
{
	return (struct mount_option){
		.key = { own(o->key.ptr, o->key.len), o->key.len },
		.value = { own(o->value.ptr, o->value.len), o->value.len },
		.sealed = { own(o->sealed.ptr, o->sealed.len), o->sealed.len },
	};
}

/* What the mount will be. */
static struct mount_request *merge(struct master *m,
				   const struct update_mount_request *req,
				   const struct mount_view *v)
{
	struct mount_option *options =
		mem_array(v->n_options + req->options.n + 1, sizeof(*options));
	struct mount_request *u = mem_alloc(sizeof(*u));
	struct mount_option o;
	size_t n = 0, i;

	for (i = 0; i < v->n_options; i++) {
		namespace_mount_option(tree(m), v->id, (uint32_t)i, &o);
		if (stays(req, &o.key))
			options[n++] = copy_option(&o);
	}
	for (i = 0; i < req->options.n; i++)
		options[n++] = copy_option(&req->options.at[i]);
	*u = (struct mount_request){
		.origin = req->origin,
		.path = req->path, /* the request stays */
		.uri = { own(v->uri.ptr, v->uri.len), v->uri.len },
		.uid = req->given & 1 ? req->uid : v->uid,
		.gid = req->given & 2 ? req->gid : v->gid,
		.umask = req->given & 4 ? req->umask : v->umask,
		.options = { options, n },
		.check = req->check,
	};
	return u;
}

void serve_update_mount(void *role, struct rpc_call *call, const void *request)
{
	const struct update_mount_request *req = request;
	struct mount_request *update;
	struct master *m = role;
	struct inode_view at;
	struct mount_view v;
	size_t rest;

	if (namespace_find(tree(m), req->path.ptr, req->path.len, &at, &rest) ||
	    !at.is_mount_point || namespace_mount(tree(m), at.mount, &v)) {
		rpc_fail(call, -ENOENT, "%.*s: %s", (int)req->path.len,
			 req->path.ptr, why(-ENOENT));
		return;
	}
	update = merge(m, req, &v);
	begin(m, call, update, update);
}

/* probe */

struct probe_op {
	struct rpc_call *call;
	struct storage *storage;
	struct storage_req list;
};

static void on_answered(struct storage_req *list)
{
	struct probe_op *op = container_of(list, struct probe_op, list);
	const struct probe_reply reply = { true };

	storage_req_close(list);
	if (list->code)
		rpc_fail_err(op->call, list->code, &list->err);
	else
		rpc_reply(op->call, &reply);
	storage_put(op->storage);
	free(op);
}

void serve_probe(void *role, struct rpc_call *call, const void *request)
{
	const struct probe_request *req = request;
	struct master *m = role;
	struct storage *storage;
	struct probe_op *op;
	struct err err = { 0 };
	int rv =
		mounts_storage(&m->mounts, tree(m), req->mount, &storage, &err);

	if (rv) {
		rpc_fail_err(call, rv, &err);
		return;
	}
	storage_get(storage);
	op = mem_alloc(sizeof(*op));
	op->call = call;
	op->storage = storage;
	storage_list(storage, &op->list, "", 1, on_answered);
}

/* unmount */

struct unmount_op {
	struct rpc_call *call;
	const struct unmount_request *req;
	struct journal_req journal;
};

static void on_unmounted(struct journal_req *journal,
			 const struct namespace_result *res)
{
	struct unmount_op *op =
		container_of(journal, struct unmount_op, journal);
	const struct unmount_reply reply = { true };
	const schema_str *path = &op->req->path;

	if (res->code)
		rpc_fail(op->call, res->code, "unmount %.*s: %s",
			 (int)path->len, path->ptr,
			 res->code == -EINVAL  ? "nothing is mounted there"
			 : res->code == -EBUSY ? "there are mounts below it"
					       : err_text(res->code));
	else
		rpc_reply(op->call, &reply);
	free(op);
}

void serve_unmount(void *role, struct rpc_call *call, const void *request)
{
	const struct unmount_request *req = request;
	struct journal_record r = { .type = JOURNAL_unmount };
	struct unmount_op *op = mem_alloc(sizeof(*op));
	struct master *m = role;

	op->call = call;
	op->req = req;
	r.stamp.client = req->origin.client;
	r.stamp.sequence = req->origin.sequence;
	r.unmount.path = req->path;
	journal_submit(m->journal, &r, &op->journal, on_unmounted);
}

/* mounts */

static void describe_mount(struct master *m, const struct mount_view *v,
			   bool keys, struct mount_info *out)
{
	struct mount_option *options =
		mem_array(v->n_options ? v->n_options : 1, sizeof(*options));
	char *path = mem_alloc(PATH_BYTES);
	uint32_t i;

	if (namespace_path(tree(m), v->root, path, PATH_BYTES) < 0)
		path[0] = '\0';
	for (i = 0; i < v->n_options; i++) {
		namespace_mount_option(tree(m), v->id, i, &options[i]);
		if (!keys)
			options[i].sealed = (schema_bytes){ 0 };
	}
	*out = (struct mount_info){
		.id = v->id,
		.path = str_of(path),
		.uri = v->uri,
		.uid = v->uid,
		.gid = v->gid,
		.umask = v->umask,
		.options = { options, v->n_options },
	};
}

void serve_mounts(void *role, struct rpc_call *call, const void *request)
{
	const struct mounts_request *req = request;
	struct mounts_reply reply = { 0 };
	struct mount_info *infos;
	struct namespace_totals t;
	struct master *m = role;
	struct mount_view v;
	uint32_t at = 0;
	size_t n = 0, i;

	if (req->keys && !rpc_call_peer(call)->has_key) {
		rpc_fail(call, -EACCES,
			 "only holders of the cluster key get storage keys");
		return;
	}
	namespace_totals(tree(m), &t);
	infos = mem_array(t.mounts + 1, sizeof(*infos));
	while (n < t.mounts && namespace_next_mount(tree(m), at, &v) == 0) {
		describe_mount(m, &v, req->keys, &infos[n++]);
		at = v.id;
	}
	reply.mounts.at = infos;
	reply.mounts.n = n;
	rpc_reply(call, &reply);
	for (i = 0; i < n; i++) {
		free((char *)(uintptr_t)infos[i].path.ptr);
		free((void *)(uintptr_t)infos[i].options.at);
	}
	free(infos);
}
