/*
 * The keys and values of a YAML file, for config.c: nested maps, dotted names
 * and any mixture of both; lists come as "a, b".
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"

struct config_yaml_reader {
	/* Whether `key` is one: what is below it is its value. */
	bool (*is_key)(const char *key);
	int (*set)(void *owner, const char *key, const char *value,
		   unsigned line, struct err *err);
	void *owner;
};

/* Sets what is in `file` in its order; stops at the first that is refused.
 * -ENOENT if there is no such file. */
int config_yaml_read(const struct config_yaml_reader *r, const char *file,
		     struct err *err) MUST_CHECK;
