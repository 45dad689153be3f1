#include "master/holders.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"

/* A map's value is a worker's id, marked by its lowest bit, or one of these. */
struct several {
	unsigned n;
	uint32_t workers[];
};

static void *one(uint32_t worker)
{
	return (void *)((uintptr_t)worker << 1 | 1);
}

static bool is_one(const void *value)
{
	return (uintptr_t)value & 1;
}

static uint32_t the_one(const void *value)
{
	return (uint32_t)((uintptr_t)value >> 1);
}

static void free_value(void *value)
{
	if (value && !is_one(value))
		free(value);
}

void holders_init(struct holders *h)
{
	map_init(&h->by_file);
}

void holders_close(struct holders *h)
{
	struct map_slot *slot;
	size_t at = 0;

	while ((slot = map_next(&h->by_file, &at)))
		free_value(slot->value);
	map_close(&h->by_file);
}

unsigned holders_get(const struct holders *h, uint64_t file, uint32_t *out,
		     unsigned max)
{
	void *value = map_get(&h->by_file, file);
	const struct several *s = value;
	unsigned i;

	if (!value || max == 0)
		return 0;
	if (is_one(value)) {
		out[0] = the_one(value);
		return 1;
	}
	for (i = 0; i < s->n && i < max; i++)
		out[i] = s->workers[i];
	return i;
}

static bool has(const struct several *s, uint32_t worker)
{
	unsigned i;

	for (i = 0; i < s->n; i++)
		if (s->workers[i] == worker)
			return true;
	return false;
}

void holders_add(struct holders *h, uint64_t file, uint32_t worker)
{
	void *value = map_get(&h->by_file, file);
	struct several *s = value;

	if (!value) {
		map_put(&h->by_file, file, one(worker));
		return;
	}
	if (is_one(value)) {
		if (the_one(value) == worker)
			return;
		s = mem_alloc(sizeof(*s) + sizeof(*s->workers));
		s->workers[s->n++] = the_one(value);
	} else if (has(s, worker)) {
		return;
	}
	s = mem_resize(s, 1, sizeof(*s) + (s->n + 1) * sizeof(*s->workers));
	s->workers[s->n++] = worker;
	map_put(&h->by_file, file, s);
}

/* The value without `worker`; NULL if nobody is left. */
static void *without(void *value, uint32_t worker)
{
	struct several *s = value;
	unsigned i, n = 0;

	if (is_one(value))
		return the_one(value) == worker ? NULL : value;
	for (i = 0; i < s->n; i++)
		if (s->workers[i] != worker)
			s->workers[n++] = s->workers[i];
	s->n = n;
	if (n)
		return value;
	free(s);
	return NULL;
}

void holders_remove(struct holders *h, uint64_t file, uint32_t worker)
{
	void *value = map_get(&h->by_file, file), *left;

	if (!value)
		return;
	left = without(value, worker);
	if (left)
		map_put(&h->by_file, file, left);
	else
		map_remove(&h->by_file, file);
}

void holders_remove_worker(struct holders *h, uint32_t worker)
{
	struct map kept;
	struct map_slot *slot;
	size_t at = 0;
	void *left;

	map_init(&kept);
	while ((slot = map_next(&h->by_file, &at))) {
		left = without(slot->value, worker);
		if (left)
			map_put(&kept, slot->key, left);
	}
	map_close(&h->by_file);
	h->by_file = kept;
}

void holders_forget(struct holders *h, uint64_t file)
{
	free_value(map_remove(&h->by_file, file));
}
