/*
 * The simulated transport (rpc/transport.h): queues in memory between the
 * simulated loops of one clock, with delays, cuts and partitions as the seed
 * says.  The same seed gives the same run.
 *
 * Bytes arrive in order, in pieces of any size.  "unix:..." is local to
 * everybody and passes descriptors (dup); other addresses are TCP: a port of 0
 * gets one of its own.  Nothing listens on a real socket.
 */
#pragma once

#include "rpc/transport.h"

struct sim_net;

struct sim_net_faults {
	unsigned min_ms, max_ms;  /* how long a write travels */
	unsigned cut_per_million; /* writes that cut their connection instead */
};

struct sim_net *sim_net_new(uint64_t seed);
void sim_net_free(struct sim_net *net); /* everybody has left */

/* 1 ms and no cuts until it is set. */
void sim_net_set(struct sim_net *net, const struct sim_net_faults *faults);

/* Gives the loop its transport.  Up to 64 loops. */
void sim_net_join(struct sim_net *net, struct loop *l);
/* Ends what is left, like transport_real_close(). */
void sim_net_leave(struct sim_net *net, struct loop *l);

/* Cuts the connections between two loops, which may connect again. */
void sim_net_cut(struct sim_net *net, struct loop *a, struct loop *b);

/* While parted, bytes and connects between the two wait, and so does who writes
 * for `sent`; nobody is told. */
void sim_net_part(struct sim_net *net, struct loop *a, struct loop *b,
		  bool parted);

/*
 * The process of this loop has crashed: its listeners and connections are gone,
 * and nothing that it does reaches anybody any more.  Its objects can then be
 * closed in good order, to free them; then it leaves.
 */
void sim_net_crash(struct sim_net *net, struct loop *l);
