#include "master/negative.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/mem.h"

struct absent {
	struct list link;
	uint64_t hash, dir, since_ms;
	size_t len;
	char name[];
};

uint64_t negative_hash(uint64_t dir, const void *name, size_t len)
{
	return XXH3_64bits_withSeed(name, len, dir);
}

void negative_init(struct negative *n, uint64_t ttl_ms)
{
	n->ttl_ms = ttl_ms;
	map_init(&n->by_hash);
	list_init(&n->entries);
}

static void drop(struct negative *n, struct absent *a)
{
	list_remove(&a->link);
	map_remove(&n->by_hash, a->hash);
	free(a);
}

static struct absent *oldest(struct negative *n)
{
	return list_entry(n->entries.next, struct absent, link);
}

void negative_close(struct negative *n)
{
	while (!list_empty(&n->entries))
		drop(n, oldest(n));
	map_close(&n->by_hash);
}

static bool expired(const struct negative *n, const struct absent *a,
		    uint64_t now_ms)
{
	return now_ms - a->since_ms >= n->ttl_ms;
}

void negative_add(struct negative *n, uint64_t dir, const void *name,
		  size_t len, uint64_t now_ms)
{
	struct absent *a = mem_alloc(sizeof(*a) + len), *old;

	a->hash = negative_hash(dir, name, len);
	a->dir = dir;
	a->since_ms = now_ms;
	a->len = len;
	memcpy(a->name, name, len);
	old = map_get(&n->by_hash, a->hash);
	if (old)
		drop(n, old);
	while (!list_empty(&n->entries) && (expired(n, oldest(n), now_ms) ||
					    n->by_hash.used >= NEGATIVE_MAX))
		drop(n, oldest(n));
	list_push_back(&n->entries, &a->link);
	map_put(&n->by_hash, a->hash, a);
}

bool negative_has(const struct negative *n, uint64_t dir, const void *name,
		  size_t len, uint64_t now_ms)
{
	const struct absent *a =
		map_get(&n->by_hash, negative_hash(dir, name, len));

	return a && a->dir == dir && a->len == len &&
	       memcmp(a->name, name, len) == 0 && !expired(n, a, now_ms);
}
