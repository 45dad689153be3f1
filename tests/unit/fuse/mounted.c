#include "lib/test.h"

#include "mounted.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_client.h"
#include "fuse/fs.h"
#include "lib/tempdir.h"
#include "runtime/loop_uv.h"

enum { TOO_LONG_S = 60 };

/* What a test that hangs must leave behind as any other: nothing. */
static struct mounted *the_one;

static void on_alarm(int sig ATTR_UNUSED)
{
	umount2(the_one->point, MNT_DETACH);
	kill(the_one->child, SIGKILL);
	close(the_one->device); /* the last one: ends all that waits */
	abort();
}

static void on_ended(void *owner ATTR_UNUSED)
{
	_exit(0);
}

/* In the child. */
static void serve(const struct mounted *m)
{
	static struct fs fs;
	struct fuse_lowlevel_ops ops;
	struct fs_options o = {
		.path = m->path ? m->path : "/",
		.ttl_ms = m->ttl_ms,
		.starts = m->starts,
	};
	const struct session_options so = {
		.device = m->device,
		.memory = m->memory,
		.starts = m->starts,
		.no_resend = m->no_resend,
		.ops = &ops,
		.owner = &fs,
		.ended = on_ended,
	};
	struct session *session;
	struct loop *loop = loop_uv_new();
	struct err err = { 0 };

	o.client = fake_client_new(loop);
	if (workpool_new(&o.disk, "disk", 2))
		_exit(3);
	fs_ops(&ops, m->xattr);
	fs_init(&fs, loop, &o);
	if (session_new(&session, loop, &so, &err)) {
		fprintf(stderr, "%s\n", err.msg);
		_exit(4);
	}
	loop_uv_run(loop);
	_exit(5);
}

void mounted_serve(struct mounted *m)
{
	m->child = fork();
	assert_true(m->child >= 0);
	if (m->child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGALRM, SIG_DFL);
		serve(m);
	}
	m->starts++;
}

void mounted_forked(const struct mounted *m)
{
	close(m->device);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

void mounted_kill(struct mounted *m)
{
	int status;

	kill(m->child, SIGKILL);
	assert_int_equal(waitpid(m->child, &status, 0), m->child);
	assert_true(WIFSIGNALED(status)); /* it had not ended by itself */
}

void mounted_setup(struct mounted *m)
{
	char options[200];

	m->dir = tempdir_make();
	snprintf(m->point, sizeof(m->point), "%s/mnt", m->dir);
	assert_int_equal(mkdir(m->point, 0755), 0);
	m->device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,"
		 "default_permissions,max_read=1048576",
		 m->device);
	if (m->device < 0 ||
	    mount("acached-test", m->point, "fuse.acached-test",
		  MS_NOSUID | MS_NODEV | MS_RDONLY, options)) {
		perror("# cannot mount");
		tempdir_remove(m->dir);
		m->dir = NULL;
		return;
	}
	m->memory = memfd_create("fuse", MFD_CLOEXEC);
	the_one = m;
	signal(SIGALRM, on_alarm);
	alarm(TOO_LONG_S);
	mounted_serve(m);
}

void mounted_teardown(struct mounted *m)
{
	if (!m->dir)
		return;
	umount2(m->point, MNT_DETACH);
	kill(m->child, SIGKILL);
	waitpid(m->child, NULL, 0);
	close(m->device);
	close(m->memory);
	alarm(0);
	tempdir_remove(m->dir);
}

const char *mounted_path(const struct mounted *m, const char *name)
{
	static __thread char paths[4][4200];
	static __thread unsigned i;
	char *path = paths[i++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", m->point, name);
	return path;
}
