#include "lib/test.h"

#include "base/map.h"

static char things[4096];

/* Keys that share their low bits, as the master's ids do. */
static uint64_t key(size_t i)
{
	return (uint64_t)i << 32 | 7;
}

static void what_was_put_is_got(void **state ATTR_UNUSED)
{
	struct map m;
	size_t i;

	map_init(&m);
	assert_null(map_get(&m, 7));
	assert_null(map_remove(&m, 7));
	for (i = 0; i < sizeof(things); i++)
		assert_null(map_put(&m, key(i), &things[i]));
	assert_ptr_equal(map_put(&m, key(5), &things[6]), &things[5]);
	assert_ptr_equal(map_put(&m, key(5), &things[5]), &things[6]);
	assert_int_equal(m.used, sizeof(things));
	for (i = 0; i < sizeof(things); i++)
		assert_ptr_equal(map_get(&m, key(i)), &things[i]);
	map_close(&m);
}

static void removing_leaves_all_others(void **state ATTR_UNUSED)
{
	struct map m;
	size_t i;

	map_init(&m);
	for (i = 0; i < sizeof(things); i++)
		map_put(&m, key(i), &things[i]);
	for (i = 0; i < sizeof(things); i += 3)
		assert_ptr_equal(map_remove(&m, key(i)), &things[i]);
	for (i = 0; i < sizeof(things); i++)
		assert_ptr_equal(map_get(&m, key(i)),
				 i % 3 ? &things[i] : NULL);
	map_close(&m);
}

static void a_walk_sees_each_once(void **state ATTR_UNUSED)
{
	unsigned char seen[100] = { 0 };
	struct map_slot *slot;
	struct map m;
	size_t i, at = 0;

	map_init(&m);
	assert_null(map_next(&m, &at));
	for (i = 0; i < sizeof(seen); i++)
		map_put(&m, i, &things[i]);
	for (at = 0; (slot = map_next(&m, &at));)
		seen[slot->key]++;
	for (i = 0; i < sizeof(seen); i++)
		assert_int_equal(seen[i], 1);
	map_close(&m);
}

TEST_MAIN(TEST(what_was_put_is_got), TEST(removing_leaves_all_others),
	  TEST(a_walk_sees_each_once))
