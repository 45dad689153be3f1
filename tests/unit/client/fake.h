/*
 * A simulated cluster of stand-ins: masters that answer a few calls, workers
 * that serve one content, each process on its own loop, and a client.
 */
#pragma once

#include "client/client.h"
#include "lib/sim_net.h"
#include "rpc/server.h"

#define FAKE_BLOCK   4096
#define FAKE_CONTENT (10 * FAKE_BLOCK + 100) /* bytes of every file */

enum { FAKE_GRANTED = 7, FAKE_GONE = 13 }; /* ids */

struct fake_node {
	struct fake *fake;
	struct loop *loop;
	struct rpc_server *server;    /* NULL: it is down */
	const char *address, *second; /* NULL: has one address */
	uint32_t id;
	struct rpc_session *session; /* the last that opened */

	bool not_leader, hold;
	bool first_is_away;  /* nobody listens there when it starts */
	uint32_t instead_of; /* of the last read */
	int calls, opens, reads, released, cancelled, lost;
	int opened_again;     /* files, as told */
	uint64_t sequence[8]; /* of mounts that came */
	int mounts;
	struct rpc_call *held;
};

struct fake {
	struct sim_net *net;
	struct loop *loop; /* the client's */
	struct fake_node master[2], worker[3];
	unsigned n_workers; /* in the set */
	uint64_t epoch;
	int set_asked;
	bool workers_know; /* the set, and tell it */
	char *dir;
	int file; /* what is granted */
	uint8_t content[FAKE_CONTENT];
	struct workpool *disk;
	struct client *client;
};

void fake_init(struct fake *f);
void fake_close(struct fake *f);

void fake_start(struct fake_node *n);
void fake_stop(struct fake_node *n);
/* Asks for the descriptor of FAKE_GRANTED back. */
void fake_let_go(struct fake_node *worker);
void fake_run(struct fake *f, uint64_t ms);
/* How many reads of `worker` all of them have served. */
int fake_reads(const struct fake *f);
