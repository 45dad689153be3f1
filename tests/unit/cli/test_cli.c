#include "lib/test.h"

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

/* What a command printed, and where. */
static struct fixture {
	struct cli cli;
	char *out, *errors;
	size_t out_len, errors_len;
	char *text; /* of completion */
	size_t text_len;
} f;

static int setup(void **state ATTR_UNUSED)
{
	f = (struct fixture){ 0 };
	f.cli.group = "fs";
	f.cli.out = open_memstream(&f.out, &f.out_len);
	f.cli.errors = open_memstream(&f.errors, &f.errors_len);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	fclose(f.cli.out);
	fclose(f.cli.errors);
	free(f.out);
	free(f.errors);
	free(f.text);
	return 0;
}

/* Runs the words of `line`; the status. */
static int run(const char *group, const char *line)
{
	char *words = strdup(line), *argv[16], *save, *word;
	int argc = 0, rv;

	for (word = strtok_r(words, " ", &save); word;
	     word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	argv[argc] = NULL;
	f.cli.group = group;
	rv = cli_main(&f.cli, argc, argv);
	fflush(f.cli.out);
	fflush(f.cli.errors);
	free(words);
	return rv;
}

static void help_shows_every_command(void **state ATTR_UNUSED)
{
	assert_int_equal(run("fs", "help"), CLI_DONE);
	assert_non_null(strstr(f.out, "  mount "));
	assert_non_null(strstr(f.out, "  explain "));
	assert_null(strstr(f.out, "  doctor "));
}

static void a_commands_help_shows_its_options(void **state ATTR_UNUSED)
{
	assert_int_equal(run("fs", "ls --help"), CLI_DONE);
	assert_non_null(strstr(f.out, "-R, --recursive"));
	assert_non_null(strstr(f.out, "--json"));
}

static void misuse_is_two_and_says_how(void **state ATTR_UNUSED)
{
	assert_int_equal(run("fs", "nosuch"), CLI_USAGE);
	assert_non_null(strstr(f.errors, "no such command: \"nosuch\""));
	assert_int_equal(run("fs", "stat"), CLI_USAGE);
	assert_non_null(strstr(f.errors, "usage: acached fs stat"));
	assert_int_equal(run("fs", "ls --colour /"), CLI_USAGE);
	assert_non_null(strstr(f.errors, "no such option: \"--colour\""));
	assert_int_equal(run("fs", "mount /x nowhere"), CLI_USAGE);
	assert_non_null(strstr(f.errors, "\"nowhere\" is no URI"));
	assert_int_equal(run("fs", "cat --json /x"), CLI_USAGE);
}

static void a_relative_path_needs_a_mountpoint(void **state ATTR_UNUSED)
{
	assert_int_equal(run("fs", "stat some/file"), CLI_USAGE);
	assert_non_null(
		strstr(f.errors, "some/file: not below an acached mountpoint"));
}

static void no_cluster_is_said_at_once(void **state ATTR_UNUSED)
{
	assert_int_equal(run("fs", "ls --state /nonexistent /"), CLI_FAILED);
	assert_non_null(strstr(f.errors, "no cluster runs in /nonexistent"));
}

static void is_path(const char *arg, const char *want)
{
	char *path = NULL;

	f.cli.command = &(struct cli_command){ .name = "test" };
	assert_int_equal(cli_path(&f.cli, arg, &path), 0);
	assert_string_equal(path, want);
	free(path);
}

static void paths_of_the_namespace_are_absolute(void **state ATTR_UNUSED)
{
	is_path("/a/b", "/a/b");
	is_path("/a//./b/../c/", "/a/c");
	is_path("/..", "/");
	is_path("acached:/x/", "/x");
}

/* What could follow two or three words is `want`. */
static void completes(const char *a, const char *b, const char *c,
		      const char *want)
{
	char *argv[] = { (char *)(uintptr_t)a, (char *)(uintptr_t)b,
			 (char *)(uintptr_t)c };
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_int_equal(cli_complete(out, c ? 3 : 2, argv), CLI_DONE);
	fclose(out);
	assert_string_equal(text, want);
	free(text);
}

static void completion_asks_the_same_table(void **state ATTR_UNUSED)
{
	completes("fs", "lo", NULL, "load\nloadMetadata\nlocation\n");
	completes("fs", "ls", "--re", "--recursive\n--refresh\n--reverse\n");
	completes("admin", "rep", NULL, "report\n");
	completes("fs", "ls", "--so", "--sort\n");
	completes("admin", "scrub", "st", "start\nstatus\n");
	completes("admin", "scrub", "sta", "start\nstatus\n");
	completes("admin", "scrub", "--r", "--rate\n");
}

static void a_choice_completes_by_its_words(void **state ATTR_UNUSED)
{
	char *argv[] = { (char *)(uintptr_t) "fs",
			 (char *)(uintptr_t) "checksum",
			 (char *)(uintptr_t) "--algorithm",
			 (char *)(uintptr_t) "" };
	FILE *out = open_memstream(&f.text, &f.text_len);

	assert_int_equal(cli_complete(out, 4, argv), CLI_DONE);
	fclose(out);
	assert_string_equal(f.text, "md5\nsha256\ncrc32c\n");
}

static void what_is_no_choice_is_misuse(void **state ATTR_UNUSED)
{
	assert_int_equal(run("fs", "checksum -a sha1 /x"), CLI_USAGE);
	assert_non_null(strstr(f.errors, "--algorithm sha1: want one of "
					 "md5|sha256|crc32c"));
	assert_int_equal(run("fs", "test /x"), CLI_USAGE);
	assert_int_equal(run("fs", "head -c 1.5 /x"), CLI_USAGE);
}

TEST_MAIN(TEST_WITH(help_shows_every_command),
	  TEST_WITH(a_commands_help_shows_its_options),
	  TEST_WITH(misuse_is_two_and_says_how),
	  TEST_WITH(a_relative_path_needs_a_mountpoint),
	  TEST_WITH(no_cluster_is_said_at_once),
	  TEST_WITH(paths_of_the_namespace_are_absolute),
	  TEST_WITH(completion_asks_the_same_table),
	  TEST_WITH(a_choice_completes_by_its_words),
	  TEST_WITH(what_is_no_choice_is_misuse))
