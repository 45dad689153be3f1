#include "fuse/readahead.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Spaces and the like are written as \040. */
static void unescape(char *s)
{
	char *to = s;
	unsigned c;

	for (; *s; to++) {
		if (sscanf(s, "\\%3o", &c) == 1) {
			*to = (char)c;
			s += 4;
		} else {
			*to = *s++;
		}
	}
	*to = '\0';
}

/* The device of what was mounted last at `point`: "0:53". */
static bool find_device(FILE *in, const char *point, char device[32])
{
	char *line = NULL, at[4200];
	unsigned major, minor;
	bool found = false;
	size_t size = 0;

	while (getline(&line, &size, in) > 0) {
		if (sscanf(line, "%*d %*d %u:%u %*s %4199s", &major, &minor,
			   at) != 3)
			continue;
		unescape(at);
		if (strcmp(at, point) != 0)
			continue;
		snprintf(device, 32, "%u:%u", major, minor);
		found = true;
	}
	free(line);
	return found;
}

int readahead_set(const char *point, unsigned kib, const char *mountinfo,
		  const char *sys)
{
	FILE *f = fopen(mountinfo ? mountinfo : "/proc/self/mountinfo", "re");
	char device[32];
	bool found;
	char *path;
	int rv = 0;

	if (!f)
		return -errno;
	found = find_device(f, point, device);
	fclose(f);
	if (!found)
		return -ENOENT;
	path = mem_printf("%s/class/bdi/%s/read_ahead_kb", sys ? sys : "/sys",
			  device);
	f = fopen(path, "we");
	free(path);
	if (!f)
		return -errno;
	fprintf(f, "%u\n", kib);
	if (fclose(f))
		rv = -errno;
	return rv;
}
