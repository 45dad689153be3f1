#include "lib/test.h"

#include <stdlib.h>
#include <string.h>

#include "core/arena.h"

static struct {
	struct arena arena;
	struct arena_state state;
} f;

static int setup(void **state ATTR_UNUSED)
{
	memset(&f, 0, sizeof(f));
	f.arena.base = calloc(1, 4 << 20);
	assert_non_null(f.arena.base);
	f.arena.state = &f.state;
	f.state.used = 64;
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	free(f.arena.base);
	return 0;
}

static void classes_are_tight(void **state ATTR_UNUSED)
{
	size_t size;

	assert_int_equal(arena_round(1), 8);
	assert_int_equal(arena_round(41), 48);
	assert_int_equal(arena_round(512), 512);
	assert_int_equal(arena_round(513), 640);
	assert_int_equal(arena_round(1024), 1024);
	assert_int_equal(arena_round(1025), 1280);
	for (size = 1; size < 100000; size++) {
		assert_true(arena_round(size) >= size);
		assert_true(arena_round(size) <= size + size / 4 + 8);
		assert_int_equal(arena_round(arena_round(size)),
				 arena_round(size));
	}
}

static void what_is_freed_is_used_again_and_zeroed(void **state ATTR_UNUSED)
{
	uint32_t a = arena_alloc(&f.arena, 100), b;
	uint64_t used;

	memset(arena_at(&f.arena, a), 0xff, 100);
	arena_free(&f.arena, a, 100);
	used = f.state.used;
	b = arena_alloc(&f.arena, 97); /* same class */
	assert_int_equal(a, b);
	assert_int_equal(f.state.used, used);
	for (a = 0; a < 104; a++)
		assert_int_equal(((char *)arena_at(&f.arena, b))[a], 0);
	assert_int_not_equal(arena_alloc(&f.arena, 97), b);
}

static void pieces_never_overlap(void **state ATTR_UNUSED)
{
	struct {
		uint32_t ref;
		size_t size;
	} p[256] = { 0 };
	unsigned seed = 1, i, step;
	unsigned char *bytes;
	size_t n;

	for (step = 0; step < 20000; step++) {
		seed = seed * 1103515245 + 12345;
		i = seed >> 16 & 255;
		if (p[i].ref) {
			bytes = arena_at(&f.arena, p[i].ref);
			for (n = 0; n < p[i].size; n++)
				assert_int_equal(bytes[n], i);
			arena_free(&f.arena, p[i].ref, p[i].size);
			p[i].ref = 0;
			continue;
		}
		p[i].size = (seed >> 8) % ((step & 7) ? 100 : 5000) + 1;
		p[i].ref = arena_alloc(&f.arena, p[i].size);
		memset(arena_at(&f.arena, p[i].ref), (int)i, p[i].size);
	}
	for (i = 0; i < 256; i++)
		if (p[i].ref)
			arena_free(&f.arena, p[i].ref, p[i].size);
	assert_int_equal(f.state.live, 0);
}

TEST_MAIN(TEST(classes_are_tight),
	  TEST_WITH(what_is_freed_is_used_again_and_zeroed),
	  TEST_WITH(pieces_never_overlap))
