/* Names: what is asked for, what is remembered, and for how long. */

#include "master_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

static void on_lookup(struct rpc_pending *p, int code, const void *reply)
{
	end(p, code);
	if (!code)
		keep_attr(&((const struct lookup_reply *)reply)->attr);
}

static int lookup(uint64_t parent, const char *name)
{
	const struct lookup_request req = { parent, bytes(name), 0 };

	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(lookup), &f.pending, &req,
		 on_lookup);
	return await();
}

/* The names in f.text. */
static void on_lookup_more(struct rpc_pending *p, int code, const void *reply)
{
	const struct lookup_reply *r = reply;
	const struct dirent *d;
	size_t i, n = 0;

	for (i = 0; !code && i < r->next.n; i++) {
		d = &r->next.at[i];
		n += (size_t)snprintf(f.text + n, sizeof(f.text) - n, ",%.*s",
				      (int)d->name.len,
				      (const char *)d->name.ptr);
		if (S_ISLNK(d->attr.mode))
			n += (size_t)snprintf(f.text + n, sizeof(f.text) - n,
					      ">%.*s", (int)d->attr.target.len,
					      (const char *)d->attr.target.ptr);
		f.ids[i] = d->attr.id;
		assert_int_equal(d->attr.version.len, 0);
	}
	f.text[n] = '\0';
	on_lookup(p, code, reply);
}

static const char *behind(uint64_t dir, const char *name, uint32_t next)
{
	const struct lookup_request req = { dir, bytes(name), next };

	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(lookup), &f.pending, &req,
		 on_lookup_more);
	assert_int_equal(await(), 0);
	return f.text;
}

static void on_suspect(struct rpc_pending *p, int code, const void *reply)
{
	end(p, code);
	if (!code)
		f.flag = ((const struct suspect_reply *)reply)->changed;
}

static int suspect(uint64_t id)
{
	const struct suspect_request req = { id };

	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(suspect), &f.pending, &req,
		 on_suspect);
	return await();
}

static void a_path_is_found_without_listing(void **state ATTR_UNUSED)
{
	uint64_t lists;

	fake_ufs_put(f.bucket, "a/b/c/d", 3);
	assert_int_equal(mount("/data"), 0);
	lists = n_lists();
	assert_int_equal(stat_path("/data/a/b/c/d", false), 0);
	assert_int_equal(f.length, 3);
	assert_int_equal(n_lists(), lists);
	assert_int_equal(stat_path("/data/a/b/c", false), 0);
	assert_int_equal(lookup(f.id, "d"), 0);
	assert_int_equal(f.length, 3);
}

static void a_name_is_told_with_those_behind_it(void **state ATTR_UNUSED)
{
	uint64_t dir, b;

	fake_ufs_put(f.bucket, "d/a", 1);
	fake_ufs_put(f.bucket, "d/b", 22);
	fake_ufs_put(f.bucket, "d/c/x", 3);
	fake_ufs_link(f.bucket, "d/e", "some/where");
	fake_ufs_put(f.bucket, "z", 5);
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(stat_path("/data/d", false), 0);
	dir = f.id;
	assert_string_equal(behind(dir, "a", 9), "");
	assert_int_equal(list("/data/d"), 0);
	assert_string_equal(behind(dir, "a", 0), "");
	assert_string_equal(behind(dir, "a", 2), ",b,c");
	b = f.ids[0];
	assert_string_equal(behind(dir, "a", UINT32_MAX), ",b,c,e>some/where");
	assert_string_equal(behind(dir, "e", 9), "");
	assert_int_equal(lookup(dir, "b"), 0);
	assert_int_equal(f.id, b);
	assert_int_equal(f.length, 22);
}

static void an_unknown_name_is_asked_for_once_a_ttl(void **state ATTR_UNUSED)
{
	uint64_t stats;

	assert_int_equal(mount("/data"), 0);
	assert_int_equal(stat_path("/data/x", false), -ENOENT);
	stats = n_stats();
	fake_ufs_put(f.bucket, "x", 1);
	sim_run(f.loop, 4000);
	assert_int_equal(stat_path("/data/x", false), -ENOENT);
	assert_int_equal(n_stats(), stats);
	sim_run(f.loop, 2000);
	assert_int_equal(stat_path("/data/x", false), 0);
}

static void a_listing_counts_as_an_answer_for_a_ttl(void **state ATTR_UNUSED)
{
	uint64_t stats;

	fake_ufs_put(f.bucket, "there", 1);
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(list("/data"), 0);
	stats = n_stats();
	fake_ufs_put(f.bucket, "x", 1);
	assert_int_equal(stat_path("/data/x", false), -ENOENT);
	assert_int_equal(n_stats(), stats);
	sim_run(f.loop, 6000);
	assert_int_equal(stat_path("/data/x", false), 0);
}

static void names_that_cannot_be_are_refused(void **state ATTR_UNUSED)
{
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(stat_path("/data", false), 0);
	assert_int_equal(lookup(f.id, ".."), -EINVAL);
	assert_int_equal(lookup(f.id, "a/b"), -EINVAL);
	assert_int_equal(lookup(f.id, ""), -EINVAL);
	assert_int_equal(stat_path("/data/../data", false), -EINVAL);
	assert_int_equal(stat_path("/data/x/y", false), -ENOENT);
}

static void a_changed_object_is_a_new_version(void **state ATTR_UNUSED)
{
	uint64_t old;

	fake_ufs_put(f.bucket, "x", 10);
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(stat_path("/data/x", false), 0);
	old = f.id;
	fake_ufs_put(f.bucket, "x", 20);
	assert_int_equal(stat_path("/data/x", false), 0);
	assert_int_equal(f.id, old);
	assert_int_equal(stat_path("/data/x", true), 0);
	assert_int_not_equal(f.id, old);
	assert_int_equal(f.length, 20);
	assert_int_equal(getattr(old), -ESTALE);
}

static void a_suspect_is_looked_at_again(void **state ATTR_UNUSED)
{
	uint64_t id;

	fake_ufs_put(f.bucket, "x", 10);
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(stat_path("/data/x", false), 0);
	id = f.id;
	assert_int_equal(suspect(id), 0);
	assert_false(f.flag);
	fake_ufs_put(f.bucket, "x", 20);
	assert_int_equal(suspect(id), 0);
	assert_true(f.flag);
	assert_int_equal(suspect(id), 0);
	assert_true(f.flag);
	assert_int_equal(stat_path("/data/x", false), 0);
	assert_int_equal(f.length, 20);
	fake_ufs_remove(f.bucket, "x");
	assert_int_equal(suspect(f.id), 0);
	assert_true(f.flag);
	assert_int_equal(stat_path("/data/x", false), -ENOENT);
}

/* Two workers, or two reads, at once. */
static void suspect_twice(uint64_t id, const char *changed, unsigned wanted)
{
	const struct suspect_request req = { id };
	struct rpc_pending p[2] = { 0 };
	uint64_t stats = n_stats();

	begin();
	f.flag = false;
	rpc_call(f.client, RPC_MASTER_METHOD(suspect), &p[0], &req, on_suspect);
	sim_run(f.loop, 50);
	fake_ufs_put(f.bucket, changed, 77); /* what was found travels yet */
	rpc_call(f.client, RPC_MASTER_METHOD(suspect), &p[1], &req, on_suspect);
	sim_run(f.loop, 1000);
	assert_int_equal(f.calls, 2);
	assert_int_equal(f.code, 0);
	assert_true(f.flag);
	assert_int_equal(n_stats(), stats + wanted);
}

static void a_second_suspicion_asks_only_while_the_version_is_known(
	void **state ATTR_UNUSED)
{
	const struct fake_ufs_faults slow = { .stat_back_ms = 100 };

	fake_ufs_put(f.bucket, "x", 10);
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(stat_path("/data/x", false), 0);
	fake_ufs_set(f.bucket, &slow);
	suspect_twice(f.id, "x", 2);
	assert_int_equal(stat_path("/data/x", false), 0);
	assert_int_equal(f.length, 77);
	fake_ufs_put(f.bucket, "x", 20);
	suspect_twice(f.id, "other", 1);
	assert_int_equal(stat_path("/data/x", false), 0);
	assert_int_equal(f.length, 20);
}

static void a_page_that_travels_says_nothing_of_a_suspect(
	void **state ATTR_UNUSED)
{
	const struct fake_ufs_faults slow = { .list_back_ms = 100,
					      .stat_back_ms = 500 };
	const struct list_request all = {
		0, bytes("/data"), 0, 0, true, false
	};
	struct rpc_pending p[2] = { { .fd = -1 }, { .fd = -1 } };
	struct suspect_request req;

	fake_ufs_put(f.bucket, "x", 10);
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(stat_path("/data/x", false), 0);
	req.id = f.id;
	fake_ufs_set(f.bucket, &slow);
	begin();
	f.flag = false;
	rpc_call(f.client, RPC_MASTER_METHOD(list), &p[0], &all, on_list);
	sim_run(f.loop, 50);
	fake_ufs_put(f.bucket, "x", 77); /* what was found travels yet */
	rpc_call(f.client, RPC_MASTER_METHOD(suspect), &p[1], &req, on_suspect);
	sim_run(f.loop, 3000);
	assert_int_equal(f.calls, 2);
	assert_true(f.flag);
}

/* A page answers a lookup; then the name goes and comes again while the answer
 * that nobody needs is on its way. */
static void who_comes_after_a_page_has_answered_asks_anew(
	void **state ATTR_UNUSED)
{
	const struct fake_ufs_faults slow = { .stat_back_ms = 8000 };
	struct lookup_request req = { 0, bytes("x"), 0 };
	const struct list_request all = {
		0, bytes("/data"), 0, 0, true, false
	};
	struct rpc_pending p[3] = { { .fd = -1 }, { .fd = -1 }, { .fd = -1 } };

	fake_ufs_put(f.bucket, "x", 10);
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(stat_path("/data", false), 0);
	req.parent = f.id;
	fake_ufs_set(f.bucket, &slow);
	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(lookup), &p[0], &req, on_lookup);
	sim_run(f.loop, 100);
	rpc_call(f.client, RPC_MASTER_METHOD(list), &p[1], &all, on_list);
	sim_run(f.loop, 100);
	assert_int_equal(f.calls, 2);
	fake_ufs_remove(f.bucket, "x");
	assert_int_equal(list_after("/data", 0, 0, true), 0);
	assert_int_equal(f.n, 0);
	sim_run(f.loop, 6000);
	fake_ufs_put(f.bucket, "x", 77);
	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(lookup), &p[2], &req, on_lookup);
	sim_run(f.loop, 20000);
	assert_int_equal(f.calls, 1);
	assert_int_equal(f.code, 0);
	assert_int_equal(f.length, 77);
}

static void a_refresh_of_a_name_sees_what_came_before_it(
	void **state ATTR_UNUSED)
{
	const struct fake_ufs_faults slow = { .stat_back_ms = 100 };
	const struct stat_request look = { bytes("/data/x"), true };
	struct rpc_pending p[3] = { 0 };
	uint64_t stats;
	size_t i;

	fake_ufs_put(f.bucket, "x", 1);
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(stat_path("/data/x", false), 0);
	fake_ufs_set(f.bucket, &slow);
	stats = n_stats();
	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(stat), &p[0], &look, on_stat);
	sim_run(f.loop, 50);
	fake_ufs_put(f.bucket, "x", 77); /* what was found travels yet */
	for (i = 1; i < ARRAY_SIZE(p); i++)
		rpc_call(f.client, RPC_MASTER_METHOD(stat), &p[i], &look,
			 on_stat);
	sim_run(f.loop, 1000);
	assert_int_equal(f.calls, 3);
	assert_int_equal(f.code, 0);
	assert_int_equal(f.length, 77);
	assert_int_equal(n_stats(), stats + 2);
	assert_int_equal(stat_path("/data/x", false), 0);
	assert_int_equal(f.length, 77);
}

static void names_one_after_the_other_make_a_listing(void **state ATTR_UNUSED)
{
	uint64_t lists, stats;
	char path[32];
	int i;

	put_many(60);
	assert_int_equal(mount("/data"), 0);
	lists = n_lists();
	stats = n_stats();
	for (i = 0; i < 60; i++) {
		snprintf(path, sizeof(path), "/data/a/%03d", 59 - i);
		assert_int_equal(stat_path(path, false), 0);
		assert_int_equal(f.length, 60 - i);
	}
	assert_int_equal(n_lists(), lists + 1);
	/* the directory, two names, and what was asked meanwhile */
	assert_in_range(n_stats(), stats + 3, stats + 5);
}

static void a_large_directory_is_not_listed_by_the_way(void **state ATTR_UNUSED)
{
	const struct fake_ufs_faults small = { .page = 2 };
	uint64_t lists;
	char path[32];
	int i;

	put_many(200);
	assert_int_equal(mount("/data"), 0);
	fake_ufs_set(f.bucket, &small);
	lists = n_lists();
	for (i = 0; i < 5; i++) {
		snprintf(path, sizeof(path), "/data/a/%03d", 150 + i);
		assert_int_equal(stat_path(path, false), 0);
	}
	sim_run(f.loop, 1000);
	assert_int_equal(n_lists(), lists + 8);
	/* who asks for it gets all of it */
	assert_int_equal(list("/data/a"), 0);
	assert_int_equal(f.n, 200);
}

/* Files of /data/p/N, of which each directory has three. */
static void look_into(int dir, int from, int to)
{
	char path[32];
	int i;

	for (i = from; i <= to; i++) {
		snprintf(path, sizeof(path), "/data/p/%02d/%d", dir, i);
		assert_int_equal(stat_path(path, false), 0);
		assert_int_equal(f.length, i);
	}
	sim_run(f.loop, 1000);
}

static void put_directories(int n)
{
	char path[32];
	int i, k;

	for (i = 0; i < n; i++)
		for (k = 0; k < 3; k++) {
			snprintf(path, sizeof(path), "p/%02d/%d", i, k);
			fake_ufs_put(f.bucket, path, (uint64_t)k);
		}
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(list("/data/p"), 0);
}

static void those_beside_two_directories_are_listed(void **state ATTR_UNUSED)
{
	uint64_t lists, stats;
	int i;

	put_directories(12);
	lists = n_lists();
	look_into(3, 0, 1);
	assert_int_equal(n_lists(), lists + 1);
	look_into(7, 0, 1);
	assert_int_equal(n_lists(), lists + 2 + 8);
	stats = n_stats();
	for (i = 0; i < 12; i++)
		look_into(i, 2, 2);
	assert_int_equal(n_stats(), stats + 2);
	assert_int_equal(n_lists(), lists + 2 + 8);
}

static void files_and_mounts_are_not_listed_beside(void **state ATTR_UNUSED)
{
	uint64_t lists;

	fake_ufs_put(f.bucket, "p/file", 1);
	put_directories(3);
	assert_int_equal(mount("/data/p/mount"), 0);
	lists = n_lists();
	look_into(0, 0, 1);
	look_into(1, 0, 1);
	assert_int_equal(n_lists(), lists + 3);
}

static void a_listing_beside_ends_where_it_is_long(void **state ATTR_UNUSED)
{
	const struct fake_ufs_faults small = { .page = 3 };
	uint64_t lists;
	char path[32];
	int i;

	for (i = 0; i < 100; i++) {
		snprintf(path, sizeof(path), "p/02/x%d", i);
		fake_ufs_put(f.bucket, path, 1);
	}
	put_directories(3);
	fake_ufs_set(f.bucket, &small);
	lists = n_lists();
	look_into(0, 0, 1);
	look_into(1, 0, 1);
	assert_int_equal(n_lists(), lists + 2 + 2);
	fake_ufs_put(f.bucket, "p/new/0", 0); /* comes to an end too */
	fake_ufs_put(f.bucket, "p/new/1", 1);
	assert_int_equal(stat_path("/data/p/new/0", true), 0);
	assert_int_equal(stat_path("/data/p/new/1", true), 0);
	sim_run(f.loop, 1000);
	assert_int_equal(n_lists(), lists + 2 + 2 + 1); /* not that one again */
}

/* A listing that was given up leaves no trace: what is asked for by itself is
 * what it was found to be. */
static void a_directory_becomes_a_file_after_a_listing_that_was_given_up(
	void **state ATTR_UNUSED)
{
	const struct fake_ufs_faults small = { .page = 2 };
	char path[32];
	int i;

	put_many(200);
	fake_ufs_put(f.bucket, "a/zz/below", 1);
	assert_int_equal(mount("/data"), 0);
	fake_ufs_set(f.bucket, &small);
	assert_int_equal(stat_path("/data/a/zz/below", false), 0);
	for (i = 0; i < 5; i++) {
		snprintf(path, sizeof(path), "/data/a/%03d", 150 + i);
		assert_int_equal(stat_path(path, false), 0);
	}
	sim_run(f.loop, 1000);
	fake_ufs_remove(f.bucket, "a/zz/below");
	fake_ufs_put(f.bucket, "a/zz", 77);
	assert_int_equal(stat_path("/data/a/zz", true), 0);
	assert_true(S_ISREG(f.mode));
	assert_int_equal(f.length, 77);
	assert_int_equal(stat_path("/data/a/zz/below", false), -ENOTDIR);
	assert_int_equal(list("/data/a"), 0);
	assert_int_equal(f.n, 201);
	assert_int_equal(stat_path("/data/a/zz", false), 0);
	assert_int_equal(f.length, 77);
}

static void on_paths(struct rpc_pending *p, int code, const void *reply)
{
	const struct paths_reply *r = reply;
	size_t i, n = 0;

	end(p, code);
	for (i = 0; !code && i < r->paths.n; i++)
		n += (size_t)snprintf(f.text + n, sizeof(f.text) - n, "%.*s,",
				      (int)r->paths.at[i].len,
				      (const char *)r->paths.at[i].ptr);
}

static void files_have_their_paths_by_id(void **state ATTR_UNUSED)
{
	uint64_t ids[3] = { 1 };
	const struct paths_request req = { { ids, 3 } };

	fake_ufs_put(f.bucket, "a/b", 1);
	fake_ufs_put(f.bucket, "c", 1);
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(stat_path("/data/c", false), 0);
	ids[1] = f.id;
	fake_ufs_remove(f.bucket, "c");
	assert_int_equal(list_after("/data", 0, 0, true), 0);
	assert_int_equal(stat_path("/data/a/b", false), 0);
	ids[2] = f.id;
	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(paths), &f.pending, &req,
		 on_paths);
	assert_int_equal(await(), 0);
	assert_string_equal(f.text, "/,,/data/a/b,");
}

TEST_MAIN(
	TEST_WITH(files_have_their_paths_by_id),
	TEST_WITH(a_path_is_found_without_listing),
	TEST_WITH(a_name_is_told_with_those_behind_it),
	TEST_WITH(an_unknown_name_is_asked_for_once_a_ttl),
	TEST_WITH(a_listing_counts_as_an_answer_for_a_ttl),
	TEST_WITH(names_that_cannot_be_are_refused),
	TEST_WITH(a_changed_object_is_a_new_version),
	TEST_WITH(a_suspect_is_looked_at_again),
	TEST_WITH(a_second_suspicion_asks_only_while_the_version_is_known),
	TEST_WITH(a_page_that_travels_says_nothing_of_a_suspect),
	TEST_WITH(who_comes_after_a_page_has_answered_asks_anew),
	TEST_WITH(a_refresh_of_a_name_sees_what_came_before_it),
	TEST_WITH(names_one_after_the_other_make_a_listing),
	TEST_WITH(a_large_directory_is_not_listed_by_the_way),
	TEST_WITH(those_beside_two_directories_are_listed),
	TEST_WITH(files_and_mounts_are_not_listed_beside),
	TEST_WITH(a_listing_beside_ends_where_it_is_long),
	TEST_WITH(a_directory_becomes_a_file_after_a_listing_that_was_given_up))
