#include "base/path.h"

#include <string.h>

bool path_name_ok(const void *name, size_t len)
{
	const char *s = name;

	if (len == 0 || len > PATH_NAME_MAX)
		return false;
	if (s[0] == '.' && (len == 1 || (len == 2 && s[1] == '.')))
		return false;
	return !memchr(s, '/', len) && !memchr(s, '\0', len);
}

const char *path_component(const void *path, size_t path_len, size_t *at,
			   size_t *len)
{
	const char *s = path, *slash;

	while (*at < path_len && s[*at] == '/')
		(*at)++;
	*len = 0;
	if (*at == path_len)
		return NULL;
	slash = memchr(s + *at, '/', path_len - *at);
	*len = (slash ? (size_t)(slash - s) : path_len) - *at;
	return s + *at;
}

bool path_ok(const void *path, size_t len)
{
	const char *s = path, *name;
	size_t at, n;

	if (len == 0 || s[0] != '/')
		return false;
	for (at = 0; (name = path_component(path, len, &at, &n)); at += n)
		if (!path_name_ok(name, n))
			return false;
	return true;
}
