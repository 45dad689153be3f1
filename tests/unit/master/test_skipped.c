#include "lib/test.h"

#include "lib/tree.h"
#include "master/skipped.h"

static void the_last_listing_of_each_directory_counts(void **state ATTR_UNUSED)
{
	struct skipped s;
	struct tree t;

	tree_open(&t, TREE_ARENA);
	tree_mount(&t, "/m", "file:///m", 0);
	tree_learn(&t, "/m", true, true, 0, "a/", "b/");
	skipped_init(&s);
	assert_int_equal(skipped_total(&s, t.ns), 0);
	skipped_set(&s, tree_id(&t, "/m"), 2);
	skipped_set(&s, tree_id(&t, "/m/a"), 1);
	skipped_set(&s, tree_id(&t, "/m/b"), 40);
	assert_int_equal(skipped_total(&s, t.ns), 43);
	skipped_set(&s, tree_id(&t, "/m"), 3);
	skipped_set(&s, tree_id(&t, "/m/b"), 0);
	assert_int_equal(skipped_total(&s, t.ns), 4);
	tree_forget(&t, "/m", "a", 0);
	assert_int_equal(skipped_total(&s, t.ns), 3);
	assert_int_equal(s.by_dir.used, 1);
	tree_unmount(&t, "/m", 0);
	assert_int_equal(skipped_total(&s, t.ns), 0);
	assert_int_equal(s.by_dir.used, 0);
	skipped_close(&s);
	tree_close(&t);
}

TEST_MAIN(TEST(the_last_listing_of_each_directory_counts))
