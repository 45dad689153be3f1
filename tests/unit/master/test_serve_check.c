/* What is known against what is there. */

#include "master_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void on_check(struct rpc_pending *p, int code, const void *reply)
{
	const struct check_reply *r = reply;
	size_t i, n = 0;

	end(p, code);
	if (code)
		return;
	f.text[0] = '\0';
	f.flag = r->asked;
	f.length = r->compared;
	f.n = r->differences.n;
	f.id = r->left_out;
	for (i = 0; i < r->differences.n && n < sizeof(f.text); i++)
		n += (size_t)snprintf(
			f.text + n, sizeof(f.text) - n, "%.*s:%u ",
			(int)r->differences.at[i].name.len,
			(const char *)r->differences.at[i].name.ptr,
			r->differences.at[i].kind);
}

static int check(const char *path)
{
	const struct check_request req = { bytes(path) };

	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(check), &f.pending, &req,
		 on_check);
	return await();
}

static bool told(const char *what)
{
	return strstr(f.text, what) != NULL;
}

static void a_check_tells_what_is_otherwise(void **state ATTR_UNUSED)
{
	fake_ufs_put(f.bucket, "d/same", 1);
	fake_ufs_put(f.bucket, "d/other", 2);
	fake_ufs_put(f.bucket, "d/gone", 3);
	fake_ufs_put(f.bucket, "d/sub/x", 4);
	fake_ufs_put(f.bucket, "d/away/x", 4);
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(list("/data/d"), 0);
	assert_int_equal(check("/data/d"), 0);
	assert_true(f.flag);
	assert_int_equal(f.length, 5);
	assert_int_equal(f.n, 0);

	fake_ufs_put(f.bucket, "d/other", 2);
	fake_ufs_remove(f.bucket, "d/gone");
	fake_ufs_remove(f.bucket, "d/away/x");
	fake_ufs_put(f.bucket, "d/new", 9);
	assert_int_equal(check("/data/d"), 0);
	assert_int_equal(f.n, 4);
	assert_true(told("other:1 ") && told("gone:2 ") && told("away:2 ") &&
		    told("new:3 "));
	assert_int_equal(check("/data/d/other"), 0);
	assert_string_equal(f.text, "other:1 ");
	assert_int_equal(check("/data/d/gone"), 0);
	assert_string_equal(f.text, "gone:2 ");
	/* Nothing was learned by it. */
	assert_int_equal(check("/data/d"), 0);
	assert_int_equal(f.n, 4);
	assert_int_equal(list_after("/data/d", 0, 0, true), 0);
	assert_int_equal(check("/data/d"), 0);
	assert_int_equal(f.n, 0);
}

static void a_check_compares_only_what_is_known(void **state ATTR_UNUSED)
{
	fake_ufs_put(f.bucket, "d/a", 1);
	fake_ufs_put(f.bucket, "d/b", 2);
	assert_int_equal(mount("/m/data"), 0);
	assert_int_equal(check("/m"), 0); /* above all mounts */
	assert_false(f.flag);
	assert_int_equal(check("/m/data/d"), 0);
	assert_false(f.flag);
	assert_int_equal(stat_path("/m/data/d/a", false), 0);
	assert_int_equal(check("/m/data/d"), 0); /* b is not news */
	assert_true(f.flag);
	assert_int_equal(f.length, 1);
	assert_int_equal(f.n, 0);
	assert_int_equal(check("/m/none"), -ENOENT);
	fake_ufs_fail(f.bucket, 0, 1, -EHOSTUNREACH);
	assert_int_equal(check("/m/data/d"), -EHOSTUNREACH);
}

static void a_check_passes_over_mounts_below(void **state ATTR_UNUSED)
{
	struct fake_ufs *other = fake_ufs_new("fake://other", 1);

	fake_ufs_put(f.bucket, "a", 1);
	assert_int_equal(mount("/"), 0);
	assert_int_equal(mount_with("/x/y", "fake://other", NULL, 0), 0);
	assert_int_equal(list_after("/", 0, 0, true), 0);
	assert_int_equal(f.n, 2);
	assert_int_equal(check("/"), 0);
	assert_int_equal(f.n, 0);
	fake_ufs_remove(f.bucket, "a");
	assert_int_equal(check("/"), 0);
	assert_string_equal(f.text, "a:2 ");
	assert_int_equal(unmount("/x/y"), 0);
	sim_run(f.loop, 1000);
	assert_int_equal(check("/"), 0);
	assert_string_equal(f.text, "a:2 ");
	assert_int_equal(unmount("/"), 0);
	sim_run(f.loop, 1000);
	fake_ufs_free(other);
}

static void a_check_of_many_names_the_first_and_counts_the_rest(
	void **state ATTR_UNUSED)
{
	char path[32];
	int i;

	for (i = 0; i < 2500; i++) {
		snprintf(path, sizeof(path), "d/%d", i);
		fake_ufs_put(f.bucket, path, 1);
	}
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(list("/data/d"), 0);
	for (i = 0; i < 2500; i += 2) {
		snprintf(path, sizeof(path), "d/%d", i);
		fake_ufs_remove(f.bucket, path);
	}
	assert_int_equal(check("/data/d"), 0);
	assert_int_equal(f.length, 2500);
	assert_int_equal(f.n, 1000);
	assert_int_equal(f.id, 250);
}

TEST_MAIN(TEST_WITH(a_check_tells_what_is_otherwise),
	  TEST_WITH(a_check_compares_only_what_is_known),
	  TEST_WITH(a_check_passes_over_mounts_below),
	  TEST_WITH(a_check_of_many_names_the_first_and_counts_the_rest))
