#include "lib/test.h"

#include "lib/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

void tree_open(struct tree *t, size_t size)
{
	*t = (struct tree){ .size = size, .now_ms = 1000 };
	t->arena = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(t->arena, MAP_FAILED);
	t->ns = namespace_create(t->arena, size);
}

void tree_close(struct tree *t)
{
	munmap(t->arena, t->size);
}

void tree_reopen(struct tree *t, size_t size)
{
	struct tree new = *t;
	const void *image;
	size_t len = namespace_image(t->ns, &image);
	uint64_t digest = namespace_digest(t->ns);
	struct err err;

	new.size = size;
	new.arena = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(new.arena, MAP_FAILED);
	memcpy(new.arena, image, len);
	tree_close(t);
	assert_int_equal(
		namespace_open(&new.ns, new.arena, new.size, len, &err), 0);
	assert_int_equal(namespace_digest(new.ns), digest);
	*t = new;
}

void tree_apply(struct tree *t, struct journal_record *r, int want)
{
	r->stamp.time_ms = t->now_ms;
	r->stamp.client = t->client;
	r->stamp.sequence = t->sequence;
	namespace_apply(t->ns, r, &t->res);
	assert_int_equal(t->res.code, want);
}

static schema_str str(const char *s)
{
	return (schema_str){ s, strlen(s) };
}

static schema_bytes bytes(const char *s)
{
	return (schema_bytes){ s, strlen(s) };
}

void tree_mount(struct tree *t, const char *path, const char *uri, int want)
{
	struct journal_record r = { .type = JOURNAL_mount };

	r.mount.path = str(path);
	r.mount.uri = str(uri);
	tree_apply(t, &r, want);
}

void tree_unmount(struct tree *t, const char *path, int want)
{
	struct journal_record r = { .type = JOURNAL_unmount };

	r.unmount.path = str(path);
	tree_apply(t, &r, want);
}

/* Cuts "name/", "name@target", "name=version:length" in `s` into a found. */
static struct found parse(char *s)
{
	struct found f = { .mode = S_IFREG | 0644, .length = 1 };
	char *end = s + strcspn(s, "/@="), *length;

	f.name = (schema_bytes){ s, (size_t)(end - s) };
	if (*end == '/')
		f.mode = S_IFDIR | 0755;
	if (*end == '@') {
		f.mode = S_IFLNK | 0777;
		f.target = bytes(end + 1);
	}
	if (*end == '=') {
		length = strchr(end, ':');
		if (length) {
			f.length = strtoull(length + 1, NULL, 10);
			*length = '\0';
		}
		f.version = bytes(end + 1);
	}
	return f;
}

void tree_learn_list(struct tree *t, const char *dir, bool first, bool last,
		     int want, const char *const *found)
{
	struct journal_record r = { .type = JOURNAL_learn };
	struct found f[64];
	char *text[64];
	size_t n;

	for (n = 0; found[n]; n++) {
		text[n] = strdup(found[n]);
		f[n] = parse(text[n]);
	}
	r.learn.dir = tree_id(t, dir);
	r.learn.found.at = f;
	r.learn.found.n = n;
	r.learn.first = first;
	r.learn.last = last;
	tree_apply(t, &r, want);
	while (n-- > 0)
		free(text[n]);
}

void tree_forget(struct tree *t, const char *dir, const char *name, int want)
{
	struct journal_record r = { .type = JOURNAL_forget };
	const schema_bytes b = bytes(name);

	r.forget.dir = tree_id(t, dir);
	r.forget.names.at = &b;
	r.forget.names.n = 1;
	tree_apply(t, &r, want);
}

uint64_t tree_id(const struct tree *t, const char *path)
{
	struct inode_view v;
	size_t rest;

	if (namespace_find(t->ns, path, strlen(path), &v, &rest) != 0)
		return 0;
	return v.id;
}

bool tree_stale(const struct tree *t, uint64_t id)
{
	size_t i;

	for (i = 0; i < t->res.n_stale; i++)
		if (t->res.stale[i] == id)
			return true;
	return false;
}

const char *tree_names(const struct tree *t, const char *path)
{
	static char names[4096];
	uint64_t dir = tree_id(t, path), after = 0;
	struct inode_view v;
	size_t at = 0;

	names[0] = '\0';
	while (namespace_next(t->ns, dir, after, &v) == 0) {
		at += (size_t)snprintf(names + at, sizeof(names) - at,
				       "%.*s%s ", (int)v.name.len,
				       (const char *)v.name.ptr,
				       S_ISDIR(v.mode) ? "/" : "");
		after = v.id;
	}
	return names;
}
