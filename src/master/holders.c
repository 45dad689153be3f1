#include "master/holders.h"

#include <stdlib.h>

#include "base/mem.h"

/* A map's value is one holder, marked by its lowest bit, or points to several.
 */
struct holder {
	uint32_t worker;
	bool complete;
};

struct several {
	unsigned n;
	struct holder at[];
};

static void *one(struct holder h)
{
	return (void *)((uintptr_t)h.worker << 2 | (uintptr_t)h.complete << 1 |
			1);
}

static bool is_one(const void *value)
{
	return (uintptr_t)value & 1;
}

static struct holder the_one(const void *value)
{
	return (struct holder){ (uint32_t)((uintptr_t)value >> 2),
				(uintptr_t)value & 2 };
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
		out[0] = the_one(value).worker;
		return 1;
	}
	for (i = 0; i < s->n && i < max; i++)
		out[i] = s->at[i].worker;
	return i;
}

static struct holder *find(struct several *s, uint32_t worker)
{
	unsigned i;

	for (i = 0; i < s->n; i++)
		if (s->at[i].worker == worker)
			return &s->at[i];
	return NULL;
}

bool holders_has(const struct holders *h, uint64_t file, uint32_t worker)
{
	void *value = map_get(&h->by_file, file);

	if (!value)
		return false;
	return is_one(value) ? the_one(value).worker == worker
			     : find(value, worker) != NULL;
}

/* What is said last counts: who had all of it may have a part again. */
static void add(struct holders *h, uint64_t file, struct holder new)
{
	void *value = map_get(&h->by_file, file);
	struct several *s = value;
	struct holder *known;

	if (!value || (is_one(value) && the_one(value).worker == new.worker)) {
		map_put(&h->by_file, file, one(new));
		return;
	}
	if (is_one(value)) {
		s = mem_alloc(sizeof(*s) + sizeof(s->at[0]));
		s->at[s->n++] = the_one(value);
	}
	known = find(s, new.worker);
	if (known) {
		known->complete = new.complete;
		return;
	}
	s = mem_resize(s, 1, sizeof(*s) + (s->n + 1) * sizeof(s->at[0]));
	s->at[s->n++] = new;
	map_put(&h->by_file, file, s);
}

void holders_add(struct holders *h, uint64_t file, uint32_t worker)
{
	add(h, file, (struct holder){ worker, false });
}

void holders_complete(struct holders *h, uint64_t file, uint32_t worker)
{
	add(h, file, (struct holder){ worker, true });
}

bool holders_is_complete(const struct holders *h, uint64_t file,
			 uint32_t worker)
{
	void *value = map_get(&h->by_file, file);
	struct holder *known;

	if (!value)
		return false;
	if (is_one(value))
		return the_one(value).worker == worker &&
		       the_one(value).complete;
	known = find(value, worker);
	return known && known->complete;
}

/* The value without `worker`; NULL if nobody is left. */
static void *without(void *value, uint32_t worker)
{
	struct several *s = value;
	unsigned i, n = 0;

	if (is_one(value))
		return the_one(value).worker == worker ? NULL : value;
	for (i = 0; i < s->n; i++)
		if (s->at[i].worker != worker)
			s->at[n++] = s->at[i];
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
