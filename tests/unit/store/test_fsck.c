/* What fsck says of the index and the backing files. */

#include "store_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/sim.h"

static struct store_fsck found;
static int calls;

static void on_done(struct store_fsck *req)
{
	assert_ptr_equal(req, &found);
	calls++;
}

static void fsck(void)
{
	store_fsck_clear(&found);
	found.loop = f.loop;
	calls = 0;
	store_fsck(f.store, &found, on_done);
	assert_int_equal(calls, 0);
	sim_run(f.loop, 0);
	assert_int_equal(calls, 1);
}

static bool says(const char *path, const char *what)
{
	unsigned i;

	for (i = 0; i < found.n_findings; i++)
		if (strstr(found.findings[i], path) &&
		    strstr(found.findings[i], what))
			return true;
	return false;
}

static void a_good_store_has_nothing_wrong(void **state ATTR_UNUSED)
{
	uint64_t i;

	for (i = 1; i <= 20; i++)
		fill(i, 100 * KIB);
	fsck();
	assert_int_equal(found.found, 0);
	assert_int_equal(found.files, 20);
	assert_int_equal(found.n_ids, 20);
	assert_true(found.bytes >= 20 * 100 * KIB);
	store_drop(f.store, 7);
	sim_run(f.loop, 0);
	fsck();
	assert_int_equal(found.found, 0);
	assert_int_equal(found.n_ids, 19);
	for (i = 0; i < found.n_ids; i++)
		assert_int_not_equal(found.ids[i], 7);
	store_fsck_clear(&found);
}

static void what_is_missing_short_or_nobodys_is_named(void **state ATTR_UNUSED)
{
	char *gone, *cut, *stray;
	FILE *file;

	fill(1, 100 * KIB);
	fill(2, 3 * MIB);
	fill(3, MIB);
	gone = mem_str(backing_path(1));
	cut = mem_str(backing_path(2));
	stray = mem_printf("%.*s/00000000000000ff.00000001",
			   (int)(strrchr(gone, '/') - gone), gone);
	file = fopen(stray, "w");
	assert_non_null(file);
	fclose(file);
	assert_int_equal(unlink(gone), 0);
	assert_int_equal(truncate(cut, MIB), 0);
	fsck();
	assert_int_equal(found.found, 3);
	assert_true(says(strrchr(gone, '/'), "missing"));
	assert_true(says(strrchr(cut, '/'), "1048576 bytes"));
	assert_true(says(strrchr(stray, '/'), "not in the index"));
	store_fsck_clear(&found);
	free(gone);
	free(cut);
	free(stray);
}

static void a_granted_file_that_was_dropped_is_not_wrong(
	void **state ATTR_UNUSED)
{
	int fd;

	fill(1, 100 * KIB);
	assert_int_equal(read_all(1, 100 * KIB), 100 * KIB);
	fd = store_grant(f.store, 1);
	assert_true(fd >= 0);
	store_drop(f.store, 1);
	fsck();
	assert_int_equal(found.found, 0);
	close(fd);
	store_release(f.store, 1);
	store_fsck_clear(&found);
}

TEST_MAIN(TEST_WITH(a_good_store_has_nothing_wrong),
	  TEST_WITH(what_is_missing_short_or_nobodys_is_named),
	  TEST_WITH(a_granted_file_that_was_dropped_is_not_wrong))
