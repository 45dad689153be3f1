#include "ufs/xml_mend.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* U+FFFE and U+FFFF begin with these two bytes. */
static const char noncharacter[] = "\xef\xbf";

static bool has(const char *s, size_t len, const char two[])
{
	return memmem(s, len, two, 2) != NULL;
}

/* What begins at `s` may be forbidden, and its end is not here. */
static bool is_cut(const char *s, size_t len)
{
	if (s[0] == '&')
		return len < XML_MEND_KEPT && !memchr(s, ';', len);
	return s[0] == noncharacter[0] && len < 3 &&
	       memcmp(s, noncharacter, len < 2 ? len : 2) == 0;
}

/* How many bytes at the end are such a beginning. */
static size_t cut_tail(const char *s, size_t len)
{
	size_t n = len < XML_MEND_KEPT - 1 ? len : XML_MEND_KEPT - 1;

	for (; n; n--)
		if (is_cut(s + len - n, n))
			return n;
	return 0;
}

static bool is_forbidden(unsigned long c)
{
	return (c > 0 && c < 0x20 && c != '\t' && c != '\n' && c != '\r') ||
	       c == 0xfffe || c == 0xffff;
}

/* The forbidden character at `s` and its length; 0: none is there. */
static size_t forbidden(const char *s, size_t len, unsigned long *c)
{
	const char *end;
	char *stop;

	if (len >= 3 && memcmp(s, noncharacter, 2) == 0) {
		*c = 0xffc0 | ((uint8_t)s[2] & 0x3f);
		return is_forbidden(*c) ? 3 : 0;
	}
	if (len < 4 || s[0] != '&' || s[1] != '#')
		return 0;
	end = memchr(s, ';', len < XML_MEND_KEPT ? len : XML_MEND_KEPT);
	if (!end)
		return 0;
	*c = s[2] == 'x' ? strtoul(s + 3, &stop, 16)
			 : strtoul(s + 2, &stop, 10);
	return stop == end && is_forbidden(*c) ? (size_t)(end - s) + 1 : 0;
}

static void copy(struct text *out, const char *s, size_t len)
{
	size_t at = 0, from = 0, n;
	unsigned long c;

	while (at < len) {
		n = forbidden(s + at, len - at, &c);
		if (!n) {
			at++;
			continue;
		}
		text_addn(out, s + from, at - from);
		text_addf(out, "<?" XML_MEND_TARGET " %lx?>", c);
		at += n;
		from = at;
	}
	text_addn(out, s + from, at - from);
}

void xml_mend(struct xml_mend *m, const void **data, size_t *len)
{
	const char *s = *data;
	size_t n = *len, cut;

	if (m->n_kept) {
		text_clear(&m->in);
		text_addn(&m->in, m->kept, m->n_kept);
		text_addn(&m->in, s, n);
		s = m->in.at;
		n = m->in.len;
	}
	cut = cut_tail(s, n);
	memcpy(m->kept, s + n - cut, cut);
	m->n_kept = cut;
	n -= cut;
	if (has(s, n, "&#") || has(s, n, noncharacter)) {
		text_clear(&m->out);
		copy(&m->out, s, n);
		s = m->out.at;
		n = m->out.len;
	}
	*data = s;
	*len = n;
}

void xml_mend_reset(struct xml_mend *m)
{
	m->n_kept = 0;
}

void xml_mend_close(struct xml_mend *m)
{
	text_close(&m->in);
	text_close(&m->out);
}
