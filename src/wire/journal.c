#include "wire/journal.h"

SCHEMA_STRUCT_DEFINE(journal_stamp, JOURNAL_STAMP)
SCHEMA_STRUCT_DEFINE(found, FOUND)
SCHEMA_ARRAY_DEFINE(found)

#define RECORD_DEFINE(number, name, FIELDS) \
	SCHEMA_STRUCT_DEFINE(name##_record, FIELDS)
JOURNAL_RECORDS(RECORD_DEFINE)

void schema_put_journal_record(msgpack_packer *out,
			       const schema_journal_record *r)
{
	const schema_u32 number = r->type;

	msgpack_pack_array(out, 3);
	schema_put_u32(out, &number);
	schema_put_journal_stamp(out, &r->stamp);
	switch (r->type) {
#define RECORD_PUT(number, name, FIELDS)                   \
	case JOURNAL_##name:                               \
		schema_put_##name##_record(out, &r->name); \
		break;
		JOURNAL_RECORDS(RECORD_PUT)
	}
}

int schema_get_journal_record(struct schema_cursor *from,
			      schema_journal_record *r)
{
	struct schema_cursor c;
	schema_u32 number;
	int rv = schema_enter(from, &c);

	*r = (struct journal_record){ 0 };
	if (!rv) {
		*c.bad = "type";
		rv = schema_get_u32(&c, &number);
	}
	if (!rv)
		rv = schema_get_journal_stamp(&c, &r->stamp);
	if (rv)
		return rv;
	r->type = (enum journal_type)number;
	switch (r->type) {
#define RECORD_GET(number, name, FIELDS) \
	case JOURNAL_##name:             \
		return schema_get_##name##_record(&c, &r->name);
		JOURNAL_RECORDS(RECORD_GET)
	}
	*c.bad = "type";
	return ERR_BAD_MESSAGE;
}

SCHEMA_MESSAGE_DEFINE(journal_record)

const char *journal_type_name(unsigned number)
{
	switch (number) {
#define RECORD_NAME(number, name, FIELDS) \
	case number:                      \
		return #name;
		JOURNAL_RECORDS(RECORD_NAME)
	}
	return "?";
}
