#include "lib/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "core/tree.h"
#include "lib/sim.h"
#include "lib/tempdir.h"
#include "master/fsck.h"

#define ARENA ((size_t)32 << 20)
#define ALIGN ((size_t)2 << 20)

static struct fixture {
	char *dir;
	struct loop *loop;
	struct workpool *pool;
	void *arena;
	struct namespace *ns;
	struct checkpoints *checkpoints;
	struct fsck fsck;
	int calls;
} f;

static int setup(void **state ATTR_UNUSED)
{
	struct journal_record r = { .type = JOURNAL_mount };
	struct namespace_result res = { 0 };

	f = (struct fixture){ .dir = tempdir_make(), .loop = sim_new() };
	assert_int_equal(workpool_new(&f.pool, "fsck", 0), 0);
	f.arena = aligned_alloc(ALIGN, ARENA);
	memset(f.arena, 0, ARENA);
	assert_int_equal(checkpoints_open(&f.checkpoints, f.dir, NULL), 0);
	f.ns = namespace_create(f.arena, ARENA);
	r.mount.path = (schema_str){ "/a/b", 4 };
	r.mount.uri = (schema_str){ "file:///d", 9 };
	namespace_apply(f.ns, &r, &res);
	assert_int_equal(res.code, 0);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	fsck_clear(&f.fsck);
	workpool_close(f.pool);
	checkpoints_close(f.checkpoints);
	free(f.arena);
	sim_free(f.loop);
	tempdir_remove(f.dir);
	return 0;
}

static void on_done(struct fsck *fsck)
{
	assert_ptr_equal(fsck, &f.fsck);
	f.calls++;
}

static void check(void)
{
	f.fsck.loop = f.loop;
	f.fsck.pool = f.pool;
	f.fsck.tree = f.ns;
	f.fsck.checkpoints = f.checkpoints;
	assert_int_equal(fsck_start(&f.fsck, on_done, NULL), 0);
	assert_int_equal(f.calls, 0);
	sim_run(f.loop, 0);
	assert_int_equal(f.calls, 1);
}

static void take_checkpoint(uint64_t index)
{
	const struct checkpoint_ops *ops = f.checkpoints->ops;
	const void *image;
	size_t len = namespace_image(f.ns, &image);

	assert_int_equal(ops->begin(f.checkpoints, index, image, len, NULL), 0);
	assert_int_equal(ops->wait(f.checkpoints), 0);
	ops->end(f.checkpoints);
}

static void a_good_tree_has_nothing_wrong(void **state ATTR_UNUSED)
{
	const void *image;

	take_checkpoint(7);
	take_checkpoint(9);
	check();
	assert_int_equal(f.fsck.found, 0);
	assert_int_equal(f.fsck.n_checkpoints, 2);
	assert_int_equal(f.fsck.bytes, 3 * namespace_image(f.ns, &image));
}

static void what_is_wrong_in_the_tree_is_said_with_its_path(
	void **state ATTR_UNUSED)
{
	struct inode_view v;
	size_t rest;

	f.ns->image->n_mounts++;
	assert_int_equal(namespace_find(f.ns, "/a", 2, &v, &rest), 0);
	dir_of(f.ns, (uint32_t)v.id)->mounts_below = 7;
	check();
	/* The root counts from it. */
	assert_int_equal(f.fsck.found, 3);
	assert_non_null(strstr(f.fsck.findings[1], "mount points wrong: /a ("));
	assert_string_equal(f.fsck.findings[2],
			    "the tree: mounts are counted wrong");
}

static void a_tree_that_leads_nowhere_ends_only_the_check(
	void **state ATTR_UNUSED)
{
	f.ns->image->mounts = 0xfffffff0;
	check();
	assert_int_equal(f.fsck.found, 1);
	assert_non_null(strstr(f.fsck.findings[0], "by signal"));
}

static void a_damaged_checkpoint_is_named(void **state ATTR_UNUSED)
{
	char *path = mem_printf("%s/ckpt-%020d", f.dir, 9);
	int fd;

	take_checkpoint(7);
	take_checkpoint(9);
	fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, "X", 1, 300000), 1);
	close(fd);
	check();
	assert_int_equal(f.fsck.found, 1);
	assert_true(f.fsck.damaged_checkpoint);
	assert_non_null(strstr(f.fsck.findings[0], path));
	assert_non_null(strstr(f.fsck.findings[0], "bytes 262192 to"));
	free(path);
}

TEST_MAIN(TEST_WITH(a_good_tree_has_nothing_wrong),
	  TEST_WITH(what_is_wrong_in_the_tree_is_said_with_its_path),
	  TEST_WITH(a_tree_that_leads_nowhere_ends_only_the_check),
	  TEST_WITH(a_damaged_checkpoint_is_named))
