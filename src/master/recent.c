#include "master/recent.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct item {
	struct list link;
	uint64_t index;
	size_t len;
	uint64_t bytes[];
};

void recent_init(struct recent *r)
{
	list_init(&r->entries);
	r->bytes = 0;
}

static void drop_first(struct recent *r)
{
	struct list *link = list_pop_front(&r->entries);
	struct item *i = list_entry(link, struct item, link);

	r->bytes -= i->len;
	free(i);
}

void recent_close(struct recent *r)
{
	while (!list_empty(&r->entries))
		drop_first(r);
}

void recent_add(struct recent *r, uint64_t index, const void *buf, size_t len)
{
	struct item *i = mem_alloc(sizeof(*i) + len);

	i->index = index;
	i->len = len;
	memcpy(i->bytes, buf, len);
	list_push_back(&r->entries, &i->link);
	r->bytes += len;
	while (r->bytes > RECENT_BYTES)
		drop_first(r);
}

const void *recent_after(const struct recent *r, uint64_t after,
			 uint64_t *index, size_t *len)
{
	const struct list *link;
	const struct item *i, *found = NULL;

	/* From the end: dumps mostly follow what is new. */
	for (link = r->entries.prev; link != &r->entries; link = link->prev) {
		i = list_entry(link, const struct item, link);
		if (i->index <= after)
			break;
		found = i;
	}
	if (!found)
		return NULL;
	*index = found->index;
	*len = found->len;
	return found->bytes;
}
