/*
 * Configuration: one table of keys (config_keys.h) gives the struct, the
 * parser of file, environment and --set, `acached admin config --explain`, the
 * sample file and acached.conf(5).
 *
 * The strings are the config's, until config_close().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "runtime/config_keys.h"

/* Bytes, or a share of the disk if percent is not 0. */
struct config_size {
	uint64_t bytes;
	unsigned percent;
};

struct config_dir {
	char *path;
	struct config_size capacity;
};

/* NULL-terminated. */
typedef char **config_list;

struct config_dirs {
	struct config_dir *at;
	unsigned n;
};

#define CONFIG_TYPE_string   char *
#define CONFIG_TYPE_list     config_list
#define CONFIG_TYPE_duration uint64_t /* milliseconds */
#define CONFIG_TYPE_size     struct config_size
#define CONFIG_TYPE_dirs     struct config_dirs
#define CONFIG_TYPE_number   uint64_t
#define CONFIG_TYPE_choice   char *

struct config {
#define CONFIG_MEMBER(name, kind, field, dflt, accepts, restart, help) \
	CONFIG_TYPE_##kind field;
	CONFIG_KEYS(CONFIG_MEMBER)
#undef CONFIG_MEMBER
};

/*
 * Defaults, then `file` (NULL: /etc/acached/acached.conf if it exists), then
 * the environment (ACACHED_WORKER_CAPACITY=...), then `sets` ("key=value",
 * NULL-terminated).  An unknown key, a bad value or an impossible combination
 * is refused with file, line, key and what would be accepted.
 */
int config_load(struct config *c, const char *file, const char *const *sets,
		struct err *err) MUST_CHECK;
void config_close(struct config *c);
