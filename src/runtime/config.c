#include "runtime/config.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/config_value.h"
#include "runtime/config_yaml.h"

#define ENV_PREFIX "ACACHED_"

extern char **environ;

/* How a key is stored; what it is stands in config_docs. */
static const struct slot {
	const struct config_kind *kind;
	size_t offset;
} slots[CONFIG_N_KEYS] = {
#define CONFIG_SLOT(name, kind, field, dflt, accepts, help) \
	{ &config_kind_##kind, offsetof(struct config, field) },
	CONFIG_KEYS(CONFIG_SLOT)
#undef CONFIG_SLOT
};

const struct config_doc config_docs[CONFIG_N_KEYS] = {
#define CONFIG_DOC(name, kind, field, dflt, accepts, help) \
	{ name, dflt, accepts, help },
	CONFIG_KEYS(CONFIG_DOC)
#undef CONFIG_DOC
};

/* What reads one source of values. */
struct reader {
	struct config *c;
	const char *file;
	bool seen[CONFIG_N_KEYS]; /* in this file */
};

static int find_key(const char *name)
{
	int i;

	for (i = 0; i < CONFIG_N_KEYS; i++)
		if (strcmp(config_docs[i].name, name) == 0)
			return i;
	return -1;
}

/* How many letters must change to make `a` of `b`; at most 64 are looked at. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[65], i, j, corner, above;
	const unsigned n = (unsigned)strnlen(b, 64);

	for (j = 0; j <= n; j++)
		row[j] = j;
	for (i = 0; a[i] && i < 64; i++) {
		corner = row[0]++;
		for (j = 0; j < n; j++) {
			above = row[j + 1];
			row[j + 1] = corner + (a[i] != b[j]);
			if (above + 1 < row[j + 1])
				row[j + 1] = above + 1;
			if (row[j] + 1 < row[j + 1])
				row[j + 1] = row[j] + 1;
			corner = above;
		}
	}
	return row[n];
}

static int refuse_key(const char *where, const char *key, struct err *err)
{
	const struct config_doc *d, *best = config_docs;

	for (d = config_docs; d < config_docs + CONFIG_N_KEYS; d++)
		if (distance(key, d->name) < distance(key, best->name))
			best = d;
	if (distance(key, best->name) <= 3)
		return err_set(err, -EINVAL,
			       "%s: %s is not a key; %s is one (all: acached "
			       "admin config --explain)",
			       where, key, best->name);
	return err_set(err, -EINVAL,
		       "%s: %s is not a key; acached admin config --explain "
		       "lists them",
		       where, key);
}

static int assign(struct config *c, int key, const char *text,
		  const char *where, struct err *err)
{
	const struct config_doc *d = &config_docs[key];
	const char *why = NULL;
	int rv;

	rv = slots[key].kind->parse(text, d->accepts,
				    (char *)c + slots[key].offset, &why);
	if (rv)
		return err_set(err, rv, "%s: %s: \"%s\" %s; give %s", where,
			       d->name, text, why ? why : "is not accepted",
			       d->accepts);
	free(c->sources[key].text);
	free(c->sources[key].where);
	c->sources[key].text = mem_str(text);
	c->sources[key].where = mem_str(where);
	return 0;
}

static bool is_key(const char *name)
{
	return find_key(name) >= 0;
}

static int set_from_file(void *owner, const char *name, const char *value,
			 unsigned line, struct err *err)
{
	struct reader *r = owner;
	const int key = find_key(name);
	char *where = mem_printf("%s:%u", r->file, line);
	int rv;

	if (key < 0)
		rv = refuse_key(where, name, err);
	else if (r->seen[key])
		rv = err_set(err, -EINVAL, "%s: %s is given twice (also %s)",
			     where, name, r->c->sources[key].where);
	else
		rv = assign(r->c, key, value, where, err);
	if (rv == 0)
		r->seen[key] = true;
	free(where);
	return rv;
}

static int load_file(struct config *c, const char *file, struct err *err)
{
	struct reader r = { .c = c, .file = file ? file : CONFIG_FILE };
	const struct config_yaml_reader yaml = { .is_key = is_key,
						 .set = set_from_file,
						 .owner = &r };
	const int rv = config_yaml_read(&yaml, r.file, err);

	return rv == -ENOENT && !file ? 0 : rv;
}

char *config_env_name(const char *key)
{
	char *name = mem_printf("%s%s", ENV_PREFIX, key), *p;

	for (p = name; *p; p++)
		*p = *p == '.' || *p == '-' ? '_'
					    : (char)toupper((unsigned char)*p);
	return name;
}

/* Whether NAME=... could be meant for a key: it begins like one. */
static bool looks_like_key(const char *name)
{
	const size_t len = strcspn(name, "=");
	const char *word;
	size_t i, n;

	for (i = 0; i < CONFIG_N_KEYS; i++) {
		word = config_docs[i].name;
		n = strcspn(word, ".");
		if (len > n + 1 && name[n] == '_' &&
		    strncasecmp(name, word, n) == 0)
			return true;
	}
	return false;
}

/* One NAME=VALUE; those that are none of ours are left alone. */
static int load_variable(struct config *c, const char *variable,
			 struct err *err)
{
	const size_t len = strcspn(variable, "=");
	int key, rv = 0;
	char *name, *env;

	if (variable[len] == '\0' ||
	    strncmp(variable, ENV_PREFIX, sizeof(ENV_PREFIX) - 1) != 0)
		return 0;
	name = mem_strn(variable, len);
	for (key = 0; key < CONFIG_N_KEYS; key++) {
		env = config_env_name(config_docs[key].name);
		if (strcmp(env, name) == 0) {
			free(env);
			break;
		}
		free(env);
	}
	if (key < CONFIG_N_KEYS)
		rv = assign(c, key, variable + len + 1, name, err);
	else if (looks_like_key(name + sizeof(ENV_PREFIX) - 1))
		rv = err_set(err, -EINVAL,
			     "%s in the environment is no key's; acached admin "
			     "config --explain lists them",
			     name);
	free(name);
	return rv;
}

static int load_environment(struct config *c, struct err *err)
{
	char **e;
	int rv = 0;

	for (e = environ; e && *e && rv == 0; e++)
		rv = load_variable(c, *e, err);
	return rv;
}

static int load_set(struct config *c, const char *set, struct err *err)
{
	const char *equals = strchr(set, '=');
	char *name;
	int key, rv;

	if (!equals)
		return err_set(err, -EINVAL,
			       "--set: \"%s\" has no =; give KEY=VALUE", set);
	name = mem_strn(set, (size_t)(equals - set));
	key = find_key(name);
	rv = key < 0 ? refuse_key("--set", name, err)
		     : assign(c, key, equals + 1, "--set", err);
	free(name);
	return rv;
}

static bool is_default(const struct config *c, int key)
{
	return strcmp(c->sources[key].where, "default") == 0;
}

/* Where a key was given, and the key. */
static int conflict(const struct config *c, int key, struct err *err,
		    const char *why)
{
	return err_set(err, -EINVAL, "%s: %s: %s", c->sources[key].where,
		       config_docs[key].name, why);
}

/* Addresses that others can reach need a key that others have. */
static int check_reach(const struct config *c, struct err *err)
{
	const struct {
		int key;
		const char *one;
		config_list list;
	} all[] = {
		{ CONFIG_AT_master_listen, NULL, c->master_listen },
		{ CONFIG_AT_worker_listen, NULL, c->worker_listen },
		{ CONFIG_AT_master_http, c->master_http, NULL },
		{ CONFIG_AT_worker_http, c->worker_http, NULL },
		{ CONFIG_AT_fuse_http, c->fuse_http, NULL },
	};
	bool near = true;
	size_t i, j;

	if (c->cluster_key_file[0] != '\0')
		return 0;
	for (i = 0; i < ARRAY_SIZE(all); i++) {
		if (all[i].one && all[i].one[0] != '\0')
			near = config_is_loopback(all[i].one);
		for (j = 0; all[i].list && all[i].list[j] && near; j++)
			near = config_is_loopback(all[i].list[j]);
		if (!near)
			return conflict(c, all[i].key, err,
					"an address beyond loopback needs "
					"cluster.key-file, the key that its "
					"clients hold too");
	}
	return 0;
}

/* One address, one use. */
static int check_twice(const struct config *c, struct err *err)
{
	static const int keys[] = { CONFIG_AT_master_listen,
				    CONFIG_AT_worker_listen,
				    CONFIG_AT_master_http,
				    CONFIG_AT_worker_http,
				    CONFIG_AT_fuse_http };
	const char *text, *port;
	size_t i, j;

	for (i = 1; i < ARRAY_SIZE(keys); i++) {
		text = c->sources[keys[i]].text;
		port = strrchr(text, ':');
		if (!port || strcmp(port, ":0") == 0)
			continue;
		for (j = 0; j < i; j++)
			if (strcmp(text, c->sources[keys[j]].text) == 0)
				return conflict(c, keys[i], err,
						"this address has another use "
						"already");
	}
	return 0;
}

static int check(const struct config *c, struct err *err)
{
	int rv;

	if (c->worker_dirs.n > 0 && !is_default(c, CONFIG_AT_worker_capacity))
		return conflict(c, CONFIG_AT_worker_capacity, err,
				"with worker.dirs each directory has its own "
				"capacity; leave this out");
	rv = check_reach(c, err);
	return rv ? rv : check_twice(c, err);
}

static int load(struct config *c, const char *file, const char *const *sets,
		struct err *err)
{
	int i, rv;

	for (i = 0; i < CONFIG_N_KEYS; i++) {
		rv = assign(c, i, config_docs[i].dflt, "default", err);
		if (rv)
			return rv;
	}
	rv = load_file(c, file, err);
	if (rv == 0)
		rv = load_environment(c, err);
	for (; sets && *sets && rv == 0; sets++)
		rv = load_set(c, *sets, err);
	return rv ? rv : check(c, err);
}

int config_load(struct config *c, const char *file, const char *const *sets,
		struct err *err)
{
	int rv;

	*c = (struct config){ 0 };
	rv = load(c, file, sets, err);
	if (rv)
		config_close(c);
	return rv;
}

void config_close(struct config *c)
{
	int i;

	for (i = 0; i < CONFIG_N_KEYS; i++) {
		if (slots[i].kind->clear)
			slots[i].kind->clear((char *)c + slots[i].offset);
		free(c->sources[i].text);
		free(c->sources[i].where);
	}
	*c = (struct config){ 0 };
}
