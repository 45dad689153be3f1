/* Calls that read the tree: answered from memory where it is known, else after
 * under-storage was asked. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "master/state.h"

#define PATH_BYTES 16384
#define NEXT_MAX   32 /* that are told with what was asked for */

struct attr attr_of(const struct inode_view *v)
{
	return (struct attr){
		.id = v->id,
		.length = v->length,
		.mode = v->mode,
		.uid = v->uid,
		.gid = v->gid,
		.mtime_ns = v->mtime_ns,
		.version = v->version,
		.target = v->target,
	};
}

static struct namespace *tree(const struct master *m)
{
	return journal_namespace(m->journal);
}

static void fail(struct rpc_call *call, int code, const struct err *err)
{
	if (err && err->msg[0])
		rpc_fail_err(call, code, err);
	else
		rpc_fail(call, code, "%s", err_text(code));
}

/* The tree follows from the commands that were applied, and from nothing
 * else. */
static uint64_t change_of(const struct master *m)
{
	struct namespace_totals t;

	namespace_totals(tree(m), &t);
	return t.applied;
}

/* lookup */

struct lookup {
	struct master *m;
	struct rpc_call *call;
	const struct lookup_request *req;
	struct loader_wait wait;
};

static size_t most_next(uint32_t wanted)
{
	return wanted < NEXT_MAX ? wanted : NEXT_MAX;
}

/* For who will look them up soon. */
static size_t names_behind(struct master *m, const struct inode_view *v,
			   struct dirent *out, size_t max)
{
	struct inode_view at = *v;
	size_t n;

	for (n = 0; n < max; n++) {
		if (namespace_next(tree(m), v->parent, at.id, &at))
			break;
		out[n] = (struct dirent){ .name = at.name,
					  .attr = attr_of(&at) };
		out[n].attr.version.len = 0;
	}
	return n;
}

static void reply_lookup(struct master *m, struct rpc_call *call,
			 const struct inode_view *v, uint32_t next)
{
	struct dirent names[NEXT_MAX];
	struct lookup_reply reply = {
		.attr = attr_of(v),
		.change = change_of(m),
	};

	reply.next.at = names;
	reply.next.n = names_behind(m, v, names, most_next(next));
	rpc_reply(call, &reply);
}

static void on_looked_up(struct loader_wait *w, int code, const struct err *err)
{
	struct lookup *op = container_of(w, struct lookup, wait);
	struct inode_view v;

	if (!code)
		code = namespace_child(tree(op->m), op->req->parent,
				       op->req->name.ptr, op->req->name.len,
				       &v);
	if (code)
		fail(op->call, code, err);
	else
		reply_lookup(op->m, op->call, &v, op->req->next);
	free(op);
}

/* One component that may be a name. */
static int check_name(const schema_bytes *name)
{
	const char *s = name->ptr;

	if (name->len == 0 || memchr(s, '/', name->len) ||
	    memchr(s, '\0', name->len))
		return -EINVAL;
	if (name->len > 255)
		return -ENAMETOOLONG;
	if (s[0] == '.' && (name->len == 1 || (name->len == 2 && s[1] == '.')))
		return -EINVAL;
	return 0;
}

void serve_lookup(void *role, struct rpc_call *call, const void *request)
{
	const struct lookup_request *req = request;
	struct inode_view v, dir;
	struct master *m = role;
	struct lookup *op;
	int rv = check_name(&req->name);

	if (!rv)
		rv = namespace_child(tree(m), req->parent, req->name.ptr,
				     req->name.len, &v);
	if (rv == 0) {
		reply_lookup(m, call, &v, req->next);
		return;
	}
	if (rv != -ENOENT || namespace_get(tree(m), req->parent, &dir) ||
	    loader_absent(&m->loader, &dir, req->name.ptr, req->name.len)) {
		fail(call, rv, NULL);
		return;
	}
	op = mem_alloc(sizeof(*op));
	op->m = m;
	op->call = call;
	op->req = req;
	loader_stat(&m->loader, req->parent, req->name.ptr, req->name.len,
		    false, &op->wait, on_looked_up);
}

void serve_getattr(void *role, struct rpc_call *call, const void *request)
{
	const struct getattr_request *req = request;
	struct master *m = role;
	struct getattr_reply reply;
	struct inode_view v;
	int rv = namespace_get(tree(m), req->id, &v);

	if (rv) {
		fail(call, rv, NULL);
		return;
	}
	reply.attr = attr_of(&v);
	rpc_reply(call, &reply);
}

/* stat */

struct stat_op {
	struct master *m;
	struct rpc_call *call;
	struct resolve resolve;
};

/* Where it lies in under-storage, empty above all mounts; its length. */
static size_t uri_of(const struct master *m, const struct inode_view *v,
		     const struct mount_view *mount, char uri[2 * PATH_BYTES])
{
	char below[PATH_BYTES];
	int n;

	if (!v->mount ||
	    namespace_ufs_path(tree(m), v->id, below, sizeof(below)) < 0)
		return 0;
	n = snprintf(uri, 2 * PATH_BYTES, "%.*s%s%s", (int)mount->uri.len,
		     mount->uri.ptr, below[0] ? "/" : "", below);
	return n < 2 * PATH_BYTES ? (size_t)n : 0;
}

static void reply_stat(struct master *m, struct rpc_call *call,
		       const struct inode_view *v)
{
	char path[PATH_BYTES], mount_path[PATH_BYTES], uri[2 * PATH_BYTES];
	struct stat_reply reply = { .attr = attr_of(v) };
	struct mount_view mount = { 0 };
	uint32_t holders[LIST_MAX];
	struct namespace_totals t;
	ssize_t n = namespace_path(tree(m), v->id, path, sizeof(path));

	reply.path.ptr = path;
	reply.path.len = n < 0 ? 0 : (size_t)n;
	if (v->mount && namespace_mount(tree(m), v->mount, &mount) == 0) {
		n = namespace_path(tree(m), mount.root, mount_path,
				   sizeof(mount_path));
		reply.mount_path.ptr = mount_path;
		reply.mount_path.len = n < 0 ? 0 : (size_t)n;
	}
	namespace_totals(tree(m), &t);
	reply.uri.ptr = uri;
	reply.uri.len = uri_of(m, v, &mount, uri);
	reply.block_size = t.block_size;
	reply.holders.at = holders;
	reply.holders.n = workers_holders(&m->workers, v->id, holders,
					  ARRAY_SIZE(holders));
	reply.cached =
		workers_cached(&m->workers, v->id, holders, reply.holders.n);
	reply.complete_ms = v->complete_ms;
	rpc_reply(call, &reply);
}

static void on_stat_resolved(struct resolve *r, int code, const struct err *err)
{
	struct stat_op *op = container_of(r, struct stat_op, resolve);

	if (code)
		fail(op->call, code, err);
	else
		reply_stat(op->m, op->call, &r->at);
	free(op);
}

void serve_stat(void *role, struct rpc_call *call, const void *request)
{
	const struct stat_request *req = request;
	struct master *m = role;
	struct stat_op *op;
	struct inode_view v;
	int rv = req->refresh ? -EAGAIN
			      : resolve_known(&m->loader, req->path.ptr,
					      req->path.len, &v);

	if (rv == 0) {
		reply_stat(m, call, &v);
		return;
	}
	if (rv != -EAGAIN) {
		fail(call, rv, NULL);
		return;
	}
	op = mem_alloc(sizeof(*op));
	op->m = m;
	op->call = call;
	resolve_start(&op->resolve, &m->loader, req->path.ptr, req->path.len,
		      req->refresh, on_stat_resolved);
}

/* list */

struct list_op {
	struct master *m;
	struct rpc_call *call;
	const struct list_request *req;
	uint64_t dir;
	struct resolve resolve;
	struct loader_wait wait;
};

/* Fills entry `i`; the bytes that it takes. */
static size_t fill_entry(struct master *m, size_t i, const struct inode_view *v)
{
	uint32_t *holders = &m->holders[i * ENTRY_HOLDERS];
	struct dirent *e = &m->entries[i];

	e->name = v->name;
	e->attr = attr_of(v);
	e->holders.at = holders;
	e->holders.n = S_ISREG(v->mode)
			       ? workers_holders(&m->workers, v->id, holders,
						 ENTRY_HOLDERS)
			       : 0;
	e->cached = workers_cached(&m->workers, v->id, holders, e->holders.n);
	return 100 + v->name.len + v->version.len + v->target.len;
}

static void reply_list(struct master *m, struct rpc_call *call,
		       const struct list_request *req,
		       const struct inode_view *dir)
{
	size_t max =
		req->limit && req->limit < LIST_MAX ? req->limit : LIST_MAX;
	struct list_reply reply = {
		.id = dir->id,
		.parent = dir->parent,
		.change = change_of(m),
	};
	uint64_t after = req->after;
	struct inode_view v;
	size_t n = 0, bytes = 0;
	int rv;

	for (;;) {
		rv = namespace_next(tree(m), dir->id, after, &v);
		if (rv || n == max || bytes > REPLY_BYTES)
			break;
		bytes += fill_entry(m, n++, &v);
		after = v.id;
	}
	if (rv && rv != -ENOENT && n == 0) {
		fail(call, rv, NULL);
		return;
	}
	reply.entries.at = m->entries;
	reply.entries.n = n;
	reply.more = rv != -ENOENT;
	rpc_reply(call, &reply);
}

static void on_listed(struct loader_wait *w, int code, const struct err *err)
{
	struct list_op *op = container_of(w, struct list_op, wait);
	struct inode_view dir;

	if (!code)
		code = namespace_get(tree(op->m), op->dir, &dir);
	if (code)
		fail(op->call, code, err);
	else
		reply_list(op->m, op->call, op->req, &dir);
	free(op);
}

static struct list_op *list_op(struct master *m, struct rpc_call *call,
			       const struct list_request *req)
{
	struct list_op *op = mem_alloc(sizeof(*op));

	op->m = m;
	op->call = call;
	op->req = req;
	return op;
}

/* `op`, or NULL if there is none yet. */
static void list_dir(struct master *m, struct rpc_call *call,
		     const struct list_request *req, struct list_op *op,
		     const struct inode_view *dir)
{
	bool known = !dir->mount || dir->complete_ms || req->known;

	if (!S_ISDIR(dir->mode)) {
		fail(call, -ENOTDIR, NULL);
	} else if (known && (!req->refresh || req->after || !dir->mount)) {
		reply_list(m, call, req, dir);
	} else {
		if (!op)
			op = list_op(m, call, req);
		op->dir = dir->id;
		loader_list(&m->loader, dir->id, req->refresh, &op->wait,
			    on_listed);
		return;
	}
	free(op);
}

static void on_list_resolved(struct resolve *r, int code, const struct err *err)
{
	struct list_op *op = container_of(r, struct list_op, resolve);

	if (code) {
		fail(op->call, code, err);
		free(op);
		return;
	}
	list_dir(op->m, op->call, op->req, op, &r->at);
}

void serve_list(void *role, struct rpc_call *call, const void *request)
{
	const struct list_request *req = request;
	struct master *m = role;
	struct inode_view dir;
	struct list_op *op;
	int rv;

	if (req->id)
		rv = namespace_get(tree(m), req->id, &dir);
	else
		rv = resolve_known(&m->loader, req->path.ptr, req->path.len,
				   &dir);
	if (rv == 0) {
		list_dir(m, call, req, NULL, &dir);
		return;
	}
	if (rv != -EAGAIN) {
		fail(call, rv, NULL);
		return;
	}
	op = list_op(m, call, req);
	resolve_start(&op->resolve, &m->loader, req->path.ptr, req->path.len,
		      false, on_list_resolved);
}

/* file */

/* What a worker is told of files. */
struct file_infos {
	struct file_info at[1 + NEXT_MAX];
	size_t n;
	char paths[16384];
	size_t used; /* of `paths` */
};

static int add_file(struct master *m, struct file_infos *infos,
		    const struct inode_view *v)
{
	struct file_info *info = &infos->at[infos->n];
	char *path = infos->paths + infos->used;
	ssize_t n;

	if (S_ISDIR(v->mode))
		return -EISDIR;
	if (!v->mount)
		return -ENODEV;
	n = namespace_ufs_path(tree(m), v->id, path,
			       sizeof(infos->paths) - infos->used);
	if (n < 0)
		return (int)n;
	*info = (struct file_info){
		.id = v->id,
		.mount = v->mount,
		.path = { path, (size_t)n },
		.length = v->length,
		.version = v->version,
	};
	infos->used += (size_t)n + 1;
	infos->n++;
	return 0;
}

/* Files behind it in its directory, for who will ask for them soon. */
static void add_next(struct master *m, struct file_infos *infos,
		     const struct inode_view *file, uint32_t wanted)
{
	struct inode_view v = *file;
	size_t i;

	for (i = most_next(wanted); i; i--)
		if (namespace_next(tree(m), file->parent, v.id, &v) ||
		    (!S_ISDIR(v.mode) && add_file(m, infos, &v)))
			return;
}

void serve_file(void *role, struct rpc_call *call, const void *request)
{
	const struct file_request *req = request;
	struct file_reply reply = { .live = true };
	struct master *m = role;
	uint32_t holders[FILE_HOLDERS];
	struct file_infos infos;
	struct inode_view v;
	int rv = namespace_get(tree(m), req->id, &v);

	infos.n = infos.used = 0;
	if (!rv)
		rv = add_file(m, &infos, &v);
	if (rv) {
		fail(call, rv, NULL);
		return;
	}
	add_next(m, &infos, &v, req->next);
	reply.file = infos.at[0];
	reply.next.at = infos.at + 1;
	reply.next.n = infos.n - 1;
	reply.holders.at = holders;
	reply.holders.n =
		workers_holders(&m->workers, v.id, holders, FILE_HOLDERS);
	reply.epoch = m->workers.epoch;
	rpc_reply(call, &reply);
}

/* paths */

#define PATHS_MAX 1000

void serve_paths(void *role, struct rpc_call *call, const void *request)
{
	const struct paths_request *req = request;
	const size_t n = req->ids.n < PATHS_MAX ? req->ids.n : PATHS_MAX;
	schema_bytes *paths = mem_array(n + 1, sizeof(*paths));
	const struct paths_reply reply = { { paths, n } };
	struct master *m = role;
	struct inode_view v;
	char path[8192];
	ssize_t len;
	size_t i;

	for (i = 0; i < n; i++) {
		if (namespace_get(tree(m), req->ids.at[i], &v))
			continue;
		len = namespace_path(tree(m), v.id, path, sizeof(path));
		if (len > 0)
			paths[i] = (schema_bytes){ mem_copy(path, (size_t)len),
						   (size_t)len };
	}
	rpc_reply(call, &reply);
	for (i = 0; i < n; i++)
		free((void *)(uintptr_t)paths[i].ptr);
	free(paths);
}

/* suspect */

struct suspect {
	struct master *m;
	struct rpc_call *call;
	uint64_t id;
	bool older; /* `wait` is for a request that began before */
	struct loader_wait wait;
};

static void on_suspect(struct loader_wait *w, int code, const struct err *err);

/* Whether that is a request which began before. */
static bool ask_for(struct suspect *op, const struct inode_view *v)
{
	return loader_stat(&op->m->loader, v->parent, v->name.ptr, v->name.len,
			   false, &op->wait, on_suspect);
}

/* Who joined an older request asks again, unless that has found another version
 * already: of a file that many read, a change is asked about once. */
static void on_suspect(struct loader_wait *w, int code, const struct err *err)
{
	struct suspect *op = container_of(w, struct suspect, wait);
	struct suspect_reply reply;
	struct inode_view v;

	reply.changed = namespace_get(tree(op->m), op->id, &v) != 0;
	if (op->older && !reply.changed) {
		op->older = false;
		ask_for(op, &v);
		return;
	}
	if (code && code != -ENOENT && !reply.changed)
		fail(op->call, code, err);
	else
		rpc_reply(op->call, &reply);
	free(op);
}

void serve_suspect(void *role, struct rpc_call *call, const void *request)
{
	const struct suspect_request *req = request;
	const struct suspect_reply changed = { true }, same = { false };
	struct master *m = role;
	struct inode_view v;
	struct suspect *op;

	if (namespace_get(tree(m), req->id, &v)) {
		rpc_reply(call, &changed);
		return;
	}
	if (!v.mount || v.is_mount_point) {
		rpc_reply(call, &same);
		return;
	}
	op = mem_alloc(sizeof(*op));
	op->m = m;
	op->call = call;
	op->id = req->id;
	op->older = ask_for(op, &v);
}
