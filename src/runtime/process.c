#include "runtime/process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/log.h"

#define DEAD_HOLDER_WAIT_MS 5000
#define DEAD_HOLDER_STEP_MS 20

static int tell_fd = -1; /* to the process that was started; see background */

char *process_state_dir(const struct config *c)
{
	const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	if (c->state_dir[0] != '\0')
		return mem_str(c->state_dir);
	if (geteuid() == 0)
		return mem_str("/var/lib/acached");
	if (xdg && xdg[0] == '/')
		return mem_printf("%s/acached", xdg);
	return mem_printf("%s/.local/state/acached", home ? home : "");
}

/* FNV-1a: a name of fixed length for a path of any. */
static uint64_t hash(const char *s)
{
	uint64_t h = 0xcbf29ce484222325;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3;
	return h;
}

char *process_role_dir(const char *state_dir, const char *role,
		       const char *mountpoint)
{
	if (!mountpoint)
		return mem_printf("%s/%s", state_dir, role);
	return mem_printf("%s/%s/%016" PRIx64, state_dir, role,
			  hash(mountpoint));
}

char *process_key_file(const struct config *c, const char *state_dir)
{
	if (c->cluster_key_file[0] != '\0')
		return mem_str(c->cluster_key_file);
	return mem_printf("%s/cluster.key", state_dir);
}

config_list process_masters(const struct config *c, const char *state_dir)
{
	config_list list;
	size_t n = 0, i;

	while (c->master_addresses[n])
		n++;
	list = mem_array(n + 2, sizeof(*list));
	for (i = 0; i < n; i++)
		list[i] = mem_str(c->master_addresses[i]);
	if (n == 0)
		list[0] = mem_printf("unix:%s/master/sock", state_dir);
	return list;
}

int process_make_dir(const char *dir, int mode, struct err *err)
{
	char *path = mem_str(dir), *slash;
	int rv = 0;

	for (slash = path + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(path, 0755);
		*slash = '/';
	}
	if (mkdir(path, (mode_t)mode) < 0 && errno != EEXIST)
		rv = err_set(err, -errno, "%s: cannot be made: %m", dir);
	free(path);
	return rv;
}

static pid_t read_pid(int fd)
{
	char text[32] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) < 0)
		return 0;
	return (pid_t)atoi(text);
}

static int write_pid(int fd)
{
	char text[32];
	const int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());

	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n)
		return errno ? -errno : -EIO;
	return 0;
}

static void sleep_ms(long ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* One that was killed may stay a zombie for as long as its parent likes. */
static bool is_alive(pid_t pid)
{
	char path[40], state = 'X';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = pid > 0 ? fopen(path, "re") : NULL;
	if (!f)
		return false;
	/* Our own command's name has no parenthesis. */
	if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = 'X';
	fclose(f);
	return state != 'Z' && state != 'X';
}

static int lock(int fd, const char *dir, struct err *err)
{
	int waited;
	pid_t pid;

	for (waited = 0; flock(fd, LOCK_EX | LOCK_NB) < 0;
	     waited += DEAD_HOLDER_STEP_MS) {
		if (errno != EWOULDBLOCK)
			return err_set(err, -errno, "%s: cannot be locked: %m",
				       dir);
		pid = read_pid(fd);
		if (is_alive(pid) || waited >= DEAD_HOLDER_WAIT_MS)
			return err_set(err, -EBUSY,
				       "%s is in use by process %d", dir,
				       (int)pid);
		sleep_ms(DEAD_HOLDER_STEP_MS);
	}
	return 0;
}

int process_lock(const char *dir, int *fd, struct err *err)
{
	char *file = mem_printf("%s/lock", dir);
	int rv;

	rv = process_make_dir(dir, 0700, err);
	if (rv == 0) {
		*fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
		if (*fd < 0)
			rv = err_set(err, -errno, "%s: %m", file);
	}
	free(file);
	if (rv)
		return rv;
	rv = lock(*fd, dir, err);
	if (rv == 0 && (rv = write_pid(*fd)))
		err_set(err, rv, "%s: cannot be written: %s", dir,
			err_text(rv));
	if (rv) {
		close(*fd);
		*fd = -1;
	}
	return rv;
}

int process_pid_write(const char *state_dir, struct err *err)
{
	char *file = mem_printf("%s/acached.pid", state_dir);
	int rv = 0, fd;

	fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	rv = fd < 0 ? -errno : write_pid(fd);
	if (rv)
		err_set(err, rv, "%s: %s", file, err_text(rv));
	if (fd >= 0)
		close(fd);
	free(file);
	return rv;
}

void process_pid_remove(const char *state_dir)
{
	char *file = mem_printf("%s/acached.pid", state_dir);
	const int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		if (read_pid(fd) == getpid())
			unlink(file);
		close(fd);
	}
	free(file);
}

/* In the process that was started: what the other says, then the end. */
static void wait_for_word(int fd)
{
	char text[1024];
	size_t n = 0;
	ssize_t got;

	while (n < sizeof(text) - 1) {
		got = read(fd, text + n, sizeof(text) - 1 - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	text[n] = '\0';
	if (text[0] == 'R') {
		printf("ready %s\n", text + 1);
		fflush(stdout);
		_exit(0);
	}
	fprintf(stderr, "acached: %s\n",
		n > 0 ? text + 1 : "the process ended without a word");
	_exit(1);
}

int process_background(struct err *err)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_set(err, -errno, "pipe: %m");
	pid = fork();
	if (pid < 0)
		return err_set(err, -errno, "fork: %m");
	if (pid > 0) {
		close(ends[1]);
		wait_for_word(ends[0]);
	}
	close(ends[0]);
	tell_fd = ends[1];
	setsid();
	return 0;
}

int process_detach(const char *log, struct err *err)
{
	const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int rv;

	if (null < 0)
		return err_set(err, -errno, "/dev/null: %m");
	rv = log_to_file(log);
	if (rv)
		return err_set(err, rv, "%s: %s", log, err_text(rv));
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	close(null);
	return 0;
}

static void tell(char kind, const char *text)
{
	char *all = mem_printf("%c%s", kind, text);

	if (write(tell_fd, all, strlen(all)) < 0) {
		/* Whoever asked is gone. */
	}
	close(tell_fd);
	tell_fd = -1;
	free(all);
}

void process_ready(const char *addresses)
{
	if (tell_fd >= 0) {
		tell('R', addresses);
	} else {
		printf("ready %s\n", addresses);
		fflush(stdout);
	}
	process_notify("READY=1");
}

void process_failed(const char *why)
{
	fprintf(stderr, "acached: %s\n", why);
	if (tell_fd >= 0)
		tell('F', why);
}

void process_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const size_t len = path ? strlen(path) : 0;
	int fd;

	if (len < 2 || len > sizeof(to.sun_path) ||
	    (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(to.sun_path, path, len);
	if (path[0] == '@') /* the abstract namespace */
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	sendto(fd, state, strlen(state), MSG_NOSIGNAL,
	       (const struct sockaddr *)&to,
	       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	close(fd);
}

void process_init(const char *role)
{
	struct rlimit files;
	char name[16];

	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if (role) {
		snprintf(name, sizeof(name), "acached-%s", role);
		prctl(PR_SET_NAME, name);
	}
}
