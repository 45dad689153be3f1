#include "lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/tempdir.h"
#include "runtime/log.h"
#include "runtime/supervisor.h"

#define PROGRAM "tests/unit/runtime/supervised"

/* Children that note in a file when they serve and end; the test's own SIGTERM
 * comes when they are ready, so no run outlives what it tests. */
static struct fixture {
	char *dir;
	int notes;
	struct supervised children[SUPERVISOR_CHILDREN];
	const char *argv[SUPERVISOR_CHILDREN][4];
	struct supervisor_options o;
	struct err err;

	char ready[256];
	unsigned endings;
	bool over;
	bool leave_running; /* do not end it when it is ready */
} f;

static void on_ready(void *owner ATTR_UNUSED, const char *addresses)
{
	snprintf(f.ready, sizeof(f.ready), "%s", addresses);
	if (!f.leave_running)
		kill(getpid(), SIGTERM);
}

static bool is_over(void *owner ATTR_UNUSED)
{
	return f.over;
}

static void on_ending(void *owner ATTR_UNUSED)
{
	f.endings++;
}

static int setup(void **state ATTR_UNUSED)
{
	static char program[4096];
	const char *top = getenv("top_builddir");

	snprintf(program, sizeof(program), "%s/%s", top ? top : ".", PROGRAM);
	f = (struct fixture){ .dir = tempdir_make() };
	f.notes = open(tempdir_file(f.dir, "notes", ""), O_RDWR | O_APPEND);
	f.o = (struct supervisor_options){ .program = program,
					   .children = f.children,
					   .ready = on_ready,
					   .is_over = is_over,
					   .ending = on_ending };
	log_configure("error", "logfmt", NULL);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	close(f.notes);
	tempdir_remove(f.dir);
	return 0;
}

static struct supervised *add(const char *name, const char *deed)
{
	const unsigned i = f.o.n++;

	f.argv[i][0] = "supervised";
	f.argv[i][1] = name;
	f.argv[i][2] = deed;
	f.children[i] = (struct supervised){ .name = name,
					     .argv = (char *const *)f.argv[i],
					     .fds = { f.notes },
					     .n_fds = 1 };
	return &f.children[i];
}

static void add_command(const char *name, const char *deed)
{
	struct supervised *c = add(name, deed);

	c->after = "a";
	c->command = true;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void notes_are(const char *wanted)
{
	char text[4096];
	const ssize_t n = pread(f.notes, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	assert_string_equal(text, wanted);
}

static int count_notes(const char *line)
{
	char text[4096], *at = text;
	const ssize_t n = pread(f.notes, text, sizeof(text) - 1, 0);
	int count = 0;

	text[n > 0 ? n : 0] = '\0';
	while ((at = strstr(at, line))) {
		at++;
		count++;
	}
	return count;
}

static void the_last_started_is_ended_first(void **state ATTR_UNUSED)
{
	add("a", "serve");
	add("b", "serve");
	assert_int_equal(supervisor_run(&f.o, &f.err), 0);
	assert_string_equal(f.ready, "a=here b=here");
	assert_int_equal(count_notes("a serves 0\n"), 1);
	assert_int_equal(count_notes("b serves 0\n"), 1);
	assert_int_equal(count_notes("b ends 0\na ends 0\n"), 1);
}

static void a_child_that_crashes_is_started_again(void **state ATTR_UNUSED)
{
	const uint64_t begin = now_ms();

	add("a", "crash");
	assert_int_equal(supervisor_run(&f.o, &f.err), 0);
	notes_are("a serves 3\na ends 3\n");
	assert_true(now_ms() - begin < 5000);
}

static void one_that_served_is_started_again(void **state ATTR_UNUSED)
{
	f.leave_running = true; /* the third child sends us SIGTERM */
	add("a", "die-twice");
	assert_int_equal(supervisor_run(&f.o, &f.err), 0);
	assert_int_equal(count_notes("a serves 0\na serves 1\n"), 1);
}

static void a_first_start_that_fails_says_why(void **state ATTR_UNUSED)
{
	add("a", "serve");
	add("b", "refuse");
	assert_int_equal(supervisor_run(&f.o, &f.err), -ECHILD);
	assert_string_equal(f.err.msg,
			    "b ended with status 7: no room: dir=/ssd0");
	assert_string_equal(f.ready, "");
}

static void a_program_that_is_not_there_says_so(void **state ATTR_UNUSED)
{
	add("a", "serve");
	f.o.program = "/no/such/program";
	assert_int_equal(supervisor_run(&f.o, &f.err), -ECHILD);
	assert_string_equal(f.err.msg, "a ended with status 127");
}

static void it_gives_up_in_the_end(void **state ATTR_UNUSED)
{
	add("a", "crash-always");
	assert_int_equal(supervisor_run(&f.o, &f.err), -ECHILD);
	assert_string_equal(f.err.msg, "a was killed by signal 6");
}

static void one_that_never_is_ready_is_given_up(void **state ATTR_UNUSED)
{
	struct supervised *hangs = add("a", "hang");

	hangs->ready_ms = 1;
	assert_int_equal(supervisor_run(&f.o, &f.err), -ECHILD);
	assert_string_equal(f.err.msg, "a was not ready in time");
}

static void a_command_runs_once_after_its_role(void **state ATTR_UNUSED)
{
	add("a", "serve");
	add_command("c", "do");
	assert_int_equal(supervisor_run(&f.o, &f.err), 0);
	assert_string_equal(f.ready, "a=here");
	notes_are("a serves 0\nc done -1\na ends 0\n");
}

static void a_role_waits_for_another(void **state ATTR_UNUSED)
{
	add("b", "serve")->after = "a";
	add("a", "serve");
	assert_int_equal(supervisor_run(&f.o, &f.err), 0);
	notes_are("a serves 0\nb serves 0\na ends 0\nb ends 0\n");
}

static void a_command_that_fails_ends_all(void **state ATTR_UNUSED)
{
	add("a", "serve");
	add_command("c", "say-and-fail");
	assert_int_equal(supervisor_run(&f.o, &f.err), -ECHILD);
	assert_string_equal(f.err.msg, "c ended with status 1: no such bucket");
	notes_are("a serves 0\na ends 0\n");
}

static void what_is_over_is_not_started_again(void **state ATTR_UNUSED)
{
	add("a", "do")->can_be_over = true;
	f.over = true;
	assert_int_equal(supervisor_run(&f.o, &f.err), 0);
	notes_are("a done 0\n");
	assert_int_equal(f.endings, 1);
}

static void its_end_is_prepared(void **state ATTR_UNUSED)
{
	add("a", "serve")->can_be_over = true;
	assert_int_equal(supervisor_run(&f.o, &f.err), 0);
	assert_int_equal(f.endings, 1);
}

TEST_MAIN(TEST_WITH(the_last_started_is_ended_first),
	  TEST_WITH(a_child_that_crashes_is_started_again),
	  TEST_WITH(one_that_served_is_started_again),
	  TEST_WITH(a_first_start_that_fails_says_why),
	  TEST_WITH(a_program_that_is_not_there_says_so),
	  TEST_WITH(it_gives_up_in_the_end),
	  TEST_WITH(one_that_never_is_ready_is_given_up),
	  TEST_WITH(a_command_runs_once_after_its_role),
	  TEST_WITH(a_role_waits_for_another),
	  TEST_WITH(a_command_that_fails_ends_all),
	  TEST_WITH(what_is_over_is_not_started_again),
	  TEST_WITH(its_end_is_prepared))
