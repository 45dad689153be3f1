#include "base/map.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

void map_init(struct map *m)
{
	*m = (struct map){ 0 };
}

void map_close(struct map *m)
{
	free(m->slots);
	map_init(m);
}

/* The finalizer of MurmurHash3: every bit of the key moves every bit. */
static size_t home(const struct map *m, uint64_t key)
{
	key ^= key >> 33;
	key *= UINT64_C(0xff51afd7ed558ccd);
	key ^= key >> 33;
	key *= UINT64_C(0xc4ceb9fe1a85ec53);
	key ^= key >> 33;
	return (size_t)key & (m->size - 1);
}

/* Where `key` is, or the free slot where it would go. */
static struct map_slot *find(const struct map *m, uint64_t key)
{
	size_t i = home(m, key);

	while (m->slots[i].value && m->slots[i].key != key)
		i = (i + 1) & (m->size - 1);
	return &m->slots[i];
}

static void grow(struct map *m)
{
	struct map old = *m;
	size_t i;

	m->size = old.size ? old.size * 2 : 16;
	m->slots = mem_array(m->size, sizeof(*m->slots));
	for (i = 0; i < old.size; i++)
		if (old.slots[i].value)
			*find(m, old.slots[i].key) = old.slots[i];
	free(old.slots);
}

void *map_get(const struct map *m, uint64_t key)
{
	return m->used ? find(m, key)->value : NULL;
}

void *map_put(struct map *m, uint64_t key, void *value)
{
	struct map_slot *slot;
	void *old;

	assert(value);
	if (m->used >= m->size - m->size / 4)
		grow(m);
	slot = find(m, key);
	old = slot->value;
	m->used += !old;
	*slot = (struct map_slot){ key, value };
	return old;
}

void *map_remove(struct map *m, uint64_t key)
{
	struct map_slot *gap, *slot;
	size_t i, mask = m->size - 1;
	void *old;

	gap = m->used ? find(m, key) : NULL;
	if (!gap || !gap->value)
		return NULL;
	old = gap->value;
	gap->value = NULL;
	m->used--;
	/* What was pushed past the gap moves into it. */
	i = (size_t)(gap - m->slots);
	for (i = (i + 1) & mask; m->slots[i].value; i = (i + 1) & mask) {
		slot = &m->slots[i];
		if (((i - home(m, slot->key)) & mask) <
		    ((i - (size_t)(gap - m->slots)) & mask))
			continue;
		*gap = *slot;
		slot->value = NULL;
		gap = slot;
	}
	return old;
}

struct map_slot *map_next(const struct map *m, size_t *at)
{
	while (*at < m->size) {
		struct map_slot *slot = &m->slots[(*at)++];

		if (slot->value)
			return slot;
	}
	return NULL;
}
