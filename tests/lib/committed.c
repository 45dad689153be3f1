#include "lib/committed.h"

#include "lib/test.h"

#include <stdio.h>
#include <stdlib.h>

const char *committed_path(const char *name)
{
	static char path[4096];
	const char *top = getenv("top_srcdir");

	snprintf(path, sizeof(path), "%s/%s", top ? top : ".", name);
	return path;
}

char *committed_read(const char *name)
{
	FILE *f = fopen(committed_path(name), "r");
	char *text = NULL;
	size_t size = 0;

	if (f) {
		if (getdelim(&text, &size, '\0', f) < 0)
			fail_msg("%s is empty", name);
		fclose(f);
	}
	return text ? text : calloc(1, 1);
}

static void write_file(const char *name, const char *text)
{
	FILE *f = fopen(committed_path(name), "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

void committed_compare(const char *name, const char *wanted)
{
	char *is;

	if (getenv("UPDATE"))
		write_file(name, wanted);
	is = committed_read(name);
	assert_string_equal(is, wanted);
	free(is);
}
