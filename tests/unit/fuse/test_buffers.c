#include "lib/test.h"

#include <stdlib.h>
#include <string.h>

#include "fuse/buffers.h"

static struct buffers b;

static int setup(void **state ATTR_UNUSED)
{
	buffers_init(&b);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	buffers_close(&b);
	return 0;
}

static void a_buffer_is_as_large_as_asked_for(void **state ATTR_UNUSED)
{
	static const size_t sizes[] = {
		1,         4096,    16 << 10,     (16 << 10) + 1,
		128 << 10, 1 << 20, (1 << 20) + 1
	};
	void *buf;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		buf = buffers_get(&b, sizes[i]);
		assert_int_equal((uintptr_t)buf % 4096, 0);
		memset(buf, 1, sizes[i]); /* for the sanitizers to see */
		buffers_put(&b, buf, sizes[i]);
	}
}

static void the_last_one_put_is_got_first(void **state ATTR_UNUSED)
{
	void *x = buffers_get(&b, 100), *y = buffers_get(&b, 100);

	assert_ptr_not_equal(x, y);
	buffers_put(&b, x, 100);
	buffers_put(&b, y, 100);
	assert_ptr_equal(buffers_get(&b, 200), y);
	assert_ptr_equal(buffers_get(&b, 300), x);
	buffers_put(&b, x, 300);
	buffers_put(&b, y, 200);
}

static void not_all_are_kept(void **state ATTR_UNUSED)
{
	void *all[40];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(all); i++)
		all[i] = buffers_get(&b, 1 << 20);
	for (i = 0; i < ARRAY_SIZE(all); i++)
		buffers_put(&b, all[i], 1 << 20);
	assert_int_equal(b.classes[2].free, b.classes[2].keep);
	assert_true(b.classes[2].keep < ARRAY_SIZE(all));
}

TEST_MAIN(TEST_WITH(a_buffer_is_as_large_as_asked_for),
	  TEST_WITH(the_last_one_put_is_got_first), TEST_WITH(not_all_are_kept))
