#include "ufs/s3_keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/secret.h"
#include "ufs/s3_xml.h"

void s3_keys_wipe(char **s)
{
	if (*s)
		secret_wipe(*s, strlen(*s));
	free(*s);
	*s = NULL;
}

void s3_keys_close(struct s3_keys *k)
{
	s3_keys_wipe(&k->access_key);
	s3_keys_wipe(&k->secret_key);
	s3_keys_wipe(&k->session_token);
	k->expires = 0;
}

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool s3_keys_equal(const struct s3_keys *a, const struct s3_keys *b)
{
	return same(a->access_key, b->access_key) &&
	       same(a->secret_key, b->secret_key) &&
	       same(a->session_token, b->session_token);
}

static const char space[] = " \t\r\n";

/* The end of a string whose first quote is at `s`: its last quote, or NULL. */
static const char *string_end(const char *s)
{
	for (s++; *s && *s != '"'; s++)
		if (*s == '\\' && *++s == '\0')
			return NULL;
	return *s ? s : NULL;
}

/* A value without its escapes; of those, keys need none but "\/". */
static char *unescape(const char *from, const char *end)
{
	char *out = mem_alloc((size_t)(end - from) + 1), *to = out;

	for (; from < end; from++) {
		if (*from == '\\' && !strchr("/\\\"", *++from)) {
			s3_keys_wipe(&out);
			return NULL;
		}
		*to++ = *from;
	}
	return out;
}

/* The text that `name` has in an object, the caller's; NULL: none. */
static char *json_text(const char *json, const char *name)
{
	const char *end, *value;
	size_t len = strlen(name);

	while ((json = strchr(json, '"')) && (end = string_end(json))) {
		value = end + 1 + strspn(end + 1, space);
		if (*value == ':') {
			value += 1 + strspn(value + 1, space);
			if ((size_t)(end - json) == len + 1 &&
			    strncmp(json + 1, name, len) == 0 && *value == '"')
				break;
		}
		json = end + 1;
	}
	if (!json || !end)
		return NULL;
	json = value;
	end = string_end(json);
	return end ? unescape(json + 1, end) : NULL;
}

/* The text of the first element `name`; keys have nothing to decode. */
static char *xml_text(const char *xml, const char *name)
{
	char *open = mem_printf("<%s>", name);
	const char *at = strstr(xml, open);
	size_t len;

	if (at) {
		at += strlen(open);
		len = strcspn(at, "<&");
	}
	free(open);
	return at && at[len] == '<' && len ? mem_strn(at, len) : NULL;
}

static int take(struct s3_keys *k, const char *answer, const char *token,
		char *(*text)(const char *from, const char *name))
{
	char *expires = text(answer, "Expiration");

	*k = (struct s3_keys){
		.access_key = text(answer, "AccessKeyId"),
		.secret_key = text(answer, "SecretAccessKey"),
		.session_token = text(answer, token),
		.expires = expires ? s3_xml_time(expires) : 0,
	};
	free(expires);
	if (k->session_token && !k->session_token[0])
		s3_keys_wipe(&k->session_token);
	if (k->access_key && k->access_key[0] && k->secret_key &&
	    k->secret_key[0])
		return 0;
	s3_keys_close(k);
	return -EBADMSG;
}

int s3_keys_from_json(struct s3_keys *k, const char *json)
{
	return take(k, json, "Token", json_text);
}

int s3_keys_from_xml(struct s3_keys *k, const char *xml)
{
	return take(k, xml, "SessionToken", xml_text);
}
