/*
 * acached admin doctor: what on this machine would make acached slow or broken,
 * and the mend for each.  One row a check; a check looks and changes nothing.
 */

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "rpc/socket.h"
#include "runtime/mountpoint.h"

enum level { GOOD, WARN, BAD };

struct finding {
	enum level level;
	char what[200];
	const char *mend; /* NULL where there is nothing to mend */
};

#define FOUND(f, l, m, ...)                                          \
	do {                                                         \
		(f)->level = (l);                                    \
		(f)->mend = (m);                                     \
		snprintf((f)->what, sizeof((f)->what), __VA_ARGS__); \
	} while (0)

static void check_kernel(struct cli *cli ATTR_UNUSED, struct finding *f)
{
	unsigned major = 0, minor = 0;
	struct utsname u;

	uname(&u);
	sscanf(u.release, "%u.%u", &major, &minor);
	if (major > 6 || (major == 6 && minor >= 9))
		FOUND(f, GOOD, NULL, "Linux %s", u.release);
	else
		FOUND(f, WARN,
		      "use Linux 6.9 or later: it sends requests again when "
		      "the "
		      "process of a mountpoint dies; before, we keep each",
		      "Linux %s", u.release);
}

static void check_fuse(struct cli *cli ATTR_UNUSED, struct finding *f)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		FOUND(f, GOOD, NULL, "/dev/fuse can be opened");
		return;
	}
	FOUND(f, BAD,
	      errno == ENOENT
		      ? "modprobe fuse; in a container, pass --device /dev/fuse"
		      : "run as root, or let this user open /dev/fuse",
	      "/dev/fuse: %m");
}

static void check_fusermount(struct cli *cli ATTR_UNUSED, struct finding *f)
{
	if (geteuid() == 0)
		FOUND(f, GOOD, NULL, "root mounts by itself");
	else if (access("/usr/bin/fusermount3", X_OK) == 0 ||
		 access("/bin/fusermount3", X_OK) == 0)
		FOUND(f, GOOD, NULL, "fusermount3 is installed");
	else
		FOUND(f, BAD, "apt-get install fuse3",
		      "fusermount3 is not installed, and we are not root");
}

static void check_descriptors(struct cli *cli ATTR_UNUSED, struct finding *f)
{
	struct rlimit l;

	getrlimit(RLIMIT_NOFILE, &l);
	if (l.rlim_max >= 65536)
		FOUND(f, GOOD, NULL, "up to %llu open descriptors",
		      (unsigned long long)l.rlim_max);
	else
		FOUND(f, WARN,
		      "raise the hard limit to 65536 or more (LimitNOFILE= in "
		      "the unit, or limits.conf)",
		      "only %llu open descriptors",
		      (unsigned long long)l.rlim_max);
}

/* The nearest directory above that exists. */
static void existing(char *path)
{
	char *slash;

	while (access(path, F_OK) < 0 && (slash = strrchr(path, '/')))
		slash[slash == path] = '\0';
}

static void check_disk(struct cli *cli, struct finding *f)
{
	char *dir = cli_state_dir(cli);
	unsigned long long free_mib;
	struct statvfs fs;

	existing(dir);
	if (statvfs(dir, &fs) < 0) {
		FOUND(f, BAD, "choose another state.dir", "%s: %m", dir);
	} else if (access(dir, W_OK) < 0) {
		FOUND(f, BAD, "choose a state.dir that this user may write",
		      "%s: %m", dir);
	} else {
		free_mib = (unsigned long long)fs.f_bavail * fs.f_frsize >> 20;
		FOUND(f, free_mib < 2048 ? WARN : GOOD,
		      free_mib < 2048 ? "make room, or choose another state.dir"
				      : NULL,
		      "%llu MiB free for %s", free_mib, dir);
	}
	free(dir);
}

/* Whether a role of this state directory says that it listens on the port. */
static bool is_own_port(struct cli *cli, const char *endpoint)
{
	const char *port = strrchr(endpoint, ':');
	char *dir = cli_state_dir(cli), *line = NULL, *end;
	char *pattern = mem_printf("%s/{*,fuse/*}/address", dir);
	bool found = false;
	size_t size = 0, i;
	glob_t files;
	FILE *file;

	if (glob(pattern, GLOB_BRACE, NULL, &files) != 0)
		files.gl_pathc = 0;
	for (i = 0; i < files.gl_pathc; i++) {
		file = fopen(files.gl_pathv[i], "re");
		while (file && getline(&line, &size, file) > 0) {
			line[strcspn(line, "\n")] = '\0';
			end = strrchr(line, ':');
			found |= end && strcmp(end, port) == 0;
		}
		if (file)
			fclose(file);
	}
	globfree(&files);
	free(pattern);
	free(line);
	free(dir);
	return found;
}

/* False: nobody could listen there, and `f` says why. */
static bool check_port(struct cli *cli, const char *endpoint, struct finding *f)
{
	struct err err = { 0 };
	int fd = socket_listen(endpoint, NULL, &err);

	if (fd >= 0) {
		close(fd);
		return true;
	}
	if (fd == -EADDRINUSE && is_own_port(cli, endpoint))
		return true;
	FOUND(f, BAD,
	      fd == -EADDRINUSE
		      ? "end the process that listens there (ss -ltnp shows "
			"it), or configure another port"
		      : "configure an address of this machine, and a port that "
			"this user may listen on",
	      "%.190s", err.msg);
	return false;
}

static void check_ports(struct cli *cli, struct finding *f)
{
	struct err err = { 0 };
	struct config c;
	unsigned n = 0, i;
	char **at;

	if (config_load(&c, cli->config_file, NULL, &err)) {
		FOUND(f, BAD, "mend the configuration", "%.190s", err.msg);
		return;
	}
	const config_list lists[] = {
		c.master_listen,
		c.worker_listen,
		(char *[]){ c.master_http, NULL },
		(char *[]){ c.worker_http, NULL },
		(char *[]){ c.fuse_http, NULL },
	};
	FOUND(f, GOOD, NULL,
	      "none is configured, the kernel chooses free ones");
	for (i = 0; i < ARRAY_SIZE(lists); i++)
		for (at = lists[i]; at && *at && f->level == GOOD; at++) {
			if ((*at)[0] == '\0' || !check_port(cli, *at, f))
				continue;
			FOUND(f, GOOD, NULL,
			      "%u configured, each free or in use by acached",
			      ++n);
		}
	config_close(&c);
}

static void check_clock(struct cli *cli ATTR_UNUSED, struct finding *f)
{
	struct timex t = { 0 };

	if (adjtimex(&t) < 0 || t.status & STA_UNSYNC)
		FOUND(f, WARN,
		      "run chrony or systemd-timesyncd: S3 refuses requests "
		      "that are 15 minutes off",
		      "the clock is not synchronised");
	else
		FOUND(f, GOOD, NULL, "the clock is synchronised");
}

static void check_memory(struct cli *cli ATTR_UNUSED, struct finding *f)
{
	FILE *file = fopen("/proc/sys/vm/overcommit_memory", "re");
	int mode = 0;

	if (file) {
		if (fscanf(file, "%d", &mode) != 1)
			mode = 0;
		fclose(file);
	}
	if (mode == 2)
		FOUND(f, WARN,
		      "sysctl vm.overcommit_memory=1: a master forks to write "
		      "its checkpoints",
		      "memory is not overcommitted");
	else
		FOUND(f, GOOD, NULL, "memory may be overcommitted");
}

/* A mountpoint of ours whose processes are gone answers ENOTCONN. */
static void check_mountpoints(struct cli *cli ATTR_UNUSED, struct finding *f)
{
	FILE *file = fopen("/proc/self/mounts", "re");
	char *line = NULL, point[1024], type[64];
	unsigned ours = 0;
	size_t size = 0;

	FOUND(f, GOOD, NULL, "no acached mountpoint");
	while (file && getline(&line, &size, file) > 0) {
		if (sscanf(line, "%*s %1023s %63s", point, type) != 2 ||
		    strcmp(type, MOUNTPOINT_TYPE) != 0)
			continue;
		ours++;
		if (access(point, F_OK) < 0 && errno == ENOTCONN) {
			FOUND(f, BAD,
			      "start acached on it again, or umount -l it",
			      "%.150s is dead", point);
			break;
		}
		FOUND(f, GOOD, NULL, "%u acached mountpoints, all alive", ours);
	}
	free(line);
	if (file)
		fclose(file);
}

static int on_report(void *arg, const void *reply)
{
	const struct report_reply *r = reply;
	struct finding *f = arg;
	unsigned live = 0;
	size_t i;

	for (i = 0; i < r->workers.n; i++)
		live += r->workers.at[i].live;
	if (live == 0)
		FOUND(f, BAD, "start one: acached --role=worker",
		      "the master answers, but no worker is alive");
	else
		FOUND(f, GOOD, NULL,
		      "the master answers, %u of %zu workers "
		      "are alive",
		      live, r->workers.n);
	return 0;
}

static void check_cluster(struct cli *cli, struct finding *f)
{
	const struct report_request req = { 0 };

	if (cli_call(cli, RPC_MASTER_METHOD(report), &req, on_report, f))
		FOUND(f, WARN, "start it, or name it by --master or --state",
		      "no cluster answers: %.150s", cli->err.msg);
}

static const struct check {
	const char *name;
	void (*look)(struct cli *cli, struct finding *f);
} checks[] = {
	{ "kernel", check_kernel },
	{ "fuse", check_fuse },
	{ "fusermount", check_fusermount },
	{ "descriptors", check_descriptors },
	{ "ports", check_ports },
	{ "disk", check_disk },
	{ "clock", check_clock },
	{ "memory", check_memory },
	{ "mountpoints", check_mountpoints },
	{ "cluster", check_cluster },
};

int cmd_doctor(struct cli *cli, int argc ATTR_UNUSED, char **argv ATTR_UNUSED)
{
	static const char *const words[] = { "ok", "warning", "problem" };
	json_t *all = cli->json ? json_array() : NULL;
	struct finding f;
	unsigned bad = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(checks); i++) {
		f = (struct finding){ 0 };
		checks[i].look(cli, &f);
		bad += f.level == BAD;
		if (all)
			json_array_append_new(
				all, json_pack("{s:s, s:s, s:s, s:s}", "check",
					       checks[i].name, "level",
					       words[f.level], "found", f.what,
					       "mend", f.mend ? f.mend : ""));
		else
			fprintf(cli->out, "%-8s %-12s %s%s%s\n", words[f.level],
				checks[i].name, f.what, f.mend ? "; " : "",
				f.mend ? f.mend : "");
	}
	if (all)
		cli_print_json(cli, all);
	return bad ? CLI_FAILED : CLI_DONE;
}
