#include "master_fixture.h"

#include <stdio.h>
#include <string.h>

struct fixture f;

uint8_t key[32] = "the key of the simulated cluster";

int setup(void **state ATTR_UNUSED)
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

int teardown(void **state ATTR_UNUSED)
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

schema_str str(const char *s)
{
	return (schema_str){ s, strlen(s) };
}

schema_bytes bytes(const char *s)
{
	return (schema_bytes){ s, strlen(s) };
}

void end(struct rpc_pending *p, int code)
{
	f.calls++;
	f.code = code;
	if (code)
		snprintf(f.text, sizeof(f.text), "%s", p->err.msg);
}

void keep_attr(const struct attr *a)
{
	f.id = a->id;
	f.length = a->length;
	f.mode = a->mode;
}

void begin(void)
{
	f.pending = (struct rpc_pending){ .fd = -1 };
	f.calls = 0;
	f.code = 1;
}

/* Lets the call end; its code. */
int await(void)
{
	int i;

	for (i = 0; i < 60000 && !f.calls; i++)
		sim_run(f.loop, 1);
	assert_int_equal(f.calls, 1);
	return f.code;
}

void on_mount(struct rpc_pending *p, int code, const void *reply)
{
	end(p, code);
	if (!code)
		f.flag = ((const struct mount_reply *)reply)->updated;
}

int mount_with(const char *path, const char *uri,
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

void on_stat(struct rpc_pending *p, int code, const void *reply)
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

int stat_path(const char *path, bool refresh)
{
	const struct stat_request req = { bytes(path), refresh };

	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(stat), &f.pending, &req, on_stat);
	return await();
}

void on_list(struct rpc_pending *p, int code, const void *reply)
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

int list_after(const char *path, uint64_t after, uint32_t limit, bool refresh)
{
	const struct list_request req = { 0,     bytes(path), after,
					  limit, refresh,     false };

	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(list), &f.pending, &req, on_list);
	return await();
}

int list(const char *path)
{
	return list_after(path, 0, 0, false);
}

static void on_getattr(struct rpc_pending *p, int code, const void *reply)
{
	end(p, code);
	if (!code)
		keep_attr(&((const struct getattr_reply *)reply)->attr);
}

int getattr(uint64_t id)
{
	const struct getattr_request req = { id };

	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(getattr), &f.pending, &req,
		 on_getattr);
	return await();
}

static void on_unmount(struct rpc_pending *p, int code,
		       const void *reply ATTR_UNUSED)
{
	end(p, code);
}

int unmount(const char *path)
{
	const struct unmount_request req = { { 9, ++f.sequence }, str(path) };

	begin();
	rpc_call(f.client, RPC_MASTER_METHOD(unmount), &f.pending, &req,
		 on_unmount);
	return await();
}

uint64_t n_stats(void)
{
	return fake_ufs_numbers(f.bucket)->stats;
}

uint64_t n_lists(void)
{
	return fake_ufs_numbers(f.bucket)->lists;
}

void put_many(int n)
{
	char name[16];
	int i;

	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "a/%03d", i);
		fake_ufs_put(f.bucket, name, (uint64_t)i + 1);
	}
}
