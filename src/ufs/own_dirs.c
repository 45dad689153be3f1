#include "ufs/own_dirs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/lock.h"
#include "runtime/mountpoint.h"

struct own_dirs {
	char *root; /* without a slash at the end: "" is / */
	char **own;
	char *mountinfo;
	int changes_fd; /* of mountinfo; -1: there is none */

	struct mutex mutex;
	/* protected by mutex */
	bool checked;
	struct err verdict;
};

static char *trim(const char *path)
{
	size_t len = strlen(path);

	while (len > 0 && path[len - 1] == '/')
		len--;
	return mem_strn(path, len);
}

struct own_dirs *own_dirs_new(const char *root, const char *const *own,
			      const char *mountinfo)
{
	struct own_dirs *o = mem_alloc(sizeof(*o));
	size_t i, n = 0;

	o->root = trim(root);
	while (own && own[n])
		n++;
	o->own = mem_array(n + 1, sizeof(o->own[0]));
	for (i = 0; i < n; i++)
		o->own[i] = trim(own[i]);
	o->mountinfo = mem_str(mountinfo ? mountinfo : "/proc/self/mountinfo");
	o->changes_fd = open(o->mountinfo, O_RDONLY | O_CLOEXEC);
	mutex_init(&o->mutex);
	return o;
}

void own_dirs_free(struct own_dirs *o)
{
	char **p;

	for (p = o->own; *p; p++)
		free(*p);
	if (o->changes_fd >= 0)
		close(o->changes_fd);
	mutex_close(&o->mutex);
	free(o->mountinfo);
	free(o->own);
	free(o->root);
	free(o);
}

static bool contains(const char *dir, const char *path)
{
	size_t len = strlen(dir);

	return strncmp(dir, path, len) == 0 &&
	       (path[len] == '/' || path[len] == '\0');
}

/* `what`: "own directory" or "mountpoint". */
static int refuse(const char *root, const char *dir, const char *what,
		  struct err *err)
{
	if (!contains(root, dir) && !contains(dir, root))
		return 0;
	return err_set(err, -EINVAL,
		       "it contains acached's %s %s, or lies in it", what, dir);
}

int own_dirs_check_names(const struct own_dirs *o, struct err *err)
{
	char **dir;
	int rv = 0;

	for (dir = o->own; *dir && !rv; dir++)
		rv = refuse(o->root, *dir, "own directory", err);
	return rv;
}

static int check_mounts(const struct own_dirs *o, const char *root,
			struct err *err)
{
	char *line = NULL, *point, *type, *source;
	FILE *f = fopen(o->mountinfo, "re");
	size_t size = 0;
	int rv = 0;

	if (!f)
		return 0; /* without /proc nobody can tell */
	while (!rv && getline(&line, &size, f) > 0)
		if (mountpoint_split_line(line, &point, &type, &source) &&
		    strcmp(type, MOUNTPOINT_TYPE) == 0)
			rv = refuse(root, point, "mountpoint", err);
	free(line);
	fclose(f);
	return rv;
}

/* `path` without links, but for its last component: a mountpoint of ours is
 * not looked at. */
static char *resolve_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *parent, *real, *result;

	if (!slash)
		return mem_str(path);
	parent = mem_strn(path, (size_t)(slash - path));
	real = realpath(parent[0] ? parent : "/", NULL);
	result = real ? mem_printf("%s%s", strcmp(real, "/") == 0 ? "" : real,
				   slash)
		      : mem_str(path);
	free(parent);
	free(real);
	return result;
}

/* Without symbolic links. */
static int check_real(const struct own_dirs *o, struct err *err)
{
	char *real, *root, *own, **dir;
	int rv;

	real = realpath(o->root[0] ? o->root : "/", NULL);
	if (!real)
		return err_set(err, -errno, "%s: %m", o->root);
	root = trim(real);
	free(real);
	rv = check_mounts(o, root, err);
	for (dir = o->own; *dir && !rv; dir++) {
		own = resolve_parent(*dir);
		rv = refuse(root, own, "own directory", err);
		free(own);
	}
	free(root);
	return rv;
}

/* Whether the table of mounts is another since the last time. */
static bool has_changed(const struct own_dirs *o)
{
	struct pollfd p = { .fd = o->changes_fd, .events = POLLPRI };

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLPRI | POLLERR));
}

int own_dirs_check(struct own_dirs *o, struct err *err)
{
	struct err found = { 0 };
	bool known;
	int rv;

	known = !has_changed(o);
	mutex_lock(&o->mutex);
	known = known && o->checked;
	if (known && o->verdict.code)
		err_set(err, o->verdict.code, "%s", o->verdict.msg);
	rv = known ? o->verdict.code : 0;
	mutex_unlock(&o->mutex);
	if (known)
		return rv;

	/* By name first: to resolve what lies in our own mountpoint would ask
	 * ourselves. */
	rv = check_mounts(o, o->root, &found);
	if (!rv)
		rv = check_real(o, &found);
	mutex_lock(&o->mutex);
	o->verdict = found;
	o->checked = rv == 0 || rv == -EINVAL; /* not while it is missing */
	mutex_unlock(&o->mutex);
	return rv ? err_set(err, rv, "%s", found.msg) : 0;
}
