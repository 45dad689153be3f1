#include "master/storage.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

/* A second or so, where a storage's driver would go on for longer. */
enum { CHECK_ATTEMPTS = 4 };

struct storage {
	struct storage_env env;
	struct storage_look look;
	unsigned refs; /* master's loop */
	char *uri;
	struct ufs_option *options;
	unsigned n_options;

	/* the other loop's */
	struct ufs *ufs; /* NULL until the first request */
	struct task task;
};

struct storage *storage_new(const struct storage_env *env, const char *uri,
			    const struct ufs_option *options, unsigned n,
			    const struct storage_look *look)
{
	struct storage *s = mem_alloc(sizeof(*s));
	unsigned i;

	s->env = *env;
	s->look = *look;
	s->refs = 1;
	s->uri = mem_str(uri);
	s->options = mem_array(n ? n : 1, sizeof(*s->options));
	s->n_options = n;
	for (i = 0; i < n; i++) {
		s->options[i].key = mem_str(options[i].key);
		s->options[i].value = mem_str(options[i].value);
	}
	return s;
}

void storage_get(struct storage *s)
{
	s->refs++;
}

/* Values may be keys: not left in freed memory. */
static void free_option(struct ufs_option *o)
{
	char *value = (char *)(uintptr_t)o->value;

	explicit_bzero(value, strlen(value));
	free(value);
	free((char *)(uintptr_t)o->key);
}

static void on_close(struct task *t)
{
	struct storage *s = container_of(t, struct storage, task);
	unsigned i;

	if (s->ufs)
		s->ufs->ops->close(s->ufs);
	for (i = 0; i < s->n_options; i++)
		free_option(&s->options[i]);
	free(s->options);
	free(s->uri);
	free(s);
}

void storage_put(struct storage *s)
{
	if (--s->refs == 0)
		loop_post(s->env.ufs_loop, &s->task, on_close);
}

/* Pages. */

static uint32_t mode_of(const struct storage *s, const struct ufs_stat *st)
{
	uint32_t type = st->mode & S_IFMT, bits = st->mode & 07777;

	if (!type)
		type = S_IFREG;
	/* Who tells no owner tells no permissions; a file's own may be 0. */
	if (!bits && st->uid == UINT32_MAX)
		bits = type == S_IFDIR ? 0755 : type == S_IFLNK ? 0777 : 0644;
	return type | (bits & ~s->look.umask);
}

static schema_bytes keep(char **to, const void *from, size_t len)
{
	schema_bytes b = { *to, len };

	if (len)
		memcpy(*to, from, len);
	*to += len;
	return b;
}

static size_t length_of(const struct ufs_entry *e)
{
	return strlen(e->name) + e->stat.version.len +
	       (e->stat.target ? strlen(e->stat.target) : 0);
}

static void fill_page(struct storage_req *r, const struct ufs_entry *entries,
		      size_t n)
{
	const struct storage *s = r->storage;
	const struct ufs_stat *st;
	size_t i, len = 0;
	struct found *f;
	char *to;

	for (i = 0; i < n; i++)
		len += length_of(&entries[i]);
	r->page.at = mem_array(n ? n : 1, sizeof(*r->page.at));
	r->page.bytes = to = mem_alloc(len ? len : 1);
	r->page.n = n;
	for (i = 0; i < n; i++) {
		f = &r->page.at[i];
		st = &entries[i].stat;
		f->name = keep(&to, entries[i].name, strlen(entries[i].name));
		f->version = keep(&to, st->version.bytes, st->version.len);
		f->target = keep(&to, st->target,
				 st->target ? strlen(st->target) : 0);
		f->mode = mode_of(s, st);
		f->uid = st->uid == UINT32_MAX ? s->look.uid : st->uid;
		f->gid = st->gid == UINT32_MAX ? s->look.gid : st->gid;
		f->length = st->size;
		f->mtime_ns = st->mtime_ns;
	}
}

void storage_page_free(struct storage_page *p)
{
	free(p->at);
	free(p->bytes);
	*p = (struct storage_page){ 0 };
}

/* Requests. */

static void on_answer(struct task *t)
{
	struct storage_req *r = container_of(t, struct storage_req, task);
	struct storage *s = r->storage;

	r->done(r);
	storage_put(s);
}

/* On the other loop, as all down to the next mark. */
static void answer(struct storage_req *r, int code)
{
	r->code = code;
	loop_post(r->storage->env.loop, &r->task, on_answer);
}

static void on_stat(struct ufs_req *req, ssize_t result)
{
	struct storage_req *r = container_of(req, struct storage_req, ufs);
	struct ufs_entry e = { .name = "", .stat = req->stat };

	if (result < 0)
		r->err = req->err;
	else
		fill_page(r, &e, 1);
	answer(r, result < 0 ? (int)result : 0);
}

static void on_list(struct ufs_req *req, ssize_t result)
{
	struct storage_req *r = container_of(req, struct storage_req, ufs);

	r->more = false;
	if (result < 0) {
		r->err = req->err;
	} else {
		fill_page(r, req->entries, req->n_entries);
		r->more = req->more;
		r->skipped = req->skipped;
	}
	answer(r, result < 0 ? (int)result : 0);
}

static bool open_storage(struct storage_req *r)
{
	struct storage *s = r->storage;
	const struct ufs_env env = { .loop = s->env.ufs_loop,
				     .pool = s->env.pool,
				     .options = s->options,
				     .n_options = s->n_options,
				     .own = s->env.own };
	int rv;

	if (s->ufs)
		return true;
	rv = s->env.open(&s->ufs, &env, s->uri, &r->err);
	if (rv) {
		s->ufs = NULL;
		answer(r, rv);
	}
	return rv == 0;
}

static void go_check(struct task *t)
{
	struct storage_req *r = container_of(t, struct storage_req, task);

	if (open_storage(r))
		answer(r, 0);
}

static void go_stat(struct task *t)
{
	struct storage_req *r = container_of(t, struct storage_req, task);
	struct ufs *u;

	if (!open_storage(r))
		return;
	u = r->storage->ufs;
	u->ops->stat(u, &r->ufs, on_stat);
}

static void go_list(struct task *t)
{
	struct storage_req *r = container_of(t, struct storage_req, task);
	struct ufs *u;

	if (!open_storage(r))
		return;
	u = r->storage->ufs;
	u->ops->list(u, &r->ufs, on_list);
}

/* On the master's loop again. */

static void begin(struct storage *s, struct storage_req *r, const char *path,
		  void (*done)(struct storage_req *r))
{
	*r = (struct storage_req){ 0 };
	r->storage = s;
	r->done = done;
	r->path = mem_str(path);
	r->ufs.path = r->path;
	storage_get(s);
}

void storage_check(struct storage *s, struct storage_req *r,
		   void (*done)(struct storage_req *r))
{
	begin(s, r, "", done);
	loop_post(s->env.ufs_loop, &r->task, go_check);
}

void storage_stat(struct storage *s, struct storage_req *r, const char *path,
		  void (*done)(struct storage_req *r))
{
	begin(s, r, path, done);
	loop_post(s->env.ufs_loop, &r->task, go_stat);
}

void storage_list(struct storage *s, struct storage_req *r, const char *path,
		  unsigned limit, void (*done)(struct storage_req *r))
{
	begin(s, r, path, done);
	r->ufs.limit = limit;
	if (limit == 1) /* a mount's check: somebody waits for it */
		r->ufs.attempts = CHECK_ATTEMPTS;
	loop_post(s->env.ufs_loop, &r->task, go_list);
}

void storage_list_more(struct storage_req *r)
{
	storage_page_free(&r->page);
	storage_get(r->storage);
	loop_post(r->storage->env.ufs_loop, &r->task, go_list);
}

void storage_req_close(struct storage_req *r)
{
	storage_page_free(&r->page);
	ufs_req_close(&r->ufs);
	free(r->path);
	r->path = NULL;
}
