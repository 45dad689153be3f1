#include "ufs/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"

/* openat2() answers EAGAIN when a rename passes by; it does not stay so. */
enum { MAX_TRIES = 100 };

static int open_kernel(int root_fd, const char *path, int flags)
{
	const struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC | O_NOFOLLOW),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	long fd;
	int i;

	for (i = 0; i < MAX_TRIES; i++) {
		fd = syscall(SYS_openat2, root_fd, path[0] ? path : ".", &how,
			     sizeof(how));
		if (fd >= 0)
			return (int)fd;
		if (errno != EAGAIN && errno != EINTR)
			break;
	}
	return errno == EXDEV ? -EACCES : -errno;
}

static int open_one(int dir_fd, const char *name, int flags)
{
	int fd = openat(dir_fd, name, flags | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? -errno : fd;
}

int beneath_open_walk(int root_fd, const char *path, int flags)
{
	char *copy = mem_str(path), *rest = copy, *name = copy;
	int fd, dir = root_fd;

	for (;;) {
		name = strsep(&rest, "/");
		if (strcmp(name, "..") == 0)
			fd = -EACCES;
		else
			fd = open_one(dir, name[0] ? name : ".",
				      rest ? O_PATH | O_DIRECTORY : flags);
		if (dir != root_fd)
			close(dir);
		if (fd < 0 || !rest)
			break;
		dir = fd;
	}
	free(copy);
	return fd;
}

int beneath_open(int root_fd, const char *path, int flags)
{
	int fd = open_kernel(root_fd, path, flags);

	/* Old kernels say ENOSYS, some sandboxes EPERM. */
	if (fd == -ENOSYS || fd == -EPERM)
		fd = beneath_open_walk(root_fd, path, flags);
	return fd;
}
