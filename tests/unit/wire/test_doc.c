/*
 * The tables in doc/protocol.md and doc/journal-format.md are those of the
 * source.  With the argument --write (make doc) it writes them anew.
 */

#include "lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/frame.h"
#include "wire/journal.h"
#include "wire/messages.h"

#define BEGIN "<!-- from the tables of src/wire: make doc -->\n"
#define END   "<!-- end of the tables -->\n"

static FILE *out;

static void put_kind(const char *kind)
{
	const char *array = strstr(kind, "_array");

	if (array && !array[strlen("_array")])
		fprintf(out, "array of %.*s", (int)(array - kind), kind);
	else
		fprintf(out, "%s", kind);
}

static void put_field(const char *kind, const char *name, const char **comma)
{
	fprintf(out, "%s`%s` ", *comma, name);
	put_kind(kind);
	*comma = ", ";
}

#define PUT_FIELD(kind, name) put_field(#kind, #name, &comma);
#define PUT_FIELDS(fields)                     \
	do {                                   \
		const char *comma = "";        \
                                               \
		fields(PUT_FIELD)(void) comma; \
	} while (0)

static void head(const char *title, const char *columns, const char *line)
{
	fprintf(out, "\n### %s\n\n%s\n%s\n", title, columns, line);
}

#define PUT_STRUCT(name, fields)          \
	fprintf(out, "| `%s` | ", #name); \
	PUT_FIELDS(fields);               \
	fprintf(out, " |\n");

#define PUT_CALL(number, name, req, rep)               \
	fprintf(out, "| %d | `%s` | ", number, #name); \
	PUT_FIELDS(req);                               \
	fprintf(out, " | ");                           \
	PUT_FIELDS(rep);                               \
	fprintf(out, " |\n");

#define PUT_NUMBERED(number, name, fields)             \
	fprintf(out, "| %d | `%s` | ", number, #name); \
	PUT_FIELDS(fields);                            \
	fprintf(out, " |\n");

#define PUT_ERROR(name, wire, errno_, text) \
	fprintf(out, "| %d | `ERR_%s` | %s |\n", 5000 + (wire), #name, text);

static void put_protocol(void)
{
	head("The connection's own messages", "| message | fields |",
	     "|---|---|");
	CONNECTION_MESSAGES(PUT_STRUCT)
	head("Calls to a master", "| number | call | request | reply |",
	     "|---|---|---|---|");
	MASTER_CALLS(PUT_CALL)
	head("Calls to a worker", "| number | call | request | reply |",
	     "|---|---|---|---|");
	WORKER_CALLS(PUT_CALL)
	head("Calls to any of them, and to a mountpoint's process",
	     "| number | call | request | reply |", "|---|---|---|---|");
	PROCESS_CALLS(PUT_CALL)
	head("Notices of a worker", "| number | notice | fields |",
	     "|---|---|---|");
	WORKER_NOTICES(PUT_NUMBERED)
	head("Structs in them", "| struct | fields |", "|---|---|");
	STRUCTS(PUT_STRUCT)
	head("Codes of our own", "| number | code | meaning |",
	     "|---|---|---|");
	ERR_MAP(PUT_ERROR)
	fprintf(out, "\n");
}

static void put_journal(void)
{
	head("Records", "| type | record | fields |", "|---|---|---|");
	JOURNAL_RECORDS(PUT_NUMBERED)
	head("Structs in them", "| struct | fields |", "|---|---|");
	PUT_STRUCT(stamp, JOURNAL_STAMP)
	PUT_STRUCT(found, FOUND)
	fprintf(out, "\n");
}

/* What the tables say; the caller frees it. */
static char *generate(void (*put)(void))
{
	size_t size;
	char *text;

	out = open_memstream(&text, &size);
	put();
	fclose(out);
	return text;
}

static void path_of(char path[4096], const char *name)
{
	const char *top = getenv("top_srcdir");

	snprintf(path, 4096, "%s/doc/%s", top ? top : ".", name);
}

static char *read_doc(const char *name)
{
	static char text[1 << 18];
	char path[4096];
	size_t n;
	FILE *f;

	path_of(path, name);
	f = fopen(path, "r");
	if (!f)
		return NULL;
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	return text;
}

static int write_doc(const char *name, void (*put)(void))
{
	char *text = read_doc(name), *begin, *end, *tables, path[4096];
	FILE *f;

	begin = text ? strstr(text, BEGIN) : NULL;
	end = begin ? strstr(begin, END) : NULL;
	path_of(path, name);
	if (!end) {
		fprintf(stderr, "%s: where do the tables go?\n", path);
		return 1;
	}
	tables = generate(put);
	f = fopen(path, "w");
	fprintf(f, "%.*s%s%s%s", (int)(begin - text), text, BEGIN, tables, end);
	free(tables);
	return fclose(f) ? 1 : 0;
}

static void compare(const char *name, void (*put)(void))
{
	char *text = read_doc(name), *tables = generate(put), *begin, *end;

	assert_non_null(text);
	begin = strstr(text, BEGIN);
	assert_non_null(begin);
	begin += strlen(BEGIN);
	end = strstr(begin, END);
	assert_non_null(end);
	*end = '\0';
	if (strcmp(begin, tables) != 0)
		fail_msg("doc/%s is not as the source: run `make doc`", name);
	free(tables);
}

static void the_protocols_tables_are_documented(void **state ATTR_UNUSED)
{
	compare("protocol.md", put_protocol);
}

static void the_journals_tables_are_documented(void **state ATTR_UNUSED)
{
	compare("journal-format.md", put_journal);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(the_protocols_tables_are_documented),
		TEST(the_journals_tables_are_documented),
	};

	if (argc == 2 && strcmp(argv[1], "--write") == 0)
		return write_doc("protocol.md", put_protocol) |
		       write_doc("journal-format.md", put_journal);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
