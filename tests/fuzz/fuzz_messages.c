/*
 * A message that can be read is written as something that reads the same.
 *
 * The first byte says whose message it is, as in enum fuzz_family, the second
 * its number; the rest is the message.
 */

#include <assert.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "fuzz/seeds.h"
#include "wire/messages.h"

#define FUZZ_MESSAGE(msg)                                                      \
	static void fuzz_##msg(const uint8_t *data, size_t size)               \
	{                                                                      \
		msgpack_sbuffer once, again;                                   \
		struct msg m, back;                                            \
		msgpack_packer pk;                                             \
		msgpack_zone zone;                                             \
		int rv;                                                        \
                                                                               \
		msgpack_zone_init(&zone, 4096);                                \
		msgpack_sbuffer_init(&once);                                   \
		msgpack_sbuffer_init(&again);                                  \
		if (msg##_decode(&m, data, size, &zone, NULL) == 0) {          \
			msgpack_packer_init(&pk, &once,                        \
					    msgpack_sbuffer_write);            \
			msg##_encode(&m, &pk);                                 \
			rv = msg##_decode(&back, once.data, once.size, &zone,  \
					  NULL);                               \
			assert(rv == 0);                                       \
			msgpack_packer_init(&pk, &again,                       \
					    msgpack_sbuffer_write);            \
			msg##_encode(&back, &pk);                              \
			assert(again.size == once.size &&                      \
			       memcmp(again.data, once.data, once.size) == 0); \
		}                                                              \
		msgpack_sbuffer_destroy(&once);                                \
		msgpack_sbuffer_destroy(&again);                               \
		msgpack_zone_destroy(&zone);                                   \
	}

#define FUZZ_CALL(number, name, req, rep) \
	FUZZ_MESSAGE(name##_request)      \
	FUZZ_MESSAGE(name##_reply)
MASTER_CALLS(FUZZ_CALL)
WORKER_CALLS(FUZZ_CALL)
PROCESS_CALLS(FUZZ_CALL)

#define FUZZ_NOTICE(number, name, fields) FUZZ_MESSAGE(name##_notice)
WORKER_NOTICES(FUZZ_NOTICE)

#define FUZZ_CONNECTION_MESSAGE(name, fields) FUZZ_MESSAGE(name)
CONNECTION_MESSAGES(FUZZ_CONNECTION_MESSAGE)

#define REQUEST_CASE(number, name, req, rep) \
	case number:                         \
		return fuzz_##name##_request;
#define REPLY_CASE(number, name, req, rep) \
	case number:                       \
		return fuzz_##name##_reply;
#define NOTICE_CASE(number, name, fields) \
	case number:                      \
		return fuzz_##name##_notice;

typedef void (*fuzz_fn)(const uint8_t *data, size_t size);

static fuzz_fn master_request(unsigned number)
{
	switch (number) {
		MASTER_CALLS(REQUEST_CASE)
	}
	return NULL;
}

static fuzz_fn master_reply(unsigned number)
{
	switch (number) {
		MASTER_CALLS(REPLY_CASE)
	}
	return NULL;
}

static fuzz_fn worker_request(unsigned number)
{
	switch (number) {
		WORKER_CALLS(REQUEST_CASE)
	}
	return NULL;
}

static fuzz_fn worker_reply(unsigned number)
{
	switch (number) {
		WORKER_CALLS(REPLY_CASE)
	}
	return NULL;
}

static fuzz_fn process_request(unsigned number)
{
	switch (number) {
		PROCESS_CALLS(REQUEST_CASE)
	}
	return NULL;
}

static fuzz_fn process_reply(unsigned number)
{
	switch (number) {
		PROCESS_CALLS(REPLY_CASE)
	}
	return NULL;
}

static fuzz_fn worker_notice(unsigned number)
{
	switch (number) {
		WORKER_NOTICES(NOTICE_CASE)
	}
	return NULL;
}

static void connection(const uint8_t *data, size_t size)
{
#define FUZZ_ONE(name, fields) fuzz_##name(data, size);
	CONNECTION_MESSAGES(FUZZ_ONE)
}

static fuzz_fn any_connection(unsigned number)
{
	return number ? NULL : connection;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static fuzz_fn (*const families[])(unsigned number) = {
		[FUZZ_MASTER_REQUEST] = master_request,
		[FUZZ_MASTER_REPLY] = master_reply,
		[FUZZ_WORKER_REQUEST] = worker_request,
		[FUZZ_WORKER_REPLY] = worker_reply,
		[FUZZ_WORKER_NOTICE] = worker_notice,
		[FUZZ_CONNECTION] = any_connection,
		[FUZZ_PROCESS_REQUEST] = process_request,
		[FUZZ_PROCESS_REPLY] = process_reply,
	};
	fuzz_fn fuzz = NULL;

	if (size >= 2 && data[0] < sizeof(families) / sizeof(families[0]))
		fuzz = families[data[0]](data[1]);
	if (fuzz)
		fuzz(data + 2, size - 2);
	return 0;
}
