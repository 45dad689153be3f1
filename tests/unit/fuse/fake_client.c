#include "fake_client.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "client/client.h"

struct client {
	struct loop *loop;
	int granted, broken;
};

struct client_grant {
	int fd;
};

static struct client_grant grants[2];
static uint64_t asked, change = 5;

/* A request on its way: `private` of call, read and open. */
struct fake {
	struct client *client;
	struct timer timer;
	bool cancelled, held;
	void *of; /* what it is a part of */
	const struct rpc_method *method;
	uint64_t id, after;
	uint32_t next;
	char *text;
};

void fake_bytes(uint64_t id, uint64_t offset, void *buf, size_t len)
{
	uint8_t *out = buf;
	uint64_t x;
	size_t i;

	for (i = 0; i < len; i++, offset++) {
		x = (id << 40) + offset / 8 + 1;
		x *= UINT64_C(0x9e3779b97f4a7c15);
		x ^= x >> 29;
		x *= UINT64_C(0xbf58476d1ce4e5b9);
		out[i] = (uint8_t)(x >> (8 * (offset % 8)));
	}
}

static uint64_t length_of(uint64_t id)
{
	if (id >= FAKE_WIDE_FIRST)
		return 1;
	if (id >= FAKE_SMALL)
		return 10000 + id - FAKE_SMALL;
	return id == FAKE_BIG || id == FAKE_SLOW || id == FAKE_GRANTED ||
			       id == FAKE_BROKEN
		       ? FAKE_BIG_LEN
		       : 4096;
}

static struct attr attr_of(uint64_t id)
{
	struct attr a = {
		.id = id,
		.mode = S_IFREG | 0644,
		.length = length_of(id),
		.mtime_ns = UINT64_C(1700000000123456789),
		.uid = 12,
		.gid = 34,
	};

	if (id == FAKE_ASKED)
		a.length = asked;
	if (id == 1 || id == FAKE_SUB || id == FAKE_WIDE) {
		a.mode = S_IFDIR | 0755;
		a.length = 0;
	} else if (id == FAKE_LINK) {
		a.mode = S_IFLNK | 0777;
		a.target.ptr = "big";
		a.target.len = 3;
	}
	return a;
}

static const struct top {
	const char *name;
	uint64_t id;
} tops[] = {
	{ "big", FAKE_BIG },         { "held", FAKE_HELD },
	{ "link", FAKE_LINK },       { "gone", FAKE_GONE },
	{ "slow", FAKE_SLOW },       { "lost", FAKE_LOST },
	{ "granted", FAKE_GRANTED }, { "broken", FAKE_BROKEN },
	{ "stuck", FAKE_STUCK },     { "sub", FAKE_SUB },
	{ "wide", FAKE_WIDE },       { "asked", FAKE_ASKED },
};

/* Child `i` of a directory; 0 at the end. */
static uint64_t child(uint64_t dir, size_t i, char name[32])
{
	if (dir == 1 && i < ARRAY_SIZE(tops)) {
		strcpy(name, tops[i].name);
		return tops[i].id;
	}
	if (dir == FAKE_SUB && i < 7) {
		snprintf(name, 32, "%zu", i);
		return FAKE_SMALL + i;
	}
	if (dir == FAKE_WIDE && i < FAKE_WIDE_N) {
		snprintf(name, 32, "file-%05zu", i);
		return FAKE_WIDE_FIRST + i;
	}
	return 0;
}

static void list(struct client_call *call, struct fake *f)
{
	enum { PAGE = 700 }; /* the server's limit, less than was asked for */
	static struct dirent entries[PAGE];
	static char names[PAGE][32];
	struct list_reply p = { .id = f->id, .parent = 1, .change = change };
	struct {
		size_t i, n;
	} at = { 0, 0 };
	bool found = f->after == 0;
	char name[32];
	uint64_t id;

	for (; (id = child(f->id, at.i, name)); at.i++) {
		if (found && at.n == PAGE) {
			p.more = true;
			break;
		}
		if (found) {
			strcpy(names[at.n], name);
			entries[at.n] = (struct dirent){
				.name = { names[at.n], strlen(name) },
				.attr = attr_of(id),
			};
			at.n++;
		}
		found = found || id == f->after;
	}
	p.entries.at = entries;
	p.entries.n = at.n;
	call->done(call, found ? 0 : -ESTALE, found ? &p : NULL);
}

/* In "wide" with the name behind it, if that is wanted. */
static void lookup(struct client_call *call, struct fake *f)
{
	struct lookup_reply l = { .change = change };
	char name[32];
	struct dirent next = { .name = { name, 0 } };
	uint64_t id;
	size_t i = 0;

	while ((id = child(f->id, i++, name)) && strcmp(name, f->text) != 0)
		;
	l.attr = attr_of(id);
	if (id && f->next && f->id == FAKE_WIDE && child(f->id, i, name)) {
		next.attr = attr_of(child(f->id, i, name));
		next.name.len = strlen(name);
		l.next.at = &next;
		l.next.n = 1;
	}
	call->done(call, id ? 0 : -ENOENT, id ? &l : NULL);
}

static void answer(struct client_call *call, struct fake *f)
{
	struct getattr_reply g;
	static const uint32_t holders[] = { 9 };
	struct stat_reply s = { 0 };
	struct report_reply rep = { 0 };
	struct file_reply file = { 0 };
	const struct mount_info infos[] = {
		{ .id = 3, .path = { "/mnt/one", 8 } },
		{ .id = 7, .path = { "/mnt/two", 8 } },
	};
	const struct mounts_reply mounts = { { infos, 2 } };
	const struct worker_info workers[] = {
		{ .capacity = 100 << 20, .used = 30 << 20, .live = true },
		{ .capacity = 7 << 20, .used = 1 << 20 },
	};

	switch (f->method->number) {
	case MASTER_CALL_lookup:
		asked++;
		change += strcmp(f->text, "bump") == 0;
		lookup(call, f);
		break;
	case MASTER_CALL_getattr:
		g.attr = attr_of(f->id);
		call->done(call, f->id == FAKE_GONE ? -ESTALE : 0, &g);
		break;
	case MASTER_CALL_list:
		list(call, f);
		break;
	case MASTER_CALL_stat:
		f->id = strcmp(f->text, "/sub") == 0             ? FAKE_SUB
			: strcmp(f->text, "/mnt/two/a/big") == 0 ? FAKE_BIG
								 : 0;
		s.attr = attr_of(f->id);
		s.attr.version.ptr = "\"etag\"";
		s.attr.version.len = 6;
		s.uri.ptr = "s3://b/a/big";
		s.uri.len = 12;
		s.holders.at = holders;
		s.holders.n = 1;
		call->done(call, f->id ? 0 : -ENOENT, &s);
		break;
	case MASTER_CALL_file:
		file.file.mount = 7;
		file.file.path.ptr = "a/big";
		file.file.path.len = 5;
		call->done(call, f->id == FAKE_SUB ? -EISDIR : 0, &file);
		break;
	case MASTER_CALL_mounts:
		call->done(call, 0, &mounts);
		break;
	case MASTER_CALL_report:
		rep.workers.at = workers;
		rep.workers.n = ARRAY_SIZE(workers);
		call->done(call, 0, &rep);
		break;
	default:
		abort();
	}
}

static struct fake *fake_new(struct client *c, void *of)
{
	struct fake *f = mem_alloc(sizeof(*f));

	f->client = c;
	f->of = of;
	list_init(&f->timer.link);
	return f;
}

static void fake_free(struct fake *f)
{
	free(f->text);
	free(f);
}

static void fake_cancel(struct fake *f, timer_fn fire)
{
	f->cancelled = true;
	loop_timer_stop(&f->timer);
	loop_timer_start(f->client->loop, &f->timer, 0, fire);
}

static void on_call(struct timer *t)
{
	struct fake *f = container_of(t, struct fake, timer);
	struct client_call *call = f->of;

	if (f->cancelled)
		call->done(call, -ECANCELED, NULL);
	else
		answer(call, f);
	fake_free(f);
}

void client_master(struct client *c, const struct rpc_method *method,
		   struct client_call *call, const void *request,
		   client_done_fn done)
{
	struct fake *f = fake_new(c, call);
	const struct lookup_request *l = request;
	const struct getattr_request *g = request;
	const struct list_request *li = request;
	const struct stat_request *s = request;

	call->request = (void *)f; /* its private part is ours here */
	call->done = done;
	f->method = method;
	if (method->number == MASTER_CALL_lookup) {
		f->id = l->parent;
		f->next = l->next;
		f->text = mem_strn(l->name.ptr, l->name.len);
	} else if (method->number == MASTER_CALL_getattr ||
		   method->number == MASTER_CALL_file) {
		f->id = g->id;
	} else if (method->number == MASTER_CALL_list) {
		f->id = li->id;
		f->after = li->after;
	} else if (method->number == MASTER_CALL_stat) {
		f->text = mem_strn(s->path.ptr, s->path.len);
	}
	loop_timer_start(c->loop, &f->timer, 0, on_call);
}

/* explain, of a worker that has a part. */
static void on_worker_call(struct timer *t)
{
	struct fake *f = container_of(t, struct fake, timer);
	struct client_call *call = f->of;
	const struct explain_reply p = { .present = 5 };

	call->done(call, 0, &p);
	fake_free(f);
}

void client_worker(struct client *c, uint32_t worker,
		   const struct rpc_method *method, struct client_call *call,
		   const void *request ATTR_UNUSED, client_done_fn done)
{
	struct fake *f = fake_new(c, call);

	assert(worker == 9 && method == RPC_WORKER_METHOD(explain));
	call->request = (void *)f;
	call->done = done;
	loop_timer_start(c->loop, &f->timer, 0, on_worker_call);
}

void client_cancel(struct client_call *call)
{
	fake_cancel((void *)call->request, on_call);
}

static ssize_t fill(struct client_read *read)
{
	uint64_t length = length_of(read->id);
	size_t n = read->len;

	if (read->id == FAKE_GONE)
		return ERR_CHANGED;
	if (read->id == FAKE_LOST)
		return -ETIMEDOUT;
	if (read->offset >= length)
		return 0;
	if (n > length - read->offset)
		n = length - read->offset;
	fake_bytes(read->id, read->offset, read->buf, n);
	return (ssize_t)n;
}

static void on_read(struct timer *t)
{
	struct fake *f = container_of(t, struct fake, timer);
	struct client_read *read = f->of;

	read->done(read, f->cancelled ? -ECANCELED : fill(read));
	fake_free(f);
}

void client_read(struct client *c, struct client_read *read,
		 client_read_fn done)
{
	struct fake *f = fake_new(c, read);

	read->done = done;
	read->state = f;
	if (read->id != FAKE_HELD)
		loop_timer_start(c->loop, &f->timer,
				 read->id == FAKE_SLOW ? 20 : 0, on_read);
}

void client_read_cancel(struct client_read *read)
{
	fake_cancel(read->state, on_read);
}

static void on_open(struct timer *t)
{
	struct fake *f = container_of(t, struct fake, timer);
	struct client_open *open = f->of;

	open->done(open, f->cancelled            ? -ECANCELED
			 : open->id == FAKE_GONE ? -ESTALE
						 : 0);
	fake_free(f);
}

void client_open(struct client *c, struct client_open *open,
		 client_open_fn done)
{
	struct fake *f = fake_new(c, open);

	open->done = done;
	open->call.request = (void *)f;
	if (open->id != FAKE_STUCK)
		loop_timer_start(c->loop, &f->timer, 0, on_open);
}

void client_open_cancel(struct client_open *open)
{
	fake_cancel((void *)open->call.request, on_open);
}

struct client_grant *client_grant_get(struct client *c ATTR_UNUSED, uint64_t id)
{
	return id == FAKE_GRANTED  ? &grants[0]
	       : id == FAKE_BROKEN ? &grants[1]
				   : NULL;
}

bool client_grant_open(struct client *c, uint64_t id)
{
	return client_grant_get(c, id) != NULL;
}

int client_grant_fd(const struct client_grant *g)
{
	return g->fd;
}

void client_grant_put(struct client_grant *g)
{
	assert(g->fd >= 0);
}

struct client *fake_client_new(struct loop *loop)
{
	struct client *c = mem_alloc(sizeof(*c));
	char *bytes = mem_alloc(FAKE_BIG_LEN);

	c->loop = loop;
	grants[0].fd = memfd_create("granted", MFD_CLOEXEC);
	grants[1].fd = memfd_create("broken", MFD_CLOEXEC);
	fake_bytes(FAKE_GRANTED, 0, bytes, FAKE_BIG_LEN);
	if (write(grants[0].fd, bytes, FAKE_BIG_LEN) != FAKE_BIG_LEN)
		abort();
	free(bytes);
	return c;
}
