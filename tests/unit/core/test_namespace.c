#include "lib/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/tree.h"

static struct tree t;

static int setup(void **state ATTR_UNUSED)
{
	tree_open(&t, TREE_ARENA);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	namespace_check(t.ns);
	tree_close(&t);
	return 0;
}

static struct inode_view get(const char *path)
{
	struct inode_view v;

	assert_int_equal(namespace_get(t.ns, tree_id(&t, path), &v), 0);
	return v;
}

static void a_new_tree_is_a_root(void **state ATTR_UNUSED)
{
	struct namespace_totals totals;
	struct inode_view v = get("/");

	assert_int_equal(v.id, NAMESPACE_ROOT);
	assert_int_equal(v.parent, NAMESPACE_ROOT);
	assert_int_equal(v.mode, S_IFDIR | 0755);
	assert_int_equal(v.mount, 0);
	assert_string_equal(tree_names(&t, "/"), "");
	namespace_totals(t.ns, &totals);
	assert_int_equal(totals.inodes, 1);
	assert_int_equal(totals.directories, 1);
}

static void the_cluster_is_named_once(void **state ATTR_UNUSED)
{
	struct journal_record r = { .type = JOURNAL_cluster };
	struct namespace_totals totals;

	r.cluster.uuid = (schema_bytes){ "0123456789abcdef", 15 };
	r.cluster.block_size = 1 << 20;
	tree_apply(&t, &r, -EINVAL);
	r.cluster.uuid.len = 16;
	tree_apply(&t, &r, 0);
	r.cluster.uuid.ptr = "fedcba9876543210";
	tree_apply(&t, &r, -EEXIST);
	namespace_totals(t.ns, &totals);
	assert_memory_equal(totals.uuid, "0123456789abcdef", 16);
	assert_int_equal(totals.block_size, 1 << 20);
	assert_int_equal(totals.applied, 3);
}

static void a_mount_makes_its_path(void **state ATTR_UNUSED)
{
	struct mount_view m;

	tree_mount(&t, "/a/b", "s3://x", 0);
	assert_int_equal(t.res.id, 1);
	assert_false(t.res.updated);
	assert_int_equal(get("/a").mount, 0);
	assert_int_equal(get("/a/b").mount, 1);
	assert_true(get("/a/b").is_mount_point);
	assert_int_equal(get("/a/b").mtime_ns, UINT64_C(1000000000));
	assert_int_equal(namespace_next_mount(t.ns, 0, &m), 0);
	assert_int_equal(m.root, get("/a/b").id);
	assert_memory_equal(m.uri.ptr, "s3://x", m.uri.len);
	assert_int_equal(namespace_next_mount(t.ns, 1, &m), -ENOENT);
}

static void a_mount_again_updates_its_options(void **state ATTR_UNUSED)
{
	const struct mount_option o[] = {
		{ { "s3.region", 9 }, { "here", 4 }, { NULL, 0 } },
		{ { "aws.secretKey", 13 }, { NULL, 0 }, { "\1\2\3", 3 } },
	};
	struct journal_record r = { .type = JOURNAL_mount };
	struct mount_option got;
	struct mount_view m;

	tree_mount(&t, "/m", "s3://x", 0);
	tree_mount(&t, "/m", "s3://y", -EBUSY);
	r.mount.path = (schema_str){ "/m", 2 };
	r.mount.uri = (schema_str){ "s3://x", 6 };
	r.mount.uid = 7;
	r.mount.umask = 022;
	r.mount.options.at = o;
	r.mount.options.n = 2;
	tree_apply(&t, &r, 0);
	assert_true(t.res.updated);
	assert_int_equal(t.res.id, 1);
	assert_int_equal(namespace_mount(t.ns, 1, &m), 0);
	assert_int_equal(m.n_options, 2);
	assert_int_equal(m.uid, 7);
	namespace_mount_option(t.ns, 1, 0, &got);
	assert_memory_equal(got.value.ptr, "here", 4);
	assert_int_equal(got.sealed.len, 0);
	namespace_mount_option(t.ns, 1, 1, &got);
	assert_memory_equal(got.key.ptr, "aws.secretKey", got.key.len);
	assert_memory_equal(got.sealed.ptr, "\1\2\3", 3);
	assert_int_equal(get("/m").uid, 7);
}

static void a_mount_needs_an_unused_path(void **state ATTR_UNUSED)
{
	tree_mount(&t, "/m", "s3://x", 0);
	tree_learn(&t, "/m", true, true, 0, "file", "dir/");
	tree_mount(&t, "/m/file", "s3://y", -EEXIST);
	tree_mount(&t, "/m/file/x", "s3://y", -ENOTDIR);
	tree_mount(&t, "/m/dir", "s3://y", -EEXIST);
	tree_mount(&t, "/", "s3://y", -ENOTEMPTY);
	tree_mount(&t, "relative", "s3://y", -EINVAL);
	tree_mount(&t, "/a/../b", "s3://y", -EINVAL);
	tree_mount(&t, "/b", "", -EINVAL);
	tree_mount(&t, "/m/dir/new/deep", "s3://y", 0);
	assert_int_equal(get("/m/dir/new").mount, 1);
	assert_int_equal(get("/m/dir/new/deep").mount, 2);
}

static void a_mount_at_the_root_comes_and_goes(void **state ATTR_UNUSED)
{
	tree_mount(&t, "/", "s3://x", 0);
	tree_learn(&t, "/", true, true, 0, "a", "d/");
	assert_true(get("/").is_mount_point);
	assert_int_equal(get("/").complete_ms, 1000);
	tree_unmount(&t, "/", 0);
	assert_int_equal(get("/").id, NAMESPACE_ROOT);
	assert_int_equal(get("/").mount, 0);
	assert_int_equal(get("/").complete_ms, 0);
	tree_mount(&t, "/", "s3://y", 0);
	assert_int_equal(t.res.id, 2);
}

static void an_unmount_takes_what_was_learned(void **state ATTR_UNUSED)
{
	uint64_t id;

	tree_mount(&t, "/a/b/c", "s3://x", 0);
	tree_mount(&t, "/a/z", "s3://z", 0);
	tree_learn(&t, "/a/b/c", true, true, 0, "d/", "f");
	tree_learn(&t, "/a/b/c/d", true, true, 0, "g");
	id = get("/a/b/c/d/g").id;
	tree_unmount(&t, "/a/b", -EINVAL);
	tree_unmount(&t, "/a/q", -ENOENT);
	tree_unmount(&t, "/a/b/c", 0);
	assert_int_equal(t.res.n_stale, 2);
	assert_true(tree_stale(&t, id));
	assert_string_equal(tree_names(&t, "/a"), "z/ ");
	tree_unmount(&t, "/a/z", 0);
	assert_string_equal(tree_names(&t, "/"), "");
}

static void an_unmount_is_refused_over_mounts(void **state ATTR_UNUSED)
{
	tree_mount(&t, "/a", "s3://x", 0);
	tree_mount(&t, "/a/b", "s3://y", 0);
	tree_learn(&t, "/a", true, true, 0, "f");
	tree_unmount(&t, "/a", -EBUSY);
	assert_int_not_equal(tree_id(&t, "/a/f"), 0);
	assert_int_equal(get("/a").complete_ms, 1000);
	/* What lay below it in under-storage is to be seen again. */
	tree_unmount(&t, "/a/b", 0);
	assert_int_equal(get("/a").complete_ms, 0);
	assert_string_equal(tree_names(&t, "/a"), "f ");
	tree_unmount(&t, "/a", 0);
}

static void a_listing_removes_what_it_did_not_find(void **state ATTR_UNUSED)
{
	uint64_t b, e;

	tree_mount(&t, "/m", "s3://x", 0);
	tree_learn(&t, "/m", true, true, 0, "a", "b", "d/");
	tree_learn(&t, "/m/d", true, true, 0, "e");
	b = get("/m/b").id;
	e = get("/m/d/e").id;
	t.now_ms = 2000;
	tree_learn(&t, "/m", true, false, 0, "a");
	assert_int_equal(get("/m").complete_ms, 1000);
	tree_learn(&t, "/m", false, false, 0, "c");
	assert_string_equal(tree_names(&t, "/m"), "a b c d/ ");
	tree_learn(&t, "/m", false, true, 0, "z");
	assert_string_equal(tree_names(&t, "/m"), "a c z ");
	assert_int_equal(t.res.n_stale, 2);
	assert_true(tree_stale(&t, b) && tree_stale(&t, e));
	assert_int_equal(get("/m").complete_ms, 2000);
}

static void a_listing_that_began_again_counts_anew(void **state ATTR_UNUSED)
{
	tree_mount(&t, "/m", "s3://x", 0);
	tree_learn(&t, "/m", false, true, -EINVAL, "a");
	assert_string_equal(tree_names(&t, "/m"), "");
	tree_learn(&t, "/m", true, false, 0, "a", "b");
	tree_learn(&t, "/m", true, false, 0, "c");
	tree_learn(&t, "/m", false, true, 0, "b");
	assert_string_equal(tree_names(&t, "/m"), "b c ");
	tree_learn(&t, "/m", false, true, -EINVAL, "d");
}

static void many_unfinished_listings_do_no_harm(void **state ATTR_UNUSED)
{
	int i;

	tree_mount(&t, "/m", "s3://x", 0);
	tree_learn(&t, "/m", true, false, 0, "a", "dir/");
	for (i = 0; i < 256; i++)
		tree_learn(&t, "/m", true, false, 0, "b");
	tree_learn(&t, "/m", false, true, 0, "c");
	assert_string_equal(tree_names(&t, "/m"), "b c ");
}

static void a_file_that_changed_has_another_id(void **state ATTR_UNUSED)
{
	struct inode_view v;
	uint64_t id, id2;

	tree_mount(&t, "/m", "s3://x", 0);
	tree_learn(&t, "/m", false, false, 0, "f=one:5", "l@to");
	id = get("/m/f").id;
	assert_int_equal(get("/m/f").length, 5);
	assert_memory_equal(get("/m/f").version.ptr, "one", 3);
	assert_memory_equal(get("/m/l").target.ptr, "to", 2);
	tree_learn(&t, "/m", false, false, 0, "f=one:5", "l@to");
	assert_int_equal(t.res.n_stale, 0);
	assert_int_equal(get("/m/f").id, id);
	tree_learn(&t, "/m", false, false, 0, "f=two:5");
	id2 = get("/m/f").id;
	assert_int_equal((uint32_t)id, (uint32_t)id2);
	assert_int_equal(t.res.n_stale, 1);
	assert_int_equal(t.res.stale[0], id);
	assert_int_equal(namespace_get(t.ns, id, &v), -ESTALE);
	assert_int_equal(namespace_get(t.ns, id2 + (UINT64_C(1) << 32), &v),
			 -ENOENT);
	tree_learn(&t, "/m", false, false, 0, "f=two:6");
	assert_true(tree_stale(&t, id2));
	id2 = get("/m/f").id;
	tree_learn(&t, "/m", false, false, 0, "f@two");
	assert_true(tree_stale(&t, id2));
	tree_learn(&t, "/m", false, false, 0, "l@elsewhere");
	assert_int_equal(t.res.n_stale, 1);
	assert_int_equal(get("/m/l").target.len, 9);
}

static void a_directory_wins_over_a_file(void **state ATTR_UNUSED)
{
	uint64_t x;

	tree_mount(&t, "/m", "s3://x", 0);
	/* in one record, either way round, in a listing or not */
	tree_learn(&t, "/m", true, true, 0, "a", "a/", "b/", "b");
	assert_string_equal(tree_names(&t, "/m"), "a/ b/ ");
	tree_learn(&t, "/m", false, false, 0, "c", "c/", "d/", "d");
	assert_string_equal(tree_names(&t, "/m"), "a/ b/ c/ d/ ");
	tree_learn(&t, "/m/a", true, true, 0, "x");
	x = get("/m/a/x").id;
	/* over the pages of a listing, losing nothing */
	tree_learn(&t, "/m", true, false, 0, "a", "b/");
	tree_learn(&t, "/m", false, true, 0, "a/", "b");
	assert_string_equal(tree_names(&t, "/m"), "a/ b/ ");
	assert_int_equal(get("/m/a/x").id, x);
	assert_int_equal(t.res.n_stale, 0);
}

static void a_directory_may_become_a_file(void **state ATTR_UNUSED)
{
	tree_mount(&t, "/m", "s3://x", 0);
	tree_learn(&t, "/m", true, true, 0, "a/", "b/", "c=1");
	tree_learn(&t, "/m/a", true, true, 0, "x");
	tree_learn(&t, "/m", true, false, 0, "a=v:9");
	assert_string_equal(tree_names(&t, "/m"), "a/ b/ c ");
	tree_learn(&t, "/m", false, true, 0, "b/", "c/");
	assert_string_equal(tree_names(&t, "/m"), "a b/ c/ ");
	assert_int_equal(t.res.n_stale, 2);
	assert_int_equal(get("/m/a").length, 9);
	assert_memory_equal(get("/m/a").version.ptr, "v", 1);
	/* without a listing at once */
	tree_learn(&t, "/m", false, false, 0, "b=w");
	assert_string_equal(tree_names(&t, "/m"), "a b c/ ");
	/* what was found in a listing that never ended is not believed */
	tree_learn(&t, "/m", true, false, 0, "c=1");
	tree_learn(&t, "/m", true, true, 0, "b=w");
	assert_string_equal(tree_names(&t, "/m"), "b ");
}

static void mount_points_survive_their_parents(void **state ATTR_UNUSED)
{
	tree_mount(&t, "/m", "s3://x", 0);
	tree_learn(&t, "/m", true, true, 0, "d/", "e/");
	tree_learn(&t, "/m/d", true, true, 0, "f", "g/");
	tree_mount(&t, "/m/d/g2/n", "s3://y", 0);
	tree_mount(&t, "/m/top", "s3://z", 0);
	tree_learn(&t, "/m/d/g2/n", true, true, 0, "kept");
	tree_learn(&t, "/m", true, true, 0, "other", "top", "d");
	assert_string_equal(tree_names(&t, "/m"), "d/ other top/ ");
	assert_string_equal(tree_names(&t, "/m/d"), "g2/ ");
	assert_string_equal(tree_names(&t, "/m/d/g2/n"), "kept ");
	tree_forget(&t, "/m", "top", 0);
	tree_forget(&t, "/m", "d", 0);
	tree_forget(&t, "/m", "nothing", 0);
	tree_forget(&t, "/m", "other", 0);
	assert_string_equal(tree_names(&t, "/m"), "d/ top/ ");
	assert_int_equal(get("/m/d/g2/n").mount, 2);
}

static void records_about_what_is_no_more_are_refused(void **state ATTR_UNUSED)
{
	struct journal_record r = { .type = JOURNAL_learn };
	struct found bad = { .name = { "a/b", 3 }, .mode = S_IFREG };
	uint64_t digest;

	tree_learn(&t, "/", true, true, -EINVAL, "a"); /* no mount */
	tree_mount(&t, "/m", "s3://x", 0);
	tree_learn(&t, "/m", true, true, 0, "f", "d/");
	tree_learn(&t, "/m/f", true, true, -ENOTDIR, "a");
	r.learn.dir = get("/m/d").id;
	r.learn.found.at = &bad;
	r.learn.found.n = 1;
	tree_apply(&t, &r, -EINVAL);
	bad.name = (schema_bytes){ "..", 2 };
	tree_apply(&t, &r, -EINVAL);
	bad.name.len = 0;
	tree_apply(&t, &r, -EINVAL);
	bad.name = (schema_bytes){ "ok", 2 };
	bad.mode = 0644;
	tree_apply(&t, &r, -EINVAL);
	tree_forget(&t, "/m", "d", 0);
	digest = t.res.n_stale;
	assert_int_equal(digest, 0); /* directories have no blocks */
	tree_apply(&t, &r, -ESTALE);
	r.learn.dir = 12345;
	tree_apply(&t, &r, -ENOENT);
}

static void a_path_is_followed_as_far_as_it_goes(void **state ATTR_UNUSED)
{
	struct inode_view v;
	size_t rest;

	tree_mount(&t, "/m", "s3://x", 0);
	tree_learn(&t, "/m", true, true, 0, "f", "d/");
	assert_int_equal(namespace_find(t.ns, "//m/d/", 6, &v, &rest), 0);
	assert_int_equal(rest, 6);
	assert_int_equal(namespace_find(t.ns, "/m/q/r", 6, &v, &rest), -ENOENT);
	assert_int_equal(v.id, get("/m").id);
	assert_int_equal(rest, 3);
	assert_int_equal(namespace_find(t.ns, "/m/f/r", 6, &v, &rest),
			 -ENOTDIR);
	assert_int_equal(v.id, get("/m/f").id);
	assert_int_equal(rest, 5);
	assert_int_equal(namespace_find(t.ns, "/m/../m", 7, &v, &rest),
			 -EINVAL);
	assert_int_equal(namespace_find(t.ns, "m", 1, &v, &rest), -EINVAL);
}

static void paths_come_back(void **state ATTR_UNUSED)
{
	char buf[32];
	uint64_t id;

	tree_mount(&t, "/a/m", "s3://x", 0);
	tree_learn(&t, "/a/m", true, true, 0, "d/");
	tree_learn(&t, "/a/m/d", true, true, 0, "file");
	id = get("/a/m/d/file").id;
	assert_int_equal(namespace_path(t.ns, id, buf, sizeof(buf)), 11);
	assert_string_equal(buf, "/a/m/d/file");
	assert_int_equal(namespace_path(t.ns, id, buf, 12), 11);
	assert_string_equal(buf, "/a/m/d/file");
	assert_int_equal(namespace_path(t.ns, id, buf, 11), -ENAMETOOLONG);
	assert_int_equal(namespace_path(t.ns, 1, buf, 2), 1);
	assert_string_equal(buf, "/");
	assert_int_equal(namespace_ufs_path(t.ns, id, buf, sizeof(buf)), 6);
	assert_string_equal(buf, "d/file");
	assert_int_equal(namespace_ufs_path(t.ns, id, buf, 7), 6);
	assert_string_equal(buf, "d/file");
	assert_int_equal(namespace_ufs_path(t.ns, id, buf, 6), -ENAMETOOLONG);
	assert_int_equal(
		namespace_ufs_path(t.ns, get("/a/m").id, buf, sizeof(buf)), 0);
	assert_string_equal(buf, "");
	assert_int_equal(
		namespace_ufs_path(t.ns, get("/a").id, buf, sizeof(buf)),
		-ENODEV);
	tree_forget(&t, "/a/m/d", "file", 0);
	assert_int_equal(namespace_path(t.ns, id, buf, sizeof(buf)), -ESTALE);
}

static void a_retry_is_applied_once(void **state ATTR_UNUSED)
{
	struct namespace_totals totals;

	t.client = 9;
	t.sequence = 1;
	tree_mount(&t, "/m", "s3://x", 0);
	t.sequence = 2;
	tree_mount(&t, "/m", "s3://y", -EBUSY);
	tree_reopen(&t, TREE_ARENA);
	t.sequence = 1;
	tree_mount(&t, "/m", "s3://x", 0);
	assert_int_equal(t.res.id, 1);
	assert_false(t.res.updated);
	t.sequence = 2;
	tree_unmount(&t, "/m", -EBUSY); /* whatever it says now */
	t.sequence = 3;
	tree_unmount(&t, "/m", 0);
	t.sequence = 2;
	tree_mount(&t, "/m", "s3://y", -EBUSY);
	t.client = 10; /* somebody else's second */
	tree_mount(&t, "/m", "s3://y", 0);
	namespace_totals(t.ns, &totals);
	assert_int_equal(totals.applied, 7);
	assert_int_equal(totals.mounts, 1);
}

static void the_last_clients_and_results_are_known(void **state ATTR_UNUSED)
{
	t.client = 1;
	for (t.sequence = 1; t.sequence <= 200; t.sequence++)
		tree_unmount(&t, "/m", -ENOENT);
	t.sequence = 0;
	tree_mount(&t, "/m", "s3://x", 0); /* drops 137 of the 64 */
	t.sequence = 138;
	tree_unmount(&t, "/m", -ENOENT); /* known */
	t.sequence = 137;
	tree_mount(&t, "/m", "s3://y", -EBUSY); /* new */
	for (t.client = 2; t.client <= 1024; t.client++)
		tree_unmount(&t, "/m/x", -ENOENT);
	t.client = 1;
	t.sequence = 200;
	tree_mount(&t, "/m", "s3://x", -ENOENT); /* known yet */
	t.client = 1025;
	tree_unmount(&t, "/m/x", -ENOENT);
	t.client = 1;
	tree_mount(&t, "/m", "s3://x", 0); /* forgotten */
	assert_true(t.res.updated);
	namespace_check(t.ns);
}

static uint64_t job(const char *path, int want)
{
	struct journal_record r = { .type = JOURNAL_job };

	r.job.kind = (schema_str){ "load", 4 };
	r.job.path = (schema_bytes){ path, strlen(path) };
	tree_apply(&t, &r, want);
	return t.res.id;
}

static void end(uint64_t id, const char *error, int want)
{
	struct journal_record r = { .type = JOURNAL_job_end };

	r.job_end.job = id;
	r.job_end.state = (schema_str){ "failed", 6 };
	r.job_end.files = 3;
	r.job_end.error = (schema_str){ error, strlen(error) };
	tree_apply(&t, &r, want);
}

static void jobs_run_and_end(void **state ATTR_UNUSED)
{
	struct job_info j;

	assert_int_equal(job("/m", 0), 1);
	t.now_ms = 5000;
	assert_int_equal(job("/n", 0), 2);
	job("", -EINVAL);
	end(1, "no way", 0);
	end(1, "again", -EALREADY);
	end(3, "?", -ENOENT);
	tree_reopen(&t, TREE_ARENA);
	assert_int_equal(namespace_next_job(t.ns, 0, &j), 0);
	assert_int_equal(j.id, 1);
	assert_memory_equal(j.state.ptr, "failed", j.state.len);
	assert_memory_equal(j.error.ptr, "no way", j.error.len);
	assert_memory_equal(j.path.ptr, "/m", j.path.len);
	assert_int_equal(j.started_ms, 1000);
	assert_int_equal(j.ended_ms, 5000);
	assert_int_equal(j.files, 3);
	assert_int_equal(namespace_next_job(t.ns, 1, &j), 0);
	assert_int_equal(j.id, 2);
	assert_memory_equal(j.state.ptr, "running", j.state.len);
	assert_int_equal(namespace_next_job(t.ns, 2, &j), -ENOENT);
}

static void a_job_keeps_its_paths_until_it_ends(void **state ATTR_UNUSED)
{
	const schema_bytes paths[] = { { "/a", 2 }, { "/bb/c", 5 } };
	struct journal_record r = { .type = JOURNAL_job };
	schema_bytes path;
	uint32_t at = 0;
	struct job_info j;

	r.job.kind = (schema_str){ "load", 4 };
	r.job.path = (schema_bytes){ "list", 4 };
	r.job.paths.at = paths;
	r.job.paths.n = 2;
	r.job.verify = true;
	tree_apply(&t, &r, 0);
	tree_reopen(&t, TREE_ARENA);
	assert_int_equal(namespace_next_job(t.ns, 0, &j), 0);
	assert_true(j.verify);
	assert_int_equal(namespace_job_paths(t.ns, 1), 2);
	assert_int_equal(namespace_job_path(t.ns, 1, &at, &path), 0);
	assert_memory_equal(path.ptr, "/a", path.len);
	assert_int_equal(namespace_job_path(t.ns, 1, &at, &path), 0);
	assert_int_equal(path.len, 5);
	assert_memory_equal(path.ptr, "/bb/c", 5);
	assert_int_equal(namespace_job_path(t.ns, 1, &at, &path), -ENOENT);
	namespace_check(t.ns);
	end(1, "", 0);
	assert_int_equal(namespace_job_paths(t.ns, 1), 0);
	namespace_check(t.ns);
}

static void a_job_of_too_many_paths_is_refused(void **state ATTR_UNUSED)
{
	struct journal_record r = { .type = JOURNAL_job };
	static schema_bytes paths[600];
	static char text[1000];
	size_t i;

	memset(text, 'x', sizeof(text));
	for (i = 0; i < ARRAY_SIZE(paths); i++)
		paths[i] = (schema_bytes){ text, sizeof(text) };
	r.job.kind = (schema_str){ "load", 4 };
	r.job.path = (schema_bytes){ "list", 4 };
	r.job.paths.at = paths;
	r.job.paths.n = ARRAY_SIZE(paths);
	tree_apply(&t, &r, -EINVAL);
	r.job.paths.n = 500;
	tree_apply(&t, &r, 0);
	paths[0].len = 0;
	tree_apply(&t, &r, -EINVAL);
}

static void the_last_ended_jobs_are_kept(void **state ATTR_UNUSED)
{
	struct job_info j;
	uint64_t id;

	job("/first", 0);
	job("/second", 0);
	end(2, "", 0);
	for (id = 3; id <= 258; id++) {
		job("/x", 0);
		end(id, "", 0);
	}
	assert_int_equal(namespace_next_job(t.ns, 0, &j), 0);
	assert_int_equal(j.id, 1); /* runs */
	assert_int_equal(namespace_next_job(t.ns, 1, &j), 0);
	assert_int_equal(j.id, 3);
}

static void a_worker_keeps_its_id(void **state ATTR_UNUSED)
{
	struct journal_record r = { .type = JOURNAL_worker };

	r.worker.uuid = (schema_bytes){ "aaaaaaaaaaaaaaaa", 16 };
	tree_apply(&t, &r, 0);
	assert_int_equal(t.res.id, 1);
	r.worker.uuid.ptr = "bbbbbbbbbbbbbbbb";
	assert_int_equal(namespace_worker(t.ns, r.worker.uuid), 0);
	tree_apply(&t, &r, 0);
	assert_int_equal(t.res.id, 2);
	tree_reopen(&t, TREE_ARENA);
	r.worker.uuid.ptr = "aaaaaaaaaaaaaaaa";
	tree_apply(&t, &r, 0);
	assert_int_equal(t.res.id, 1);
	assert_int_equal(namespace_worker(t.ns, r.worker.uuid), 1);
	r.worker.uuid.len = 3;
	tree_apply(&t, &r, -EINVAL);
}

static void ids_are_never_given_twice(void **state ATTR_UNUSED)
{
	char name[8] = "f";
	uint64_t first, id;
	struct inode_view v;
	int i;

	tree_mount(&t, "/m", "s3://x", 0);
	tree_learn(&t, "/m", false, false, 0, name);
	first = get("/m/f").id;
	for (i = 0; i < 40000; i++) { /* more than the tombs */
		tree_forget(&t, "/m", name, 0);
		tree_learn(&t, "/m", false, false, 0, name);
		id = get("/m/f").id;
		assert_int_not_equal(id, first);
		assert_int_equal(namespace_get(t.ns, first, &v), -ESTALE);
	}
	/* its place is lost, not mistaken for another's */
	assert_int_equal(namespace_next(t.ns, get("/m").id, first, &v),
			 -ESTALE);
}

static void a_full_arena_refuses_until_it_is_larger(void **state ATTR_UNUSED)
{
	struct journal_record r = { .type = JOURNAL_learn };
	struct found found[1000];
	char names[1000][16];
	unsigned page, i;

	tree_close(&t);
	tree_open(&t, 20 << 20);
	tree_mount(&t, "/m", "s3://x", 0);
	r.learn.dir = get("/m").id;
	r.learn.found.at = found;
	r.learn.found.n = 1000;
	for (page = 0; page < 400 && !t.res.code; page++) {
		for (i = 0; i < 1000; i++) {
			snprintf(names[i], 16, "%06u", page * 1000 + i);
			found[i] = (struct found){ .name = { names[i], 6 },
						   .mode = S_IFREG };
		}
		namespace_apply(t.ns, &r, &t.res);
	}
	assert_int_equal(t.res.code, -ENOSPC);
	assert_true(page > 10);
	namespace_check(t.ns);
	tree_unmount(&t, "/m", 0);
	assert_int_equal(t.res.n_stale, (page - 1) * 1000);
	assert_string_equal(tree_names(&t, "/"), "");
	namespace_check(t.ns);
	tree_reopen(&t, 40 << 20);
	tree_mount(&t, "/n", "s3://x", 0);
	r.learn.dir = get("/n").id;
	tree_apply(&t, &r, 0);
}

static void damaged_images_are_refused(void **state ATTR_UNUSED)
{
	const void *image;
	size_t len;
	struct namespace *ns;
	struct err err;

	tree_mount(&t, "/m", "s3://x", 0);
	len = namespace_image(t.ns, &image);
	assert_int_equal(namespace_open(&ns, t.arena, t.size, len - 8, &err),
			 -EBADMSG);
	assert_int_equal(namespace_open(&ns, t.arena, t.size, 100, &err),
			 -EBADMSG);
	assert_int_equal(namespace_open(&ns, t.arena, 1 << 20, len, &err),
			 -ENOSPC);
	((char *)t.arena)[8]++; /* version */
	assert_int_equal(namespace_open(&ns, t.arena, t.size, len, &err),
			 -EPROTONOSUPPORT);
	((char *)t.arena)[0]++;
	assert_int_equal(namespace_open(&ns, t.arena, t.size, len, &err),
			 -EBADMSG);
	((char *)t.arena)[0]--;
	((char *)t.arena)[8]--;
	assert_int_equal(namespace_open(&t.ns, t.arena, t.size, len, &err), 0);
}

/* What the README of the namespace promises: at most 100 bytes a file. */
static void a_file_takes_less_than_100_bytes(void **state ATTR_UNUSED)
{
	struct journal_record r = { .type = JOURNAL_learn };
	struct found found[1000];
	char name[1000][18], etag[1000][19];
	const void *image;
	size_t before, after;
	unsigned page, i, n;

	tree_mount(&t, "/m", "s3://x", 0);
	r.learn.dir = get("/m").id;
	r.learn.found.at = found;
	r.learn.found.n = 1000;
	before = namespace_image(t.ns, &image);
	for (page = n = 0; page < 100; page++) {
		for (i = 0; i < 1000; i++, n++) {
			snprintf(name[i], 18, "n01440764_%07u", n);
			snprintf(etag[i], 19, "%018u", n * 2654435761U);
			found[i] = (struct found){ .name = { name[i], 17 },
						   .version = { etag[i], 18 },
						   .mode = S_IFREG | 0644,
						   .length = 110000 + n };
		}
		r.learn.first = page == 0;
		r.learn.last = page == 99;
		tree_apply(&t, &r, 0);
	}
	after = namespace_image(t.ns, &image);
	print_message("# %zu bytes of image a file\n", (after - before) / n);
	assert_true((after - before) / n <= 84);
}

TEST_MAIN(TEST_WITH(a_new_tree_is_a_root), TEST_WITH(the_cluster_is_named_once),
	  TEST_WITH(a_mount_makes_its_path),
	  TEST_WITH(a_mount_again_updates_its_options),
	  TEST_WITH(a_mount_needs_an_unused_path),
	  TEST_WITH(a_mount_at_the_root_comes_and_goes),
	  TEST_WITH(an_unmount_takes_what_was_learned),
	  TEST_WITH(an_unmount_is_refused_over_mounts),
	  TEST_WITH(a_listing_removes_what_it_did_not_find),
	  TEST_WITH(a_listing_that_began_again_counts_anew),
	  TEST_WITH(many_unfinished_listings_do_no_harm),
	  TEST_WITH(a_file_that_changed_has_another_id),
	  TEST_WITH(a_directory_wins_over_a_file),
	  TEST_WITH(a_directory_may_become_a_file),
	  TEST_WITH(mount_points_survive_their_parents),
	  TEST_WITH(records_about_what_is_no_more_are_refused),
	  TEST_WITH(a_path_is_followed_as_far_as_it_goes),
	  TEST_WITH(paths_come_back), TEST_WITH(a_retry_is_applied_once),
	  TEST_WITH(the_last_clients_and_results_are_known),
	  TEST_WITH(jobs_run_and_end),
	  TEST_WITH(a_job_keeps_its_paths_until_it_ends),
	  TEST_WITH(a_job_of_too_many_paths_is_refused),
	  TEST_WITH(the_last_ended_jobs_are_kept),
	  TEST_WITH(a_worker_keeps_its_id),
	  TEST_WITH(ids_are_never_given_twice),
	  TEST_WITH(a_full_arena_refuses_until_it_is_larger),
	  TEST_WITH(damaged_images_are_refused),
	  TEST_WITH(a_file_takes_less_than_100_bytes))
