/*
 * Puts a value into every field of a message, the same ones each time: for
 * golden bytes and for seeds of fuzzers.
 *
 * fill_NAME(&m) for each struct of wire/messages.h and wire/journal.h, made
 * from the same tables.  What it points to is valid until the next
 * fill_again().
 */

#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/journal.h"
#include "wire/messages.h"

static struct {
	uint64_t n; /* values handed out */
	size_t used;
	_Alignas(16) char room[1 << 15];
} fill;

static inline void fill_again(void)
{
	memset(&fill, 0, sizeof(fill));
}

static inline void *fill_take(size_t size)
{
	char *p = fill.room + fill.used;

	fill.used += (size + 15) / 16 * 16;
	if (fill.used > sizeof(fill.room))
		abort();
	return p;
}

static inline void fill_u32(schema_u32 *v)
{
	*v = (uint32_t)(++fill.n * 37);
}

static inline void fill_u64(schema_u64 *v)
{
	*v = ++fill.n * 0x100000001u;
}

static inline void fill_bool(schema_bool *v)
{
	fill.n++;
	*v = true;
}

static inline void fill_str(schema_str *v)
{
	char *p = fill_take(16);

	v->len = (size_t)snprintf(p, 16, "s%u", (unsigned)++fill.n);
	v->ptr = p;
}

static inline void fill_bytes(schema_bytes *v)
{
	uint8_t *p = fill_take(4);

	memcpy(p, "\0\xff/", 3);
	p[3] = (uint8_t)++fill.n;
	v->ptr = p;
	v->len = 4;
}

#define FILL_FIELD(kind, name) fill_##kind(&m->name);

#define FILL_STRUCT(name, FIELDS)                      \
	static inline void fill_##name(struct name *m) \
	{                                              \
		FIELDS(FILL_FIELD)                     \
	}

/* Two elements, filled one after the other. */
#define FILL_ARRAY(kind)                                                 \
	static inline void fill_##kind##_array(schema_##kind##_array *v) \
	{                                                                \
		schema_##kind *at = fill_take(2 * sizeof(*at));          \
                                                                         \
		fill_##kind(&at[0]);                                     \
		fill_##kind(&at[1]);                                     \
		v->at = at;                                              \
		v->n = 2;                                                \
	}

FILL_ARRAY(u32)
FILL_ARRAY(u64)
FILL_ARRAY(str)
FILL_ARRAY(bytes)
FILL_STRUCT(attr, ATTR)
FILL_STRUCT(dirent, DIRENT)
FILL_ARRAY(dirent)
FILL_STRUCT(mount_option, MOUNT_OPTION)
FILL_ARRAY(mount_option)
FILL_STRUCT(mount_info, MOUNT_INFO)
FILL_ARRAY(mount_info)
FILL_STRUCT(tier_info, TIER_INFO)
FILL_ARRAY(tier_info)
FILL_STRUCT(worker_info, WORKER_INFO)
FILL_ARRAY(worker_info)
FILL_STRUCT(file_info, FILE_INFO)
FILL_ARRAY(file_info)
FILL_STRUCT(job_info, JOB_INFO)
FILL_ARRAY(job_info)
FILL_STRUCT(named_number, NAMED_NUMBER)
FILL_ARRAY(named_number)
FILL_STRUCT(origin, ORIGIN)
FILL_STRUCT(named_text, NAMED_TEXT)
FILL_ARRAY(named_text)
FILL_STRUCT(difference, DIFFERENCE)
FILL_ARRAY(difference)
FILL_STRUCT(heat, HEAT)
FILL_ARRAY(heat)
FILL_STRUCT(found, FOUND)
FILL_ARRAY(found)
FILL_STRUCT(journal_stamp, JOURNAL_STAMP)

#define FILL_CONNECTION(name, fields) FILL_STRUCT(name, fields)
CONNECTION_MESSAGES(FILL_CONNECTION)

#define FILL_CALL(number, name, req, rep) \
	FILL_STRUCT(name##_request, req)  \
	FILL_STRUCT(name##_reply, rep)
MASTER_CALLS(FILL_CALL)
WORKER_CALLS(FILL_CALL)
PROCESS_CALLS(FILL_CALL)

#define FILL_NOTICE(number, name, fields) FILL_STRUCT(name##_notice, fields)
WORKER_NOTICES(FILL_NOTICE)

#define FILL_RECORD(number, name, fields) FILL_STRUCT(name##_record, fields)
JOURNAL_RECORDS(FILL_RECORD)

static inline void fill_journal_record(struct journal_record *r,
				       enum journal_type type)
{
	memset(r, 0, sizeof(*r));
	r->type = type;
	fill_journal_stamp(&r->stamp);
	switch (type) {
#define FILL_RECORD_CASE(number, name, fields)  \
	case JOURNAL_##name:                    \
		fill_##name##_record(&r->name); \
		break;
		JOURNAL_RECORDS(FILL_RECORD_CASE)
	}
}
