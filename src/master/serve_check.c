/*
 * Comparing a directory with under-storage, without learning anything.
 *
 * Under-storage is listed page by page; what each known name was found to be is
 * noted by the hash of the name.  Then the children are gone through, a bounded
 * part a turn: what was not found is gone.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/map.h"
#include "base/mem.h"
#include "master/state.h"

#define TURN       1000
#define PATH_BYTES 8192
#define NAMED_MAX  1000 /* differences */

enum difference_kind { DIFFERS = 1, GONE, NEW };

/* What a known name was found to be, as a value of `found`.  A file where a
 * directory is known is hidden by it, if that is there too. */
enum found_state { SAME = 1, OTHER, HIDDEN };

struct check_op {
	struct master *m;
	struct rpc_call *call;
	struct resolve resolve;
	uint64_t dir; /* or the file */
	uint32_t mount;
	bool known; /* the directory is, in full: a new name is news */
	struct storage *storage;
	struct storage_req req;
	struct map found; /* by hash of the name */
	uint64_t after;
	struct task turn;
	struct check_reply reply;
	struct difference differences[NAMED_MAX];
};

static struct namespace *tree(const struct check_op *op)
{
	return journal_namespace(op->m->journal);
}

static void check_free(struct check_op *op)
{
	size_t i;

	for (i = 0; i < op->reply.differences.n; i++)
		free((void *)(uintptr_t)op->differences[i].name.ptr);
	if (op->storage) {
		storage_req_close(&op->req);
		storage_put(op->storage);
		op->m->asking--;
	}
	map_close(&op->found);
	free(op);
}

static void check_fail(struct check_op *op, int code, const struct err *err)
{
	rpc_fail_err(op->call, code, err);
	check_free(op);
}

static void check_end(struct check_op *op)
{
	rpc_reply(op->call, &op->reply);
	check_free(op);
}

static void differs(struct check_op *op, const schema_bytes *name,
		    enum difference_kind kind)
{
	struct difference *d;

	if (op->reply.differences.n == NAMED_MAX) {
		op->reply.left_out++;
		return;
	}
	d = &op->differences[op->reply.differences.n++];
	d->name = (schema_bytes){ mem_copy(name->ptr, name->len), name->len };
	d->kind = kind;
}

static bool is_same(const struct inode_view *v, const struct found *f)
{
	/* A directory's time follows what is in it, which is compared. */
	if (S_ISDIR(v->mode) && S_ISDIR(f->mode))
		return v->mode == f->mode && v->uid == f->uid &&
		       v->gid == f->gid;
	return loader_same(v, f);
}

/* Names. */

static enum found_state state_of(const struct inode_view *v,
				 const struct found *f)
{
	if (is_same(v, f))
		return SAME;
	return S_ISDIR(v->mode) && !S_ISDIR(f->mode) ? HIDDEN : OTHER;
}

static void note(struct check_op *op, const struct found *f)
{
	const uint64_t hash = negative_hash(op->dir, f->name.ptr, f->name.len);
	const uintptr_t before = (uintptr_t)map_get(&op->found, hash);
	enum found_state now;
	struct inode_view v;

	if (namespace_child(tree(op), op->dir, f->name.ptr, f->name.len, &v)) {
		if (op->known)
			differs(op, &f->name, NEW);
		return;
	}
	now = state_of(&v, f);
	if (!before || before == HIDDEN)
		map_put(&op->found, hash, (void *)(uintptr_t)now);
	else if (now == OTHER)
		map_put(&op->found, hash, (void *)(uintptr_t)OTHER);
}

/* Whether a mount point is `id` or lies below it: then it is there for that. */
static bool leads_to_mount(struct check_op *op, uint64_t id)
{
	struct inode_view v;
	struct mount_view mount = { 0 };
	uint64_t at;

	while (namespace_next_mount(tree(op), mount.id, &mount) == 0)
		for (at = mount.root; at != NAMESPACE_ROOT; at = v.parent) {
			if (at == id)
				return true;
			if (namespace_get(tree(op), at, &v))
				break;
		}
	return false;
}

static void check_child(struct check_op *op, const struct inode_view *v)
{
	const uintptr_t state = (uintptr_t)map_get(
		&op->found, negative_hash(op->dir, v->name.ptr, v->name.len));

	if (v->mount != op->mount || v->is_mount_point)
		return;
	op->reply.compared++;
	if (state == SAME || (S_ISDIR(v->mode) && leads_to_mount(op, v->id)))
		return;
	differs(op, &v->name, state ? DIFFERS : GONE);
}

static void on_turn(struct task *t)
{
	struct check_op *op = container_of(t, struct check_op, turn);
	struct inode_view v;
	struct err err = { 0 };
	int rv = 0;
	unsigned i;

	for (i = 0; i < TURN; i++) {
		rv = namespace_next(tree(op), op->dir, op->after, &v);
		if (rv)
			break;
		check_child(op, &v);
		op->after = v.id;
	}
	if (rv == -ENOENT)
		check_end(op);
	else if (rv)
		check_fail(op,
			   err_set(&err, -EAGAIN,
				   "the directory changed meanwhile"),
			   &err);
	else
		loop_post(op->m->o.loop, &op->turn, on_turn);
}

static bool is_gone(const struct storage_req *req)
{
	return req->code == -ENOENT || req->code == -ENOTDIR;
}

static void on_page(struct storage_req *req)
{
	struct check_op *op = container_of(req, struct check_op, req);
	size_t i;

	if (req->code && !is_gone(req)) {
		check_fail(op, req->code, &req->err);
		return;
	}
	for (i = 0; !req->code && i < req->page.n; i++)
		note(op, &req->page.at[i]);
	if (req->code || !req->more || !op->m->serving) {
		loop_post(op->m->o.loop, &op->turn, on_turn);
		return;
	}
	storage_page_free(&req->page);
	storage_list_more(req);
}

/* A file by itself. */
static void on_file(struct storage_req *req)
{
	struct check_op *op = container_of(req, struct check_op, req);
	struct inode_view v;

	if (req->code && !is_gone(req)) {
		check_fail(op, req->code, &req->err);
		return;
	}
	op->reply.compared = 1;
	if (namespace_get(tree(op), op->dir, &v) == 0) {
		if (req->code)
			differs(op, &v.name, GONE);
		else if (!is_same(&v, &req->page.at[0]))
			differs(op, &v.name, DIFFERS);
	}
	check_end(op);
}

static bool has_children(const struct check_op *op)
{
	struct inode_view v;

	return namespace_next(tree(op), op->dir, 0, &v) == 0;
}

static void ask(struct check_op *op, bool is_dir)
{
	char path[PATH_BYTES];
	struct err err = { 0 };
	ssize_t n = namespace_ufs_path(tree(op), op->dir, path, sizeof(path));
	int rv = n < 0 ? (int)n
		       : mounts_storage(&op->m->mounts, tree(op), op->mount,
					&op->storage, &err);

	if (rv) {
		op->storage = NULL;
		check_fail(op, rv, &err);
		return;
	}
	storage_get(op->storage);
	op->m->asking++;
	op->reply.asked = true;
	if (is_dir)
		storage_list(op->storage, &op->req, path, TURN, on_page);
	else
		storage_stat(op->storage, &op->req, path, on_file);
}

static void on_resolved(struct resolve *r, int code, const struct err *err)
{
	struct check_op *op = container_of(r, struct check_op, resolve);
	const bool is_dir = S_ISDIR(r->at.mode);

	if (code) {
		check_fail(op, code, err);
		return;
	}
	op->dir = r->at.id;
	op->mount = r->at.mount;
	op->known = r->at.complete_ms != 0;
	if (op->mount && (!is_dir || op->known || has_children(op)))
		ask(op, is_dir);
	else
		check_end(op);
}

void serve_check(void *role, struct rpc_call *call, const void *request)
{
	const struct check_request *req = request;
	struct check_op *op = mem_alloc(sizeof(*op));

	op->m = role;
	op->call = call;
	op->reply.differences.at = op->differences;
	map_init(&op->found);
	resolve_start(&op->resolve, &op->m->loader, req->path.ptr,
		      req->path.len, false, on_resolved);
}
