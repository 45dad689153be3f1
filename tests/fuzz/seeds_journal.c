#include "fuzz/seeds.h"

#include "lib/fill.h"

static void seed(fuzz_seed_fn give, enum journal_type type)
{
	struct journal_record r;
	msgpack_sbuffer b;
	msgpack_packer pk;

	fill_again();
	fill_journal_record(&r, type);
	msgpack_sbuffer_init(&b);
	msgpack_packer_init(&pk, &b, msgpack_sbuffer_write);
	journal_record_encode(&r, &pk);
	give(journal_type_name(type), (const uint8_t *)b.data, b.size);
	msgpack_sbuffer_destroy(&b);
}

void fuzz_seeds(fuzz_seed_fn give)
{
#define SEED_RECORD(number, name, fields) seed(give, JOURNAL_##name);
	JOURNAL_RECORDS(SEED_RECORD)
}
