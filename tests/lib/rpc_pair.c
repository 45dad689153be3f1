#include "lib/rpc_pair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sim.h"
#include "lib/tempdir.h"
#include "runtime/loop_uv.h"

void rpc_pair_init(struct rpc_pair *p, enum pair_kind kind)
{
	*p = (struct rpc_pair){ .kind = kind };
	memset(p->key, 7, sizeof(p->key));
	p->server_me = (struct rpc_identity){ .role = RPC_WORKER };
	p->client_me = (struct rpc_identity){ .role = RPC_CLIENT };
	p->server_me.key = p->client_me.key = p->key;
	p->dir = tempdir_make();
	if (kind == PAIR_SIM) {
		p->server_loop = sim_new();
		p->client_loop = sim_new_beside(p->server_loop);
		p->net = sim_net_new(1);
		sim_net_join(p->net, p->server_loop);
		sim_net_join(p->net, p->client_loop);
		strcpy(p->address, "unix:/worker");
		return;
	}
	p->server_loop = p->client_loop = loop_uv_new();
	transport_real_init(p->server_loop);
	if (kind == PAIR_TCP)
		strcpy(p->address, "127.0.0.1:0");
	else
		snprintf(p->address, sizeof(p->address), "unix:%s/s", p->dir);
}

void rpc_pair_start(struct rpc_pair *p, const struct rpc_service *service)
{
	struct err err;

	p->server = rpc_server_new(p->server_loop, service, &p->server_me);
	if (rpc_server_listen(p->server, p->address, p->address, &err)) {
		fprintf(stderr, "%s\n", err.msg);
		abort();
	}
	p->client = rpc_client_new(p->client_loop, p->address, &p->client_me);
}

void rpc_pair_close(struct rpc_pair *p)
{
	if (p->client)
		rpc_client_close(p->client);
	if (p->server)
		rpc_server_close(p->server);
	if (p->net) {
		sim_run(p->client_loop, 1000);
		sim_net_leave(p->net, p->client_loop);
		sim_net_leave(p->net, p->server_loop);
		sim_net_free(p->net);
		sim_free(p->client_loop);
		sim_free(p->server_loop);
	} else {
		transport_real_close(p->server_loop);
		loop_uv_free(p->server_loop);
	}
	tempdir_remove(p->dir);
}

static void on_guard(struct timer *t)
{
	struct rpc_pair *p = container_of(t, struct rpc_pair, guard);

	p->stopped = true;
}

/* It may fire before the loop waits, which must not wait then. */
static void on_tick(struct timer *t)
{
	loop_uv_stop(container_of(t, struct rpc_pair, tick)->client_loop);
}

/* One turn of the real loop, or a millisecond of the simulated ones. */
static void run_some(struct rpc_pair *p)
{
	if (p->kind == PAIR_SIM) {
		sim_run(p->client_loop, 1);
		return;
	}
	loop_timer_start(p->client_loop, &p->tick, 1, on_tick);
	loop_uv_run_once(p->client_loop);
	loop_timer_stop(&p->tick);
}

void rpc_pair_run(struct rpc_pair *p, const int *count, int n)
{
	p->stopped = false;
	loop_timer_start(p->client_loop, &p->guard, 20000, on_guard);
	while (*count != n && !p->stopped)
		run_some(p);
	loop_timer_stop(&p->guard);
	if (*count == n)
		return;
	fprintf(stderr, "waited for %d, got %d\n", n, *count);
	abort();
}

void rpc_pair_settle(struct rpc_pair *p)
{
	int i;

	for (i = 0; i < 20; i++)
		run_some(p);
}
