#include "fuse/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct request *request_new(fuse_req_t req, const struct request_ops *ops,
			    fuse_ino_t node, const char *text)
{
	struct request *r = mem_alloc(sizeof(*r));

	r->fs = fs_of(req);
	r->req = req;
	r->ops = ops;
	r->node = node;
	r->text = text ? mem_str(text) : NULL;
	return r;
}

void request_free(struct request *r)
{
	free(r->text);
	free(r);
}

static void on_cancel(struct wait *w)
{
	client_cancel(&container_of(w, struct request, wait)->call);
}

uint64_t request_id(const struct request *r)
{
	return r->node == FUSE_ROOT_ID ? r->fs->root : r->node;
}

static void fail(struct request *r, int code)
{
	if (r->ops->fail)
		r->ops->fail(r, code);
	else
		fs_reply_error(r->req, r->node, r->ops->name, code,
			       &r->call.err);
}

static void begin(struct request *r);

/* False: interrupted meanwhile, and freed. */
static bool still_wanted(struct request *r)
{
	wait_over(&r->wait);
	if (!r->wait.req)
		request_free(r);
	return r->wait.req;
}

static void on_reply(struct client_call *call, int code, const void *reply)
{
	struct request *r = container_of(call, struct request, call);

	r->calling = false;
	if (!still_wanted(r))
		return;
	if (code == -ESTALE && r->node == FUSE_ROOT_ID && !r->retried &&
	    r->fs->o.path[1]) {
		r->retried = true; /* the directory was made anew? */
		r->fs->root = 0;
		begin(r);
		return;
	}
	if (code)
		fail(r, code);
	else
		r->ops->answer(r, reply);
	if (!r->calling)
		request_free(r);
}

void request_call(struct request *r, const struct rpc_method *method,
		  const void *request)
{
	r->calling = true;
	r->asked_ms = loop_now_ms(r->fs->loop);
	wait_begun(&r->wait);
	client_master(r->fs->o.client, method, &r->call, request, on_reply);
}

void request_call_worker(struct request *r, uint32_t worker,
			 const struct rpc_method *method, const void *request)
{
	r->calling = true;
	wait_begun(&r->wait);
	client_worker(r->fs->o.client, worker, method, &r->call, request,
		      on_reply);
}

static void on_root(struct client_call *call, int code, const void *reply)
{
	struct request *r = container_of(call, struct request, call);
	const struct stat_reply *stat = reply;

	r->calling = false;
	if (!code && !S_ISDIR(stat->attr.mode))
		code = -ENOTDIR;
	if (!code)
		r->fs->root = stat->attr.id;
	if (!still_wanted(r))
		return;
	if (code)
		fail(r, code);
	else
		r->ops->ask(r);
	if (!r->calling)
		request_free(r);
}

/* Node 1 may have to be found first. */
static void begin(struct request *r)
{
	const struct stat_request stat = {
		.path = { r->fs->o.path, strlen(r->fs->o.path) },
	};

	if (r->node != FUSE_ROOT_ID || r->fs->root) {
		r->ops->ask(r);
		return;
	}
	r->calling = true;
	wait_begun(&r->wait);
	client_master(r->fs->o.client, RPC_MASTER_METHOD(stat), &r->call, &stat,
		      on_root);
}

void request_start(struct request *r)
{
	if (wait_init(&r->wait, r->fs->loop, r->req, on_cancel))
		begin(r);
	else
		request_free(r); /* the interrupt was quicker */
}
