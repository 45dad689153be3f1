#include "lib/test.h"

#include "core/ghosts.h"

static struct ghosts g;

static int setup(void **state ATTR_UNUSED)
{
	g = (struct ghosts){ 0 };
	ghosts_resize(&g, 100);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	ghosts_close(&g);
	return 0;
}

static void remembers_when(void **state ATTR_UNUSED)
{
	assert_null(ghosts_find(&g, 7));
	ghosts_add(&g, 7, 41);
	assert_int_equal(ghosts_find(&g, 7)->tick, 41);
	assert_int_equal(ghosts_find(&g, 7)->gap, GHOST_NO_GAP);
	assert_null(ghosts_find(&g, 8));
}

static void growing_keeps_them(void **state ATTR_UNUSED)
{
	uint64_t id;

	for (id = 1; id <= 50; id++)
		ghosts_add(&g, id, (uint32_t)id);
	ghosts_resize(&g, 10000);
	for (id = 1; id <= 50; id++)
		assert_int_equal(ghosts_find(&g, id)->tick, id);
}

static void forgets_the_oldest(void **state ATTR_UNUSED)
{
	unsigned kept = 0;
	uint64_t id;

	for (id = 1; id <= 10000; id++)
		ghosts_add(&g, id, (uint32_t)id);
	assert_null(ghosts_find(&g, 1));
	for (id = 9951; id <= 10000; id++)
		kept += ghosts_find(&g, id) != NULL;
	assert_in_range(kept, 45, 50);
}

TEST_MAIN(TEST_WITH(remembers_when), TEST_WITH(growing_keeps_them),
	  TEST_WITH(forgets_the_oldest))
