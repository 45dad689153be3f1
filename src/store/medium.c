#include "store/medium.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

bool medium_is_memory(int dir_fd)
{
	struct statfs fs;

	return fstatfs(dir_fd, &fs) == 0 &&
	       (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

/* The first byte of a file of /sys about the device; 0: there is none. */
static char attribute(dev_t device, const char *name)
{
	char path[80], byte = 0;
	int fd;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(device),
		 minor(device), name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (read(fd, &byte, 1) != 1)
		byte = 0;
	close(fd);
	return byte;
}

enum tier medium_tier(int dir_fd)
{
	struct stat st;
	char rotational;

	if (medium_is_memory(dir_fd))
		return TIER_MEMORY;
	if (fstat(dir_fd, &st) < 0)
		return TIER_SSD;
	rotational = attribute(st.st_dev, "queue/rotational");
	if (!rotational) /* a partition has its disk's */
		rotational = attribute(st.st_dev, "../queue/rotational");
	return rotational == '1' ? TIER_HDD : TIER_SSD;
}
