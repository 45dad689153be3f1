#include "cli/list.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "cli/text.h"

/* Entries a page. */
#define PAGE 1000

struct page {
	list_entry_fn fn;
	void *arg;
	uint64_t after;
	bool more;
};

static int on_page(void *arg, const void *reply)
{
	const struct list_reply *r = reply;
	struct page *p = arg;
	size_t i;
	int rv = 0;

	for (i = 0; i < r->entries.n && !rv; i++)
		rv = p->fn(p->arg, &r->entries.at[i]);
	if (r->entries.n)
		p->after = r->entries.at[r->entries.n - 1].attr.id;
	p->more = r->more && r->entries.n;
	return rv;
}

int list_directory(struct cli *cli, const char *path, bool refresh,
		   list_entry_fn fn, void *arg)
{
	struct list_request req = {
		.path = text_bytes(path),
		.limit = PAGE,
		.refresh = refresh,
	};
	struct page p = { .fn = fn, .arg = arg, .more = true };
	int rv = 0;

	while (p.more && !rv) {
		req.after = p.after;
		rv = cli_call(cli, RPC_MASTER_METHOD(list), &req, on_page, &p);
		req.refresh = false;
	}
	return rv;
}

struct self {
	list_entry_fn fn;
	void *arg;
	const char *path;
};

static int on_stat(void *arg, const void *reply)
{
	const struct stat_reply *r = reply;
	const struct self *s = arg;
	struct dirent e = {
		.name = text_bytes(s->path),
		.attr = r->attr,
		.holders = r->holders,
		.cached = r->cached,
	};

	return s->fn(s->arg, &e);
}

int list_self(struct cli *cli, const char *path, bool refresh, list_entry_fn fn,
	      void *arg)
{
	const struct stat_request req = { .path = text_bytes(path),
					  .refresh = refresh };
	struct self self = { fn, arg, path };

	return cli_call(cli, RPC_MASTER_METHOD(stat), &req, on_stat, &self);
}

char *list_join(const char *dir, const schema_bytes *name)
{
	return mem_printf("%s%s%.*s", dir,
			  dir[strlen(dir) - 1] == '/' ? "" : "/",
			  (int)name->len, (const char *)name->ptr);
}
