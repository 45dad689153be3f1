#include "sim/sim.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "lib/sim.h"

#define PATIENCE_MS 150000 /* for anything: 30 s for each missing role */

static const char *const masters[] = { SIM_MASTER_TCP, NULL };

static void next(struct actor *a);

static const struct model *model_of(const struct actor *a)
{
	return &a->cluster->model;
}

/* Codes that an operation may end with, since something else went wrong. */
static void check_code(const struct actor *a, int code, const char *what,
		       const struct err *err)
{
	trace((uint64_t)code);
	if (code == 0 || code == -ENOENT || code == -ESTALE ||
	    code == ERR_CHANGED || code == -ENOTDIR)
		return; /* objects come and go */
	if (!a->cluster->calm && (code == -EIO || code == -ETIMEDOUT))
		return;
	fail("client %u: %s %s: unexpected code %d (%s)", a->number, what,
	     a->path, code, err->msg);
}

static void fire(struct timer *t)
{
	next(container_of(t, struct actor, timer));
}

/* The operation is over; another one soon. */
static void rest(struct actor *a)
{
	a->done++;
	a->idle = a->stopping;
	if (!a->idle)
		loop_timer_start(a->loop, &a->timer, random_below(800), fire);
}

/* Whether the client is being taken down after a crash, so nothing counts. */
static bool crashed(struct actor *a)
{
	if (a->crashing)
		a->unsure = true;
	return a->crashing;
}

/* Reading a file. */

static void read_some(struct actor *a);

static void on_read(struct client_read *r, ssize_t n)
{
	struct actor *a = container_of(r, struct actor, read);
	uint64_t want = r->len;

	if (crashed(a))
		return;
	if (n < 0) {
		check_code(a, (int)n, "read", &r->err);
		rest(a);
		return;
	}
	if (r->offset >= a->version.size)
		want = 0;
	else if (want > a->version.size - r->offset)
		want = a->version.size - r->offset;
	if ((uint64_t)n != want)
		fail("client %u: %s of version %" PRIu64 " (%" PRIu64
		     " bytes): %zd bytes at %" PRIu64 ", not %" PRIu64,
		     a->number, a->path, a->version.content, a->version.size, n,
		     r->offset, want);
	model_check_bytes(&a->version, a->path, r->offset, r->buf, (size_t)n);
	a->checked += (uint64_t)n;
	if (--a->left)
		read_some(a);
	else
		rest(a);
}

/* A range, most of them small, some whole files; perhaps after a while. */
static void on_pause(struct timer *t)
{
	struct actor *a = container_of(t, struct actor, timer);
	const uint64_t size = a->version.size;

	a->read =
		(struct client_read){ .id = a->id,
				      .length = random_once_in(2) ? size
								  : UINT64_MAX,
				      .buf = a->buf };
	if (random_once_in(3)) {
		a->read.len = MAX_SIZE;
	} else {
		a->read.offset = random_below(size + 1000);
		a->read.len = 1 + (size_t)random_below(300000);
	}
	client_read(a->client, &a->read, on_read);
}

static void read_some(struct actor *a)
{
	loop_timer_start(a->loop, &a->timer,
			 random_once_in(4) ? random_below(2000) : 0, on_pause);
}

static void on_open(struct client_open *open, int code)
{
	struct actor *a = container_of(open, struct actor, open);

	if (crashed(a))
		return;
	check_code(a, code, "open", &open->err);
	if (code)
		rest(a);
	else
		read_some(a);
}

/* Who asked under-storage sees nothing older than the question. */
static void check_fresh(const struct actor *a, int code)
{
	if (!a->refresh)
		return;
	if (code == -ENOENT &&
	    !model_absent_since(model_of(a), a->path, a->began_ms))
		fail("client %u: %s is said not to be there, but it is",
		     a->number, a->path);
	if (!code && a->version.gone_ms < a->began_ms)
		fail("client %u: %s of version %" PRIu64
		     " was no more when it was asked for",
		     a->number, a->path, a->version.content);
}

static void on_stat(struct client_call *call, int code, const void *reply)
{
	struct actor *a = container_of(call, struct actor, call);
	const struct stat_reply *r = reply;

	if (crashed(a))
		return;
	check_code(a, code, "stat", &call->err);
	if (code) {
		check_fresh(a, code);
		rest(a);
		return;
	}
	if (!S_ISREG(r->attr.mode))
		fail("%s is no file (%o)", a->path, r->attr.mode);
	a->id = r->attr.id;
	a->version = *model_version(model_of(a), a->path, &r->attr);
	check_fresh(a, 0);
	a->left = 1 + (unsigned)random_below(4);
	if (random_once_in(2)) {
		read_some(a);
		return;
	}
	a->open =
		(struct client_open){ .id = a->id, .length = a->version.size };
	client_open(a->client, &a->open, on_open);
}

static void begin_read(struct actor *a)
{
	const struct model *m = model_of(a);
	struct stat_request r = { 0 };
	char path[80];

	r.refresh = a->refresh = random_once_in(4);
	snprintf(a->path, sizeof(a->path), "%s",
		 m->paths[random_below(m->n_paths)]);
	snprintf(path, sizeof(path), "/data/%s", a->path);
	r.path = (schema_bytes){ path, strlen(path) };
	client_master(a->client, RPC_MASTER_METHOD(stat), &a->call, &r,
		      on_stat);
}

/* Listing a directory, page by page. */

static void list_page(struct actor *a, bool refresh);

static void check_entry(struct actor *a, const struct dirent *e)
{
	char path[160], name[64];
	const struct version *v;

	snprintf(name, sizeof(name), "%.*s", (int)e->name.len,
		 (const char *)e->name.ptr);
	if (strcmp(a->last, name) >= 0)
		fail("client %u: list of %s: \"%s\" comes after \"%s\"",
		     a->number, a->path, name, a->last);
	memcpy(a->last, name, sizeof(name));
	if (S_ISDIR(e->attr.mode))
		return;
	snprintf(path, sizeof(path), "%s%s%s", a->path, *a->path ? "/" : "",
		 a->last);
	v = model_version(model_of(a), path, &e->attr);
	if (a->refresh && v->gone_ms < a->began_ms)
		fail("client %u: %s of version %" PRIu64
		     " was no more when /data/%s was listed",
		     a->number, path, v->content, a->path);
}

static void on_list(struct client_call *call, int code, const void *reply)
{
	struct actor *a = container_of(call, struct actor, call);
	const struct list_reply *r = reply;
	size_t i;

	if (crashed(a))
		return;
	check_code(a, code, "list", &call->err);
	if (code) {
		rest(a);
		return;
	}
	for (i = 0; i < r->entries.n; i++) {
		check_entry(a, &r->entries.at[i]);
		a->after = r->entries.at[i].attr.id;
	}
	if (r->more && !r->entries.n)
		fail("client %u: a page of %s is empty", a->number, a->path);
	if (!r->more) {
		rest(a);
		return;
	}
	a->id = r->id;
	list_page(a, false);
}

static void list_page(struct actor *a, bool refresh)
{
	struct list_request r = { .after = a->after,
				  .limit = 1 + (uint32_t)random_below(10),
				  .refresh = refresh };
	char path[80];

	snprintf(path, sizeof(path), "/data/%s", a->path);
	r.id = a->id;
	r.path = (schema_bytes){ path, strlen(path) };
	client_master(a->client, RPC_MASTER_METHOD(list), &a->call, &r,
		      on_list);
}

static void begin_list(struct actor *a)
{
	static const char *const dirs[] = { "", "a", "a/b", "c", "c/d/e", "f" };

	snprintf(a->path, sizeof(a->path), "%s",
		 dirs[random_below(ARRAY_SIZE(dirs))]);
	a->last[0] = '\0';
	a->after = a->id = 0;
	a->refresh = random_once_in(3);
	list_page(a, a->refresh);
}

/* The extra mount, which only the first client changes, and knows. */

static void on_mount(struct client_call *call, int code, const void *reply)
{
	struct actor *a = container_of(call, struct actor, call);
	const struct mount_reply *r = reply;

	if (crashed(a))
		return;
	if (code == -EIO || code == -ETIMEDOUT) {
		check_code(a, code, "mount", &call->err);
		a->unsure |= code == -ETIMEDOUT;
		rest(a);
		return;
	}
	if (code)
		fail("mount of the extra storage: code %d (%s)", code,
		     call->err.msg);
	if (!a->unsure && r->updated != a->mounted)
		fail("a mount was applied %s", a->mounted ? "never" : "twice");
	a->mounted = true;
	a->unsure = false;
	rest(a);
}

static void on_unmount(struct client_call *call, int code,
		       const void *reply ATTR_UNUSED)
{
	struct actor *a = container_of(call, struct actor, call);

	if (crashed(a))
		return;
	if (code == -ETIMEDOUT) {
		check_code(a, code, "unmount", &call->err);
		a->unsure = true;
		rest(a);
		return;
	}
	if (code && !(a->unsure && code == -ENOENT))
		fail("unmount of the extra storage: code %d (%s)", code,
		     call->err.msg);
	a->mounted = a->unsure = false;
	rest(a);
}

/* The answer is lost, or the request: a retry. */
static void on_cut(struct timer *t)
{
	struct actor *a = container_of(t, struct actor, cut);

	if (a->cluster->master.loop)
		sim_net_cut(a->cluster->net, a->loop, a->cluster->master.loop);
}

static void begin_mount(struct actor *a)
{
	struct mount_request m = { .origin = client_origin(a->client),
				   .path = { "/extra/x", 8 },
				   .uri = { EXTRA_URI, strlen(EXTRA_URI) },
				   .check = random_once_in(2) };
	struct unmount_request u = { .origin = m.origin, .path = m.path };

	strcpy(a->path, "x");
	loop_timer_stop(&a->cut);
	if (!a->cluster->calm && random_once_in(2))
		loop_timer_start(a->loop, &a->cut, random_below(20), on_cut);
	if (!a->mounted || random_once_in(4))
		client_master(a->client, RPC_MASTER_METHOD(mount), &a->call, &m,
			      on_mount);
	else
		client_master(a->client, RPC_MASTER_METHOD(unmount), &a->call,
			      &u, on_unmount);
}

/* Dropping what is cached. */

static void on_freed(struct client_call *call, int code,
		     const void *reply ATTR_UNUSED)
{
	struct actor *a = container_of(call, struct actor, call);

	if (crashed(a))
		return;
	/* A worker that is down has not let go: the caller is to know. */
	if (a->cluster->calm || (code != -ECONNREFUSED && code != -ECONNRESET &&
				 code != -ECANCELED))
		check_code(a, code, "free", &call->err);
	rest(a);
}

static void begin_free(struct actor *a)
{
	const struct model *m = model_of(a);
	struct free_request r = { 0 };
	char path[80];

	snprintf(a->path, sizeof(a->path), "%s",
		 m->paths[random_below(m->n_paths)]);
	snprintf(path, sizeof(path), "/data/%s", a->path);
	r.path = (schema_bytes){ path, strlen(path) };
	client_master(a->client, RPC_MASTER_METHOD(free), &a->call, &r,
		      on_freed);
}

/* A load job, which must end, whatever happens. */

static void ask_job(struct timer *t);

static void on_job(struct client_call *call, int code, const void *reply)
{
	struct actor *a = container_of(call, struct actor, call);
	const struct jobs_reply *r = reply;

	if (crashed(a))
		return;
	check_code(a, code, "job", &call->err);
	if (code == 0 && r->jobs.n != 1)
		fail("job %" PRIu64 " is not known", a->id);
	if (code || r->jobs.at[0].state.len != strlen("running"))
		rest(a); /* "done", "failed" */
	else
		loop_timer_start(a->loop, &a->timer, 500, ask_job);
}

static void ask_job(struct timer *t)
{
	struct actor *a = container_of(t, struct actor, timer);
	const struct jobs_request r = { .id = a->id };

	client_master(a->client, RPC_MASTER_METHOD(jobs), &a->call, &r, on_job);
}

static void on_submitted(struct client_call *call, int code, const void *reply)
{
	struct actor *a = container_of(call, struct actor, call);
	const struct submit_job_reply *r = reply;

	if (crashed(a))
		return;
	check_code(a, code, "submit job", &call->err);
	if (code) {
		rest(a);
		return;
	}
	if (r->id <= a->last_job)
		fail("job %" PRIu64 " comes after %" PRIu64, r->id,
		     a->last_job);
	a->id = a->last_job = r->id;
	loop_timer_start(a->loop, &a->timer, 100, ask_job);
}

static void begin_job(struct actor *a)
{
	const struct submit_job_request r = {
		.origin = client_origin(a->client),
		.kind = { "load", 4 },
		.path = { "/data", 5 },
		.recursive = true,
	};

	strcpy(a->path, "(load)");
	client_master(a->client, RPC_MASTER_METHOD(submit_job), &a->call, &r,
		      on_submitted);
}

static void next(struct actor *a)
{
	const uint64_t what = random_below(100);

	if (a->stopping) {
		a->idle = true;
		return;
	}
	a->began_ms = loop_now_ms(a->loop);
	if (a->number == 1 && what < 30)
		begin_mount(a);
	else if (a->number == 2 && what < 5)
		begin_job(a);
	else if (what < 45)
		begin_list(a);
	else if (what < 50 && a->cluster->frees)
		begin_free(a);
	else
		begin_read(a);
}

void actor_check(const struct actor *a)
{
	if (!a->idle && loop_now_ms(a->loop) > a->began_ms + PATIENCE_MS)
		fail("client %u hangs: %s", a->number, a->path);
}

void actor_start(struct actor *a)
{
	struct client_options o = {
		.masters = masters,
		.identity = { .role = RPC_CLIENT, .key = a->cluster->key },
		.max_grants = 4,
	};
	char host[16];

	snprintf(host, sizeof(host), "host%u", a->number);
	o.host = host;
	a->loop = sim_new_beside(a->cluster->near);
	sim_net_join(a->cluster->net, a->loop);
	if (workpool_new(&a->pool, "sim", 0))
		fail("no pool");
	if (a->number % 2)
		o.disk = a->pool; /* asks for grants */
	a->client = client_new(a->loop, &o);
	a->buf = mem_alloc(MAX_SIZE);
	a->idle = true;
	list_init(&a->timer.link);
	list_init(&a->cut.link);
}

void actor_go(struct actor *a)
{
	a->idle = false;
	a->began_ms = loop_now_ms(a->loop);
	loop_timer_start(a->loop, &a->timer, random_below(1000), fire);
}

void actor_crash(struct actor *a)
{
	sim_net_crash(a->cluster->net, a->loop);
	loop_timer_stop(&a->timer);
	a->crashing = true;
	actor_close(a);
	a->crashing = false;
	actor_start(a);
	actor_go(a);
}

void actor_close(struct actor *a)
{
	client_close(a->client);
	loop_timer_stop(&a->cut);
	sim_run(a->cluster->near, 10);
	sim_net_leave(a->cluster->net, a->loop);
	workpool_close(a->pool);
	sim_free(a->loop);
	free(a->buf);
}

/* Calls that the simulation waits for. */

struct wait {
	struct client_call call;
	struct client_read read;
	void (*reply)(void *owner, const void *reply);
	void *owner;
	bool done;
	ssize_t code;
};

static void on_waited(struct client_call *call, int code, const void *reply)
{
	struct wait *w = container_of(call, struct wait, call);

	w->done = true;
	w->code = code;
	if (!code && w->reply)
		w->reply(w->owner, reply);
}

static void wait_for(struct actor *a, const struct wait *w)
{
	unsigned ms;

	for (ms = 0; !w->done; ms++) {
		if (ms > PATIENCE_MS)
			fail("a call does not end");
		sim_run(a->cluster->near, 1);
	}
}

int actor_call(struct actor *a, const struct rpc_method *method,
	       const void *request,
	       void (*reply)(void *owner, const void *reply), void *owner)
{
	struct wait w = { .reply = reply, .owner = owner };

	client_master(a->client, method, &w.call, request, on_waited);
	wait_for(a, &w);
	return (int)w.code;
}

static void on_file(struct client_read *read, ssize_t n)
{
	struct wait *w = container_of(read, struct wait, read);

	w->done = true;
	w->code = n;
}

void actor_check_file(struct actor *a, const char *path,
		      const struct attr *attr)
{
	const struct version *v = model_version(model_of(a), path, attr);
	struct wait w = { .read = { .id = attr->id,
				    .length = attr->length,
				    .buf = a->buf,
				    .len = MAX_SIZE } };

	client_read(a->client, &w.read, on_file);
	wait_for(a, &w);
	if (w.code != (ssize_t)v->size)
		fail("at the end: %s: %zd, not %" PRIu64 " bytes: %s", path,
		     w.code, v->size, w.read.err.msg);
	model_check_bytes(v, path, 0, a->buf, v->size);
}
