/*
 * The calls of wire/messages.h as tables, by call number: what rpc/ needs to
 * encode and decode any of them.
 */
#pragma once

#include <stddef.h>

#include "wire/messages.h"

struct rpc_method {
	const char *name; /* NULL: no such call */
	unsigned number;
	size_t request_size, reply_size;
	void (*encode_request)(const void *m, msgpack_packer *out);
	int (*decode_request)(void *m, const void *buf, size_t len,
			      msgpack_zone *zone, struct err *err);
	void (*encode_reply)(const void *m, msgpack_packer *out);
	int (*decode_reply)(void *m, const void *buf, size_t len,
			    msgpack_zone *zone, struct err *err);
};

/* The same of a notice. */
struct rpc_notice {
	const char *name; /* NULL: no such notice */
	unsigned number;
	size_t size;
	int (*decode)(void *m, const void *buf, size_t len, msgpack_zone *zone,
		      struct err *err);
};

extern const struct rpc_method rpc_master_methods[];
extern const struct rpc_method rpc_worker_methods[];
extern const unsigned rpc_n_master_methods, rpc_n_worker_methods;
/* By number - PROCESS_CALLS_FROM. */
extern const struct rpc_method rpc_process_methods[];
extern const unsigned rpc_n_process_methods;

extern const struct rpc_notice rpc_worker_notices[];
extern const unsigned rpc_n_worker_notices;

/* The largest of each, for buffers that fit any. */
extern const size_t rpc_reply_max, rpc_notice_max;
