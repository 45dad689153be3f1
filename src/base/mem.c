#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

void *mem_alloc(size_t size)
{
	return must(calloc(1, size ? size : 1));
}

void *mem_array(size_t n, size_t size)
{
	return must(calloc(n ? n : 1, size ? size : 1));
}

void *mem_resize(void *old, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes))
		abort();
	return must(realloc(old, bytes ? bytes : 1));
}

void *mem_copy(const void *from, size_t size)
{
	void *to = must(malloc(size ? size : 1));

	if (size)
		memcpy(to, from, size);
	return to;
}

char *mem_strn(const char *s, size_t len)
{
	char *to = must(malloc(len + 1));

	if (len)
		memcpy(to, s, len);
	to[len] = '\0';
	return to;
}

char *mem_str(const char *s)
{
	return mem_strn(s, strlen(s));
}

char *mem_printf(const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		abort();
	return s;
}
