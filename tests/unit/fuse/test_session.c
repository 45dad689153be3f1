#include "lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_client.h"
#include "mounted.h"

static struct mounted m;

static int setup(void **state ATTR_UNUSED)
{
	m = (struct mounted){ .ttl_ms = 1000 };
	mounted_setup(&m);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	mounted_teardown(&m);
	return 0;
}

static void need_mount(void)
{
	if (!m.dir)
		skip();
}

/* Reads all of a file and compares every byte; 0 or an errno. */
static int check_file(const char *name, uint64_t id, uint64_t length)
{
	char *got = malloc(length + 1), *want = malloc(length);
	int fd = open(mounted_path(&m, name), O_RDONLY), rv = 0;
	uint64_t at = 0;
	ssize_t n = fd < 0 ? -1 : 1;

	for (; n > 0 && at <= length; at += (uint64_t)n)
		n = read(fd, got + at, length + 1 - at);
	if (n < 0)
		rv = errno;
	fake_bytes(id, 0, want, length);
	if (!rv && (at != length || memcmp(got, want, length) != 0))
		rv = EILSEQ;
	if (fd >= 0)
		close(fd);
	free(got);
	free(want);
	return rv;
}

static void a_file_is_read_through_the_mountpoint(void **state ATTR_UNUSED)
{
	struct stat st;

	need_mount();
	assert_int_equal(check_file("big", FAKE_BIG, FAKE_BIG_LEN), 0);
	assert_int_equal(check_file("sub/3", FAKE_SMALL + 3, 10003), 0);
	assert_int_equal(stat(mounted_path(&m, "sub/3"), &st), 0);
	assert_int_equal(st.st_size, 10003);
	assert_int_equal(st.st_uid, 12);
	assert_int_equal(st.st_gid, 34);
	assert_int_equal(st.st_mtim.tv_nsec, 123456789);
	assert_int_equal(st.st_mode, S_IFREG | 0644);
}

/* Programs that read and look while children die. */
static atomic_bool enough;
static atomic_int errors, rounds;

static void *reader(void *arg)
{
	const bool slow = arg != NULL;
	struct stat st;
	int rv;

	while (!atomic_load(&enough)) {
		rv = slow ? check_file("slow", FAKE_SLOW, FAKE_BIG_LEN)
			  : check_file("sub/5", FAKE_SMALL + 5, 10005);
		if (!rv && stat(mounted_path(&m, "sub/6"), &st))
			rv = errno;
		if (rv) {
			print_error("reader: %s\n", strerror(rv));
			atomic_fetch_add(&errors, 1);
		}
		atomic_fetch_add(&rounds, 1);
	}
	return NULL;
}

/* Makes the next reads come to us again. */
static void drop_cache(const char *name)
{
	int fd = open(mounted_path(&m, name), O_RDONLY);

	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
}

static void kill_children(unsigned times)
{
	pthread_t threads[4];
	unsigned i;

	atomic_store(&enough, false);
	atomic_store(&errors, 0);
	atomic_store(&rounds, 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, reader,
						i % 2 ? &m : NULL),
				 0);
	for (i = 0; i < times; i++) {
		usleep(3000 + 7919 * i % 30000);
		drop_cache("slow");
		mounted_kill(&m);
		mounted_serve(&m);
	}
	atomic_store(&enough, true);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(errors, 0);
	assert_true(rounds > 4);
}

static void a_killed_child_costs_readers_no_error(void **state ATTR_UNUSED)
{
	need_mount();
	kill_children(25);
}

static void nor_where_the_kernel_cannot_resend(void **state ATTR_UNUSED)
{
	need_mount();
	mounted_kill(&m);
	m.no_resend = true;
	mounted_serve(&m);
	kill_children(25);
}

static void the_first_child_may_die_at_once(void **state ATTR_UNUSED)
{
	unsigned i;

	need_mount();
	for (i = 0; i < 20; i++) {
		usleep(i * 400);
		mounted_kill(&m);
		mounted_serve(&m);
	}
	assert_int_equal(check_file("sub/3", FAKE_SMALL + 3, 10003), 0);
}

static void an_open_file_outlives_its_child(void **state ATTR_UNUSED)
{
	char got[1000], want[1000];
	int fd;

	need_mount();
	fd = open(mounted_path(&m, "big"), O_RDONLY);
	assert_true(fd >= 0);
	mounted_kill(&m);
	mounted_serve(&m);
	assert_int_equal(pread(fd, got, sizeof(got), 5 << 20), sizeof(got));
	fake_bytes(FAKE_BIG, 5 << 20, want, sizeof(want));
	assert_memory_equal(got, want, sizeof(got));
	close(fd);
}

/* A process that reads what nobody answers. */
static pid_t stuck_reader(const char *name)
{
	pid_t pid = fork();
	char c;
	int fd;

	if (pid)
		return pid;
	mounted_forked(&m);
	fd = open(mounted_path(&m, name), O_RDONLY);
	_exit(read(fd, &c, 1) == 1 ? 0 : errno);
}

static void ends_at_once(pid_t pid, int sig)
{
	int status, i;

	usleep(50000);
	assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
	kill(pid, sig);
	for (i = 0; i < 200 && waitpid(pid, &status, WNOHANG) == 0; i++)
		usleep(5000);
	assert_true(i < 200);
	assert_true(WIFSIGNALED(status));
}

static void a_stuck_reader_can_be_killed(void **state ATTR_UNUSED)
{
	need_mount();
	ends_at_once(stuck_reader("held"), SIGKILL);
	ends_at_once(stuck_reader("held"), SIGINT);
	ends_at_once(stuck_reader("stuck"), SIGKILL);
}

static void on_sig(int sig ATTR_UNUSED)
{
}

/* A program with a handler reads all of "slow", and gets the signal all the
 * time. */
static int read_under(int sig)
{
	struct sigaction act = { .sa_handler = on_sig };
	int status, i;
	pid_t pid;

	drop_cache("slow");
	pid = fork();
	if (pid == 0) {
		mounted_forked(&m);
		sigaction(sig, &act, NULL);
		_exit(check_file("slow", FAKE_SLOW, FAKE_BIG_LEN) & 127);
	}
	for (i = 0; i < 1000 && waitpid(pid, &status, WNOHANG) == 0; i++) {
		usleep(10000);
		if (i > 2)
			kill(pid, sig);
	}
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* No read of a file elsewhere ends because a child did. */
static void housekeeping_signals_end_no_read(void **state ATTR_UNUSED)
{
	need_mount();
	assert_int_equal(read_under(SIGCHLD), 0);
	assert_int_equal(read_under(SIGURG), 0);
}

static void a_signal_for_the_program_ends_its_wait(void **state ATTR_UNUSED)
{
	struct sigaction act = { .sa_handler = on_sig };
	int status;
	pid_t pid;

	need_mount();
	pid = fork();
	if (pid == 0) {
		mounted_forked(&m);
		sigaction(SIGCHLD, &act, NULL);
		sigaction(SIGALRM, &act, NULL);
		_exit(open(mounted_path(&m, "stuck"), O_RDONLY) < 0 ? errno
								    : 0);
	}
	usleep(50000);
	kill(pid, SIGCHLD); /* the kernel asks for this one */
	usleep(50000);
	assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
	kill(pid, SIGALRM); /* and says nothing of this one */
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), EINTR);
}

static void also_when_its_child_was_replaced(void **state ATTR_UNUSED)
{
	pid_t pid;

	need_mount();
	pid = stuck_reader("held");
	usleep(50000);
	mounted_kill(&m);
	mounted_serve(&m);
	ends_at_once(pid, SIGKILL);
}

/* 300 readers that wait; the others do not notice. */
static void held_reads_hold_up_nobody(void **state ATTR_UNUSED)
{
	enum { HELD = 300 };
	pid_t pids[HELD];
	int i;

	need_mount();
	for (i = 0; i < HELD; i++)
		pids[i] = stuck_reader("held");
	usleep(200000);
	alarm(10); /* or it hangs */
	assert_int_equal(check_file("sub/3", FAKE_SMALL + 3, 10003), 0);
	assert_int_equal(access(mounted_path(&m, "no-such"), F_OK), -1);
	assert_int_equal(errno, ENOENT);
	for (i = 0; i < HELD; i++)
		kill(pids[i], SIGKILL);
	for (i = 0; i < HELD; i++)
		assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
}

static void writes_are_refused_also_after_a_remount(void **state ATTR_UNUSED)
{
	need_mount();
	assert_int_equal(
		open(mounted_path(&m, "new"), O_CREAT | O_WRONLY, 0644), -1);
	assert_int_equal(errno, EROFS);
	if (mount(NULL, m.point, NULL, MS_REMOUNT | MS_NOSUID | MS_NODEV, NULL))
		skip();
	assert_int_equal(
		open(mounted_path(&m, "new"), O_CREAT | O_WRONLY, 0644), -1);
	assert_int_equal(errno, EROFS);
	assert_int_equal(open(mounted_path(&m, "big"), O_RDWR), -1);
	assert_int_equal(errno, EROFS);
	assert_int_equal(mkdir(mounted_path(&m, "d"), 0755), -1);
	assert_int_equal(errno, EROFS);
	assert_int_equal(unlink(mounted_path(&m, "big")), -1);
	assert_int_equal(errno, EROFS);
}

static void an_unmounted_child_ends_by_itself(void **state ATTR_UNUSED)
{
	int status, i;

	need_mount();
	assert_int_equal(check_file("sub/3", FAKE_SMALL + 3, 10003), 0);
	assert_int_equal(umount2(m.point, 0), 0);
	for (i = 0; i < 200 && waitpid(m.child, &status, WNOHANG) == 0; i++)
		usleep(5000);
	assert_true(i < 200);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

TEST_MAIN(TEST_WITH(a_file_is_read_through_the_mountpoint),
	  TEST_WITH(a_killed_child_costs_readers_no_error),
	  TEST_WITH(nor_where_the_kernel_cannot_resend),
	  TEST_WITH(the_first_child_may_die_at_once),
	  TEST_WITH(an_open_file_outlives_its_child),
	  TEST_WITH(a_stuck_reader_can_be_killed),
	  TEST_WITH(housekeeping_signals_end_no_read),
	  TEST_WITH(a_signal_for_the_program_ends_its_wait),
	  TEST_WITH(also_when_its_child_was_replaced),
	  TEST_WITH(held_reads_hold_up_nobody),
	  TEST_WITH(writes_are_refused_also_after_a_remount),
	  TEST_WITH(an_unmounted_child_ends_by_itself))
