#include "runtime/fuse_mount.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/mountpoint.h"
#include "runtime/spawn.h"

#define MAX_READ  "1048576"
#define ANSWER_MS 3000

static const struct word {
	const char *name;
	unsigned long flag;
	bool nonempty;
	bool role; /* for the fuse role to know */
} words[] = {
	{ .name = "nonempty", .nonempty = true },
	{ .name = "xattr", .role = true },
	{ .name = "noexec", .flag = MS_NOEXEC },
	{ .name = "noatime", .flag = MS_NOATIME },
	/* What holds anyway, or is for mount(8) and systemd. */
	{ .name = "ro" },
	{ .name = "rw" },
	{ .name = "defaults" },
	{ .name = "exec" },
	{ .name = "nosuid" },
	{ .name = "nodev" },
	{ .name = "relatime" },
	{ .name = "allow_other" },
	{ .name = "default_permissions" },
	{ .name = "auto" },
	{ .name = "noauto" },
	{ .name = "user" },
	{ .name = "users" },
	{ .name = "nouser" },
	{ .name = "owner" },
	{ .name = "group" },
	{ .name = "nofail" },
	{ .name = "_netdev" },
	{ .name = "dev" },
	{ .name = "suid" },
};

static int take_word(struct fuse_mount *m, const char *word, struct err *err)
{
	const struct word *w;
	char *more;

	if (strncmp(word, "x-", 2) == 0 || strncmp(word, "comment=", 8) == 0)
		return 0;
	for (w = words; w < words + ARRAY_SIZE(words); w++)
		if (strcmp(w->name, word) == 0)
			break;
	if (w == words + ARRAY_SIZE(words))
		return err_set(err, -EINVAL,
			       "-o %s: not known; give nonempty, xattr, "
			       "noexec, noatime, or what mount(8) takes",
			       word);
	m->flags |= w->flag;
	m->nonempty |= w->nonempty;
	if (w->role) {
		more = mem_printf("%s%s%s", m->words, *m->words ? "," : "",
				  word);
		free(m->words);
		m->words = more;
	}
	return 0;
}

int fuse_mount_options(struct fuse_mount *m, const char *options,
		       struct err *err)
{
	char *all = mem_str(options), *word, *save;
	int rv = 0;

	for (word = strtok_r(all, ",", &save); word && rv == 0;
	     word = strtok_r(NULL, ",", &save))
		rv = take_word(m, word, err);
	free(all);
	return rv;
}

/* The path of `arg` with links resolved above its last name: that one may be a
 * dead mountpoint, which answers nothing. */
static char *resolve(const char *arg)
{
	char *path = mem_str(arg), *slash, *parent, *full = NULL;
	size_t len = strlen(path);
	const char *name;

	while (len > 1 && path[len - 1] == '/')
		path[--len] = '\0';
	slash = strrchr(path, '/');
	name = slash ? slash + 1 : path;
	if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		full = realpath(path, NULL);
	else if (slash)
		*slash = '\0';
	parent = full ? NULL
		      : realpath(slash ? (*path ? path : "/") : ".", NULL);
	if (parent)
		full = mem_printf("%s/%s", parent[1] ? parent : "", name);
	free(parent);
	free(path);
	return full;
}

/* The type of what is mounted on top at `point`, to be freed; NULL: nothing. */
static char *mounted_type(const char *point)
{
	char *type = NULL, *line = NULL, *at, *its, *source;
	FILE *f = fopen("/proc/self/mountinfo", "re");
	size_t size = 0;

	while (f && getline(&line, &size, f) > 0) {
		if (!mountpoint_split_line(line, &at, &its, &source) ||
		    strcmp(at, point) != 0)
			continue;
		free(type);
		type = mem_str(its);
	}
	free(line);
	if (f)
		fclose(f);
	return type;
}

int fuse_mount_resolve(struct fuse_mount *m, const char *arg, struct err *err)
{
	struct stat st;
	char *link, *type;

	m->point = resolve(arg);
	if (!m->point)
		return err_set(err, -errno, "%s: cannot be a mountpoint: %m",
			       arg);
	type = mounted_type(m->point);
	free(type);
	if (type || lstat(m->point, &st) < 0 || !S_ISLNK(st.st_mode))
		return 0;
	link = realpath(m->point, NULL);
	if (!link)
		return err_set(err, -errno, "%s: cannot be a mountpoint: %m",
			       arg);
	free(m->point);
	m->point = link;
	return 0;
}

/* In a process of its own: whether a mountpoint says that nobody serves it. The
 * kernel must not answer from what it remembers. */
static bool is_cut(const char *point)
{
	struct statx st;

	close_range(STDERR_FILENO + 1, ~0u, 0); /* locks must not hang on it */
	return statx(AT_FDCWD, point, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS,
		     &st) < 0 &&
	       (errno == ENOTCONN || errno == ECONNABORTED);
}

/* Whether nobody serves a mountpoint any more.  One that is served badly may
 * never answer, whoever asks. */
static bool is_dead(const char *point)
{
	struct pollfd p = { .events = POLLIN };
	const pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(is_cut(point));
	if (pid < 0)
		return false;
	p.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (p.fd < 0 || poll(&p, 1, ANSWER_MS) <= 0)
		kill(pid, SIGKILL);
	if (p.fd >= 0)
		close(p.fd);
	/* A killed one may be stuck for ever: it is not waited for. */
	return waitpid(pid, &status, WNOHANG) == pid && WIFEXITED(status) &&
	       WEXITSTATUS(status) == 1;
}

static int clear_dead(struct fuse_mount *m, const char *type, struct err *err)
{
	if (strcmp(type, MOUNTPOINT_TYPE) != 0)
		return err_set(err, -EBUSY,
			       "%s: something else (%s) is mounted there",
			       m->point, type);
	if (!is_dead(m->point))
		return err_set(err, -EBUSY,
			       "%s: another acached serves it; umount it first",
			       m->point);
	fuse_mount_detach(m);
	return 0;
}

static int check_dir(const struct fuse_mount *m, struct err *err)
{
	DIR *d = opendir(m->point);
	struct dirent *e;
	int rv = 0;

	if (!d)
		return err_set(err, -errno, "%s: cannot be a mountpoint: %m",
			       m->point);
	while ((e = readdir(d)) && rv == 0)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			rv = -ENOTEMPTY;
	closedir(d);
	if (rv && !m->nonempty)
		return err_set(err, rv,
			       "%s: is not empty; -o nonempty mounts over "
			       "what is there",
			       m->point);
	return 0;
}

int fuse_mount_prepare(struct fuse_mount *m, struct err *err)
{
	char *type;
	unsigned i;
	int rv = 0;

	/* Dead mountpoints may lie on top of each other. */
	for (i = 0; i < 16 && rv == 0 && (type = mounted_type(m->point)); i++) {
		rv = clear_dead(m, type, err);
		free(type);
	}
	return rv ? rv : check_dir(m, err);
}

static int attach_as_root(struct fuse_mount *m, struct err *err)
{
	char *options;
	int rv = 0;

	m->fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (m->fd < 0)
		return err_set(err, -errno,
			       "/dev/fuse: %m (is the fuse module loaded?)");
	options =
		mem_printf("fd=%d,rootmode=40000,user_id=%u,group_id=%u,"
			   "default_permissions,allow_other,max_read=" MAX_READ,
			   m->fd, getuid(), getgid());
	if (mount(m->source, m->point, MOUNTPOINT_TYPE,
		  MS_NOSUID | MS_NODEV | MS_RDONLY | m->flags, options) < 0)
		rv = err_set(err, -errno, "%s: mount: %m", m->point);
	free(options);
	if (rv) {
		close(m->fd);
		m->fd = -1;
	}
	return rv;
}

static bool others_allowed(void)
{
	FILE *f = fopen("/etc/fuse.conf", "re");
	bool allowed = false;
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, "user_allow_other", 16) == 0)
			allowed = true;
	if (f)
		fclose(f);
	return allowed;
}

/* The source with what fusermount3 wants before a comma. */
static char *escaped_source(const struct fuse_mount *m)
{
	char *out = mem_array(2 * strlen(m->source) + 1, 1), *to = out;
	const char *from;

	for (from = m->source; *from; from++) {
		if (*from == ',' || *from == '\\')
			*to++ = '\\';
		*to++ = *from;
	}
	return out;
}

/* The descriptor that came by the socket, or -1. */
static int receive_fd(int sock)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	int fd;

	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) <= 0)
		return -1;
	c = CMSG_FIRSTHDR(&msg);
	if (!c || c->cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

/* The options as fusermount3 takes them. */
static char *user_options(const struct fuse_mount *m)
{
	char *source = escaped_source(m), *options;

	options = mem_printf(
		"ro,nosuid,nodev,default_permissions,max_read=" MAX_READ
		",subtype=acached,fsname=%s%s%s%s",
		source, others_allowed() ? ",allow_other" : "",
		m->flags & MS_NOEXEC ? ",noexec" : "",
		m->flags & MS_NOATIME ? ",noatime" : "");
	free(source);
	return options;
}

/* Runs fusermount3, which sends /dev/fuse by `sock`; its pid. */
static pid_t run_fusermount(const struct fuse_mount *m, int sock, int said)
{
	char *options = user_options(m);
	char *const argv[] = { (char *)(uintptr_t) "fusermount3",
			       (char *)(uintptr_t) "-o",
			       options,
			       (char *)(uintptr_t) "--",
			       m->point,
			       NULL };
	const struct spawn s = { .program = "fusermount3",
				 .argv = argv,
				 .variable = "_FUSE_COMMFD=3",
				 .fds = { sock },
				 .n_fds = 1,
				 .out_fd = said,
				 .err_fd = said };
	const pid_t pid = spawn(&s);

	free(options);
	return pid;
}

static int refused(const struct fuse_mount *m, int said, struct err *err)
{
	char text[256];
	const ssize_t n = pread(said, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return err_set(err, -EPERM, "%s: %s", m->point,
		       *text ? text : "fusermount3 is missing: install fuse3");
}

static int attach_as_user(struct fuse_mount *m, struct err *err)
{
	const int said = memfd_create("said", MFD_CLOEXEC);
	int sp[2], rv = 0;
	pid_t pid;

	if (said < 0)
		return err_set(err, -errno, "memfd_create: %m");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sp) < 0) {
		rv = err_set(err, -errno, "socketpair: %m");
		close(said);
		return rv;
	}
	pid = run_fusermount(m, sp[1], said);
	close(sp[1]);
	if (pid > 0)
		m->fd = receive_fd(sp[0]);
	close(sp[0]);
	if (pid < 0 || spawn_wait(pid) != 0 || m->fd < 0)
		rv = refused(m, said, err);
	else
		fcntl(m->fd, F_SETFL, O_NONBLOCK);
	close(said);
	return rv;
}

int fuse_mount_attach(struct fuse_mount *m, struct err *err)
{
	return geteuid() == 0 ? attach_as_root(m, err) : attach_as_user(m, err);
}

bool fuse_mount_is_gone(const struct fuse_mount *m)
{
	struct pollfd p = { .fd = m->fd };

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLNVAL));
}

static void detach_as_user(const char *point)
{
	char *const argv[] = { (char *)(uintptr_t) "fusermount3",
			       (char *)(uintptr_t) "-u",
			       (char *)(uintptr_t) "-q",
			       (char *)(uintptr_t) "-z",
			       (char *)(uintptr_t) "--",
			       (char *)(uintptr_t)point,
			       NULL };
	const struct spawn s = { .program = "fusermount3",
				 .argv = argv,
				 .out_fd = -1,
				 .err_fd = -1 };
	const pid_t pid = spawn(&s);

	if (pid > 0)
		spawn_wait(pid);
}

void fuse_mount_detach(struct fuse_mount *m)
{
	char *type = mounted_type(m->point);

	/* Somebody else's may have taken its place. */
	if (type && strcmp(type, MOUNTPOINT_TYPE) == 0) {
		if (geteuid() == 0)
			umount2(m->point, MNT_DETACH | UMOUNT_NOFOLLOW);
		else
			detach_as_user(m->point);
	}
	free(type);
}

void fuse_mount_close(struct fuse_mount *m)
{
	if (m->fd >= 0)
		close(m->fd);
	free(m->point);
	free(m->source);
	free(m->words);
	*m = (struct fuse_mount){ .fd = -1 };
}
