#include "powercut.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/defs.h"
#include "base/mem.h"
#include "workload.h"

enum { MAX_FDS = 1024, PAGE = 4096, SECTOR = 512 };

enum what { NAME, UNNAME, RENAME, WRITE, LENGTH, SYNC, SYNC_NAMES, SYNC_ALL };

struct call {
	enum what what;
	unsigned node;    /* of a file: index; NAME: what is named */
	char *path, *old; /* of names, relative to the root */
	uint64_t at, len;
	char *data;
	bool durable; /* while building: before the power went */
};

/* A file or directory, with its path as it is now. */
struct node {
	char *path; /* NULL: it has no name any more */
	bool is_dir;
	uint64_t size;
};

static struct {
	pthread_mutex_t mutex;
	bool on;
	char *root;
	struct call *calls;
	size_t n_calls, calls_room;
	struct node *nodes;
	size_t n_nodes, nodes_room;
	unsigned fds[MAX_FDS]; /* node + 1; 0: none of ours */
} p = { .mutex = PTHREAD_MUTEX_INITIALIZER };

/* ---- writing down ---- */

static struct call *add_call(enum what what, unsigned node)
{
	if (p.n_calls == p.calls_room) {
		p.calls_room = p.calls_room ? p.calls_room * 2 : 1024;
		p.calls = mem_resize(p.calls, p.calls_room, sizeof(*p.calls));
	}
	p.calls[p.n_calls] = (struct call){ .what = what, .node = node };
	return &p.calls[p.n_calls++];
}

static unsigned add_node(const char *path, bool is_dir)
{
	if (p.n_nodes == p.nodes_room) {
		p.nodes_room = p.nodes_room ? p.nodes_room * 2 : 256;
		p.nodes = mem_resize(p.nodes, p.nodes_room, sizeof(*p.nodes));
	}
	p.nodes[p.n_nodes] = (struct node){ mem_str(path), is_dir, 0 };
	add_call(NAME, (unsigned)p.n_nodes)->path = mem_str(path);
	return (unsigned)p.n_nodes++;
}

/* -1: none. */
static int find_node(const char *path)
{
	size_t i;

	for (i = p.n_nodes; i-- > 0;)
		if (p.nodes[i].path && strcmp(p.nodes[i].path, path) == 0)
			return (int)i;
	return -1;
}

static void unname_node(const char *path)
{
	int node = find_node(path);

	if (node < 0)
		return;
	free(p.nodes[node].path);
	p.nodes[node].path = NULL;
}

/* The path below the root, "" for itself, to be freed; NULL: not there. */
static char *path_below(int dir, const char *name)
{
	const struct node *n;
	size_t len;

	if (!p.on)
		return NULL;
	if (name[0] == '/') {
		len = strlen(p.root);
		if (strncmp(name, p.root, len) != 0 ||
		    (name[len] && name[len] != '/'))
			return NULL;
		return mem_str(name + len + (name[len] == '/'));
	}
	if (dir < 0 || dir >= MAX_FDS || !p.fds[dir])
		return NULL;
	n = &p.nodes[p.fds[dir] - 1];
	return n->path[0] ? mem_printf("%s/%s", n->path, name) : mem_str(name);
}

static void on_open(int dir, const char *name, int flags, int fd)
{
	char *path;
	int node;

	if (fd < 0 || fd >= MAX_FDS)
		return;
	pthread_mutex_lock(&p.mutex);
	path = path_below(dir, name);
	p.fds[fd] = 0;
	if (path) {
		node = find_node(path);
		if (node < 0)
			node = (int)add_node(path, flags & O_DIRECTORY);
		if (flags & O_TRUNC) {
			p.nodes[node].size = 0;
			add_call(LENGTH, (unsigned)node);
		}
		p.fds[fd] = (unsigned)node + 1;
		free(path);
	}
	pthread_mutex_unlock(&p.mutex);
}

static void on_mkdir(int dir, const char *name)
{
	char *path;

	pthread_mutex_lock(&p.mutex);
	path = path_below(dir, name);
	if (path)
		add_node(path, true);
	free(path);
	pthread_mutex_unlock(&p.mutex);
}

static void on_unlink(int dir, const char *name)
{
	char *path;

	pthread_mutex_lock(&p.mutex);
	path = path_below(dir, name);
	if (path) {
		unname_node(path);
		add_call(UNNAME, 0)->path = path;
	}
	pthread_mutex_unlock(&p.mutex);
}

static void on_rename(int from_dir, const char *from, int to_dir,
		      const char *to)
{
	char *old, *path;
	struct call *c;
	int node;

	pthread_mutex_lock(&p.mutex);
	old = path_below(from_dir, from);
	path = path_below(to_dir, to);
	node = old ? find_node(old) : -1;
	if (node >= 0 && path) {
		unname_node(path);
		free(p.nodes[node].path);
		p.nodes[node].path = mem_str(path);
		c = add_call(RENAME, (unsigned)node);
		c->old = old;
		c->path = path;
	} else {
		free(old);
		free(path);
	}
	pthread_mutex_unlock(&p.mutex);
}

/* The node of a descriptor, or -1. */
static int node_of(int fd)
{
	return p.on && fd >= 0 && fd < MAX_FDS ? (int)p.fds[fd] - 1 : -1;
}

/* At the end of the file if `at` is negative. */
static void on_write(int fd, const void *buf, ssize_t n, int64_t at)
{
	struct call *c;
	int node;

	pthread_mutex_lock(&p.mutex);
	node = node_of(fd);
	if (node >= 0 && n > 0) {
		c = add_call(WRITE, (unsigned)node);
		c->at = at < 0 ? p.nodes[node].size : (uint64_t)at;
		c->len = (uint64_t)n;
		c->data = mem_alloc((size_t)n);
		memcpy(c->data, buf, (size_t)n);
		if (p.nodes[node].size < c->at + c->len)
			p.nodes[node].size = c->at + c->len;
	}
	pthread_mutex_unlock(&p.mutex);
}

static void on_length(int fd, uint64_t len)
{
	int node;

	pthread_mutex_lock(&p.mutex);
	node = node_of(fd);
	if (node >= 0) {
		p.nodes[node].size = len;
		add_call(LENGTH, (unsigned)node)->len = len;
	}
	pthread_mutex_unlock(&p.mutex);
}

static void on_sync(int fd, bool all)
{
	struct node *n;
	int node;

	pthread_mutex_lock(&p.mutex);
	node = node_of(fd);
	n = node < 0 ? NULL : &p.nodes[node];
	if (n && all)
		add_call(SYNC_ALL, 0);
	else if (n && n->is_dir)
		add_call(SYNC_NAMES, 0)->path = mem_str(n->path);
	else if (n)
		add_call(SYNC, (unsigned)node);
	pthread_mutex_unlock(&p.mutex);
}

/* ---- the calls ---- */

#define WRAP(type, name, args)   \
	type __real_##name args; \
	type __wrap_##name args; \
	type __wrap_##name args

WRAP(int, open, (const char *path, int flags, unsigned mode))
{
	int fd = __real_open(path, flags, mode);

	on_open(-1, path, flags, fd);
	return fd;
}

WRAP(int, openat, (int dir, const char *path, int flags, unsigned mode))
{
	int fd = __real_openat(dir, path, flags, mode);

	on_open(dir, path, flags, fd);
	return fd;
}

WRAP(int, mkdir, (const char *path, mode_t mode))
{
	int rv = __real_mkdir(path, mode);

	if (rv == 0)
		on_mkdir(-1, path);
	return rv;
}

WRAP(int, mkdirat, (int dir, const char *path, mode_t mode))
{
	int rv = __real_mkdirat(dir, path, mode);

	if (rv == 0)
		on_mkdir(dir, path);
	return rv;
}

WRAP(int, unlinkat, (int dir, const char *path, int flags))
{
	int rv = __real_unlinkat(dir, path, flags);

	if (rv == 0)
		on_unlink(dir, path);
	return rv;
}

WRAP(int, renameat,
     (int from_dir, const char *from, int to_dir, const char *to))
{
	int rv = __real_renameat(from_dir, from, to_dir, to);

	if (rv == 0)
		on_rename(from_dir, from, to_dir, to);
	return rv;
}

WRAP(ssize_t, write, (int fd, const void *buf, size_t len))
{
	ssize_t n = __real_write(fd, buf, len);

	on_write(fd, buf, n, -1);
	return n;
}

WRAP(ssize_t, pwrite, (int fd, const void *buf, size_t len, off_t at))
{
	ssize_t n = __real_pwrite(fd, buf, len, at);

	on_write(fd, buf, n, at);
	return n;
}

WRAP(int, ftruncate, (int fd, off_t len))
{
	int rv = __real_ftruncate(fd, len);

	if (rv == 0)
		on_length(fd, (uint64_t)len);
	return rv;
}

/* There is nothing to wait for: a test has no power to lose. */
WRAP(int, fsync, (int fd))
{
	on_sync(fd, false);
	return 0;
}

WRAP(int, fdatasync, (int fd))
{
	on_sync(fd, false);
	return 0;
}

WRAP(int, syncfs, (int fd))
{
	on_sync(fd, true);
	return 0;
}

WRAP(int, close, (int fd))
{
	pthread_mutex_lock(&p.mutex);
	if (fd >= 0 && fd < MAX_FDS)
		p.fds[fd] = 0;
	pthread_mutex_unlock(&p.mutex);
	return __real_close(fd);
}

/* ---- building ---- */

static bool is_in(const char *path, const char *dir)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;

	return strlen(dir) == len && strncmp(path, dir, len) == 0;
}

static bool keeps(const struct call *sync, const struct call *c)
{
	switch (sync->what) {
	case SYNC:
		return (c->what == WRITE || c->what == LENGTH) &&
		       c->node == sync->node;
	case SYNC_NAMES:
		return c->path && is_in(c->path, sync->path);
	case SYNC_ALL:
		return true;
	default:
		return false;
	}
}

static void find_durable(size_t n)
{
	size_t i, j;

	for (i = 0; i < n; i++) {
		p.calls[i].durable = false;
		for (j = i + 1; j < n && !p.calls[i].durable; j++)
			p.calls[i].durable = keeps(&p.calls[j], &p.calls[i]);
	}
}

/* What the names mean: a node + 1 for each path; 0: nothing. */
struct name {
	const char *path;
	unsigned node;
};

struct names {
	struct name *at;
	size_t n;
};

static void set_name(struct names *names, const char *path, unsigned node)
{
	size_t i;

	for (i = 0; i < names->n; i++)
		if (strcmp(names->at[i].path, path) == 0)
			break;
	if (i == names->n)
		names->at =
			mem_resize(names->at, ++names->n, sizeof(*names->at));
	names->at[i] = (struct name){ path, node };
}

/* How much of what was not synced is there, of names or of a file's bytes. */
enum left { NOTHING, EVERYTHING, THE_FIRST, ANYTHING, N_LEFT };

static bool is_left(enum left left, size_t i, size_t until, uint64_t *random)
{
	switch (left) {
	case EVERYTHING:
		return true;
	case THE_FIRST:
		return i < until;
	case ANYTHING:
		return next_random(random) % 2;
	default:
		return false;
	}
}

static struct names find_names(size_t n, uint64_t *random)
{
	enum left left = next_random(random) % N_LEFT;
	size_t i, until = next_random(random) % (n + 1);
	struct names names = { 0 };
	struct call *c;

	for (i = 0; i < n; i++) {
		c = &p.calls[i];
		if (!c->durable && !is_left(left, i, until, random))
			continue;
		if (c->what == NAME)
			set_name(&names, c->path, c->node + 1);
		if (c->what == UNNAME)
			set_name(&names, c->path, 0);
		if (c->what == RENAME) {
			set_name(&names, c->old, 0);
			set_name(&names, c->path, c->node + 1);
		}
	}
	return names;
}

/* A write as far as it is left: whole pages or the first sectors of them. */
static void build_write(int fd, const struct call *c, enum left left,
			bool first, uint64_t *random)
{
	uint64_t at, end, len, stop = c->at + c->len;

	for (at = c->at; at < stop; at = end) {
		end = (at / PAGE + 1) * PAGE;
		end = end < stop ? end : stop;
		len = end - at;
		if (!c->durable && !is_left(left, !first, 1, random))
			continue;
		if (!c->durable && left == ANYTHING &&
		    next_random(random) % 4 == 0)
			len = len * (next_random(random) % 8) / 8 / SECTOR *
			      SECTOR;
		assert_int_equal(__real_pwrite(fd, c->data + (at - c->at), len,
					       (off_t)at),
				 len);
	}
}

static void build_file(const char *path, unsigned node, size_t n,
		       uint64_t *random)
{
	int fd = __real_open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	enum left left = next_random(random) % N_LEFT;
	bool keeps_length = next_random(random) % 2;
	size_t i, until = next_random(random) % (n + 1);
	uint64_t len = 0;
	struct call *c;

	assert_true(fd >= 0);
	for (i = 0; i < n; i++) {
		c = &p.calls[i];
		if (c->node != node)
			continue;
		if (c->what == WRITE) {
			build_write(fd, c, left, i < until, random);
			if (c->durable || keeps_length)
				len = c->at + c->len > len ? c->at + c->len
							   : len;
		}
		if (c->what == LENGTH && (c->durable || keeps_length)) {
			len = c->len;
			assert_int_equal(__real_ftruncate(fd, (off_t)len), 0);
		}
	}
	if (lseek(fd, 0, SEEK_END) < (off_t)len)
		assert_int_equal(__real_ftruncate(fd, (off_t)len), 0);
	__real_close(fd);
}

static int by_length(const void *a, const void *b)
{
	size_t n = strlen(((const struct name *)a)->path);
	size_t m = strlen(((const struct name *)b)->path);

	return n < m ? -1 : n > m;
}

void powercut_build(const char *to, size_t calls, uint64_t seed)
{
	uint64_t random = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
	struct names names;
	char *path, *slash;
	size_t i;

	assert_true(!p.on && calls <= p.n_calls);
	find_durable(calls);
	names = find_names(calls, &random);
	if (names.n) /* directories before what lies in them */
		qsort(names.at, names.n, sizeof(*names.at), by_length);
	__real_mkdir(to, 0700);
	for (i = 0; i < names.n; i++) {
		if (!names.at[i].node || !names.at[i].path[0])
			continue;
		path = mem_printf("%s/%s", to, names.at[i].path);
		slash = strrchr(path, '/');
		*slash = '\0';
		if (access(path, F_OK) == 0) { /* else it is lost with it */
			*slash = '/';
			if (p.nodes[names.at[i].node - 1].is_dir)
				__real_mkdir(path, 0700);
			else
				build_file(path, names.at[i].node - 1, calls,
					   &random);
		}
		free(path);
	}
	free(names.at);
}

/* ---- the ends ---- */

void powercut_begin(const char *root)
{
	pthread_mutex_lock(&p.mutex);
	p.root = mem_str(root);
	p.on = true;
	memset(p.fds, 0, sizeof(p.fds));
	pthread_mutex_unlock(&p.mutex);
}

void powercut_end(void)
{
	pthread_mutex_lock(&p.mutex);
	p.on = false;
	pthread_mutex_unlock(&p.mutex);
}

size_t powercut_calls(void)
{
	size_t n;

	pthread_mutex_lock(&p.mutex);
	n = p.n_calls;
	pthread_mutex_unlock(&p.mutex);
	return n;
}

void powercut_free(void)
{
	size_t i;

	for (i = 0; i < p.n_calls; i++) {
		free(p.calls[i].path);
		free(p.calls[i].old);
		free(p.calls[i].data);
	}
	for (i = 0; i < p.n_nodes; i++)
		free(p.nodes[i].path);
	free(p.calls);
	free(p.nodes);
	free(p.root);
	p.calls = NULL;
	p.nodes = NULL;
	p.root = NULL;
	p.n_calls = p.calls_room = p.n_nodes = p.nodes_room = 0;
}
