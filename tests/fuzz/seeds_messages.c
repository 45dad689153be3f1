#include "fuzz/seeds.h"

#include "lib/fill.h"

static void start(msgpack_sbuffer *to, msgpack_packer *pk,
		  enum fuzz_family family, unsigned number)
{
	const char head[2] = { (char)family, (char)number };

	fill_again();
	msgpack_sbuffer_init(to);
	msgpack_packer_init(pk, to, msgpack_sbuffer_write);
	msgpack_sbuffer_write(to, head, 2);
}

static void finish(msgpack_sbuffer *b, const char *name, fuzz_seed_fn give)
{
	give(name, (const uint8_t *)b->data, b->size);
	msgpack_sbuffer_destroy(b);
}

#define SEED(family, number, msg)               \
	do {                                    \
		struct msg m;                   \
                                                \
		start(&b, &pk, family, number); \
		fill_##msg(&m);                 \
		msg##_encode(&m, &pk);          \
		finish(&b, #msg, give);         \
	} while (0);
#define MASTER_SEEDS(number, name, req, rep)              \
	SEED(FUZZ_MASTER_REQUEST, number, name##_request) \
	SEED(FUZZ_MASTER_REPLY, number, name##_reply)
#define WORKER_SEEDS(number, name, req, rep)              \
	SEED(FUZZ_WORKER_REQUEST, number, name##_request) \
	SEED(FUZZ_WORKER_REPLY, number, name##_reply)
#define PROCESS_SEEDS(number, name, req, rep)              \
	SEED(FUZZ_PROCESS_REQUEST, number, name##_request) \
	SEED(FUZZ_PROCESS_REPLY, number, name##_reply)
#define NOTICE_SEEDS(number, name, fields) \
	SEED(FUZZ_WORKER_NOTICE, number, name##_notice)
#define CONNECTION_SEEDS(name, fields) SEED(FUZZ_CONNECTION, 0, name)

void fuzz_seeds(fuzz_seed_fn give)
{
	msgpack_sbuffer b;
	msgpack_packer pk;

	MASTER_CALLS(MASTER_SEEDS)
	WORKER_CALLS(WORKER_SEEDS)
	PROCESS_CALLS(PROCESS_SEEDS)
	WORKER_NOTICES(NOTICE_SEEDS)
	CONNECTION_MESSAGES(CONNECTION_SEEDS)
}
