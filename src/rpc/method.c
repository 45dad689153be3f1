#include "rpc/method.h"

/* The tables know messages as void; C wants the functions to agree. */
#define CALL_FUNCTIONS(number, name, req, rep)                                 \
	static void encode_##name##_request(const void *m,                     \
					    msgpack_packer *out)               \
	{                                                                      \
		name##_request_encode(m, out);                                 \
	}                                                                      \
	static int decode_##name##_request(void *m, const void *buf,           \
					   size_t len, msgpack_zone *zone,     \
					   struct err *err)                    \
	{                                                                      \
		return name##_request_decode(m, buf, len, zone, err);          \
	}                                                                      \
	static void encode_##name##_reply(const void *m, msgpack_packer *out)  \
	{                                                                      \
		name##_reply_encode(m, out);                                   \
	}                                                                      \
	static int decode_##name##_reply(void *m, const void *buf, size_t len, \
					 msgpack_zone *zone, struct err *err)  \
	{                                                                      \
		return name##_reply_decode(m, buf, len, zone, err);            \
	}

MASTER_CALLS(CALL_FUNCTIONS)
WORKER_CALLS(CALL_FUNCTIONS)
PROCESS_CALLS(CALL_FUNCTIONS)

#define NOTICE_FUNCTION(number, name, fields)                             \
	static int decode_##name##_notice(void *m, const void *buf,       \
					  size_t len, msgpack_zone *zone, \
					  struct err *err)                \
	{                                                                 \
		return name##_notice_decode(m, buf, len, zone, err);      \
	}

WORKER_NOTICES(NOTICE_FUNCTION)

#define ROW_AT(at, num, call)                                  \
	[at] = {                                               \
		.name = #call,                                 \
		.number = (num),                               \
		.request_size = sizeof(struct call##_request), \
		.reply_size = sizeof(struct call##_reply),     \
		.encode_request = encode_##call##_request,     \
		.decode_request = decode_##call##_request,     \
		.encode_reply = encode_##call##_reply,         \
		.decode_reply = decode_##call##_reply,         \
	},
#define CALL_ROW(num, call, req, rep) ROW_AT(num, num, call)
#define PROCESS_ROW(num, call, req, rep) \
	ROW_AT((num)-PROCESS_CALLS_FROM, num, call)

const struct rpc_method rpc_master_methods[] = { MASTER_CALLS(CALL_ROW) };
const struct rpc_method rpc_worker_methods[] = { WORKER_CALLS(CALL_ROW) };
const unsigned rpc_n_master_methods = ARRAY_SIZE(rpc_master_methods);
const unsigned rpc_n_worker_methods = ARRAY_SIZE(rpc_worker_methods);

const struct rpc_method rpc_process_methods[] = { PROCESS_CALLS(PROCESS_ROW) };
const unsigned rpc_n_process_methods = ARRAY_SIZE(rpc_process_methods);

#define NOTICE_ROW(num, notice, fields)                 \
	[num] = {                                       \
		.name = #notice,                        \
		.number = (num),                        \
		.size = sizeof(struct notice##_notice), \
		.decode = decode_##notice##_notice,     \
	},

const struct rpc_notice rpc_worker_notices[] = { WORKER_NOTICES(NOTICE_ROW) };
const unsigned rpc_n_worker_notices = ARRAY_SIZE(rpc_worker_notices);

#define REPLY_MEMBER(number, name, req, rep) struct name##_reply name;
#define NOTICE_MEMBER(number, name, fields)  struct name##_notice name;

union any_reply {
	MASTER_CALLS(REPLY_MEMBER)
	WORKER_CALLS(REPLY_MEMBER)
	PROCESS_CALLS(REPLY_MEMBER)
};

union any_notice {
	WORKER_NOTICES(NOTICE_MEMBER)
};

const size_t rpc_reply_max = sizeof(union any_reply);
const size_t rpc_notice_max = sizeof(union any_notice);
