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
#include <stdio.h>

#include "base/err.h"
#include "runtime/config_keys.h"

#define CONFIG_FILE "/etc/acached/acached.conf"

/* Bytes, or a share of the disk if percent is not 0. */
struct config_size {
	uint64_t bytes;
	unsigned percent;
};

struct config_dir {
	char *path;
	struct config_size capacity;
	char *tier; /* NULL: as its disk is */
};

/* NULL-terminated; never NULL itself. */
typedef char **config_list;

struct config_dirs {
	struct config_dir *at;
	unsigned n;
};

#define CONFIG_TYPE_path      char *
#define CONFIG_TYPE_endpoint  char *
#define CONFIG_TYPE_endpoints config_list
#define CONFIG_TYPE_addresses config_list
#define CONFIG_TYPE_duration  uint64_t /* milliseconds */
#define CONFIG_TYPE_size      struct config_size
#define CONFIG_TYPE_block     struct config_size /* never a share */
#define CONFIG_TYPE_rate      uint64_t           /* bytes a second */
#define CONFIG_TYPE_dirs      struct config_dirs
#define CONFIG_TYPE_choice    char *

enum config_key_index {
#define CONFIG_INDEX(name, kind, field, dflt, accepts, help) CONFIG_AT_##field,
	CONFIG_KEYS(CONFIG_INDEX)
#undef CONFIG_INDEX
		CONFIG_N_KEYS
};

/* As it was written, and where: "FILE:LINE", "--set", "ACACHED_..." or
 * "default". */
struct config_source {
	char *text;
	char *where;
};

struct config {
#define CONFIG_MEMBER(name, kind, field, dflt, accepts, help) \
	CONFIG_TYPE_##kind field;
	CONFIG_KEYS(CONFIG_MEMBER)
#undef CONFIG_MEMBER
	struct config_source sources[CONFIG_N_KEYS];
};

/*
 * Defaults, then `file` (NULL: CONFIG_FILE if it exists), then the environment
 * (ACACHED_WORKER_CAPACITY=...), then `sets` ("key=value", NULL-terminated, or
 * NULL).  An unknown key, a bad value or an impossible combination is refused
 * with file, line, key and what would be accepted; then `c` is empty, and needs
 * no close.
 */
int config_load(struct config *c, const char *file, const char *const *sets,
		struct err *err) MUST_CHECK;
void config_close(struct config *c);

/* Frees a list and its strings. */
void config_list_free(config_list list);

/* What a key is, for those who list them. */
struct config_doc {
	const char *name, *dflt, *accepts, *help;
};
extern const struct config_doc config_docs[CONFIG_N_KEYS];

/* "ACACHED_WORKER_CAPACITY"; the caller frees it. */
char *config_env_name(const char *key);

/* Every key with its value and where that comes from; with `explain` also what
 * it is for, what is accepted and the default. */
void config_explain(const struct config *c, FILE *out, bool explain);
void config_help(FILE *out);   /* for --help */
void config_sample(FILE *out); /* examples/acached.conf */
void config_man(FILE *out);    /* the KEYS section of acached.conf(5) */
