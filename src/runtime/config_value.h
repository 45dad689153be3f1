/*
 * The kinds of configuration values: each from text to a field of struct
 * config, and back to nothing.  Only config.c uses it.
 *
 * A parser answers 0, or -EINVAL with the field untouched; *why is then a
 * phrase of what is wrong, or stays NULL where "what is accepted" says it all.
 */
#pragma once

#include "runtime/config.h"

struct config_kind {
	int (*parse)(const char *text, const char *accepts, void *field,
		     const char **why);
	void (*clear)(void *field); /* NULL: owns nothing */
};

extern const struct config_kind config_kind_path, config_kind_endpoint,
	config_kind_endpoints, config_kind_addresses, config_kind_duration,
	config_kind_size, config_kind_block, config_kind_rate, config_kind_dirs,
	config_kind_choice;

/* Whether HOST:PORT can be reached from this machine alone, by the look of it:
 * 127/8, ::1 and "localhost". */
bool config_is_loopback(const char *endpoint);
