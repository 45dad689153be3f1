#include "ufs/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { FIRST_SIZE = 256 };

void text_close(struct text *t)
{
	free(t->at);
	*t = (struct text){ 0 };
}

void text_clear(struct text *t)
{
	t->len = 0;
	if (t->at)
		t->at[0] = '\0';
}

/* Room for `more` bytes and a NUL. */
static char *reserve(struct text *t, size_t more)
{
	size_t size = t->size ? t->size : FIRST_SIZE;

	while (size < t->len + more + 1)
		size *= 2;
	if (size != t->size) {
		t->at = mem_resize(t->at, size, 1);
		t->size = size;
	}
	return t->at + t->len;
}

void text_addn(struct text *t, const void *s, size_t len)
{
	char *to = reserve(t, len);

	memcpy(to, s, len);
	to[len] = '\0';
	t->len += len;
}

void text_add(struct text *t, const char *s)
{
	text_addn(t, s, strlen(s));
}

void text_addf(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		abort();
	va_start(ap, fmt);
	vsnprintf(reserve(t, (size_t)n), (size_t)n + 1, fmt, ap);
	va_end(ap);
	t->len += (size_t)n;
}

static bool is_unreserved(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
	       c == '~';
}

void text_encode(struct text *t, const void *s, size_t len, bool path)
{
	static const char digits[] = "0123456789ABCDEF";
	const unsigned char *from = s;
	char *start = reserve(t, 3 * len), *to = start;
	size_t i;

	for (i = 0; i < len; i++) {
		if (is_unreserved(from[i]) || (path && from[i] == '/')) {
			*to++ = (char)from[i];
			continue;
		}
		*to++ = '%';
		*to++ = digits[from[i] >> 4];
		*to++ = digits[from[i] & 15];
	}
	*to = '\0';
	t->len += (size_t)(to - start);
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

size_t text_decode(char *s, size_t len, bool plus)
{
	size_t i, n = 0;

	for (i = 0; i < len; i++) {
		if (s[i] == '%' && i + 2 < len && digit(s[i + 1]) >= 0 &&
		    digit(s[i + 2]) >= 0) {
			s[n++] = (char)(digit(s[i + 1]) << 4 | digit(s[i + 2]));
			i += 2;
		} else {
			s[n++] = plus && s[i] == '+' ? ' ' : s[i];
		}
	}
	return n;
}
