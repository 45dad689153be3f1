/* envelope_get() stays within its bytes, and what it takes is written as it
 * was; frame_check() says yes only to what msgpack-c then takes without
 * reserving much more than there is. */

#include <assert.h>
#include <msgpack.h>

#include "fuzz/fuzz.h"
#include "wire/frame.h"

static void check_envelope(const uint8_t *data, size_t size)
{
	uint8_t again[ENVELOPE_MAX];
	struct envelope e;
	size_t len;

	if (envelope_get(&e, data, size))
		return;
	assert((const uint8_t *)e.body + e.body_len == data + size);
	len = envelope_put(&e, again);
	assert(len <= size - e.body_len); /* the shortest form */
	assert(e.body_len > 0 && e.kind < 0x80);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	msgpack_object object;
	msgpack_zone zone;
	size_t off = 0;

	check_envelope(data, size);
	if (size > FRAME_HEADER_MAX || frame_check(data, size))
		return 0;
	msgpack_zone_init(&zone, 4096);
	assert(msgpack_unpack((const char *)data, size, &off, &zone, &object) !=
	       MSGPACK_UNPACK_PARSE_ERROR);
	assert(off <= size);
	msgpack_zone_destroy(&zone);
	return 0;
}
