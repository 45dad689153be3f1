/* frame_check() says yes only to what msgpack-c then takes without reserving
 * much more than there is. */

#include <assert.h>
#include <msgpack.h>

#include "fuzz/fuzz.h"
#include "wire/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	msgpack_object object;
	msgpack_zone zone;
	size_t off = 0;

	if (size > FRAME_HEADER_MAX || frame_check(data, size))
		return 0;
	msgpack_zone_init(&zone, 4096);
	assert(msgpack_unpack((const char *)data, size, &off, &zone, &object) !=
	       MSGPACK_UNPACK_PARSE_ERROR);
	assert(off <= size);
	msgpack_zone_destroy(&zone);
	return 0;
}
