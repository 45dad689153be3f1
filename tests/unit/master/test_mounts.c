/* Mounts, updates of them, and their options, secret ones too. */

#include "master_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/secret.h"

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

TEST_MAIN(TEST_WITH(a_mount_shows_what_is_there),
	  TEST_WITH(an_update_changes_what_it_names_and_nothing_else),
	  TEST_WITH(an_update_that_fails_changes_nothing),
	  TEST_WITH(an_update_never_mounts_what_is_gone),
	  TEST_WITH(what_has_no_owner_gets_the_mounts),
	  TEST_WITH(a_mount_that_cannot_be_listed_is_refused),
	  TEST_WITH(the_same_uri_again_only_updates_the_options),
	  TEST_WITH(after_unmount_nothing_is_there),
	  TEST_WITH(a_late_answer_is_not_taken_for_another_mounts),
	  TEST_WITH(a_crash_while_a_mount_is_checked_harms_nothing),
	  TEST_WITH(a_secret_must_come_sealed),
	  TEST_WITH(the_dump_shows_records_without_keys),
	  TEST_WITH(a_checkpoint_has_no_key),
	  TEST_WITH(an_option_sealed_with_another_key_is_refused))
