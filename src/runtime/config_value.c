#include "runtime/config_value.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static void clear_string(void *field)
{
	char **s = field;

	free(*s);
	*s = NULL;
}

static void set_string(void *field, const char *text)
{
	clear_string(field);
	*(char **)field = mem_str(text);
}

static int parse_path(const char *text, const char *accepts ATTR_UNUSED,
		      void *field, const char **why ATTR_UNUSED)
{
	if (text[0] != '\0' && text[0] != '/')
		return -EINVAL;
	set_string(field, text);
	return 0;
}

/* Whether `word` is one of `list`, which is separated by ", ". */
static bool is_in(const char *word, const char *list)
{
	const size_t n = strlen(word);
	size_t len;

	for (;; list += len + 2) {
		len = strcspn(list, ",");
		if (len == n && memcmp(list, word, n) == 0)
			return true;
		if (list[len] == '\0')
			return false;
	}
}

static int parse_choice(const char *text, const char *accepts, void *field,
			const char **why ATTR_UNUSED)
{
	if (!is_in(text, accepts))
		return -EINVAL;
	set_string(field, text);
	return 0;
}

/* A number and the letters behind it; false if there is no number or it does
 * not fit. */
static bool split_number(const char *text, uint64_t *n, const char **unit)
{
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	*n = strtoull(text, &end, 10);
	*unit = end;
	return errno == 0;
}

static int parse_duration(const char *text, const char *accepts ATTR_UNUSED,
			  void *field, const char **why)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = { { "ms", 1 },
		      { "s", 1000 },
		      { "m", 60000 },
		      { "h", 3600000 },
		      { "d", 86400000 } };
	const char *unit;
	uint64_t n;
	size_t i;

	if (!split_number(text, &n, &unit))
		return -EINVAL;
	if (n == 0 && *unit == '\0') {
		*(uint64_t *)field = 0;
		return 0;
	}
	if (*unit == '\0')
		*why = "has no unit";
	for (i = 0; i < ARRAY_SIZE(units); i++)
		if (strcmp(unit, units[i].name) == 0 &&
		    n <= UINT64_MAX / 1000000 / units[i].ms) {
			*(uint64_t *)field = n * units[i].ms;
			return 0;
		}
	return -EINVAL;
}

static int size_from(const char *text, struct config_size *size,
		     const char **why)
{
	static const char letters[] = "KMGT";
	const char *unit, *at;
	uint64_t n;
	unsigned shift = 0;

	if (!split_number(text, &n, &unit))
		return -EINVAL;
	if (n == 0) {
		*why = "is no room at all";
		return -EINVAL;
	}
	if (strcmp(unit, "%") == 0) {
		if (n > 100) {
			*why = "is more than the disk";
			return -EINVAL;
		}
		*size = (struct config_size){ .percent = (unsigned)n };
		return 0;
	}
	if (*unit != '\0') {
		at = strchr(letters, toupper((unsigned char)*unit));
		if (!at || unit[1] != '\0')
			return -EINVAL;
		shift = 10 * (unsigned)(at - letters + 1);
	}
	if (n > UINT64_MAX >> 1 >> shift) {
		*why = "is too large";
		return -EINVAL;
	}
	*size = (struct config_size){ .bytes = n << shift };
	return 0;
}

static int parse_size(const char *text, const char *accepts ATTR_UNUSED,
		      void *field, const char **why)
{
	return size_from(text, field, why);
}

static int parse_block(const char *text, const char *accepts ATTR_UNUSED,
		       void *field, const char **why)
{
	struct config_size size;
	int rv = size_from(text, &size, why);

	if (rv)
		return rv;
	if (size.percent || size.bytes < 1u << 20 || size.bytes > 1ULL << 32)
		return -EINVAL;
	if (size.bytes & (size.bytes - 1)) {
		*why = "is not a power of two";
		return -EINVAL;
	}
	*(struct config_size *)field = size;
	return 0;
}

static int parse_rate(const char *text, const char *accepts ATTR_UNUSED,
		      void *field, const char **why)
{
	struct config_size size;
	int rv = size_from(text, &size, why);

	if (rv)
		return rv;
	if (size.percent)
		return -EINVAL;
	*(uint64_t *)field = size.bytes;
	return 0;
}

/* HOST:PORT or [HOST]:PORT. */
static bool is_endpoint(const char *text)
{
	const char *colon = strrchr(text, ':'), *unit;
	uint64_t port;

	if (!colon || colon == text || !split_number(colon + 1, &port, &unit) ||
	    *unit != '\0' || port > 65535)
		return false;
	if (text[0] == '[')
		return colon > text + 2 && colon[-1] == ']';
	return memchr(text, ':', (size_t)(colon - text)) == NULL &&
	       text[strcspn(text, " \t/=")] == '\0';
}

static bool is_address(const char *text)
{
	if (strncmp(text, "unix:", 5) == 0)
		return text[5] == '/';
	return is_endpoint(text);
}

bool config_is_loopback(const char *endpoint)
{
	const size_t host = (size_t)(strrchr(endpoint, ':') - endpoint);

	return (strncmp(endpoint, "127.", 4) == 0 &&
		strspn(endpoint, "0123456789.") == host) ||
	       (host == 5 && memcmp(endpoint, "[::1]", 5) == 0) ||
	       (host == 9 && memcmp(endpoint, "localhost", 9) == 0);
}

static int parse_endpoint(const char *text, const char *accepts ATTR_UNUSED,
			  void *field, const char **why ATTR_UNUSED)
{
	if (text[0] != '\0' && !is_endpoint(text))
		return -EINVAL;
	set_string(field, text);
	return 0;
}

/* The words of a list separated by commas, without the blanks around them. */
static config_list split_list(const char *text)
{
	config_list list = mem_array(1, sizeof(*list));
	size_t n = 0, len, skip;

	while (text[strspn(text, " \t")] != '\0') {
		text += strspn(text, " \t");
		skip = len = strcspn(text, ",");
		while (len && isspace((unsigned char)text[len - 1]))
			len--;
		list = mem_resize(list, n + 2, sizeof(*list));
		list[n++] = mem_strn(text, len);
		list[n] = NULL;
		text += skip + (text[skip] == ',');
	}
	return list;
}

void config_list_free(config_list list)
{
	size_t i;

	for (i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

static void clear_list(void *field)
{
	config_list *list = field;

	config_list_free(*list);
	*list = NULL;
}

static int parse_list(const char *text, bool (*is_good)(const char *word),
		      void *field)
{
	config_list list = split_list(text);
	size_t i;

	for (i = 0; list[i]; i++)
		if (!is_good(list[i])) {
			config_list_free(list);
			return -EINVAL;
		}
	clear_list(field);
	*(config_list *)field = list;
	return 0;
}

static int parse_endpoints(const char *text, const char *accepts ATTR_UNUSED,
			   void *field, const char **why ATTR_UNUSED)
{
	return parse_list(text, is_endpoint, field);
}

static int parse_addresses(const char *text, const char *accepts ATTR_UNUSED,
			   void *field, const char **why ATTR_UNUSED)
{
	return parse_list(text, is_address, field);
}

static void clear_dirs(void *field)
{
	struct config_dirs *dirs = field;
	unsigned i;

	for (i = 0; i < dirs->n; i++) {
		free(dirs->at[i].path);
		free(dirs->at[i].tier);
	}
	free(dirs->at);
	*dirs = (struct config_dirs){ 0 };
}

/* Cuts ":TIER" off. */
static int cut_tier(char *size, struct config_dir *dir, const char **why)
{
	static const char *const tiers[] = { "memory", "ssd", "hdd" };
	char *colon = strchr(size, ':');
	size_t i;

	if (!colon)
		return 0;
	for (i = 0; i < ARRAY_SIZE(tiers); i++)
		if (strcmp(colon + 1, tiers[i]) == 0) {
			dir->tier = mem_str(colon + 1);
			*colon = '\0';
			return 0;
		}
	*why = "has a tier that is not memory, ssd or hdd";
	return -EINVAL;
}

/* Appends "PATH=SIZE" or "PATH=SIZE:TIER". */
static int add_dir(struct config_dirs *dirs, const char *word, const char **why)
{
	const char *equals = strrchr(word, '=');
	struct config_dir *dir;
	size_t len;
	char *size;
	int rv;

	if (word[0] != '/')
		return -EINVAL;
	if (!equals) {
		*why = "has no size";
		return -EINVAL;
	}
	dirs->at = mem_resize(dirs->at, dirs->n + 1, sizeof(*dirs->at));
	dir = &dirs->at[dirs->n];
	for (len = (size_t)(equals - word); len > 1 && word[len - 1] == '/';)
		len--;
	*dir = (struct config_dir){ .path = mem_strn(word, len) };
	dirs->n++;
	size = mem_str(equals + 1);
	rv = cut_tier(size, dir, why);
	if (!rv)
		rv = size_from(size, &dir->capacity, why);
	free(size);
	return rv;
}

/* Whether `inner` is `outer` or below it. */
static bool is_below(const char *inner, const char *outer)
{
	const size_t len = strlen(outer);

	return strncmp(inner, outer, len) == 0 &&
	       (inner[len] == '\0' || inner[len] == '/');
}

static bool overlap(const struct config_dirs *dirs)
{
	unsigned i, j;

	for (i = 0; i < dirs->n; i++)
		for (j = 0; j < dirs->n; j++)
			if (i != j &&
			    is_below(dirs->at[i].path, dirs->at[j].path))
				return true;
	return false;
}

static int parse_dirs(const char *text, const char *accepts ATTR_UNUSED,
		      void *field, const char **why)
{
	config_list list = split_list(text);
	struct config_dirs dirs = { 0 };
	int rv = 0;
	size_t i;

	for (i = 0; list[i] && rv == 0; i++)
		rv = add_dir(&dirs, list[i], why);
	config_list_free(list);
	if (rv == 0 && overlap(&dirs)) {
		*why = "names a directory twice, or one inside another";
		rv = -EINVAL;
	}
	if (rv) {
		clear_dirs(&dirs);
		return rv;
	}
	clear_dirs(field);
	*(struct config_dirs *)field = dirs;
	return 0;
}

const struct config_kind config_kind_path = { parse_path, clear_string };
const struct config_kind config_kind_choice = { parse_choice, clear_string };
const struct config_kind config_kind_endpoint = { parse_endpoint,
						  clear_string };
const struct config_kind config_kind_endpoints = { parse_endpoints,
						   clear_list };
const struct config_kind config_kind_addresses = { parse_addresses,
						   clear_list };
const struct config_kind config_kind_duration = { parse_duration, NULL };
const struct config_kind config_kind_size = { parse_size, NULL };
const struct config_kind config_kind_block = { parse_block, NULL };
const struct config_kind config_kind_rate = { parse_rate, NULL };
const struct config_kind config_kind_dirs = { parse_dirs, clear_dirs };
