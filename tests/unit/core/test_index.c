/* Directories from nothing to many entries, by way of the namespace. */

#include "lib/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/tree.h"

#define NAMES 6000

static struct {
	struct tree t;
	bool there[NAMES];
} f;

static int setup(void **state ATTR_UNUSED)
{
	memset(f.there, 0, sizeof(f.there));
	tree_open(&f.t, TREE_ARENA);
	tree_mount(&f.t, "/d", "file:///d", 0);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	tree_close(&f.t);
	return 0;
}

static void name_of(unsigned i, char name[16])
{
	snprintf(name, 16, "n%05u.png", i);
}

static void add(unsigned i)
{
	char name[16];

	name_of(i, name);
	tree_learn(&f.t, "/d", false, false, 0, name);
	f.there[i] = true;
}

static void drop(unsigned i)
{
	char name[16];

	name_of(i, name);
	tree_forget(&f.t, "/d", name, 0);
	f.there[i] = false;
}

/* All that should be there is, in order, and is found by its name. */
static void check(void)
{
	uint64_t dir = tree_id(&f.t, "/d"), after = 0;
	struct inode_view v, w;
	char name[16];
	unsigned i;

	namespace_check(f.t.ns);
	for (i = 0; i < NAMES; i++) {
		name_of(i, name);
		if (!f.there[i]) {
			assert_int_equal(namespace_child(f.t.ns, dir, name,
							 strlen(name), &w),
					 -ENOENT);
			continue;
		}
		assert_int_equal(namespace_next(f.t.ns, dir, after, &v), 0);
		assert_int_equal(v.name.len, strlen(name));
		assert_memory_equal(v.name.ptr, name, v.name.len);
		assert_int_equal(
			namespace_child(f.t.ns, dir, name, strlen(name), &w),
			0);
		assert_int_equal(v.id, w.id);
		after = v.id;
	}
	assert_int_equal(namespace_next(f.t.ns, dir, after, &v), -ENOENT);
}

static void names_that_come_in_order(void **state ATTR_UNUSED)
{
	unsigned i;

	for (i = 0; i < NAMES; i++)
		add(i);
	check();
	for (i = 0; i < NAMES; i++)
		drop(i);
	check();
}

static void names_that_come_backwards(void **state ATTR_UNUSED)
{
	unsigned i;

	for (i = NAMES; i-- > 0;)
		add(i);
	check();
	for (i = NAMES; i-- > 0;)
		drop(i);
	check();
}

static void names_that_come_and_go_at_random(void **state ATTR_UNUSED)
{
	unsigned seed = 7, i, step;

	for (step = 0; step < 60000; step++) {
		seed = seed * 1103515245 + 12345;
		i = (seed >> 8) % NAMES;
		/* Grows, then shrinks. */
		if ((seed & 0x7f000000) >> 24 < (step < 30000 ? 90 : 30))
			add(i);
		else
			drop(i);
		if (step % 6000 == 0)
			check();
	}
	check();
	for (i = 0; i < NAMES; i++)
		drop(i);
	check();
}

/* Pages of a listing go on where they were, whatever came or went. */
static void a_place_survives_changes(void **state ATTR_UNUSED)
{
	uint64_t dir, after = 0;
	struct inode_view v;
	unsigned i, seen = 0;

	for (i = 0; i < NAMES; i += 2)
		add(i);
	dir = tree_id(&f.t, "/d");
	for (i = 0; namespace_next(f.t.ns, dir, after, &v) == 0; i += 2) {
		after = v.id;
		seen++;
		if (i >= 2)
			drop(i - 2); /* behind us */
		drop(i);             /* the very place */
		add(i);              /* again, as another */
		drop(i);
	}
	assert_int_equal(seen, NAMES / 2);
	check();
}

static void removing_all_leaves_nothing(void **state ATTR_UNUSED)
{
	unsigned i;

	for (i = 0; i < NAMES; i++)
		add(i);
	tree_learn(&f.t, "/d", true, true, 0, "one");
	assert_int_equal(f.t.res.n_stale, NAMES);
	assert_string_equal(tree_names(&f.t, "/d"), "one ");
	for (i = 0; i < NAMES; i++)
		add(i);
	tree_unmount(&f.t, "/d", 0);
	assert_int_equal(f.t.res.n_stale, NAMES + 1);
	assert_string_equal(tree_names(&f.t, "/"), "");
	namespace_check(f.t.ns);
}

/* More at once than removed inodes keep their names. */
static void directories_of_many_go_with_all_below(void **state ATTR_UNUSED)
{
	struct journal_record r = { .type = JOURNAL_learn };
	static const char *const dirs[] = { "/d/k", "/d/k/m", "/d/k/z" };
	struct found found[1000];
	char names[1000][16];
	unsigned d, i, n;

	tree_learn(&f.t, "/d", false, false, 0, "k/");
	tree_learn(&f.t, "/d/k", false, false, 0, "m/", "z/");
	r.learn.found.at = found;
	r.learn.found.n = 1000;
	for (d = 0; d < 3; d++) {
		r.learn.dir = tree_id(&f.t, dirs[d]);
		for (n = 0; n < 40000; n += 1000) {
			for (i = 0; i < 1000; i++) {
				snprintf(names[i], 16, "%c%u",
					 'a' + (char)((n + i) % 26), n + i);
				found[i] = (struct found){
					.name = { names[i], strlen(names[i]) },
					.mode = S_IFREG
				};
			}
			tree_apply(&f.t, &r, 0);
		}
	}
	namespace_check(f.t.ns);
	tree_learn(&f.t, "/d", true, true, 0, "other");
	assert_int_equal(f.t.res.n_stale, 120000);
	assert_string_equal(tree_names(&f.t, "/d"), "other ");
	namespace_check(f.t.ns);
}

TEST_MAIN(TEST_WITH(names_that_come_in_order),
	  TEST_WITH(names_that_come_backwards),
	  TEST_WITH(names_that_come_and_go_at_random),
	  TEST_WITH(a_place_survives_changes),
	  TEST_WITH(removing_all_leaves_nothing),
	  TEST_WITH(directories_of_many_go_with_all_below))
