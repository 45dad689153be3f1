#include "fuzz/seeds.h"

#include <string.h>

#include "wire/frame.h"
#include "wire/messages.h"

static size_t frame(uint8_t *out, unsigned kind, uint32_t number,
		    const char *body, size_t len, uint32_t payload)
{
	const struct envelope e = { .kind = kind, .id = 1, .number = number };
	size_t n = FRAME_LENGTHS + envelope_put(&e, out + FRAME_LENGTHS);

	memcpy(out + n, body, len);
	n += len;
	frame_put_lengths(out, n - FRAME_LENGTHS, payload);
	memset(out + n, 'x', payload);
	return n + payload;
}

void fuzz_seeds(fuzz_seed_fn give)
{
	uint8_t b[512];
	size_t n;

	b[0] = FUZZ_BEFORE_HELLO;
	n = 1 + frame(b + 1, FRAME_HELLO, 0, "\x93\1\1\1", 4, 0);
	give("hello", b, n);

	b[0] = FUZZ_AFTER_HELLO;
	n = 1;
	n += frame(b + n, FRAME_CALL, WORKER_CALL_open, "\x92\7\xc3", 3, 0);
	n += frame(b + n, FRAME_PING, 0, "\xc0", 1, 0);
	n += frame(b + n, FRAME_CALL, WORKER_CALL_release, "\x91\x92\1\2", 4,
		   0);
	n += frame(b + n, FRAME_CANCEL, 0, "\xc0", 1, 0);
	give("calls", b, n);

	b[0] = FUZZ_TO_CLIENT;
	n = 1;
	n += frame(b + n, FRAME_NOTICE, WORKER_NOTICE_let_go, "\x91\x91\7", 3,
		   0);
	n += frame(b + n, FRAME_REPLY, 0, "\x93\7\xc2\xc3", 4, 60);
	n += frame(b + n, FRAME_REPLY, 0, "\x90", 1, 3);
	give("reply", b, n);
	n = 1 + frame(b + 1, FRAME_ERROR, 5, "\x91\xa2no", 4, 0);
	give("error", b, n);
	n = 1 + frame(b + 1, FRAME_REFUSED, 13, "\x91\xa2no", 4, 0);
	give("refused", b, n);
}
