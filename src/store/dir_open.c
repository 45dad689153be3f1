/* A directory's start and end. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/memory.h"
#include "store/disk.h"
#include "store/index.h"
#include "store/medium.h"

#define LOG_MODULE "store"
#include "runtime/log.h"

/* Refuses a directory that another worker uses, by its pid. */
static int take_lock(struct dir *d, struct err *err)
{
	char pid[24] = "";
	ssize_t n;

	d->lock_fd = openat(d->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (d->lock_fd < 0)
		return err_set(err, -errno, "%s/lock: open: %m", d->path);
	if (flock(d->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		n = pread(d->lock_fd, pid, sizeof(pid) - 1, 0);
		pid[n > 0 ? n : 0] = '\0';
		return err_set(err, -EBUSY, "%s is in use by process %s",
			       d->path, pid);
	}
	n = snprintf(pid, sizeof(pid), "%jd", (intmax_t)getpid());
	if (ftruncate(d->lock_fd, 0) < 0 ||
	    pwrite(d->lock_fd, pid, (size_t)n, 0) < 0)
		return err_set(err, -errno, "%s/lock: write: %m", d->path);
	return 0;
}

/*
 * ext4 puts files near their directory, and skips inodes deleted in the last
 * minutes one by one: a create costs a millisecond where many were.  The mark
 * of a top directory has it spread what is below over the disk.
 */
static void spread_subdirs(struct dir *d)
{
	int flags;

	if (ioctl(d->fd, FS_IOC_GETFLAGS, &flags) < 0 || flags & FS_TOPDIR_FL)
		return;
	flags |= FS_TOPDIR_FL;
	/* Other file systems refuse, and need it not. */
	(void)ioctl(d->fd, FS_IOC_SETFLAGS, &flags);
}

static int open_path(struct dir *d, struct err *err)
{
	if (mkdir(d->path, 0700) < 0 && errno != EEXIST)
		return err_set(err, -errno, "%s: create: %m", d->path);
	d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->fd < 0)
		return err_set(err, -errno, "%s: open: %m", d->path);
	spread_subdirs(d);
	d->in_memory = medium_is_memory(d->fd);
	if (d->tier == TIER_AUTO)
		d->tier = medium_tier(d->fd);
	return take_lock(d, err);
}

/* The entry whose backing file has this name; NULL: nobody's. */
static struct entry *owner_of(struct dir *d, const char *name)
{
	struct entry *e;
	uint64_t file;
	uint32_t seq;
	int end = 0;

	if (sscanf(name, "%16" SCNx64 ".%8" SCNx32 "%n", &file, &seq, &end) !=
		    2 ||
	    name[end] != '\0')
		return NULL;
	e = map_get(&d->store->files, file);
	return e && e->dir == d && e->seq == seq ? e : NULL;
}

/* The process may have died between a page and its record. */
static void measure(struct entry *e, int dir, const char *name)
{
	struct stat st;
	uint64_t used;

	if (e->size <= STORE_PAGE || fstatat(dir, name, &st, 0) < 0)
		return;
	used = entry_disk_bytes(e->size, &st);
	if (used == e->used)
		return;
	entry_resize_locked(e, used);
	index_resized_locked(e);
}

/* Removes what is not in the index, and marks what is. */
static void sweep_subdir(struct dir *d, DIR *dir)
{
	struct dirent *de;
	struct entry *e;

	while ((de = readdir(dir))) {
		if (de->d_name[0] == '.')
			continue;
		e = owner_of(d, de->d_name);
		if (e) {
			e->found = true;
			measure(e, dirfd(dir), de->d_name);
		} else if (unlinkat(dirfd(dir), de->d_name, 0) < 0) {
			d->index_torn = true;
		}
	}
}

static void find_subdirs(struct dir *d, bool sweep)
{
	char name[4];
	unsigned i;
	DIR *dir;
	int fd;

	for (i = 0; i < N_SUBDIRS; i++) {
		snprintf(name, sizeof(name), "%02x", i);
		fd = openat(d->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		dir = fd < 0 ? NULL : fdopendir(fd);
		if (!dir)
			continue;
		d->n_subdirs++;
		if (sweep)
			sweep_subdir(d, dir);
		closedir(dir);
	}
}

/* After an unclean stop: what the index tells of but is not there. */
static void forget_lost(struct dir *d)
{
	struct list *at = &d->entries, gone;
	struct entry *e;
	uint64_t n = 0;

	list_init(&gone);
	while ((e = dir_next_locked(d, at))) {
		if (e->found) {
			at = &e->place.link;
		} else {
			dir_doom_locked(e, &gone);
			n++;
		}
	}
	dir_remove_all(&gone);
	if (d->n_entries + n == 0)
		return;
	log_info("unclean stop, checking what is cached",
		 "dir=%s files=%" PRIu64 " lost=%" PRIu64, d->path,
		 d->n_entries, n);
}

/* The capacity may be less than it was. */
static void fit(struct dir *d)
{
	struct buffer ask = { 0 };
	struct list gone;

	list_init(&gone);
	room_make_locked(d, NULL, 0, &gone, &ask);
	dir_remove_all(&gone);
	buffer_close(&ask);
}

static int share_disk(struct dir *d, unsigned percent, struct err *err)
{
	struct statvfs st;
	uint64_t all, limit;

	if (!percent)
		return 0;
	if (fstatvfs(d->fd, &st) < 0)
		return err_set(err, -errno, "%s: statvfs: %m", d->path);
	all = (uint64_t)st.f_bavail * st.f_frsize + dir_used_locked(d);
	limit = d->in_memory ? memory_limit("") : UINT64_MAX;
	d->capacity = (all < limit ? all : limit) / 100 * percent;
	return 0;
}

/* A disk that fails is no reason not to start, a mistake of the operator is. */
static bool is_disks_fault(int code)
{
	return code == -EIO || code == -EROFS || code == -ENOSPC ||
	       code == -EDQUOT;
}

int dir_open(struct dir *d, struct store *s, const struct store_dir *o,
	     const struct evictor_ops *policy, struct err *err)
{
	bool clean;
	int rv;

	d->store = s;
	d->path = mem_str(o->path);
	d->tier = o->tier;
	d->capacity = o->capacity;
	d->fd = d->lock_fd = d->index_fd = -1;
	d->evictor = policy->create();
	atomic_init(&d->may_not_wait, true);
	list_init(&d->entries);
	list_init(&d->doomed);
	list_init(&d->scrub.at.link);
	list_init(&d->scrub.timer.link);
	rv = workpool_new(&d->pool, "disk", s->threads);
	if (rv)
		return err_set(err, rv, "threads for %s: %s", d->path,
			       err_text(rv));
	rv = open_path(d, err);
	if (!rv)
		rv = index_open(d, &clean, err);
	if (!rv)
		rv = share_disk(d, o->percent, err);
	if (is_disks_fault(rv)) {
		dir_lost(d, err);
		return 0;
	}
	if (rv)
		return rv;
	find_subdirs(d, !clean);
	d->sound = clean;
	if (!clean)
		forget_lost(d);
	fit(d);
	index_flush(d);
	if (s->loop) {
		d->reaper = mem_alloc(sizeof(*d->reaper));
		d->checker = mem_alloc(sizeof(*d->checker));
		d->reaper->dir = d->checker->dir = d;
		mover_open(d);
	}
	return 0;
}

static void release_chore(struct chore *c)
{
	if (c && c->busy)
		c->dir = NULL;
	else
		free(c);
}

static void free_entries(struct dir *d)
{
	struct entry *e;

	while ((e = dir_next_locked(d, &d->entries))) {
		list_remove(&e->place.link);
		free(e);
	}
}

void dir_close(struct dir *d)
{
	dir_remove_all(&d->doomed);
	release_chore(d->reaper);
	release_chore(d->checker);
	scrub_close(d);
	/* What nobody has checked is not to be trusted by the next either. */
	index_close(d, d->service != OUT_OF_SERVICE &&
			       (d->sound || !d->n_unverified));
	free_entries(d);
	d->evictor->ops->destroy(d->evictor);
	if (d->lock_fd >= 0)
		close(d->lock_fd);
	if (d->fd >= 0)
		close(d->fd);
	free(d->path);
}
