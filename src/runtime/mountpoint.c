#include "runtime/mountpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

int mountpoint_parse_source(const char *source, struct mountpoint *m,
			    struct err *err)
{
	const char *colon = NULL, *at;

	for (at = source; (at = strstr(at, ":/")); at++)
		colon = at;
	if (!colon || colon == source)
		return err_set(err, -EINVAL,
			       "\"%s\" is not MASTER[,MASTER...]:/PATH",
			       source);
	m->masters = mem_strn(source, (size_t)(colon - source));
	m->path = mem_str(colon + 1);
	return 0;
}

/* Undoes the \040 of proc(5), in place. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++, to++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] &&
		    s[3]) {
			*to = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 +
				     (s[3] - '0'));
			s += 3;
		} else {
			*to = *s;
		}
	}
	*to = '\0';
}

bool mountpoint_split_line(char *line, char **point, char **type, char **source)
{
	char *dash = strstr(line, " - "), *save;
	int i;

	if (!dash)
		return false;
	*dash = '\0';
	*point = strtok_r(line, " ", &save);
	for (i = 0; *point && i < 4; i++)
		*point = strtok_r(NULL, " ", &save);
	*type = strtok_r(dash + 3, " ", &save);
	*source = strtok_r(NULL, " \n", &save);
	if (!*point || !*type || !*source)
		return false;
	unescape(*point);
	unescape(*source);
	return true;
}

static bool lies_in(const char *path, const char *point)
{
	size_t n = strlen(point);

	if (n == 1)
		return true;
	return strncmp(path, point, n) == 0 &&
	       (path[n] == '/' || path[n] == '\0');
}

int mountpoint_of(const char *path, const char *mountinfo,
		  struct mountpoint *out)
{
	FILE *f = fopen(mountinfo ? mountinfo : "/proc/self/mountinfo", "re");
	char *line = NULL, *point, *type, *source;
	size_t size = 0, longest = 0;
	int rv = -ENOENT;

	if (!f)
		return -errno;
	*out = (struct mountpoint){ 0 };
	while (getline(&line, &size, f) > 0) {
		if (!mountpoint_split_line(line, &point, &type, &source) ||
		    !lies_in(path, point) || strlen(point) < longest)
			continue;
		/* The longest mount point; of equal ones the last, on top. */
		longest = strlen(point);
		mountpoint_close(out);
		rv = -ENOENT;
		if (strcmp(type, MOUNTPOINT_TYPE) == 0 &&
		    mountpoint_parse_source(source, out, NULL) == 0) {
			out->point = mem_str(point);
			rv = 0;
		}
	}
	free(line);
	fclose(f);
	return rv;
}

void mountpoint_close(struct mountpoint *m)
{
	free(m->point);
	free(m->masters);
	free(m->path);
	*m = (struct mountpoint){ 0 };
}
