/*
 * How far the kernel reads ahead of a program on a mountpoint: 128 KiB unless
 * told otherwise, whatever FUSE's INIT says; the backing device's entry in
 * /sys/class/bdi takes more (Documentation/ABI/testing/sysfs-class-bdi).
 */
#pragma once

/*
 * Sets it for the file system mounted at `point`.  Never touches the mountpoint
 * itself: its server could be us.  `mountinfo` is the file to read, NULL: the
 * kernel's.  -ENOENT: nothing is mounted there.
 */
int readahead_set(const char *point, unsigned kib, const char *mountinfo,
		  const char *sys);
