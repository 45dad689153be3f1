/* What fuzzers start from: every message and record, filled in. */

#pragma once

#include <stddef.h>
#include <stdint.h>

/* The first byte of an input of fuzz_messages. */
enum fuzz_family {
	FUZZ_MASTER_REQUEST,
	FUZZ_MASTER_REPLY,
	FUZZ_WORKER_REQUEST,
	FUZZ_WORKER_REPLY,
	FUZZ_WORKER_NOTICE,
	FUZZ_CONNECTION,
	FUZZ_PROCESS_REQUEST,
	FUZZ_PROCESS_REPLY,
};

/* The same of fuzz_connection. */
enum fuzz_connection {
	FUZZ_BEFORE_HELLO,
	FUZZ_AFTER_HELLO,
	FUZZ_TO_CLIENT,
};

typedef void (*fuzz_seed_fn)(const char *name, const uint8_t *data,
			     size_t size);

/* Calls `give` with each seed of this program's fuzzer. */
void fuzz_seeds(fuzz_seed_fn give);
