#include "lib/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/command.h"

static const char *const names[] = { "master", "worker", "fuse" };
static const struct command_roles roles = { names, ARRAY_SIZE(names) };

static struct fixture {
	struct command c;
	struct err err;
} f;

static int setup(void **state ATTR_UNUSED)
{
	f = (struct fixture){ 0 };
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	unsetenv("ACACHED_MASTER");
	command_close(&f.c);
	return 0;
}

/* The words of a command line with blanks between. */
static int parse(const char *line)
{
	static char text[1024];
	char *argv[32] = { NULL }, *save;
	int argc = 0;

	command_close(&f.c);
	snprintf(text, sizeof(text), "acached %s", line);
	for (argv[argc] = strtok_r(text, " ", &save); argv[argc];
	     argv[argc] = strtok_r(NULL, " ", &save))
		argc++;
	return command_parse(&f.c, &roles, argc, argv, &f.err);
}

static void refuses(const char *line, const char *words)
{
	assert_int_equal(parse(line), -EINVAL);
	if (!strstr(f.err.msg, words))
		fail_msg("\"%s\" is not in \"%s\"", words, f.err.msg);
}

static void roles_start_in_their_order(void **state ATTR_UNUSED)
{
	assert_int_equal(parse("--role=fuse,master /mnt"), 0);
	assert_int_equal(f.c.n_roles, 2);
	assert_string_equal(f.c.roles[0], "master");
	assert_string_equal(f.c.roles[1], "fuse");
	assert_string_equal(f.c.mountpoint, "/mnt");
	assert_string_equal(f.c.path, "/");
	assert_true(command_has_role(&f.c, "fuse"));
	assert_false(command_has_role(&f.c, "worker"));
}

static void options_stand_anywhere(void **state ATTR_UNUSED)
{
	assert_int_equal(parse("/mnt --role fuse /sub -o xattr -o ro,noexec "
			       "--background --set a=b --state /s"),
			 0);
	assert_string_equal(f.c.path, "/sub");
	assert_string_equal(f.c.mount_options, "xattr,ro,noexec");
	assert_true(f.c.background);
	assert_int_equal(f.c.n_sets, 2);
	assert_string_equal(f.c.sets[0], "a=b");
	assert_string_equal(f.c.sets[1], "state.dir=/s");
	assert_null(f.c.sets[2]);
}

static void masters_come_from_options_or_environment(void **state ATTR_UNUSED)
{
	setenv("ACACHED_MASTER", "h:1", 1);
	assert_int_equal(parse("--role=worker --master i:2"), 0);
	assert_string_equal(f.c.sets[0], "master.addresses=h:1");
	assert_string_equal(f.c.sets[1], "master.addresses=i:2");
	assert_int_equal(parse("--role=master,worker"), 0);
	assert_int_equal(f.c.n_sets, 0);
	assert_int_equal(parse("--child=worker"), 0);
	assert_int_equal(f.c.n_sets, 0);
}

static void misuse_is_refused(void **state ATTR_UNUSED)
{
	refuses("", "which --role");
	refuses("--role=fuse", "which MOUNTPOINT");
	refuses("--role=worker,cook", "no such role: \"cook\"");
	refuses("--role=worker --ufs file:///a", "needs the role master");
	refuses("--role=master --ufs file:///a --option a", "KEY=VALUE");
	refuses("--role=master -x", "no such option: -x");
	refuses("--role=master --config", "--config wants a value");
}

static void a_child_gets_what_it_needs_and_no_secret(void **state ATTR_UNUSED)
{
	char **argv, all[512] = "";
	int i;

	assert_int_equal(parse("--role=master,fuse --set a=b --config /c "
			       "--ufs s3://b --option aws.secretKey=sesame "
			       "-o xattr m /sub"),
			 0);
	argv = command_child_argv(&f.c, "fuse", "/l", "/real/m");
	for (i = 0; argv[i]; i++) {
		strcat(strcat(all, argv[i]), " ");
		free(argv[i]);
	}
	free(argv);
	assert_string_equal(all, "acached --child=fuse --log=/l --config=/c "
				 "--set=a=b -oxattr -- /real/m /sub ");
}

static void what_a_child_gets_is_understood(void **state ATTR_UNUSED)
{
	assert_int_equal(parse("--starts=3 --child=fuse --log=/l --set=a=b "
			       "-oxattr -- /m /sub"),
			 0);
	assert_string_equal(f.c.child, "fuse");
	assert_int_equal(f.c.starts, 3);
	assert_string_equal(f.c.log, "/l");
	assert_string_equal(f.c.mount_options, "xattr");
	assert_string_equal(f.c.mountpoint, "/m");
}

static void values_of_options_are_wiped(void **state ATTR_UNUSED)
{
	char a[] = "acached", b[] = "--option=aws.secretKey=sesame",
	     c[] = "--option", d[] = "aws.secretKey=open=sesame",
	     e[] = "--option-file", g[] = "/f=1", h[] = "--set", i[] = "k=v",
	     j[] = "--opt=k=sesame";
	char *argv[] = { a, b, c, d, e, g, h, i, j, NULL };
	char **copy = command_take_argv(9, argv);

	assert_string_equal(copy[1], "--option=aws.secretKey=sesame");
	assert_string_equal(copy[3], "aws.secretKey=open=sesame");
	assert_string_equal(copy[5], "/f=1");
	assert_string_equal(b, "--option=aws.secretKey=xxxxxx");
	assert_string_equal(d, "aws.secretKey=xxxxxxxxxxx");
	assert_string_equal(g, "/f=1");
	assert_string_equal(i, "k=v");
	assert_string_equal(j, "--opt=k=xxxxxx");
	command_free_argv(copy);
}

static void completes(const char *before, const char *word, const char *wanted)
{
	char *argv[] = { (char *)(uintptr_t)before, (char *)(uintptr_t)word };
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	command_complete(out, &roles, 2, argv);
	fclose(out);
	assert_string_equal(text, wanted);
	free(text);
}

static void words_are_completed(void **state ATTR_UNUSED)
{
	completes("", "--role=m", "--role=master\n");
	completes("--role", "master,",
		  "master,master\nmaster,worker\n"
		  "master,fuse\n");
	completes("--set", "worker.ca", "worker.capacity=\n");
	completes("", "--set=log.", "--set=log.level=\n--set=log.format=\n");
	completes("", "--op", "--option=\n--option-file=\n");
	completes("", "--ch", "");
	completes("", "mnt", "");
}

TEST_MAIN(TEST_WITH(roles_start_in_their_order),
	  TEST_WITH(options_stand_anywhere),
	  TEST_WITH(masters_come_from_options_or_environment),
	  TEST_WITH(misuse_is_refused),
	  TEST_WITH(a_child_gets_what_it_needs_and_no_secret),
	  TEST_WITH(what_a_child_gets_is_understood),
	  TEST_WITH(values_of_options_are_wiped),
	  TEST_WITH(words_are_completed))
