/*
 * Golden bytes: what every message and record looked like when it was released,
 * in tests/unit/wire/golden.txt, "NAME HEX" a line.
 */

#pragma once

#include <inttypes.h>
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/test.h"

/* The bytes of `name` in hexadecimal, or NULL; the caller frees them. */
static inline char *golden_line(const char *name)
{
	const char *top = getenv("top_srcdir");
	char *line = NULL, path[4096];
	size_t size = 0, len = strlen(name);
	FILE *f;

	snprintf(path, sizeof(path), "%s/tests/unit/wire/golden.txt",
		 top ? top : ".");
	f = fopen(path, "r");
	assert_non_null(f);
	while (getline(&line, &size, f) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, name, len) == 0 && line[len] == ' ') {
			memmove(line, line + len + 1, strlen(line) - len);
			fclose(f);
			return line;
		}
	}
	free(line);
	fclose(f);
	return NULL;
}

static inline char *golden_hex(const msgpack_sbuffer *b)
{
	char *hex = malloc(2 * b->size + 1);
	size_t i;

	for (i = 0; i < b->size; i++)
		sprintf(hex + 2 * i, "%02x", (uint8_t)b->data[i]);
	hex[2 * b->size] = '\0';
	return hex;
}

/* A new message is added by the line that a failure prints; the bytes of a
 * released one never change, save that fields come at the end. */
static inline void golden_compare(const char *name, const msgpack_sbuffer *b)
{
	char *hex = golden_hex(b), *want = golden_line(name);

	if (!want || strcmp(hex, want) != 0)
		fail_msg("golden.txt should have:\n%s %s", name, hex);
	free(hex);
	free(want);
}

/* Encodes and compares; then decodes, encodes again and compares. */
#define GOLDEN_CHECK(type, name, m)                                         \
	do {                                                                \
		msgpack_sbuffer once, again;                                \
		msgpack_packer pk;                                          \
		msgpack_zone zone;                                          \
		struct type back;                                           \
		struct err err;                                             \
                                                                            \
		msgpack_sbuffer_init(&once);                                \
		msgpack_sbuffer_init(&again);                               \
		msgpack_zone_init(&zone, 4096);                             \
		msgpack_packer_init(&pk, &once, msgpack_sbuffer_write);     \
		type##_encode(m, &pk);                                      \
		golden_compare(name, &once);                                \
		assert_int_equal(type##_decode(&back, once.data, once.size, \
					       &zone, &err),                \
				 0);                                        \
		msgpack_packer_init(&pk, &again, msgpack_sbuffer_write);    \
		type##_encode(&back, &pk);                                  \
		assert_int_equal(again.size, once.size);                    \
		assert_memory_equal(again.data, once.data, once.size);      \
		msgpack_zone_destroy(&zone);                                \
		msgpack_sbuffer_destroy(&once);                             \
		msgpack_sbuffer_destroy(&again);                            \
	} while (0)
