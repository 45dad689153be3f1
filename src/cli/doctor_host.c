/* What this machine is. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "runtime/mountpoint.h"

void doctor_kernel(struct cli *cli ATTR_UNUSED, struct finding *f)
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
		      "the process of a mountpoint dies; before, we keep each",
		      "Linux %s", u.release);
}

void doctor_fuse(struct cli *cli ATTR_UNUSED, struct finding *f)
{
	static const char mend[] =
		"modprobe fuse; in a container, pass --device /dev/fuse; else "
		"let this user open it";
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	struct stat st;

	if (fd < 0) {
		FOUND(f, BAD, mend, "/dev/fuse: %m");
		return;
	}
	if (fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) &&
	    st.st_rdev == makedev(10, 229))
		FOUND(f, GOOD, NULL, "/dev/fuse can be opened");
	else
		FOUND(f, BAD, mend, "/dev/fuse is not the kernel's device");
	close(fd);
}

void doctor_fusermount(struct cli *cli ATTR_UNUSED, struct finding *f)
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

void doctor_descriptors(struct cli *cli ATTR_UNUSED, struct finding *f)
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

void doctor_clock(struct cli *cli ATTR_UNUSED, struct finding *f)
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

void doctor_memory(struct cli *cli ATTR_UNUSED, struct finding *f)
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

/* Adds one more dead mountpoint to those that are named. */
static void add_dead(struct finding *f, const char *point)
{
	char names[sizeof(f->what)] = "";

	if (f->level == BAD)
		snprintf(names, sizeof(names), "%.*s, ",
			 (int)strcspn(f->what, " "), f->what);
	FOUND(f, BAD, "start acached on it again, or umount -l it",
	      "%.110s%.110s is dead", names, point);
}

/* A mountpoint of ours whose processes are gone answers ENOTCONN. */
void doctor_mountpoints(struct cli *cli ATTR_UNUSED, struct finding *f)
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
		if (access(point, F_OK) < 0 && errno == ENOTCONN)
			add_dead(f, point);
		else if (f->level == GOOD)
			FOUND(f, GOOD, NULL,
			      "%u acached mountpoints, all alive", ours);
	}
	free(line);
	if (file)
		fclose(file);
}
