#include "core/evictor.h"

#include <string.h>

const struct evictor_ops *evictor_find(const char *name)
{
	static const struct evictor_ops *const all[] = { &evictor_retain,
							 &evictor_lru };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(all); i++)
		if (strcmp(all[i]->name, name) == 0)
			return all[i];
	return NULL;
}
