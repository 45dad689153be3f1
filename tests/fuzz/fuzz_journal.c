/* A record that can be read is written as something that reads the same. */

#include <assert.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "wire/journal.h"

static void write_record(msgpack_sbuffer *to, const struct journal_record *r)
{
	msgpack_packer pk;

	msgpack_sbuffer_init(to);
	msgpack_packer_init(&pk, to, msgpack_sbuffer_write);
	journal_record_encode(r, &pk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct journal_record r, back;
	msgpack_sbuffer once, again;
	msgpack_zone zone;
	struct err err;
	int rv;

	msgpack_zone_init(&zone, 4096);
	if (journal_record_decode(&r, data, size, &zone, &err) == 0) {
		write_record(&once, &r);
		rv = journal_record_decode(&back, once.data, once.size, &zone,
					   &err);
		assert(rv == 0);
		write_record(&again, &back);
		assert(again.size == once.size &&
		       memcmp(again.data, once.data, once.size) == 0);
		msgpack_sbuffer_destroy(&once);
		msgpack_sbuffer_destroy(&again);
	}
	msgpack_zone_destroy(&zone);
	return 0;
}
