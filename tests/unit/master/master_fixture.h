/*
 * A master on the simulated net, a client of it, and a bucket of objects in
 * memory.  A call is made by the function of its name, which lets it end and
 * returns its code; what it answered is in `f`.
 */
#pragma once

#include "lib/test.h"

#include "lib/fake_ufs.h"
#include "lib/sim.h"
#include "lib/sim_master.h"
#include "rpc/client.h"
#include "rpc/method.h"

#define URI "fake://bucket"

struct fixture {
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
};

extern struct fixture f;
extern uint8_t key[32]; /* of the cluster */

int setup(void **state); /* a master that is ready, nothing mounted */
int teardown(void **state);

schema_str str(const char *s);
schema_bytes bytes(const char *s);

/* Before a call is made by hand, and until it has ended: its code. */
void begin(void);
int await(void);
/* For what a call is answered with: counts it and keeps its code; its text if
 * it failed. */
void end(struct rpc_pending *p, int code);
void keep_attr(const struct attr *a);
void on_mount(struct rpc_pending *p, int code, const void *reply);
void on_stat(struct rpc_pending *p, int code, const void *reply);
void on_list(struct rpc_pending *p, int code, const void *reply);

int mount_with(const char *path, const char *uri,
	       const struct mount_option *options, size_t n);
/* Inline: its name is the C library's too, which shall keep its own. */
static inline int mount(const char *path)
{
	return mount_with(path, URI, NULL, 0);
}
int unmount(const char *path);
int stat_path(const char *path, bool refresh);
int list_after(const char *path, uint64_t after, uint32_t limit, bool refresh);
int list(const char *path);
int getattr(uint64_t id);

/* What the bucket was asked for until now. */
uint64_t n_stats(void);
uint64_t n_lists(void);

/* `n` objects of the directory /a, "000" and on. */
void put_many(int n);
