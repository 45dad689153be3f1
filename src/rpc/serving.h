/*
 * What server.c and answer.c share: servers, their sessions and the calls that
 * are being served.
 */
#pragma once

#include <stddef.h>

#include "rpc/conn.h"
#include "rpc/server.h"

#define BODY_SMALL    256
#define MAX_LISTENERS 8

struct rpc_server {
	struct loop *loop;
	struct rpc_service service;
	struct rpc_identity identity;
	size_t request_max;
	struct out_pool outs;
	struct list sessions;
	struct list free_calls;
	unsigned n_free;
	unsigned in_flight; /* calls */
	struct listener *listeners[MAX_LISTENERS];
	unsigned n_listeners;
	bool closed;

	void (*drained)(void *owner);
	void *drained_owner;
	bool draining;
	bool telling; /* drained() is on its way */
	struct task task;
};

struct rpc_session {
	struct conn conn;
	struct rpc_server *server;
	struct list link;
	struct list calls;
	unsigned n_calls;
	size_t bytes;
	bool gone, was_ready;
};

struct rpc_call {
	struct list link;
	struct rpc_session *session;
	const struct rpc_method *method;
	uint32_t id;
	msgpack_zone zone;
	uint8_t *body;
	size_t body_len;
	uint64_t deadline_ms; /* 0: none */
	struct timer timer;
	bool cancelled;
	void (*on_cancel)(void *owner);
	void *cancel_owner;
	uint8_t small[BODY_SMALL];
	max_align_t request[];
};

/* Those of PROCESS_CALLS, by number - PROCESS_CALLS_FROM; `role` is NULL. */
extern const rpc_handler process_handlers[];

/* It has been answered. */
void call_done(struct rpc_call *call);

/* Nobody waits for its answer any more: tells who serves it, once. */
void call_cancel(struct rpc_call *call);
