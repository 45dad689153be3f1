#include "sim/sim.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const char *const dirs[] = { "", "a/", "a/b/", "c/d/e/", "f/" };

static uint64_t random_size(void)
{
	const uint64_t kind = random_below(20);

	if (kind == 0)
		return random_below(MAX_SIZE + 1);
	if (kind < 5)
		return random_below(300000);
	return random_once_in(10) ? 0 : random_below(20000);
}

/* What was under this path is there no more. */
static void end_of(struct model *m, unsigned path)
{
	uint64_t content = fake_ufs_content(m->storage, m->paths[path], NULL);

	if (content)
		m->versions[content - 1].gone_ms = loop_now_ms(m->near);
	m->absent_ms[path] = loop_now_ms(m->near);
}

static void put(struct model *m, unsigned path)
{
	struct version v = { .size = random_size(),
			     .gone_ms = UINT64_MAX,
			     .path = path };
	const uint64_t was = m->absent_ms[path];
	uint64_t old;

	end_of(m, path);
	if (was != UINT64_MAX)
		m->absent_ms[path] = was;
	/* Often by one of the same length, which tells nothing. */
	if (fake_ufs_content(m->storage, m->paths[path], &old) &&
	    random_once_in(2))
		v.size = old;
	v.content = fake_ufs_put(m->storage, m->paths[path], v.size);
	m->versions = mem_resize(m->versions, m->n_versions + 1,
				 sizeof(*m->versions));
	m->versions[m->n_versions++] = v;
	if (v.content != m->n_versions)
		fail("the model has lost count");
	trace(v.content ^ v.size << 20);
}

void model_init(struct model *m, struct loop *near, uint64_t seed)
{
	unsigned i;

	*m = (struct model){ .near = near };
	m->storage = fake_ufs_new(URI, seed);
	m->extra = fake_ufs_new(EXTRA_URI, seed);
	fake_ufs_put(m->extra, "one", 1000);
	m->n_paths = 20 + (unsigned)random_below(MAX_PATHS - 20);
	for (i = 0; i < m->n_paths; i++) {
		m->paths[i] = mem_printf(
			"%sf%02u", dirs[random_below(ARRAY_SIZE(dirs))], i);
		m->absent_ms[i] = UINT64_MAX;
		if (!random_once_in(5))
			put(m, i);
	}
}

void model_close(struct model *m)
{
	unsigned i;

	for (i = 0; i < m->n_paths; i++)
		free((char *)(uintptr_t)m->paths[i]);
	free(m->versions);
	fake_ufs_free(m->storage);
	fake_ufs_free(m->extra);
}

void model_change(struct model *m)
{
	unsigned path = (unsigned)random_below(m->n_paths);

	if (!random_once_in(4)) {
		put(m, path);
		return;
	}
	end_of(m, path);
	m->absent_ms[path] = UINT64_MAX;
	fake_ufs_remove(m->storage, m->paths[path]);
}

bool model_absent_since(const struct model *m, const char *path,
			uint64_t since_ms)
{
	unsigned i;

	for (i = 0; i < m->n_paths; i++)
		if (strcmp(m->paths[i], path) == 0)
			return m->absent_ms[i] >= since_ms;
	return true;
}

const struct version *model_version(const struct model *m, const char *path,
				    const struct attr *attr)
{
	uint64_t content =
		fake_ufs_version(attr->version.ptr, attr->version.len);
	const struct version *v;

	if (content == 0 || content > m->n_versions)
		fail("%s has a version that never was", path);
	v = &m->versions[content - 1];
	if (strcmp(m->paths[v->path], path) != 0)
		fail("%s has version %" PRIu64 ", which is one of %s", path,
		     content, m->paths[v->path]);
	if (attr->length != v->size)
		fail("%s of version %" PRIu64 " has %" PRIu64
		     " bytes, not %" PRIu64,
		     path, content, attr->length, v->size);
	return v;
}

void model_check_bytes(const struct version *v, const char *path,
		       uint64_t offset, const void *buf, size_t len)
{
	size_t right = fake_ufs_compare(v->content, offset, buf, len);

	trace(len);
	if (right < len)
		fail("%s of version %" PRIu64 ": byte %" PRIu64
		     " is wrong (read of %zu at %" PRIu64 ")",
		     path, v->content, offset + right, len, offset);
}
