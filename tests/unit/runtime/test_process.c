#include "lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/tempdir.h"
#include "runtime/process.h"

static struct fixture {
	char *dir;
	char folder[4096];
	struct config config;
	struct err err;
} f;

static int setup(void **state ATTR_UNUSED)
{
	f = (struct fixture){ .dir = tempdir_make() };
	snprintf(f.folder, sizeof(f.folder), "%s/state/worker", f.dir);
	return config_load(&f.config, "/dev/null", NULL, NULL);
}

static int teardown(void **state ATTR_UNUSED)
{
	config_close(&f.config);
	tempdir_remove(f.dir);
	unsetenv("XDG_STATE_HOME");
	unsetenv("NOTIFY_SOCKET");
	return 0;
}

static void reload(const char *set)
{
	const char *const sets[] = { set, NULL };

	config_close(&f.config);
	assert_int_equal(config_load(&f.config, "/dev/null", sets, NULL), 0);
}

static void is_and_free(char *text, const char *wanted)
{
	assert_string_equal(text, wanted);
	free(text);
}

static void a_folder_is_used_by_one_process(void **state ATTR_UNUSED)
{
	char wanted[64];
	int first, second;

	snprintf(wanted, sizeof(wanted), "in use by process %d", getpid());
	assert_int_equal(process_lock(f.folder, &first, &f.err), 0);
	assert_int_equal(process_lock(f.folder, &second, &f.err), -EBUSY);
	assert_non_null(strstr(f.err.msg, wanted));
	assert_int_equal(second, -1);
	close(first);
	assert_int_equal(process_lock(f.folder, &second, &f.err), 0);
	close(second);
}

/* The holder's number is that of a process that has ended, and whose parent has
 * not asked how. */
static void a_dead_holders_children_are_waited_for(void **state ATTR_UNUSED)
{
	const struct timespec while_we_try = { 0, 100000000 };
	siginfo_t ended;
	int fd, gate[2];
	pid_t holder, heir;
	char c = 0;

	assert_int_equal(pipe(gate), 0);
	holder = fork();
	if (holder == 0) {
		if (process_lock(f.folder, &fd, NULL))
			_exit(1);
		heir = fork();
		if (heir == 0) { /* has the lock still */
			close(gate[1]);
			c = read(gate[0], &c, 1) == 0;
			nanosleep(&while_we_try, NULL);
			_exit(0);
		}
		_exit(0);
	}
	assert_int_equal(waitid(P_PID, (id_t)holder, &ended, WEXITED | WNOWAIT),
			 0);
	close(gate[1]);
	close(gate[0]);
	assert_int_equal(process_lock(f.folder, &fd, &f.err), 0);
	close(fd);
	assert_int_equal(waitpid(holder, NULL, 0), holder);
}

static void folders_of_a_role_are_its_own(void **state ATTR_UNUSED)
{
	char *a = process_role_dir("/s", "fuse", "/mnt/a");
	char *b = process_role_dir("/s", "fuse", "/mnt/b");

	assert_string_not_equal(a, b);
	assert_memory_equal(a, "/s/fuse/", 8);
	free(a);
	free(b);
	is_and_free(process_role_dir("/s", "worker", NULL), "/s/worker");
}

static void the_state_directory_has_a_default(void **state ATTR_UNUSED)
{
	if (geteuid() == 0) {
		is_and_free(process_state_dir(&f.config), "/var/lib/acached");
	} else {
		setenv("XDG_STATE_HOME", "/xdg", 1);
		is_and_free(process_state_dir(&f.config), "/xdg/acached");
	}
	reload("state.dir=/s");
	is_and_free(process_state_dir(&f.config), "/s");
}

static void keys_and_masters_are_in_it_unless_named(void **state ATTR_UNUSED)
{
	config_list masters = process_masters(&f.config, "/s");

	assert_string_equal(masters[0], "unix:/s/master/sock");
	assert_null(masters[1]);
	config_list_free(masters);
	is_and_free(process_key_file(&f.config, "/s"), "/s/cluster.key");
	reload("cluster.key-file=/k");
	is_and_free(process_key_file(&f.config, "/s"), "/k");
	reload("master.addresses=a:1,b:2");
	masters = process_masters(&f.config, "/s");
	assert_string_equal(masters[0], "a:1");
	assert_string_equal(masters[1], "b:2");
	assert_null(masters[2]);
	config_list_free(masters);
}

static void a_pid_file_is_removed_by_its_owner(void **state ATTR_UNUSED)
{
	char file[4096], text[32] = "";
	int fd;

	snprintf(file, sizeof(file), "%s/acached.pid", f.dir);
	assert_int_equal(process_pid_write(f.dir, &f.err), 0);
	fd = open(file, O_RDONLY);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	assert_int_equal(atoi(text), getpid());
	process_pid_remove(f.dir);
	assert_int_equal(access(file, F_OK), -1);
	tempdir_file(f.dir, "acached.pid", "1\n");
	process_pid_remove(f.dir);
	assert_int_equal(access(file, F_OK), 0);
}

static void a_folder_that_cannot_be_made_is_named(void **state ATTR_UNUSED)
{
	const char *file = tempdir_file(f.dir, "file", "x");
	char path[4200];

	snprintf(path, sizeof(path), "%s/below", file);
	assert_int_equal(process_make_dir(path, 0700, &f.err), -ENOTDIR);
	assert_non_null(strstr(f.err.msg, "file/below: cannot be made"));
}

/* Runs `act` in the background; what the process that was started printed, and
 * its exit status. */
static int in_background(void (*act)(void), char *out, size_t size)
{
	int ends[2], status;
	ssize_t n = 0, got;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (pid == 0) {
		dup2(ends[1], STDOUT_FILENO);
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		if (process_background(NULL) == 0)
			act();
		_exit(0);
	}
	close(ends[1]);
	while ((got = read(ends[0], out + n, size - 1 - (size_t)n)) > 0)
		n += got;
	out[n] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void be_ready(void)
{
	dup2(open("/dev/null", O_RDWR), STDOUT_FILENO);
	process_ready("worker=here");
}

static void fail_somehow(void)
{
	dup2(open("/dev/null", O_RDWR), STDERR_FILENO);
	process_failed("no room");
}

static void crash(void)
{
	kill(getpid(), SIGKILL);
}

static void the_background_tells_its_starter(void **state ATTR_UNUSED)
{
	char out[256];

	assert_int_equal(in_background(be_ready, out, sizeof(out)), 0);
	assert_string_equal(out, "ready worker=here\n");
	assert_int_equal(in_background(fail_somehow, out, sizeof(out)), 1);
	assert_string_equal(out, "acached: no room\n");
	assert_int_equal(in_background(crash, out, sizeof(out)), 1);
	assert_string_equal(out, "acached: the process ended without a word\n");
}

static void systemd_is_told(void **state ATTR_UNUSED)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	char text[64] = "";

	snprintf(at.sun_path, sizeof(at.sun_path), "%s/notify", f.dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	process_notify("READY=1"); /* nobody asked */
	setenv("NOTIFY_SOCKET", at.sun_path, 1);
	process_notify("STOPPING=1");
	assert_int_equal(recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT), 10);
	assert_string_equal(text, "STOPPING=1");
	close(fd);
}

TEST_MAIN(TEST_WITH(a_folder_is_used_by_one_process),
	  TEST_WITH(a_dead_holders_children_are_waited_for),
	  TEST_WITH(folders_of_a_role_are_its_own),
	  TEST_WITH(the_state_directory_has_a_default),
	  TEST_WITH(keys_and_masters_are_in_it_unless_named),
	  TEST_WITH(a_pid_file_is_removed_by_its_owner),
	  TEST_WITH(a_folder_that_cannot_be_made_is_named),
	  TEST_WITH(the_background_tells_its_starter),
	  TEST_WITH(systemd_is_told))
