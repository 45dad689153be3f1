#include "fuse/buffers.h"

#include <stdlib.h>

enum { PAGE = 4096 };

void buffers_init(struct buffers *b)
{
	static const size_t sizes[] = { 16 << 10, 128 << 10, 1 << 20 };
	static const unsigned keep[] = { 256, 128, 32 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(b->classes); i++) {
		b->classes[i].size = sizes[i];
		b->classes[i].keep = keep[i];
		b->classes[i].free = 0;
		list_init(&b->classes[i].list);
	}
}

void buffers_close(struct buffers *b)
{
	size_t i;
	struct list *link;

	for (i = 0; i < ARRAY_SIZE(b->classes); i++)
		while ((link = list_pop_front(&b->classes[i].list)))
			free(link);
}

/* The number of classes: larger than any. */
static size_t class_of(const struct buffers *b, size_t size)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(b->classes) && size > b->classes[i].size)
		i++;
	return i;
}

void *buffers_get(struct buffers *b, size_t size)
{
	size_t i = class_of(b, size);
	struct list *link;
	void *buf;

	if (i < ARRAY_SIZE(b->classes)) {
		size = b->classes[i].size;
		link = list_pop_front(&b->classes[i].list);
		if (link) {
			b->classes[i].free--;
			return link;
		}
	}
	if (posix_memalign(&buf, PAGE, size))
		abort();
	return buf;
}

/* The last one put is the first one got: its bytes are in the CPU's cache. */
void buffers_put(struct buffers *b, void *buf, size_t size)
{
	size_t i = class_of(b, size);
	struct list *link = buf;

	if (i == ARRAY_SIZE(b->classes) ||
	    b->classes[i].free == b->classes[i].keep) {
		free(buf);
		return;
	}
	b->classes[i].free++;
	list_init(link);
	list_push_back(b->classes[i].list.next, link);
}
