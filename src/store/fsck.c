/* The index against the backing files, without reading these. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/disk.h"

/* What the index says of a file. */
struct said {
	uint64_t id, least; /* bytes that its backing file has at least */
	uint32_t seq;
	bool filling;
};

static void wrong(struct store_fsck *f, const char *fmt, ...) ATTR_PRINTF(2, 3);

static void wrong(struct store_fsck *f, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	f->found++;
	if (f->n_findings == STORE_FSCK_FINDINGS)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	f->findings[f->n_findings++] = mem_str(text);
}

/* Where the last present page ends. */
static uint64_t end_locked(const struct entry *e)
{
	uint64_t page = entry_pages(e->size);

	while (page > 0 && !entry_has(e, page - 1))
		page--;
	return page * STORE_PAGE < e->size ? page * STORE_PAGE : e->size;
}

/* All that the index has of a directory; to be freed. */
static struct said *take_index(struct dir *d, size_t *n)
{
	struct list *at = &d->entries;
	struct said *all;
	struct entry *e;

	mutex_lock(&d->store->mutex);
	all = mem_array(d->n_entries + 1, sizeof(*all));
	for (*n = 0; *n < d->n_entries && (e = dir_next_locked(d, at));
	     at = &e->place.link)
		all[(*n)++] = (struct said){ .id = e->node.id,
					     .least = end_locked(e),
					     .seq = e->seq,
					     .filling = e->fills > 0 };
	mutex_unlock(&d->store->mutex);
	return all;
}

static bool is_closing(struct store *s)
{
	bool closing;

	mutex_lock(&s->mutex);
	closing = s->closing;
	mutex_unlock(&s->mutex);
	return closing;
}

static void take_id(struct store_fsck *f, uint64_t id)
{
	if (f->n_ids == f->room) {
		f->room = f->room ? 2 * f->room : 1024;
		f->ids = mem_resize(f->ids, f->room, sizeof(*f->ids));
	}
	f->ids[f->n_ids++] = id;
}

static void check_file(struct store_fsck *f, struct dir *d,
		       const struct said *s)
{
	char path[40];
	struct stat st;

	snprintf(path, sizeof(path), BACKING_PATH,
		 (unsigned)(s->id % N_SUBDIRS), s->id, s->seq);
	take_id(f, s->id);
	if (fstatat(d->fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		wrong(f, "%s/%s: %s", d->path, path,
		      errno == ENOENT ? "in the index, but missing"
				      : err_text(-errno));
		return;
	}
	f->files++;
	f->bytes += (uint64_t)st.st_blocks * 512;
	if (!S_ISREG(st.st_mode))
		wrong(f, "%s/%s: not a file", d->path, path);
	else if ((uint64_t)st.st_size < s->least && !s->filling)
		wrong(f, "%s/%s: %jd bytes, the index has %" PRIu64, d->path,
		      path, (intmax_t)st.st_size, s->least);
}

static bool is_known(struct dir *d, const char *name)
{
	struct store *s = d->store;
	const struct entry *e;
	uint64_t id;
	uint32_t seq;
	bool known;
	int end = 0;

	if (sscanf(name, "%16" SCNx64 ".%8" SCNx32 "%n", &id, &seq, &end) !=
		    2 ||
	    name[end] != '\0')
		return false;
	mutex_lock(&s->mutex);
	e = map_get(&s->files, id);
	if (!e || e->dir != d || e->seq != seq)
		e = map_get(&s->held, id);
	known = e && e->dir == d && e->seq == seq;
	mutex_unlock(&s->mutex);
	return known;
}

static void check_subdir(struct store_fsck *f, struct dir *d, const char *sub)
{
	int fd = openat(d->fd, sub, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return; /* it is made when it is needed */
	}
	while (!is_closing(d->store) && (de = readdir(dir)))
		if (de->d_name[0] != '.' && !is_known(d, de->d_name))
			wrong(f, "%s/%s/%s: not in the index", d->path, sub,
			      de->d_name);
	closedir(dir);
}

static void check_dir(struct store_fsck *f, struct dir *d)
{
	enum service service;
	struct said *all;
	char sub[4];
	size_t i, n;

	mutex_lock(&d->store->mutex);
	service = d->service;
	mutex_unlock(&d->store->mutex);
	if (service == OUT_OF_SERVICE) {
		wrong(f, "%s: out of service, its disk has failed", d->path);
		return;
	}
	all = take_index(d, &n);
	for (i = 0; i < n && !is_closing(d->store); i++)
		check_file(f, d, &all[i]);
	free(all);
	for (i = 0; i < N_SUBDIRS; i++) {
		snprintf(sub, sizeof(sub), "%02x", (unsigned)i);
		check_subdir(f, d, sub);
	}
}

static ssize_t fsck_work(struct task *t)
{
	struct store_fsck *f = container_of(t, struct store_fsck, task);
	unsigned i;

	for (i = 0; i < f->store->n_dirs; i++)
		check_dir(f, &f->store->dirs[i]);
	return 0;
}

static void on_fsck(struct task *t)
{
	struct store_fsck *f = container_of(t, struct store_fsck, task);

	f->done(f);
}

void store_fsck(struct store *s, struct store_fsck *f,
		void (*done)(struct store_fsck *f))
{
	f->store = s;
	f->done = done;
	workpool_submit(s->dirs[0].pool, f->loop, &f->task, fsck_work, on_fsck);
}

void store_fsck_clear(struct store_fsck *f)
{
	unsigned i;

	for (i = 0; i < f->n_findings; i++)
		free(f->findings[i]);
	free(f->ids);
	*f = (struct store_fsck){ .loop = f->loop };
}
