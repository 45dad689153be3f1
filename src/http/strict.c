#include "http/strict.h"

#include <microhttpd.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* What was seen while walking over the headers of one request. */
struct seen {
	unsigned lengths, codings, hosts;
	unsigned status;
	const char *why;
};

static enum MHD_Result refuse(struct seen *s, unsigned status, const char *why)
{
	s->status = status;
	s->why = why;
	return MHD_NO;
}

static bool is_token(const char *s, size_t len)
{
	static const char others[] = "!#$%&'*+-.^_`|~";
	size_t i;
	char c;

	for (i = 0; i < len; i++) {
		c = s[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		      (c >= '0' && c <= '9') || (c && strchr(others, c))))
			return false;
	}
	return len > 0;
}

static bool has_control(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (((unsigned char)s[i] < ' ' && s[i] != '\t') || s[i] == 0x7f)
			return true;
	return false;
}

static bool is_number(const char *s, size_t len)
{
	return len > 0 && strspn(s, "0123456789") == len;
}

static bool is(const char *key, size_t len, const char *name)
{
	return len == strlen(name) && strncasecmp(key, name, len) == 0;
}

static enum MHD_Result look(void *owner, enum MHD_ValueKind kind,
			    const char *key, size_t key_len, const char *value,
			    size_t value_len)
{
	struct seen *s = owner;

	(void)kind;
	value = value ? value : "";
	if (!is_token(key, key_len))
		return refuse(s, 400, "bad header name\n");
	if (has_control(value, value_len))
		return refuse(s, 400, "control character in a header\n");
	if (is(key, key_len, "Content-Length")) {
		if (s->lengths++ || !is_number(value, value_len))
			return refuse(s, 400, "bad Content-Length\n");
	} else if (is(key, key_len, "Transfer-Encoding")) {
		if (s->codings++ || !is(value, value_len, "chunked"))
			return refuse(s, 501, "unknown Transfer-Encoding\n");
	} else if (is(key, key_len, "Host")) {
		if (s->hosts++)
			return refuse(s, 400, "two Hosts\n");
	}
	if (s->lengths && s->codings)
		return refuse(s, 400, "a length and a transfer coding\n");
	return MHD_YES;
}

unsigned http_strict_refusal(struct MHD_Connection *conn, const char **why)
{
	struct seen s = { 0 };

	MHD_get_connection_values_n(conn, MHD_HEADER_KIND, look, &s);
	*why = s.why;
	return s.status;
}
