#include "lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/tempdir.h"
#include "runtime/spawn.h"

/* A shell that does `script`, and what it printed. */
static struct fixture {
	int out[2];
	char text[4096];
	int status;
} f;

static int setup(void **state ATTR_UNUSED)
{
	f = (struct fixture){ 0 };
	return pipe2(f.out, O_CLOEXEC);
}

static int teardown(void **state ATTR_UNUSED)
{
	close(f.out[0]);
	return 0;
}

static void run(struct spawn *s, const char *script)
{
	char *const argv[] = { (char *)(uintptr_t) "sh",
			       (char *)(uintptr_t) "-c",
			       (char *)(uintptr_t)script, NULL };
	size_t n = 0;
	ssize_t got;
	pid_t pid;

	if (!s->program)
		s->program = "sh";
	s->argv = argv;
	s->out_fd = f.out[1];
	s->err_fd = -1;
	pid = spawn(s);
	assert_true(pid > 0);
	close(f.out[1]);
	while ((got = read(f.out[0], f.text + n, sizeof(f.text) - 1 - n)) > 0)
		n += (size_t)got;
	f.text[n] = '\0';
	f.status = spawn_wait(pid);
}

static void a_child_has_what_it_is_given(void **state ATTR_UNUSED)
{
	char *dir = tempdir_make();
	struct spawn s = { .n_fds = 3 };

	/* Out of order, and in each other's way. */
	s.fds[2] = open(tempdir_file(dir, "c", "third"), O_RDONLY);
	s.fds[0] = open(tempdir_file(dir, "a", "first"), O_RDONLY);
	s.fds[1] = -1;
	run(&s, "cat <&3; cat <&5; ls -1 /proc/$$/fd");
	close(s.fds[0]);
	close(s.fds[2]);
	tempdir_remove(dir);
	assert_string_equal(f.text, "firstthird0\n1\n2\n3\n5\n");
	assert_int_equal(f.status, 0);
}

static void its_signals_are_its_own(void **state ATTR_UNUSED)
{
	struct spawn s = { 0 };
	sigset_t all, before;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	run(&s, "exec sed -n 's/^SigBlk:[^0-9a-f]*//p' /proc/self/status");
	sigprocmask(SIG_SETMASK, &before, NULL);
	assert_string_equal(f.text, "0000000000000000\n");
}

static void a_variable_can_be_added(void **state ATTR_UNUSED)
{
	struct spawn s = { .variable = "SPAWNED=yes" };

	run(&s, "echo $SPAWNED; exit 3");
	assert_string_equal(f.text, "yes\n");
	assert_int_equal(WEXITSTATUS(f.status), 3);
}

static void a_missing_program_is_127(void **state ATTR_UNUSED)
{
	struct spawn s = { .program = "/no/such/program" };

	run(&s, "");
	assert_int_equal(WEXITSTATUS(f.status), 127);
	assert_int_equal(spawn_wait(1), -ECHILD);
}

/* The pipe's end shows that the grandchild is gone. */
static void it_dies_with_its_parent(void **state ATTR_UNUSED)
{
	char *const argv[] = { (char *)(uintptr_t) "sleep",
			       (char *)(uintptr_t) "1000", NULL };
	const struct spawn s = { .program = "sleep",
				 .argv = argv,
				 .out_fd = f.out[1],
				 .err_fd = -1 };
	const pid_t parent = fork();

	if (parent == 0)
		_exit(spawn(&s) > 0 ? 0 : 1);
	close(f.out[1]);
	assert_int_equal(spawn_wait(parent), 0);
	assert_int_equal(read(f.out[0], f.text, 1), 0);
}

TEST_MAIN(TEST_WITH(a_child_has_what_it_is_given),
	  TEST_WITH(its_signals_are_its_own),
	  TEST_WITH(a_variable_can_be_added),
	  TEST_WITH(a_missing_program_is_127),
	  TEST_WITH(it_dies_with_its_parent))
