#include "fuse/names.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct name {
	uint64_t parent, change;
	struct attr attr;
	char *text; /* NULL: free */
	size_t len;
};

void names_init(struct names *n)
{
	/* Pages that are not touched cost nothing. */
	*n = (struct names){ .slots = mem_array(NAMES_SLOTS,
						sizeof(*n->slots)) };
}

void names_close(struct names *n)
{
	size_t i;

	for (i = 0; i < NAMES_SLOTS; i++)
		free(n->slots[i].text);
	free(n->slots);
}

/* FNV-1a, its upper bits folded in. */
static struct name *slot(const struct names *n, uint64_t parent,
			 const void *name, size_t len)
{
	const uint8_t *at = name;
	uint64_t h = parent ^ UINT64_C(0xcbf29ce484222325);
	size_t i;

	for (i = 0; i < len; i++)
		h = (h ^ at[i]) * UINT64_C(0x100000001b3);
	h ^= h >> 29;
	h *= UINT64_C(0xbf58476d1ce4e5b9);
	return &n->slots[(h >> 32) % NAMES_SLOTS];
}

/* Numbers ascend; an answer that was overtaken by a later one says nothing. */
void names_seen(struct names *n, uint64_t change, uint64_t asked_ms)
{
	if (change < n->change ||
	    (n->known && change == n->change && asked_ms < n->as_of_ms))
		return;
	n->known = true;
	n->change = change;
	n->as_of_ms = asked_ms;
}

void names_doubt(struct names *n)
{
	n->known = false;
}

static bool is(const struct name *s, uint64_t parent, const void *name,
	       size_t len)
{
	return s->text && s->parent == parent && s->len == len &&
	       memcmp(s->text, name, len) == 0;
}

void names_put(struct names *n, uint64_t parent, const void *name, size_t len,
	       const struct attr *a, uint64_t change)
{
	struct name *s = slot(n, parent, name, len);

	if (!is(s, parent, name, len)) {
		free(s->text);
		s->text = mem_strn(name, len);
		s->parent = parent;
		s->len = len;
	}
	s->change = change;
	s->attr = *a;
	s->attr.version.ptr = NULL;
	s->attr.target.ptr = NULL;
}

const struct attr *names_get(const struct names *n, uint64_t parent,
			     const void *name, size_t len)
{
	const struct name *s;

	if (!n->known)
		return NULL;
	s = slot(n, parent, name, len);
	return is(s, parent, name, len) && s->change == n->change ? &s->attr
								  : NULL;
}
