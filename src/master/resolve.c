#include "master/resolve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static void step(struct resolve *r);

/* The component of `path` that begins at `at`. */
static size_t component(const char *path, size_t len, size_t *at)
{
	const char *end;

	while (*at < len && path[*at] == '/')
		(*at)++;
	end = memchr(path + *at, '/', len - *at);
	return end ? (size_t)(end - path) - *at : len - *at;
}

int resolve_known(const struct loader *l, const void *path, size_t len,
		  struct inode_view *at)
{
	size_t rest, n;
	int rv = namespace_find(journal_namespace(l->o.journal), path, len, at,
				&rest);

	if (rv != -ENOENT)
		return rv;
	n = component(path, len, &rest);
	if (loader_absent(l, at, (const char *)path + rest, n))
		return -ENOENT;
	return -EAGAIN;
}

static void end(struct resolve *r, int code, const struct err *err)
{
	free(r->path);
	r->done(r, code, err);
}

static void on_name(struct loader_wait *w, int code, const struct err *err)
{
	struct resolve *r = container_of(w, struct resolve, wait);

	if (code)
		end(r, code, err);
	else
		step(r);
}

static void fail(struct resolve *r, int code)
{
	struct err err;

	err_set(&err, code, "%s", err_text(code));
	end(r, code, &err);
}

static void step(struct resolve *r)
{
	struct namespace *ns = journal_namespace(r->loader->o.journal);
	size_t rest, n;
	int rv = namespace_find(ns, r->path, r->len, &r->at, &rest);
	bool fresh;

	if (rv == 0 && r->refresh && r->at.mount && !r->at.is_mount_point) {
		r->refresh = false;
		loader_stat(r->loader, r->at.parent, r->at.name.ptr,
			    r->at.name.len, true, &r->wait, on_name);
		return;
	}
	if (rv == 0) {
		end(r, 0, NULL);
		return;
	}
	if (rv != -ENOENT) {
		fail(r, rv);
		return;
	}
	n = component(r->path, r->len, &rest);
	fresh = r->refresh;
	if (rest + n == r->len)
		r->refresh = false; /* it is asked for now */
	if (!r->at.mount || n == 0 ||
	    (!fresh && loader_absent(r->loader, &r->at, r->path + rest, n)))
		fail(r, -ENOENT);
	else
		loader_stat(r->loader, r->at.id, r->path + rest, n, fresh,
			    &r->wait, on_name);
}

static void on_start(struct task *t)
{
	step(container_of(t, struct resolve, task));
}

void resolve_start(struct resolve *r, struct loader *l, const void *path,
		   size_t len, bool refresh, resolve_fn done)
{
	r->loader = l;
	r->refresh = refresh;
	r->done = done;
	r->path = mem_strn(path, len);
	r->len = len;
	loop_post(l->o.loop, &r->task, on_start);
}
