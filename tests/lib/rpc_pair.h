/*
 * A server and a client for tests of what talks: on the simulated net, or on a
 * real loop over loopback or a unix socket.
 *
 *	ON_EACH(fn) in TEST_MAIN runs a test on all three.
 */
#pragma once

#include "lib/sim_net.h"
#include "rpc/client.h"
#include "rpc/server.h"

enum pair_kind { PAIR_SIM, PAIR_TCP, PAIR_UNIX };

struct rpc_pair {
	enum pair_kind kind;
	struct sim_net *net;
	struct loop *server_loop, *client_loop; /* the same one if real */
	char *dir;
	char address[300]; /* where the server listens */
	uint8_t key[32];
	struct rpc_identity server_me, client_me;
	struct rpc_server *server; /* may be closed by the test: NULL */
	struct rpc_client *client;

	bool stopped;
	struct timer guard, tick;
};

/* Loops and transport. */
void rpc_pair_init(struct rpc_pair *p, enum pair_kind kind);
/* The server, with `service`, and a client of it, not yet connected. */
void rpc_pair_start(struct rpc_pair *p, const struct rpc_service *service);
void rpc_pair_close(struct rpc_pair *p);

/* Runs until *count is `n`; aborts after 20 s. */
void rpc_pair_run(struct rpc_pair *p, const int *count, int n);
/* Lets everything happen that is on its way. */
void rpc_pair_settle(struct rpc_pair *p);

#define PAIR_TEST(fn, kind, name)                                         \
	{                                                                 \
#fn " " name, fn, setup, teardown, (void *)(intptr_t)kind \
	}
#define ON_EACH(fn)                               \
	PAIR_TEST(fn, PAIR_SIM, "(simulated)"),   \
		PAIR_TEST(fn, PAIR_TCP, "(tcp)"), \
		PAIR_TEST(fn, PAIR_UNIX, "(unix)")
#define PAIR_KIND(state) ((enum pair_kind)(intptr_t) * (state))
