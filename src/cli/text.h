/* How things look to a person, and to JSON. */

#pragma once

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include "client/client.h"

/* "17B", "292.97KB", "1.50GB": binary units, as the old system printed them. */
void text_size(char *out, size_t size, uint64_t bytes);
/* "17", "4K", "1KB", "1.5" is none: 0, or -EINVAL. */
int text_parse_size(const char *s, uint64_t *out);
/* "11-23-2026 03:00:17:069", local time. */
void text_time(char *out, size_t size, uint64_t ms);
/* "drwxr-xr-x". */
void text_mode(char out[11], uint32_t mode);
/* The name of a user or group, or its number. */
const char *text_user(uint32_t uid);
const char *text_group(uint32_t gid);
/* Prints bytes of a name: control characters as \ooo, so that no name can
 * forge a line. */
void text_name(FILE *out, const void *name, size_t len);

schema_bytes text_bytes(const char *s);
schema_str text_str(const char *s);

/* Bytes that are no UTF-8 are replaced by U+FFFD. */
json_t *text_json(const void *s, size_t len);
#define TEXT_JSON(s) text_json((s).ptr, (s).len)
json_t *text_json_attr(const struct attr *a);
json_t *text_json_number(uint64_t n);
