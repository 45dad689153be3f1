#include "master/fsck.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

#define TEXT_MAX ((size_t)64 << 10)
#define CHILD_S  600 /* a tree that leads in circles ends the child */

/* In the child: nothing that allocates or locks. */

static void say(char kind, const char *text)
{
	char line[1024];
	int n = snprintf(line, sizeof(line), "%c%.1000s\n", kind, text);

	/* Nobody to tell if that fails. */
	(void)!write(STDIN_FILENO, line, (size_t)n);
}

static void say_found(void *owner, const char *what, uint64_t id)
{
	const struct fsck *f = owner;
	char path[600], text[800];

	if (!id || namespace_path(f->tree, id, path, sizeof(path)) < 0)
		path[0] = '\0';
	if (id)
		snprintf(text, sizeof(text),
			 "the tree: %s: %s (id %" PRIu64 ")", what, path, id);
	else
		snprintf(text, sizeof(text), "the tree: %s", what);
	say('T', text);
}

static void check_checkpoints(struct fsck *f)
{
	struct checkpoints *c = f->checkpoints;
	struct err err;
	ssize_t n;
	char count[32];
	unsigned i;

	for (i = 0; i < f->n_checkpoints; i++) {
		n = c->ops->verify(c, f->indexes[i], &err);
		if (n == -ENOENT)
			continue; /* another is newer */
		if (n < 0) {
			say('C', err.msg);
			continue;
		}
		snprintf(count, sizeof(count), "%zd", n);
		say('B', count);
	}
}

static void child_main(struct fsck *f, int fd, pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGALRM, SIG_DFL);
	alarm(CHILD_S);
	if (getppid() != parent || dup2(fd, STDIN_FILENO) != STDIN_FILENO)
		_exit(1);
	close_range(STDIN_FILENO + 1, ~0u, 0);
	namespace_fsck(f->tree, say_found, f);
	check_checkpoints(f);
	_exit(0);
}

/* In the master again. */

static ssize_t read_lines(struct task *t)
{
	struct fsck *f = container_of(t, struct fsck, task);
	siginfo_t info;
	char rest[4096];
	ssize_t n;

	do {
		if (f->len < TEXT_MAX)
			n = read(f->fd, f->text + f->len, TEXT_MAX - f->len);
		else
			n = read(f->fd, rest, sizeof(rest));
		if (n > 0 && f->len < TEXT_MAX)
			f->len += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	/* Its pid stays its own until the loop knows. */
	while (waitid(P_PID, (id_t)f->child, &info, WEXITED | WNOWAIT) < 0 &&
	       errno == EINTR)
		;
	return 0;
}

static void add(struct fsck *f, char *finding)
{
	f->found++;
	if (f->n_findings < FSCK_FINDINGS)
		f->findings[f->n_findings++] = finding;
	else
		free(finding);
}

static void take_line(struct fsck *f, const char *line, size_t len)
{
	switch (line[0]) {
	case 'B':
		f->bytes += strtoull(line + 1, NULL, 10);
		return;
	case 'C':
		f->damaged_checkpoint = true;
		add(f, mem_printf("a checkpoint is damaged, another is made: "
				  "%.*s",
				  (int)len - 1, line + 1));
		return;
	default:
		add(f, mem_strn(line + 1, len - 1));
	}
}

static void on_read(struct task *t)
{
	struct fsck *f = container_of(t, struct fsck, task);
	char *line = f->text, *end;
	int status;

	while (waitpid(f->child, &status, 0) < 0 && errno == EINTR)
		;
	f->child = 0;
	close(f->fd);
	f->text[f->len] = '\0';
	for (; (end = strchr(line, '\n')); line = end + 1)
		take_line(f, line, (size_t)(end - line));
	if (WIFSIGNALED(status))
		add(f, mem_printf("the tree: damaged so that its check ended "
				  "by signal %d",
				  WTERMSIG(status)));
	else if (status)
		add(f, mem_str("the check could not begin"));
	f->done(f);
}

static bool knows_checkpoints(const struct fsck *f)
{
	return f->checkpoints && f->checkpoints->ops->verify;
}

int fsck_start(struct fsck *f, void (*done)(struct fsck *f), struct err *err)
{
	pid_t parent = getpid();
	const void *image;
	int ends[2];

	if (knows_checkpoints(f))
		f->n_checkpoints = f->checkpoints->ops->list(
			f->checkpoints, f->indexes, FSCK_CHECKPOINTS);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_set(err, -errno, "pipe: %m");
	f->child = fork();
	if (f->child == 0)
		child_main(f, ends[1], parent);
	close(ends[1]);
	if (f->child < 0) {
		err_set(err, -errno, "fork: %m");
		close(ends[0]);
		return err->code;
	}
	f->fd = ends[0];
	f->bytes = namespace_image(f->tree, &image);
	f->text = mem_alloc(TEXT_MAX + 1);
	f->done = done;
	workpool_submit(f->pool, f->loop, &f->task, read_lines, on_read);
	return 0;
}

void fsck_clear(struct fsck *f)
{
	unsigned i;

	for (i = 0; i < f->n_findings; i++)
		free(f->findings[i]);
	free(f->text);
}
