#include "lib/test.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "lib/fake_ufs.h"
#include "lib/sim.h"
#include "lib/sim_master.h"
#include "rpc/client.h"
#include "rpc/method.h"
#include "runtime/metrics.h"
#include "runtime/secret.h"

#define URI "fake://bucket"

/* A master, a client of it, and a bucket with a few objects. */
static struct fixture {
	struct loop *loop; /* the client's */
	struct sim_net *net;
	struct sim_master master;
	struct rpc_identity me;
	struct rpc_client *client;
	struct fake_ufs *bucket;
	uint64_t sequence;

	/* the last call's */
	struct rpc_pending pending;
	int calls, code;
	size_t n;           /* entries */
	char names[20][32]; /* of the first ones */
	uint64_t ids[20], id, length;
	uint32_t mode;
	bool flag, more;
	char text[4096];
} f;

static uint8_t key[32] = "the key of the simulated cluster";

static int setup(void **state ATTR_UNUSED)
{
	f = (struct fixture){ 0 };
	f.loop = sim_new();
	f.net = sim_net_new(1);
	sim_net_join(f.net, f.loop);
	f.bucket = fake_ufs_new(URI, 1);
	f.master.net = f.net;
	f.master.near = f.loop;
	f.master.key = key;
	sim_master_init(&f.master);
	sim_master_start(&f.master);
	sim_run(f.loop, 2000);
	assert_true(f.master.ready);
	f.me = (struct rpc_identity){ .role = RPC_CLIENT, .key = key };
	f.client = rpc_client_new(f.loop, SIM_MASTER_TCP, &f.me);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	rpc_client_close(f.client);
	sim_run(f.loop, 100);
	sim_master_stop(&f.master);
	sim_master_close(&f.master);
	fake_ufs_free(f.bucket);
	sim_net_leave(f.net, f.loop);
	sim_net_free(f.net);
	sim_free(f.loop);
	return 0;
}

static schema_str str(const char *s)
{
	return (schema_str){ s, strlen(s) };
}

static schema_bytes bytes(const char *s)
{
	return (schema_bytes){ s, strlen(s) };
}

static void end(struct rpc_pending *p, int code)
{
	f.calls++;
	f.code = code;
	if (code)
		snprintf(f.text, sizeof(f.text), "%s", p->err.msg);
}

static void keep_attr(const struct attr *a)
{
	f.id = a->id;
	f.length = a->length;
	f.mode = a->mode;
}

static void begin(void)
{
	f.pending = (struct rpc_pending){ .fd = -1 };
	f.calls = 0;
	f.code = 1;
}

/* Lets the call end; its code. */
static int await(void)
{
	int i;

	for (i = 0; i < 60000 && !f.calls; i++)
		sim_run(f.loop, 1);
	assert_int_equal(f.calls, 1);
	return f.code;
}

static void on_mount(struct rpc_pending *p, int code, const void *reply)
{
	end(p, code);
	if (!code)
		f.flag = ((const struct mount_reply *)reply)->updated;
}

static int mount_with(const char *path, const char *uri,
		      const struct mount_option *options, size_t n)
{
	const struct mount_request req = {
		.origin = { 9, ++f.sequence },
		.path = str(path),
		.uri = str(uri),
		.uid = 7,
		.gid = 8,
		.umask = 027,
		.options = { options, n },
		.check = true,
	};

	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(mount), &f.pending, &req,
		 on_mount);
	return await();
}

static int mount(const char *path)
{
	return mount_with(path, URI, NULL, 0);
}

static void on_stat(struct rpc_pending *p, int code, const void *reply)
{
	const struct stat_reply *r = reply;

	end(p, code);
	if (code)
		return;
	keep_attr(&r->attr);
	f.n = r->holders.n;
	snprintf(f.text, sizeof(f.text), "%.*s %.*s", (int)r->uri.len,
		 (const char *)r->uri.ptr, (int)r->mount_path.len,
		 r->mount_path.ptr);
}

static int stat_path(const char *path, bool refresh)
{
	const struct stat_request req = { bytes(path), refresh };

	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(stat), &f.pending, &req, on_stat);
	return await();
}

static void on_list(struct rpc_pending *p, int code, const void *reply)
{
	const struct list_reply *r = reply;
	size_t i;

	end(p, code);
	if (code)
		return;
	f.n = r->entries.n;
	f.more = r->more;
	for (i = 0; i < f.n && i < ARRAY_SIZE(f.names); i++) {
		snprintf(f.names[i], sizeof(f.names[i]), "%.*s",
			 (int)r->entries.at[i].name.len,
			 (const char *)r->entries.at[i].name.ptr);
		f.ids[i] = r->entries.at[i].attr.id;
	}
	if (f.n)
		f.id = r->entries.at[f.n - 1].attr.id;
}

static int list_after(const char *path, uint64_t after, uint32_t limit,
		      bool refresh)
{
	const struct list_request req = { 0,     bytes(path), after,
					  limit, refresh,     false };

	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(list), &f.pending, &req, on_list);
	return await();
}

static int list(const char *path)
{
	return list_after(path, 0, 0, false);
}

static void on_lookup(struct rpc_pending *p, int code, const void *reply)
{
	end(p, code);
	if (!code)
		keep_attr(&((const struct lookup_reply *)reply)->attr);
}

static int lookup(uint64_t parent, const char *name)
{
	const struct lookup_request req = { parent, bytes(name) };

	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(lookup), &f.pending, &req,
		 on_lookup);
	return await();
}

static void on_getattr(struct rpc_pending *p, int code, const void *reply)
{
	end(p, code);
	if (!code)
		keep_attr(&((const struct getattr_reply *)reply)->attr);
}

static int getattr(uint64_t id)
{
	const struct getattr_request req = { id };

	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(getattr), &f.pending, &req,
		 on_getattr);
	return await();
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

static void on_unmount(struct rpc_pending *p, int code,
		       const void *reply ATTR_UNUSED)
{
	end(p, code);
}

static int unmount(const char *path)
{
	const struct unmount_request req = { { 9, ++f.sequence }, str(path) };

	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(unmount), &f.pending, &req,
		 on_unmount);
	return await();
}

static void on_dump(struct rpc_pending *p, int code, const void *reply)
{
	const struct journal_dump_reply *r = reply;
	size_t i, n = 0;

	end(p, code);
	f.text[0] = '\0';
	for (i = 0; !code && i < r->records.n && n < sizeof(f.text); i++)
		n += (size_t)snprintf(f.text + n, sizeof(f.text) - n, "%.*s\n",
				      (int)r->records.at[i].len,
				      r->records.at[i].ptr);
}

static int dump(void)
{
	const struct journal_dump_request req = { 0 };

	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(journal_dump), &f.pending, &req,
		 on_dump);
	return await();
}

static uint64_t n_stats(void)
{
	return fake_ufs_numbers(f.bucket)->stats;
}

static uint64_t n_lists(void)
{
	return fake_ufs_numbers(f.bucket)->lists;
}

static void a_mount_shows_what_is_there(void **state ATTR_UNUSED)
{
	fake_ufs_put(f.bucket, "a/1.png", 100);
	fake_ufs_put(f.bucket, "a/2.png", 200);
	fake_ufs_put(f.bucket, "b", 5);
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(list("/data"), 0);
	assert_int_equal(f.n, 2);
	assert_false(f.more);
	assert_int_equal(list("/data/a"), 0);
	assert_int_equal(f.n, 2);
	assert_int_equal(stat_path("/data/a/2.png", false), 0);
	assert_int_equal(f.length, 200);
	assert_string_equal(f.text, URI "/a/2.png /data");
}

static void what_has_no_owner_gets_the_mounts(void **state ATTR_UNUSED)
{
	fake_ufs_put(f.bucket, "a/1.png", 100);
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(stat_path("/data/a/1.png", false), 0);
	assert_int_equal(f.mode, S_IFREG | 0640);
	assert_int_equal(stat_path("/data/a", false), 0);
	assert_int_equal(f.mode, S_IFDIR | 0750);
}

static void what_is_known_is_not_asked_for_again(void **state ATTR_UNUSED)
{
	uint64_t lists, stats;

	fake_ufs_put(f.bucket, "a/1.png", 100);
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(list("/data"), 0);
	assert_int_equal(list("/data/a"), 0);
	lists = n_lists();
	stats = n_stats();
	assert_int_equal(list("/data/a"), 0);
	assert_int_equal(stat_path("/data/a/1.png", false), 0);
	assert_int_equal(n_lists(), lists);
	assert_int_equal(n_stats(), stats);
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

static void a_refresh_sees_what_is_new_and_what_is_gone(
	void **state ATTR_UNUSED)
{
	fake_ufs_put(f.bucket, "old", 1);
	fake_ufs_put(f.bucket, "stays", 1);
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(list("/data"), 0);
	fake_ufs_remove(f.bucket, "old");
	fake_ufs_put(f.bucket, "new", 1);
	assert_int_equal(list("/data"), 0);
	assert_int_equal(f.n, 2);
	assert_int_equal(list_after("/data", 0, 0, true), 0);
	assert_int_equal(f.n, 2);
	assert_int_equal(stat_path("/data/new", false), 0);
	assert_int_equal(stat_path("/data/old", false), -ENOENT);
	assert_int_equal(stat_path("/data/stays", false), 0);
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

static void long_directories_come_in_parts(void **state ATTR_UNUSED)
{
	uint64_t after = 0;
	size_t n = 0;
	char name[16];
	int i;

	for (i = 0; i < 2500; i++) {
		snprintf(name, sizeof(name), "d/%d", i);
		fake_ufs_put(f.bucket, name, (uint64_t)i);
	}
	assert_int_equal(mount("/data"), 0);
	do {
		assert_int_equal(list_after("/data/d", after, 700, false), 0);
		assert_in_range(f.n, 1, 700);
		n += f.n;
		after = f.id;
	} while (f.more);
	assert_int_equal(n, 2500);
}

static void everybody_waits_for_one_listing(void **state ATTR_UNUSED)
{
	const struct fake_ufs_faults slow = { .min_ms = 50, .max_ms = 50 };
	const struct list_request req = {
		0, bytes("/data"), 0, 0, false, false
	};
	struct rpc_pending p[20];
	uint64_t lists;
	int i;

	fake_ufs_put(f.bucket, "x", 10);
	assert_int_equal(mount("/data"), 0);
	fake_ufs_set(f.bucket, &slow);
	lists = n_lists();
	begin();
	for (i = 0; i < 20; i++) {
		p[i] = (struct rpc_pending){ .fd = -1 };
		rpc_call(f.client, RPC_MASTER_METHOD(list), &p[i], &req,
			 on_list);
	}
	sim_run(f.loop, 1000);
	assert_int_equal(f.calls, 20);
	assert_int_equal(f.code, 0);
	assert_int_equal(n_lists(), lists + 1);
}

static void a_refresh_sees_what_came_before_it(void **state ATTR_UNUSED)
{
	const struct fake_ufs_faults slow = { .min_ms = 50,
					      .max_ms = 50,
					      .page = 1 };
	const struct list_request req = {
		0, bytes("/data"), 0, 0, false, false
	};
	const struct list_request fresh = {
		0, bytes("/data"), 0, 0, true, false
	};
	struct rpc_pending p[2] = { { .fd = -1 }, { .fd = -1 } };
	uint64_t lists;

	fake_ufs_put(f.bucket, "b", 10);
	fake_ufs_put(f.bucket, "c", 10);
	assert_int_equal(mount("/data"), 0);
	fake_ufs_set(f.bucket, &slow);
	lists = n_lists();
	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(list), &p[0], &req, on_list);
	sim_run(f.loop, 70);
	fake_ufs_put(f.bucket, "a", 10); /* behind the listing */
	rpc_call(f.client, RPC_MASTER_METHOD(list), &p[1], &fresh, on_list);
	sim_run(f.loop, 1000);
	assert_int_equal(f.calls, 2);
	assert_int_equal(f.code, 0);
	assert_int_equal(f.n, 3);
	assert_string_equal(f.names[0], "a");
	assert_int_equal(n_lists(), lists + 5);
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

/* `n` objects of the directory /a, "000" and on. */
static void put_many(int n)
{
	char name[16];
	int i;

	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "a/%03d", i);
		fake_ufs_put(f.bucket, name, (uint64_t)i + 1);
	}
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

static uint64_t n_records(void)
{
	return metric_value(METRIC_journal_records);
}

static void a_refresh_journals_what_differs(void **state ATTR_UNUSED)
{
	uint64_t records;

	put_many(900);
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(list("/data/a"), 0);
	sim_run(f.loop, 10000);
	records = n_records();
	assert_int_equal(list_after("/data/a", 0, 1000, true), 0);
	assert_int_equal(f.n, 900);
	assert_int_equal(n_records(), records + 1);
	/* it is known as of now, for names that are not there too */
	assert_int_equal(stat_path("/data/a/none", false), -ENOENT);
	assert_int_equal(n_records(), records + 1);

	fake_ufs_remove(f.bucket, "a/000");
	fake_ufs_remove(f.bucket, "a/899");
	fake_ufs_put(f.bucket, "a/0000", 7);
	fake_ufs_put(f.bucket, "a/500/deeper", 7); /* a file until now */
	fake_ufs_remove(f.bucket, "a/500");
	fake_ufs_put(f.bucket, "a/700", 12345);
	assert_int_equal(list_after("/data/a", 0, 1000, true), 0);
	assert_int_equal(f.n, 899);
	assert_true(n_records() <= records + 6);
	assert_int_equal(stat_path("/data/a/000", false), -ENOENT);
	assert_int_equal(stat_path("/data/a/899", false), -ENOENT);
	assert_int_equal(stat_path("/data/a/0000", false), 0);
	assert_int_equal(stat_path("/data/a/500/deeper", false), 0);
	assert_int_equal(stat_path("/data/a/700", false), 0);
	assert_int_equal(f.length, 12345);
}

/* Lists while a lookup finds what is newer than the page that is on its way;
 * `again` after it was listed once. */
static void check_older_page(bool again)
{
	const struct fake_ufs_faults slow = { .list_back_ms = 100 };
	const struct list_request req = {
		0, bytes("/data"), 0, 0, true, false
	};
	struct rpc_pending p = { .fd = -1 };

	fake_ufs_put(f.bucket, "changed", 1);
	fake_ufs_put(f.bucket, "gone", 2);
	fake_ufs_put(f.bucket, "same", 3);
	assert_int_equal(mount("/data"), 0);
	if (again)
		assert_int_equal(list("/data"), 0);
	else
		assert_int_equal(stat_path("/data/same", false), 0);
	fake_ufs_set(f.bucket, &slow);
	rpc_call(f.client, RPC_MASTER_METHOD(list), &p, &req, on_list);
	sim_run(f.loop, 50);
	fake_ufs_put(f.bucket, "changed", 10);
	fake_ufs_put(f.bucket, "new", 20);
	fake_ufs_remove(f.bucket, "gone");
	assert_int_equal(stat_path("/data/changed", true), 0);
	assert_int_equal(f.length, 10);
	assert_int_equal(stat_path("/data/new", true), 0);
	assert_int_equal(stat_path("/data/gone", true), -ENOENT);
	assert_int_equal(stat_path("/data/same", true), 0);
	begin();
	sim_run(f.loop, 1000);
	assert_int_equal(f.calls, 1); /* the listing's */
	assert_int_equal(f.code, 0);
	assert_int_equal(f.n, 3);
	assert_int_equal(stat_path("/data/changed", false), 0);
	assert_int_equal(f.length, 10);
	assert_int_equal(stat_path("/data/new", false), 0);
	assert_int_equal(stat_path("/data/gone", false), -ENOENT);
	assert_int_equal(stat_path("/data/same", false), 0);
}

static void an_older_page_takes_nothing_back(void **state ATTR_UNUSED)
{
	check_older_page(false);
}

static void an_older_page_of_a_refresh_neither(void **state ATTR_UNUSED)
{
	check_older_page(true);
}

/* A lookup that was asked before a refresh answers in its middle. */
static void check_older_lookup(bool again)
{
	const struct fake_ufs_faults slow = { .stat_back_ms = 100,
					      .list_back_ms = 70 };
	const struct stat_request look = { bytes("/data/gone"), true };
	const struct list_request all = {
		0, bytes("/data"), 0, 0, true, false
	};
	struct rpc_pending p[2] = { { .fd = -1 }, { .fd = -1 } };

	fake_ufs_put(f.bucket, "gone", 1);
	fake_ufs_put(f.bucket, "there", 1);
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(stat_path("/data/there", false), 0);
	if (again)
		assert_int_equal(list("/data"), 0);
	fake_ufs_set(f.bucket, &slow);
	rpc_call(f.client, RPC_MASTER_METHOD(stat), &p[0], &look, on_stat);
	sim_run(f.loop, 50);
	fake_ufs_remove(f.bucket, "gone"); /* what was found travels yet */
	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(list), &p[1], &all, on_list);
	sim_run(f.loop, 1000);
	assert_int_equal(f.calls, 2);
	assert_int_equal(stat_path("/data/gone", false), -ENOENT);
	assert_int_equal(list("/data"), 0);
	assert_int_equal(f.n, 1);
}

static void a_refresh_is_not_undone_by_an_older_lookup(void **state ATTR_UNUSED)
{
	check_older_lookup(false);
}

static void a_later_refresh_neither(void **state ATTR_UNUSED)
{
	check_older_lookup(true);
}

/* /data with a, b, c and d, listed. */
static void list_four(void)
{
	fake_ufs_put(f.bucket, "a", 1);
	fake_ufs_put(f.bucket, "b", 1);
	fake_ufs_put(f.bucket, "c", 1);
	fake_ufs_put(f.bucket, "d", 1);
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(list("/data"), 0);
}

/* A lookup that begins within a refresh and ends after it. */
static void a_refresh_that_has_ended_is_not_undone(void **state ATTR_UNUSED)
{
	const struct fake_ufs_faults slow = { .page = 2,
					      .list_back_ms = 50,
					      .stat_back_ms = 500 };
	const struct stat_request look = { bytes("/data/d"), true };
	const struct list_request all = {
		0, bytes("/data"), 0, 0, true, false
	};
	struct rpc_pending p[2] = { { .fd = -1 }, { .fd = -1 } };

	list_four();
	fake_ufs_set(f.bucket, &slow);
	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(list), &p[0], &all, on_list);
	sim_run(f.loop, 20);
	rpc_call(f.client, RPC_MASTER_METHOD(stat), &p[1], &look, on_stat);
	sim_run(f.loop, 20);
	fake_ufs_put(f.bucket, "d", 77); /* what was found travels yet */
	sim_run(f.loop, 100);
	assert_int_equal(f.calls, 1); /* the refresh has seen it */
	sim_run(f.loop, 5000);
	assert_int_equal(f.calls, 2);
	assert_int_equal(stat_path("/data/d", false), 0);
	assert_int_equal(f.length, 77);
}

/* What one path was found to be is on its way into the journal, while a page
 * that was asked for later says otherwise. */
static void a_later_page_is_not_undone_by_a_lookup_on_its_way(
	void **state ATTR_UNUSED)
{
	const struct fake_ufs_faults slow = { .page = 2, .list_back_ms = 50 };
	const struct stat_request look = { bytes("/data/d"), true };
	const struct list_request all = {
		0, bytes("/data"), 0, 0, true, false
	};
	struct rpc_pending p[2] = { { .fd = -1 }, { .fd = -1 } };

	list_four();
	fake_ufs_set(f.bucket, &slow);
	sim_disk_delay(f.master.disk, 500);
	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(list), &p[0], &all, on_list);
	sim_run(f.loop, 20);
	fake_ufs_fail(f.bucket, 0, 1, -ENOENT); /* renamed for a moment */
	rpc_call(f.client, RPC_MASTER_METHOD(stat), &p[1], &look, on_stat);
	sim_run(f.loop, 5000);
	assert_int_equal(f.calls, 2);
	assert_int_equal(list("/data"), 0);
	assert_int_equal(f.n, 4);
}

/* A lookup whose answer travels while a page that has the name comes, and comes
 * itself before the listing has ended. */
static void check_overtaken_lookup(const char *name, unsigned back_ms,
				   bool removed)
{
	const struct fake_ufs_faults slow = { .page = 1,
					      .list_back_ms = 50,
					      .stat_back_ms = back_ms };
	const struct list_request all = {
		0, bytes("/data"), 0, 0, true, false
	};
	struct stat_request look = { .refresh = true };
	struct rpc_pending p[2] = { { .fd = -1 }, { .fd = -1 } };
	char path[32];

	snprintf(path, sizeof(path), "/data/%s", name);
	look.path = bytes(path);
	fake_ufs_set(f.bucket, &slow);
	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(list), &p[0], &all, on_list);
	sim_run(f.loop, 30);
	rpc_call(f.client, RPC_MASTER_METHOD(stat), &p[1], &look, on_stat);
	sim_run(f.loop, 10);
	if (removed)
		fake_ufs_remove(f.bucket, name);
	else
		fake_ufs_put(f.bucket, name, 77);
	sim_run(f.loop, 5000);
	assert_int_equal(f.calls, 2);
}

static void a_page_is_not_undone_by_an_older_lookup(void **state ATTR_UNUSED)
{
	list_four();
	check_overtaken_lookup("b", 90, false);
	assert_int_equal(stat_path("/data/b", false), 0);
	assert_int_equal(f.length, 77);
}

static void a_page_of_a_first_listing_neither(void **state ATTR_UNUSED)
{
	fake_ufs_put(f.bucket, "a", 1);
	fake_ufs_put(f.bucket, "c", 1);
	fake_ufs_put(f.bucket, "d", 1);
	assert_int_equal(mount("/data"), 0);
	check_overtaken_lookup("cc", 130, false); /* it was not there */
	assert_int_equal(stat_path("/data/cc", false), 0);
	assert_int_equal(list("/data"), 0);
	assert_int_equal(f.n, 4);
}

static void a_page_that_lacks_a_name_neither(void **state ATTR_UNUSED)
{
	list_four();
	check_overtaken_lookup("b", 90, true);
	assert_int_equal(stat_path("/data/b", false), -ENOENT);
	assert_int_equal(list("/data"), 0);
	assert_int_equal(f.n, 3);
}

/* Answers take longer than pages; no more than a few may overtake one. */
static void a_lookup_waits_for_few_pages_of_a_listing(void **state ATTR_UNUSED)
{
	const struct fake_ufs_faults slow = { .page = 2,
					      .list_back_ms = 10,
					      .stat_back_ms = 50 };
	const struct stat_request look = { bytes("/data/a/150"), true };
	const struct list_request all = {
		0, bytes("/data/a"), 0, 0, true, false
	};
	struct rpc_pending p[2] = { { .fd = -1 }, { .fd = -1 } };

	put_many(200);
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(list("/data/a"), 0);
	fake_ufs_set(f.bucket, &slow);
	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(list), &p[0], &all, on_list);
	sim_run(f.loop, 5);
	rpc_call(f.client, RPC_MASTER_METHOD(stat), &p[1], &look, on_stat);
	sim_run(f.loop, 300);
	assert_int_equal(f.calls, 1); /* the lookup's */
	assert_int_equal(f.length, 151);
	sim_run(f.loop, 1200);
	assert_int_equal(f.calls, 2);
	assert_int_equal(f.code, 0);
	assert_int_equal(f.n, 200);
}

/* A line of /proc/self/status, in KiB. */
static long memory_kib(const char *key_word)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[256];
	long kib = -1;

	while (kib < 0 && fgets(line, sizeof(line), file))
		if (strncmp(line, key_word, strlen(key_word)) == 0)
			kib = atol(line + strlen(key_word) + 1);
	fclose(file);
	return kib;
}

static void forget_peak(void)
{
	FILE *file = fopen("/proc/self/clear_refs", "w");

	fputs("5", file);
	fclose(file);
}

static void a_large_listing_needs_little_memory_and_holds_up_nobody(
	void **state ATTR_UNUSED)
{
	const struct fake_ufs_faults slow = { .min_ms = 5, .max_ms = 5 };
	const struct list_request req = {
		0, bytes("/data"), 0, 1, false, false
	};
	struct rpc_pending listing = { .fd = -1 };
	struct namespace_totals t;
	int i, listed = 0;
	char name[16];

	for (i = 0; i < 100000; i++) {
		snprintf(name, sizeof(name), "%d.png", i);
		fake_ufs_put(f.bucket, name, (uint64_t)i);
	}
	assert_int_equal(mount("/data"), 0);
	fake_ufs_set(f.bucket, &slow);
	forget_peak();
	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(list), &listing, &req, on_list);
	for (i = 0; i < 40; i++) {
		sim_run(f.loop, 5);
		if (f.calls)
			break;
		/* Answers at once, while the listing goes on. */
		assert_int_equal(getattr(1), 0);
		f.calls = 0;
		listed++;
	}
	assert_true(listed > 30);
	for (i = 0; i < 10000 && !f.calls; i++)
		sim_run(f.loop, 1);
	assert_int_equal(f.code, 0);
	namespace_totals(master_namespace(f.master.master), &t);
	assert_int_equal(t.files, 100000);
	assert_true(memory_kib("VmHWM:") <= memory_kib("VmRSS:") + 32 * 1024);
}

static void a_mount_that_cannot_be_listed_is_refused(void **state ATTR_UNUSED)
{
	fake_ufs_fail(f.bucket, 0, 1, -EACCES);
	assert_int_equal(mount("/data"), -EACCES);
	assert_int_equal(stat_path("/data", false), -ENOENT);
	assert_int_equal(mount_with("/x", "nosuch://x", NULL, 0),
			 -EPROTONOSUPPORT);
}

static void the_same_uri_again_only_updates_the_options(
	void **state ATTR_UNUSED)
{
	assert_int_equal(mount("/data"), 0);
	assert_false(f.flag);
	assert_int_equal(mount("/data"), 0);
	assert_true(f.flag);
}

static void after_unmount_nothing_is_there(void **state ATTR_UNUSED)
{
	fake_ufs_put(f.bucket, "x", 10);
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(stat_path("/data/x", false), 0);
	assert_int_equal(unmount("/data"), 0);
	assert_int_equal(stat_path("/data/x", false), -ENOENT);
	assert_int_not_equal(unmount("/data"), 0);
}

/* The root keeps its id: an answer about the one is nothing about the other. */
static void a_late_answer_is_not_taken_for_another_mounts(
	void **state ATTR_UNUSED)
{
	const struct fake_ufs_faults slow = { .min_ms = 500, .max_ms = 500 };
	const struct list_request req = { 0, bytes("/"), 0, 0, false, false };
	struct fake_ufs *other = fake_ufs_new("fake://other", 1);
	struct rpc_pending late = { .fd = -1 };

	fake_ufs_put(f.bucket, "of the first", 10);
	fake_ufs_put(other, "of the second", 10);
	assert_int_equal(mount("/"), 0);
	fake_ufs_set(f.bucket, &slow);
	rpc_call(f.client, RPC_MASTER_METHOD(list), &late, &req, on_list);
	sim_run(f.loop, 100);
	assert_int_equal(unmount("/"), 0);
	assert_int_equal(mount_with("/", "fake://other", NULL, 0), 0);
	begin();
	assert_int_equal(await(), -ESTALE);
	assert_int_equal(list("/"), 0);
	assert_int_equal(f.n, 1);
	assert_string_equal(f.names[0], "of the second");
	assert_int_equal(unmount("/"), 0);
	sim_run(f.loop, 10);
	fake_ufs_free(other);
}

static void under_storage_that_fails_is_an_error_not_an_absence(
	void **state ATTR_UNUSED)
{
	fake_ufs_put(f.bucket, "x", 10);
	assert_int_equal(mount("/data"), 0);
	fake_ufs_fail(f.bucket, 0, 2, -EIO);
	assert_int_equal(stat_path("/data/x", false), -EIO);
	assert_int_equal(list("/data"), -EIO);
	assert_int_equal(stat_path("/data/x", false), 0);
	assert_int_equal(list("/data"), 0);
	assert_int_equal(f.n, 1);
}

static void a_crash_in_mid_listing_loses_nothing_that_was_said(
	void **state ATTR_UNUSED)
{
	const struct fake_ufs_faults slow = { .min_ms = 50, .max_ms = 50 };
	const struct list_request req = {
		0, bytes("/data"), 0, 0, false, false
	};
	uint64_t before;
	char name[16];
	int i;

	for (i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		fake_ufs_put(f.bucket, name, (uint64_t)i);
	}
	assert_int_equal(mount("/data"), 0);
	fake_ufs_set(f.bucket, &slow);
	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(list), &f.pending, &req, on_list);
	sim_run(f.loop, 175); /* three pages of five are known */
	before = namespace_digest(master_namespace(f.master.master));
	sim_master_crash(&f.master);
	assert_int_equal(f.calls, 1);
	assert_int_not_equal(f.code, 0);
	sim_master_start(&f.master);
	sim_run(f.loop, 2000);
	assert_true(f.master.ready);
	assert_int_equal(namespace_digest(master_namespace(f.master.master)),
			 before);
	namespace_check(master_namespace(f.master.master));
	for (i = 0, before = 0; !i || f.more; i++) {
		assert_int_equal(list_after("/data", f.id * !!i, 1000, false),
				 0);
		before += f.n;
	}
	assert_int_equal(before, 5000);
}

static void what_is_known_is_served_without_under_storage(
	void **state ATTR_UNUSED)
{
	fake_ufs_put(f.bucket, "a/x", 10);
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(list("/data"), 0);
	assert_int_equal(list("/data/a"), 0);
	sim_master_stop(&f.master);
	fake_ufs_fail(f.bucket, 0, 1000, -EHOSTUNREACH);
	sim_master_start(&f.master);
	sim_run(f.loop, 6000);
	assert_true(f.master.ready);
	assert_int_equal(list("/data/a"), 0);
	assert_int_equal(f.n, 1);
	assert_int_equal(stat_path("/data/a/x", false), 0);
	assert_int_equal(stat_path("/data/a/y", false), -EHOSTUNREACH);
}

static void on_report(struct rpc_pending *p, int code, const void *reply)
{
	const struct report_reply *r = reply;

	end(p, code);
	if (code)
		return;
	f.length = r->block_size;
	f.n = r->warnings.n;
	if (f.n)
		snprintf(f.text, sizeof(f.text), "%.*s",
			 (int)r->warnings.at[0].len, r->warnings.at[0].ptr);
}

static void report(void)
{
	const struct report_request req = { true };

	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(report), &f.pending, &req,
		 on_report);
	assert_int_equal(await(), 0);
}

static void the_block_size_is_fixed_when_the_cluster_begins(
	void **state ATTR_UNUSED)
{
	report();
	assert_int_equal(f.length, 256 << 20);
	sim_master_stop(&f.master);
	f.master.block_size = 1 << 20;
	sim_master_start(&f.master);
	sim_run(f.loop, 2000);
	report();
	assert_int_equal(f.length, 256 << 20);
	assert_non_null(strstr(f.text, "block.size is 1048576"));
}

static void a_crash_while_a_mount_is_checked_harms_nothing(
	void **state ATTR_UNUSED)
{
	const struct fake_ufs_faults slow = { .min_ms = 500, .max_ms = 500 };
	const struct mount_request req = { .path = str("/data"),
					   .uri = str(URI),
					   .check = true };

	fake_ufs_set(f.bucket, &slow);
	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(mount), &f.pending, &req,
		 on_mount);
	sim_run(f.loop, 100);
	sim_master_crash(&f.master);
	assert_int_equal(f.calls, 1);
	assert_int_not_equal(f.code, 0);
	sim_master_start(&f.master);
	sim_run(f.loop, 2000);
	assert_int_equal(stat_path("/data", false), -ENOENT);
	assert_int_equal(mount("/data"), 0);
}

static void a_secret_must_come_sealed(void **state ATTR_UNUSED)
{
	const struct mount_option open = { str("aws.secretKey"),
					   str("hunter2"),
					   { 0 } };

	assert_int_equal(mount_with("/data", URI, &open, 1), -EINVAL);
	assert_null(strstr(f.text, "hunter2"));
	assert_int_equal(dump(), 0);
	assert_null(strstr(f.text, "hunter2"));
}

static void the_dump_shows_records_without_keys(void **state ATTR_UNUSED)
{
	const char *secret = "hunter2";
	uint8_t sealed[64], purpose[SECRET_KEY_LEN];
	const struct mount_option option = {
		.key = str("aws.secretKey"),
		.sealed = { sealed, strlen(secret) + SECRET_OVERHEAD },
	};

	secret_derive(key, "options", purpose);
	secret_seal(purpose, "aws.secretKey", secret, strlen(secret), sealed);
	assert_int_equal(mount_with("/data", URI, &option, 1), 0);
	assert_int_equal(dump(), 0);
	assert_non_null(strstr(f.text, "\"record\":\"cluster\""));
	assert_non_null(strstr(f.text, "\"record\":\"mount\""));
	assert_non_null(strstr(f.text, "\"aws.secretKey\":\"(sealed)\""));
	assert_null(strstr(f.text, secret));
}

/* A checkpoint is the arena as it is. */
static void a_checkpoint_has_no_key(void **state ATTR_UNUSED)
{
	const char *secret = "hunter2";
	const void *image;
	size_t len;
	uint8_t sealed[64], purpose[SECRET_KEY_LEN];
	const struct mount_option option = {
		.key = str("aws.secretKey"),
		.sealed = { sealed, strlen(secret) + SECRET_OVERHEAD },
	};

	secret_derive(key, "options", purpose);
	secret_seal(purpose, "aws.secretKey", secret, strlen(secret), sealed);
	assert_int_equal(mount_with("/data", URI, &option, 1), 0);
	len = namespace_image(master_namespace(f.master.master), &image);
	assert_null(memmem(image, len, secret, strlen(secret)));
	assert_non_null(memmem(image, len, sealed, option.sealed.len));
}

static void an_option_sealed_with_another_key_is_refused(
	void **state ATTR_UNUSED)
{
	uint8_t sealed[64] = { 1 };
	const struct mount_option option = { .key = str("aws.secretKey"),
					     .sealed = { sealed, 50 } };

	assert_int_equal(mount_with("/data", URI, &option, 1), -EBADMSG);
	assert_non_null(strstr(f.text, "aws.secretKey"));
}

static void on_update(struct rpc_pending *p, int code, const void *reply)
{
	const struct update_mount_reply *r = reply;

	end(p, code);
	if (!code)
		snprintf(f.text, sizeof(f.text), "%.*s", (int)r->uri.len,
			 r->uri.ptr);
}

static int update(const struct update_mount_request *req)
{
	struct update_mount_request mine = *req;

	mine.origin = (struct origin){ 9, ++f.sequence };
	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(update_mount), &f.pending, &mine,
		 on_update);
	return await();
}

static void on_mounts(struct rpc_pending *p, int code, const void *reply)
{
	const struct mounts_reply *r = reply;
	size_t i, n = 0;

	end(p, code);
	f.text[0] = '\0';
	if (code || !r->mounts.n)
		return;
	n += (size_t)snprintf(f.text, sizeof(f.text), "%u:%u:%03o",
			      r->mounts.at[0].uid, r->mounts.at[0].gid,
			      r->mounts.at[0].umask);
	for (i = 0; i < r->mounts.at[0].options.n; i++) {
		const struct mount_option *o = &r->mounts.at[0].options.at[i];

		n += (size_t)snprintf(f.text + n, sizeof(f.text) - n,
				      " %.*s=%.*s", (int)o->key.len, o->key.ptr,
				      (int)o->value.len, o->value.ptr);
	}
}

static const char *first_mount(void)
{
	const struct mounts_request req = { false };

	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(mounts), &f.pending, &req,
		 on_mounts);
	assert_int_equal(await(), 0);
	return f.text;
}

static void an_update_changes_what_it_names_and_nothing_else(
	void **state ATTR_UNUSED)
{
	const struct mount_option was[] = { { str("a"), str("1"), { 0 } },
					    { str("b"), str("2"), { 0 } } };
	const struct mount_option is[] = { { str("b"), str("3"), { 0 } },
					   { str("c"), str("4"), { 0 } } };
	const schema_str a = str("a");
	struct update_mount_request req = { .path = str("/data"),
					    .options = { is, 2 },
					    .check = true };

	fake_ufs_put(f.bucket, "x", 10);
	assert_int_equal(mount_with("/data", URI, was, 2), 0);
	assert_int_equal(stat_path("/data/x", false), 0);
	assert_int_equal(update(&req), 0);
	assert_string_equal(f.text, URI);
	assert_string_equal(first_mount(), "7:8:027 a=1 b=3 c=4");
	req = (struct update_mount_request){ .path = str("/data"),
					     .unset = { &a, 1 },
					     .given = 4,
					     .umask = 077 };
	assert_int_equal(update(&req), 0);
	assert_string_equal(first_mount(), "7:8:077 b=3 c=4");
	req = (struct update_mount_request){ .path = str("/data"),
					     .options = { was, 1 },
					     .replace = true,
					     .given = 3 };
	assert_int_equal(update(&req), 0);
	assert_string_equal(first_mount(), "0:0:077 a=1");
	assert_int_equal(getattr(f.id), 0); /* what was known is */
	sim_master_stop(&f.master);
	sim_master_start(&f.master);
	sim_run(f.loop, 2000);
	assert_string_equal(first_mount(), "0:0:077 a=1");
}

static void an_update_that_fails_changes_nothing(void **state ATTR_UNUSED)
{
	const struct mount_option b = { str("b"), str("3"), { 0 } };
	const struct mount_option open = { str("aws.secretKey"),
					   str("hunter2"),
					   { 0 } };
	struct update_mount_request req = { .path = str("/data"),
					    .options = { &b, 1 },
					    .check = true };

	assert_int_equal(update(&req), -ENOENT);
	assert_string_equal(f.text, "/data: nothing is mounted there");
	assert_int_equal(mount("/data"), 0);
	fake_ufs_fail(f.bucket, 0, 1, -EACCES);
	assert_int_equal(update(&req), -EACCES);
	req.options.at = &open;
	assert_int_equal(update(&req), -EINVAL);
	assert_null(strstr(f.text, "hunter2"));
	assert_string_equal(first_mount(), "7:8:027");
}

/* It was asked for before, and is journalled after. */
static void an_update_never_mounts_what_is_gone(void **state ATTR_UNUSED)
{
	const struct fake_ufs_faults slow = { .min_ms = 500, .max_ms = 500 };
	const struct update_mount_request req = {
		.origin = { 9, 1000 },
		.path = str("/data"),
		.check = true,
	};
	struct rpc_pending late = { .fd = -1 };

	assert_int_equal(mount("/data"), 0);
	fake_ufs_set(f.bucket, &slow);
	rpc_call(f.client, RPC_MASTER_METHOD(update_mount), &late, &req,
		 on_update);
	sim_run(f.loop, 100);
	assert_int_equal(unmount("/data"), 0);
	begin();
	assert_int_equal(await(), -ENOENT);
	assert_int_equal(stat_path("/data", false), -ENOENT);
}

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

static void only_what_is_known_can_be_listed(void **state ATTR_UNUSED)
{
	const struct list_request req = { .path = bytes("/data"),
					  .known = true };
	const uint64_t before = n_lists();

	fake_ufs_put(f.bucket, "a", 1);
	fake_ufs_put(f.bucket, "b", 1);
	assert_int_equal(mount("/data"), 0);
	assert_int_equal(stat_path("/data/a", false), 0);
	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(list), &f.pending, &req, on_list);
	assert_int_equal(await(), 0);
	assert_int_equal(f.n, 1);
	assert_int_equal(n_lists(), before + 1); /* the mount's check */
}

TEST_MAIN(
	TEST_WITH(a_mount_shows_what_is_there),
	TEST_WITH(an_update_changes_what_it_names_and_nothing_else),
	TEST_WITH(an_update_that_fails_changes_nothing),
	TEST_WITH(an_update_never_mounts_what_is_gone),
	TEST_WITH(a_check_tells_what_is_otherwise),
	TEST_WITH(a_check_compares_only_what_is_known),
	TEST_WITH(a_check_passes_over_mounts_below),
	TEST_WITH(a_check_of_many_names_the_first_and_counts_the_rest),
	TEST_WITH(only_what_is_known_can_be_listed),
	TEST_WITH(files_have_their_paths_by_id),
	TEST_WITH(what_has_no_owner_gets_the_mounts),
	TEST_WITH(what_is_known_is_not_asked_for_again),
	TEST_WITH(a_path_is_found_without_listing),
	TEST_WITH(an_unknown_name_is_asked_for_once_a_ttl),
	TEST_WITH(a_listing_counts_as_an_answer_for_a_ttl),
	TEST_WITH(names_that_cannot_be_are_refused),
	TEST_WITH(a_refresh_sees_what_is_new_and_what_is_gone),
	TEST_WITH(a_changed_object_is_a_new_version),
	TEST_WITH(a_suspect_is_looked_at_again),
	TEST_WITH(long_directories_come_in_parts),
	TEST_WITH(everybody_waits_for_one_listing),
	TEST_WITH(a_refresh_sees_what_came_before_it),
	TEST_WITH(a_refresh_of_a_name_sees_what_came_before_it),
	TEST_WITH(names_one_after_the_other_make_a_listing),
	TEST_WITH(a_large_directory_is_not_listed_by_the_way),
	TEST_WITH(a_directory_becomes_a_file_after_a_listing_that_was_given_up),
	TEST_WITH(a_refresh_journals_what_differs),
	TEST_WITH(an_older_page_takes_nothing_back),
	TEST_WITH(a_refresh_is_not_undone_by_an_older_lookup),
	TEST_WITH(a_later_page_is_not_undone_by_a_lookup_on_its_way),
	TEST_WITH(a_page_is_not_undone_by_an_older_lookup),
	TEST_WITH(a_page_of_a_first_listing_neither),
	TEST_WITH(a_page_that_lacks_a_name_neither),
	TEST_WITH(a_lookup_waits_for_few_pages_of_a_listing),
	TEST_WITH(a_refresh_that_has_ended_is_not_undone),
	TEST_WITH(a_later_refresh_neither),
	TEST_WITH(an_older_page_of_a_refresh_neither),
	TEST_WITH(a_large_listing_needs_little_memory_and_holds_up_nobody),
	TEST_WITH(a_mount_that_cannot_be_listed_is_refused),
	TEST_WITH(the_same_uri_again_only_updates_the_options),
	TEST_WITH(after_unmount_nothing_is_there),
	TEST_WITH(a_late_answer_is_not_taken_for_another_mounts),
	TEST_WITH(under_storage_that_fails_is_an_error_not_an_absence),
	TEST_WITH(a_crash_in_mid_listing_loses_nothing_that_was_said),
	TEST_WITH(what_is_known_is_served_without_under_storage),
	TEST_WITH(the_block_size_is_fixed_when_the_cluster_begins),
	TEST_WITH(a_crash_while_a_mount_is_checked_harms_nothing),
	TEST_WITH(a_secret_must_come_sealed),
	TEST_WITH(the_dump_shows_records_without_keys),
	TEST_WITH(a_checkpoint_has_no_key),
	TEST_WITH(an_option_sealed_with_another_key_is_refused))
