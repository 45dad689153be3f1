#include "store/file_io.h"

#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

/* Whether to go on after a write of `n` bytes; else *rv is a code. */
static bool wrote(ssize_t n, int *rv)
{
	if (n > 0 || (n < 0 && errno == EINTR))
		return true;
	*rv = n < 0 ? -errno : -EIO;
	return false;
}

int file_append(int fd, const void *buf, size_t len)
{
	size_t done = 0;
	ssize_t n;
	int rv;

	while (done < len) {
		n = write(fd, (const char *)buf + done, len - done);
		if (!wrote(n, &rv))
			return rv;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

int file_write_at(int fd, const void *buf, size_t len, uint64_t offset)
{
	size_t done = 0;
	ssize_t n;
	int rv;

	while (done < len) {
		n = pwrite(fd, (const char *)buf + done, len - done,
			   (off_t)(offset + done));
		if (!wrote(n, &rv))
			return rv;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}
