#include "base/option.h"

#include <string.h>

#include "base/defs.h"

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Whether `key` has `word`, in either case, at `at`. */
static bool has_at(const char *key, size_t len, size_t at, const char *word)
{
	size_t i;

	for (i = 0; word[i]; i++)
		if (at + i >= len || lower(key[at + i]) != word[i])
			return false;
	return true;
}

static bool has(const char *key, size_t len, const char *word)
{
	size_t at;

	for (at = 0; at < len; at++)
		if (has_at(key, len, at, word))
			return true;
	return false;
}

bool option_is_secret(const char *key, size_t len)
{
	static const char *const words[] = { "key",      "secret",     "token",
					     "password", "credential", "sas" };
	size_t i;

	if (len >= 4 && has_at(key, len, len - 4, "file"))
		return false;
	for (i = 0; i < ARRAY_SIZE(words); i++)
		if (has(key, len, words[i]))
			return true;
	return false;
}
