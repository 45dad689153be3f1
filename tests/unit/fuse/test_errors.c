#include "lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/errors.h"

static const struct row {
	int code, number;
	const char *name, *cause;
} rows[] = {
#define ERROR_ROW(code, number, cause) { code, number, #number, cause },
	FUSE_ERRORS(ERROR_ROW)
#undef ERROR_ROW
};

static void each_cause_has_its_errno(void **state ATTR_UNUSED)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(fuse_errno(rows[i].code), rows[i].number);
		assert_true(rows[i].number > 0);
	}
}

/* A code of the protocol that nobody thought of would be a silent EIO. */
static void each_code_of_ours_has_a_row(void **state ATTR_UNUSED)
{
	static const int codes[] = {
#define ERR_CODE(name, wire, number, text) ERR_##name,
		ERR_MAP(ERR_CODE)
#undef ERR_CODE
	};
	size_t i, k;

	for (i = 0; i < ARRAY_SIZE(codes); i++) {
		for (k = 0; k < ARRAY_SIZE(rows); k++)
			if (rows[k].code == codes[i])
				break;
		assert_true(k < ARRAY_SIZE(rows));
	}
}

static void what_nobody_thought_of_is_eio(void **state ATTR_UNUSED)
{
	assert_int_equal(fuse_errno(-EUSERS), EIO);
	assert_int_equal(fuse_errno(0), EIO);
	assert_int_equal(fuse_errno(7), EIO);
}

/* doc/errors.md has each row, with its errno and cause. */
static void the_document_says_the_same(void **state ATTR_UNUSED)
{
	const char *top = getenv("top_srcdir");
	char path[4096], want[300], *text;
	size_t i, len;
	FILE *f;

	snprintf(path, sizeof(path), "%s/doc/errors.md", top ? top : ".");
	f = fopen(path, "r");
	assert_non_null(f);
	text = calloc(1, 64 << 10);
	len = fread(text, 1, (64 << 10) - 1, f);
	assert_true(len > 0);
	fclose(f);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		snprintf(want, sizeof(want), "| %s | %s |", rows[i].cause,
			 rows[i].name);
		if (!strstr(text, want))
			fail_msg("doc/errors.md lacks: %s", want);
	}
	free(text);
}

TEST_MAIN(TEST(each_cause_has_its_errno), TEST(each_code_of_ours_has_a_row),
	  TEST(what_nobody_thought_of_is_eio), TEST(the_document_says_the_same))
