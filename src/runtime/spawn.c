#include "runtime/spawn.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Above all that a child is given: there they are out of each other's way. */
#define ASIDE 100

/* In the child: puts what it is given where it belongs, closes the rest. */
static void place_fds(const struct spawn *s)
{
	int aside[SPAWN_MAX_FDS], null, out = -1, err = -1;
	unsigned i;

	null = open("/dev/null", O_RDWR);
	for (i = 0; i < s->n_fds; i++)
		aside[i] =
			s->fds[i] < 0 ? -1 : fcntl(s->fds[i], F_DUPFD, ASIDE);
	if (s->out_fd >= 0)
		out = fcntl(s->out_fd, F_DUPFD, ASIDE);
	if (s->err_fd >= 0)
		err = fcntl(s->err_fd, F_DUPFD, ASIDE);
	dup2(null, STDIN_FILENO);
	if (out >= 0)
		dup2(out, STDOUT_FILENO);
	if (err >= 0)
		dup2(err, STDERR_FILENO);
	for (i = 0; i < s->n_fds; i++) {
		if (aside[i] < 0)
			close(SPAWN_FIRST_FD + (int)i);
		else
			dup2(aside[i], SPAWN_FIRST_FD + (int)i);
	}
	close_range(SPAWN_FIRST_FD + s->n_fds, ~0u, 0);
}

static void become(const struct spawn *s, pid_t parent)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent) /* it died before that */
		_exit(1);
	place_fds(s);
	if (s->variable)
		putenv((char *)(uintptr_t)s->variable);
	execvp(s->program, s->argv);
	_exit(127);
}

pid_t spawn(const struct spawn *s)
{
	const pid_t parent = getpid();
	pid_t pid;

	assert(s->n_fds <= SPAWN_MAX_FDS);
	pid = fork();
	if (pid == 0)
		become(s, parent);
	return pid < 0 ? -errno : pid;
}

int spawn_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return status;
}
