#include "master/dump.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/option.h"

#define ARRAY_SHOWN 100

/* One function for each kind of field: adds it to an object. */

static void dump_u32(json_t *o, const char *name, const schema_u32 *v)
{
	json_object_set_new(o, name, json_integer(*v));
}

/* JSON's readers have no more than 53 bits, jansson 63: larger ones are text.
 */
static void dump_u64(json_t *o, const char *name, const schema_u64 *v)
{
	char digits[24];

	if (*v < UINT64_C(1) << 53) {
		json_object_set_new(o, name, json_integer((json_int_t)*v));
		return;
	}
	snprintf(digits, sizeof(digits), "%" PRIu64, *v);
	json_object_set_new(o, name, json_string(digits));
}

static void dump_bool(json_t *o, const char *name, const schema_bool *v)
{
	json_object_set_new(o, name, json_boolean(*v));
}

/* Text if it is UTF-8, else hexadecimal. */
static json_t *text(const void *ptr, size_t len)
{
	const uint8_t *p = ptr;
	json_t *s = json_stringn(ptr ? ptr : "", len);
	char *hex;
	size_t i;

	if (s)
		return s;
	hex = mem_alloc(2 * len + 1);
	for (i = 0; i < len; i++)
		snprintf(hex + 2 * i, 3, "%02x", p[i]);
	s = json_string(hex);
	free(hex);
	return s;
}

static void dump_str(json_t *o, const char *name, const schema_str *v)
{
	json_object_set_new(o, name, text(v->ptr, v->len));
}

static void dump_bytes(json_t *o, const char *name, const schema_bytes *v)
{
	json_object_set_new(o, name, text(v->ptr, v->len));
}

static void dump_bytes_array(json_t *o, const char *name,
			     const schema_bytes_array *v)
{
	json_t *a = json_array();
	size_t i;

	for (i = 0; i < v->n && i < ARRAY_SHOWN; i++)
		json_array_append_new(a, text(v->at[i].ptr, v->at[i].len));
	json_object_set_new(o, name, a);
	json_object_set_new(o, "count", json_integer((json_int_t)v->n));
}

static void dump_found_array(json_t *o, const char *name,
			     const schema_found_array *v)
{
	json_t *a = json_array(), *e;
	const struct found *f;
	size_t i;

	for (i = 0; i < v->n && i < ARRAY_SHOWN; i++) {
		f = &v->at[i];
		e = json_object();
#define PUT(kind, field) dump_##kind(e, #field, &f->field);
		FOUND(PUT)
#undef PUT
		json_array_append_new(a, e);
	}
	json_object_set_new(o, name, a);
	json_object_set_new(o, "count", json_integer((json_int_t)v->n));
}

static void dump_mount_option_array(json_t *o, const char *name,
				    const schema_mount_option_array *v)
{
	json_t *options = json_object();
	const struct mount_option *m;
	bool secret;
	char *key;
	size_t i;

	for (i = 0; i < v->n; i++) {
		m = &v->at[i];
		secret = m->sealed.len ||
			 option_is_secret(m->key.ptr, m->key.len);
		key = mem_strn(m->key.ptr, m->key.len);
		json_object_set_new(options, key,
				    secret ? json_string("(sealed)")
					   : text(m->value.ptr, m->value.len));
		free(key);
	}
	json_object_set_new(o, name, options);
}

static void dump_fields(json_t *o, const struct journal_record *r)
{
	switch (r->type) {
#define PUT_RECORD(number, name, FIELDS)                  \
	case JOURNAL_##name: {                            \
		const struct name##_record *f = &r->name; \
		FIELDS(PUT)                               \
		break;                                    \
	}
#define PUT(kind, field) dump_##kind(o, #field, &f->field);
		JOURNAL_RECORDS(PUT_RECORD)
#undef PUT
#undef PUT_RECORD
	}
}

char *dump_record(uint64_t index, const struct journal_record *r)
{
	json_t *o = json_object();
	char *line;

	dump_u64(o, "index", &index);
	dump_u64(o, "time_ms", &r->stamp.time_ms);
	if (r->stamp.client) {
		dump_u64(o, "client", &r->stamp.client);
		dump_u64(o, "sequence", &r->stamp.sequence);
	}
	json_object_set_new(o, "record",
			    json_string(journal_type_name(r->type)));
	dump_fields(o, r);
	line = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return line;
}
