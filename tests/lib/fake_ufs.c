#include "lib/fake_ufs.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

#define PIECE (256U << 10) /* progress is reported so often */

struct object {
	char *path;
	uint64_t size, content;
	const char *target; /* of a link */
};

struct fake_ufs {
	struct list link; /* all there are */
	char *uri;
	uint64_t random;
	struct object *objects; /* by path */
	size_t n, room;
	uint64_t last_content;
	struct list calls; /* in flight */
	struct fake_ufs_faults faults;
	struct fake_ufs_numbers numbers;
	unsigned fail_after, fail_n;
	int fail_code;
	bool held;
};

/* What one loop has open. */
struct handle {
	struct ufs ufs;
	struct fake_ufs *f;
	struct list link;
	unsigned n_calls;
};

struct call {
	bool travels; /* what it answers is settled: */
	ssize_t answer;
	struct timer timer;
	struct list link;
	struct ufs_req *req;
	struct handle *h;
	ssize_t (*run)(struct call *c);
	int code; /* it ends with this instead */
	size_t got;
	bool reads;
};

static struct list storages = { &storages, &storages };
static struct list handles = { &handles, &handles };

static uint64_t mix(uint64_t z)
{
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint64_t draw(struct fake_ufs *f, uint64_t n)
{
	return mix(f->random += UINT64_C(0x9e3779b97f4a7c15)) % n;
}

/* Contents: a word for each 8 bytes. */

static uint64_t word(uint64_t content, uint64_t index)
{
	return mix(content * UINT64_C(0x9e3779b97f4a7c15) + index);
}

void fake_ufs_bytes(uint64_t content, uint64_t offset, void *buf, size_t len)
{
	unsigned char *to = buf;
	uint64_t w;
	size_t n;

	while (len) {
		w = word(content, offset / 8);
		n = 8 - offset % 8;
		if (n > len)
			n = len;
		memcpy(to, (unsigned char *)&w + offset % 8, n);
		to += n;
		offset += n;
		len -= n;
	}
}

size_t fake_ufs_compare(uint64_t content, uint64_t offset, const void *buf,
			size_t len)
{
	const unsigned char *is = buf;
	unsigned char want[4096];
	size_t at = 0, n, i;

	for (; at < len; at += n) {
		n = len - at < sizeof(want) ? len - at : sizeof(want);
		fake_ufs_bytes(content, offset + at, want, n);
		if (memcmp(want, is + at, n) == 0)
			continue;
		for (i = 0; want[i] == is[at + i];)
			i++;
		return at + i;
	}
	return len;
}

static void set_version(struct ufs_version *v, uint64_t content)
{
	v->len = (uint8_t)snprintf(v->bytes, sizeof(v->bytes),
				   "\"%016" PRIx64 "\"", content);
}

uint64_t fake_ufs_version(const void *version, size_t len)
{
	char text[32] = "";

	if (len != 18)
		return 0;
	memcpy(text, (const char *)version + 1, 16);
	return strtoull(text, NULL, 16);
}

/* Objects. */

/* The first that is not below `path`. */
static size_t lower_bound(const struct fake_ufs *f, const char *path)
{
	size_t lo = 0, hi = f->n, mid;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (strcmp(f->objects[mid].path, path) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct object *find(const struct fake_ufs *f, const char *path)
{
	size_t i = lower_bound(f, path);

	if (i == f->n || strcmp(f->objects[i].path, path) != 0)
		return NULL;
	return &f->objects[i];
}

uint64_t fake_ufs_put(struct fake_ufs *f, const char *path, uint64_t size)
{
	struct object *o = find(f, path);
	size_t i;

	if (!o) {
		i = lower_bound(f, path);
		if (f->n == f->room) {
			f->room = f->room ? 2 * f->room : 64;
			f->objects = mem_resize(f->objects, f->room,
						sizeof(*f->objects));
		}
		o = &f->objects[i];
		memmove(o + 1, o, (f->n++ - i) * sizeof(*o));
		o->path = mem_str(path);
	}
	o->size = size;
	o->content = ++f->last_content;
	o->target = NULL;
	return o->content;
}

void fake_ufs_link(struct fake_ufs *f, const char *path, const char *target)
{
	fake_ufs_put(f, path, strlen(target));
	find(f, path)->target = target;
}

void fake_ufs_remove(struct fake_ufs *f, const char *path)
{
	struct object *o = find(f, path);

	if (!o)
		return;
	free(o->path);
	f->n--;
	memmove(o, o + 1, (f->n - (size_t)(o - f->objects)) * sizeof(*o));
}

uint64_t fake_ufs_content(const struct fake_ufs *f, const char *path,
			  uint64_t *size)
{
	const struct object *o = find(f, path);

	if (o && size)
		*size = o->size;
	return o ? o->content : 0;
}

static void object_stat(const struct object *o, struct ufs_stat *st)
{
	*st = (struct ufs_stat){ .size = o->size,
				 .mtime_ns = o->content * 1000000000,
				 .mode = o->target ? S_IFLNK : S_IFREG,
				 .target = o->target,
				 .uid = UINT32_MAX,
				 .gid = UINT32_MAX };
	set_version(&st->version, o->content);
}

static void dir_stat(struct ufs_stat *st)
{
	*st = (struct ufs_stat){ .mode = S_IFDIR,
				 .uid = UINT32_MAX,
				 .gid = UINT32_MAX };
}

/* "path/", or "" for the root; the caller's. */
static char *prefix_of(const char *path)
{
	return *path ? mem_printf("%s/", path) : mem_str("");
}

static bool has_prefix(const struct fake_ufs *f, size_t i, const char *prefix)
{
	return i < f->n &&
	       strncmp(f->objects[i].path, prefix, strlen(prefix)) == 0;
}

/* Requests. */

static ssize_t run_stat(struct call *c)
{
	const struct fake_ufs *f = c->h->f;
	char *prefix = prefix_of(c->req->path);
	const struct object *o = find(f, c->req->path);
	ssize_t rv = 0;

	if (!*c->req->path || has_prefix(f, lower_bound(f, prefix), prefix))
		dir_stat(&c->req->stat);
	else if (o)
		object_stat(o, &c->req->stat);
	else
		rv = err_set(&c->req->err, -ENOENT, "%s: no such object",
			     c->req->path);
	free(prefix);
	return rv;
}

/* The index behind all that begin with the first `len` bytes of `path`. */
static size_t skip_prefix(const struct fake_ufs *f, size_t i, const char *path,
			  size_t len)
{
	while (i < f->n && strncmp(f->objects[i].path, path, len) == 0)
		i++;
	return i;
}

static size_t collect(const struct fake_ufs *f, const char *prefix, size_t *at,
		      struct ufs_entry *entries, size_t limit)
{
	const size_t skip = strlen(prefix);
	const char *name, *slash;
	size_t n = 0, len;

	while (n < limit && has_prefix(f, *at, prefix)) {
		name = f->objects[*at].path + skip;
		slash = strchr(name, '/');
		len = slash ? (size_t)(slash - name) : strlen(name);
		entries[n].name = mem_strn(name, len);
		if (slash) {
			dir_stat(&entries[n].stat);
			*at = skip_prefix(f, *at, f->objects[*at].path,
					  skip + len + 1);
		} else {
			object_stat(&f->objects[*at], &entries[n].stat);
			++*at;
		}
		n++;
	}
	return n;
}

/* The token is the path to go on from. */
static ssize_t run_list(struct call *c)
{
	const struct fake_ufs *f = c->h->f;
	struct ufs_req *req = c->req;
	size_t limit = f->faults.page ? f->faults.page : 1000, at;
	char *prefix = prefix_of(req->path);
	struct ufs_entry *entries;

	if (req->limit && req->limit < limit)
		limit = req->limit;
	at = lower_bound(f, req->token ? req->token : prefix);
	free(req->token);
	req->token = NULL;
	if (*prefix && !has_prefix(f, lower_bound(f, prefix), prefix)) {
		free(prefix);
		return err_set(&req->err, -ENOENT, "%s: no such prefix",
			       req->path);
	}
	entries = mem_array(limit, sizeof(*entries));
	req->n_entries = collect(f, prefix, &at, entries, limit);
	req->entries = entries;
	req->more = has_prefix(f, at, prefix);
	if (req->more)
		req->token = mem_str(f->objects[at].path);
	free(prefix);
	return 0;
}

static ssize_t run_read(struct call *c)
{
	struct ufs_req *req = c->req;
	const struct object *o = find(c->h->f, req->path);
	size_t n = req->len;

	if (!o)
		return err_set(&req->err, -ENOENT, "%s: no such object",
			       req->path);
	object_stat(o, &req->stat);
	if (req->version &&
	    !ufs_version_equal(req->version, &req->stat.version))
		return err_set(&req->err, ERR_CHANGED, "%s: changed",
			       req->path);
	if (req->offset >= o->size)
		return 0;
	if (n > o->size - req->offset)
		n = (size_t)(o->size - req->offset);
	if (c->got < n) {
		fake_ufs_bytes(o->content, req->offset + c->got,
			       (char *)req->buf + c->got,
			       n - c->got < PIECE ? n - c->got : PIECE);
		c->got += n - c->got < PIECE ? n - c->got : PIECE;
	}
	if (c->got < n)
		return -EINPROGRESS;
	c->h->f->numbers.bytes += n;
	return (ssize_t)n;
}

static bool overlap(const struct call *a, const struct call *b)
{
	return strcmp(a->req->path, b->req->path) == 0 &&
	       a->req->offset < b->req->offset + b->req->len &&
	       b->req->offset < a->req->offset + a->req->len &&
	       (!a->req->version || !b->req->version ||
		ufs_version_equal(a->req->version, b->req->version));
}

static void count_read(struct call *c)
{
	struct fake_ufs_numbers *n = &c->h->f->numbers;
	bool any = false, own = false;
	struct list *link;
	struct call *other;

	n->reads++;
	if (++n->reading > n->most_reading)
		n->most_reading = n->reading;
	for (link = c->h->f->calls.next; link != &c->h->f->calls;
	     link = link->next) {
		other = list_entry(link, struct call, link);
		if (!other->reads || other->code == -ECANCELED ||
		    !overlap(c, other))
			continue;
		any = true;
		own |= other->h->ufs.env.loop == c->h->ufs.env.loop;
	}
	n->any_overlaps += any;
	n->overlaps += own;
}

static void call_free(struct call *c)
{
	loop_timer_stop(&c->timer);
	list_remove(&c->link);
	if (c->reads)
		c->h->f->numbers.reading--;
	c->h->n_calls--;
	free(c);
}

static void free_entries(const struct ufs_entry *entries, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		free((char *)(uintptr_t)entries[i].name);
	free((struct ufs_entry *)(uintptr_t)entries);
}

static void on_due(struct timer *t)
{
	struct call *c = container_of(t, struct call, timer);
	struct ufs_req *req = c->req;
	const struct ufs_entry *entries;
	size_t n_entries;
	unsigned back;
	ssize_t rv;

	if (c->h->f->held && c->code != -ECANCELED)
		return; /* fake_ufs_hold() starts it again */
	rv = c->travels ? c->answer
	     : c->code  ? err_set(&req->err, c->code, "%s: as told", req->path)
			: c->run(c);
	back = c->run == run_list   ? c->h->f->faults.list_back_ms
	       : c->run == run_stat ? c->h->f->faults.stat_back_ms
				    : 0;
	if (back && !c->travels && !c->code) {
		c->travels = true;
		c->answer = rv;
		loop_timer_start(c->h->ufs.env.loop, t, back, on_due);
		return;
	}
	if (rv == -EINPROGRESS) {
		loop_timer_start(c->h->ufs.env.loop, t, 0, on_due);
		if (req->progress)
			req->progress(req, c->got);
		return;
	}
	entries = req->entries;
	n_entries = req->n_entries;
	call_free(c);
	req->state = NULL;
	req->done(req, rv);
	free_entries(entries, n_entries);
}

static int fault(struct fake_ufs *f)
{
	if (f->fail_n && f->fail_after == 0) {
		f->fail_n--;
		f->numbers.failed++;
		return f->fail_code;
	}
	if (f->fail_n)
		f->fail_after--;
	if (draw(f, 1000000) >= f->faults.fail_per_million)
		return 0;
	f->numbers.failed++;
	return f->faults.code ? f->faults.code : -EIO;
}

static struct call *submit(struct ufs *u, struct ufs_req *req, ufs_done_fn done,
			   ssize_t (*run)(struct call *c))
{
	struct handle *h = container_of(u, struct handle, ufs);
	struct call *c = mem_alloc(sizeof(*c));
	const struct fake_ufs_faults *faults = &h->f->faults;
	uint64_t wait;

	req->done = done;
	req->driver = h;
	req->state = c;
	req->entries = NULL;
	req->n_entries = 0;
	req->more = false;
	c->req = req;
	c->h = h;
	c->run = run;
	c->code = fault(h->f);
	h->n_calls++;
	if (run == run_read) {
		count_read(c);
		c->reads = true;
	}
	list_push_back(&h->f->calls, &c->link);
	wait = faults->min_ms + draw(h->f, faults->max_ms - faults->min_ms + 1);
	loop_timer_start(u->env.loop, &c->timer, wait, on_due);
	return c;
}

static void fake_stat(struct ufs *u, struct ufs_req *req, ufs_done_fn done)
{
	submit(u, req, done, run_stat)->h->f->numbers.stats++;
}

static void fake_list(struct ufs *u, struct ufs_req *req, ufs_done_fn done)
{
	submit(u, req, done, run_list)->h->f->numbers.lists++;
}

static void fake_read(struct ufs *u, struct ufs_req *req, ufs_done_fn done)
{
	submit(u, req, done, run_read);
}

static void fake_cancel(struct ufs *u, struct ufs_req *req)
{
	struct call *c = req->state;

	if (!c)
		return;
	c->code = -ECANCELED;
	loop_timer_stop(&c->timer);
	loop_timer_start(u->env.loop, &c->timer, 0, on_due);
}

static void fake_close(struct ufs *u)
{
	struct handle *h = container_of(u, struct handle, ufs);

	assert(!h->n_calls);
	list_remove(&h->link);
	free(h);
}

static int fake_open(struct ufs **out, const struct ufs_env *env,
		     const char *root, struct err *err)
{
	char *uri = mem_printf("fake://%s", root);
	int rv = fake_ufs_open(out, env, uri, err);

	free(uri);
	return rv;
}

static const char *const no_options[] = { NULL };

static const struct ufs_ops ufs_fake = {
	.scheme = "fake",
	.options = no_options,
	.open = fake_open,
	.close = fake_close,
	.stat = fake_stat,
	.list = fake_list,
	.read = fake_read,
	.cancel = fake_cancel,
};

/* The storages. */

static struct fake_ufs *storage_of(const char *uri)
{
	struct fake_ufs *f;
	struct list *link;

	for (link = storages.next; link != &storages; link = link->next) {
		f = list_entry(link, struct fake_ufs, link);
		if (strcmp(f->uri, uri) == 0)
			return f;
	}
	return NULL;
}

int fake_ufs_open(struct ufs **out, const struct ufs_env *env, const char *uri,
		  struct err *err)
{
	struct fake_ufs *f = storage_of(uri);
	struct handle *h;

	if (!f)
		return err_set(err, -EPROTONOSUPPORT,
			       "mount %s: no such storage", uri);
	h = mem_alloc(sizeof(*h));
	h->ufs.ops = &ufs_fake;
	h->ufs.env = *env;
	h->f = f;
	list_push_back(&handles, &h->link);
	*out = &h->ufs;
	return 0;
}

struct fake_ufs *fake_ufs_new(const char *uri, uint64_t seed)
{
	struct fake_ufs *f = mem_alloc(sizeof(*f));

	assert(!storage_of(uri));
	f->uri = mem_str(uri);
	f->random = seed;
	list_init(&f->calls);
	list_push_back(&storages, &f->link);
	return f;
}

void fake_ufs_free(struct fake_ufs *f)
{
	size_t i;

	assert(list_empty(&f->calls));
	list_remove(&f->link);
	for (i = 0; i < f->n; i++)
		free(f->objects[i].path);
	free(f->objects);
	free(f->uri);
	free(f);
}

void fake_ufs_set(struct fake_ufs *f, const struct fake_ufs_faults *faults)
{
	assert(faults->min_ms <= faults->max_ms);
	f->faults = *faults;
}

void fake_ufs_fail(struct fake_ufs *f, unsigned after, unsigned n, int code)
{
	f->fail_after = after;
	f->fail_n = n;
	f->fail_code = code;
}

void fake_ufs_hold(struct fake_ufs *f, bool hold)
{
	struct list *link;
	struct call *c;

	f->held = hold;
	if (hold)
		return;
	for (link = f->calls.next; link != &f->calls; link = link->next) {
		c = list_entry(link, struct call, link);
		loop_timer_stop(&c->timer);
		loop_timer_start(c->h->ufs.env.loop, &c->timer, 0, on_due);
	}
}

const struct fake_ufs_numbers *fake_ufs_numbers(const struct fake_ufs *f)
{
	return &f->numbers;
}

void fake_ufs_drop(struct loop *l)
{
	struct list *link, *next, *call, *next_call;
	struct handle *h;
	struct call *c;

	for (link = handles.next; link != &handles; link = next) {
		next = link->next;
		h = list_entry(link, struct handle, link);
		if (h->ufs.env.loop != l)
			continue;
		for (call = h->f->calls.next; call != &h->f->calls;
		     call = next_call) {
			next_call = call->next;
			c = list_entry(call, struct call, link);
			if (c->h == h)
				call_free(c);
		}
		fake_close(&h->ufs);
	}
}
