#include "lib/fault_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/defs.h"
#include "base/mem.h"
#include "lib/tempdir.h"

#define SECTOR    512
#define MAX_FILES 4096
#define MAX_CALLS 100000

struct fault_dir {
	char *top, *backing, *mounted, *control_path, *log_path;
	struct fault_control *control;
	pid_t pid;

	/* from fault_dir_stop() on */
	char *log;
	size_t log_len;
	const struct fault_record *calls[MAX_CALLS];
	size_t n_calls;
};

/* Beside the test, in the build directory. */
static char *program(void)
{
	char exe[PATH_MAX], *slash;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	int i;

	exe[n > 0 ? n : 0] = '\0';
	for (i = 0; i < 3 && (slash = strrchr(exe, '/')); i++)
		*slash = '\0';
	return mem_printf("%s/lib/fault_fs", exe);
}

static bool is_mounted(const struct fault_dir *d)
{
	struct stat a, b;

	return stat(d->top, &a) == 0 && stat(d->mounted, &b) == 0 &&
	       a.st_dev != b.st_dev;
}

static void make_control(struct fault_dir *d)
{
	int fd = open(d->control_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, sizeof(*d->control)) < 0)
		abort();
	d->control = mmap(NULL, sizeof(*d->control), PROT_READ | PROT_WRITE,
			  MAP_SHARED, fd, 0);
	if (d->control == MAP_FAILED)
		abort();
	close(fd);
}

static pid_t start_program(const struct fault_dir *d)
{
	char *path = program();
	pid_t parent = getpid(), pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() == parent)
			execl(path, path, d->backing, d->mounted,
			      d->control_path, d->log_path, NULL);
		_exit(1);
	}
	free(path);
	return pid;
}

static void release(struct fault_dir *d)
{
	tempdir_remove(d->top);
	munmap(d->control, sizeof(*d->control));
	free(d->backing);
	free(d->mounted);
	free(d->control_path);
	free(d->log_path);
	free(d->log);
	free(d);
}

struct fault_dir *fault_dir_start(void)
{
	struct fault_dir *d = mem_alloc(sizeof(*d));

	d->top = tempdir_make();
	d->backing = mem_printf("%s/backing", d->top);
	d->mounted = mem_printf("%s/mounted", d->top);
	d->control_path = mem_printf("%s/control", d->top);
	d->log_path = mem_printf("%s/log", d->top);
	if (mkdir(d->backing, 0700) < 0 || mkdir(d->mounted, 0700) < 0)
		abort();
	make_control(d);
	d->pid = start_program(d);
	while (!is_mounted(d)) {
		if (waitpid(d->pid, NULL, WNOHANG) != 0) {
			release(d);
			return NULL;
		}
		usleep(1000);
	}
	return d;
}

const char *fault_dir_path(const struct fault_dir *d)
{
	return d->mounted;
}

uint64_t fault_dir_calls(const struct fault_dir *d)
{
	return d->control->logged;
}

uint64_t fault_dir_failed(const struct fault_dir *d)
{
	return d->control->failed;
}

void fault_dir_fail(struct fault_dir *d, unsigned calls, int error,
		    const char *name)
{
	d->control->fail = 0;
	snprintf(d->control->name, sizeof(d->control->name), "%s", name);
	d->control->error = error;
	d->control->fail = calls;
}

void fault_dir_heal(struct fault_dir *d)
{
	d->control->fail = 0;
}

static void read_log(struct fault_dir *d)
{
	int fd = open(d->log_path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	size_t at, len;

	if (fd < 0 || fstat(fd, &st) < 0)
		abort();
	d->log_len = (size_t)st.st_size;
	d->log = mem_alloc(d->log_len + 1);
	if (read(fd, d->log, d->log_len) != (ssize_t)d->log_len)
		abort();
	close(fd);
	for (at = 0; at < d->log_len; at += len) {
		struct fault_record r;

		memcpy(&r, d->log + at, sizeof(r));
		len = sizeof(r) + r.name_len + r.to_len + r.len;
		if (d->n_calls == MAX_CALLS)
			abort();
		d->calls[d->n_calls++] = (const void *)(d->log + at);
	}
}

void fault_dir_stop(struct fault_dir *d)
{
	if (!d->pid)
		return;
	fault_dir_heal(d);
	kill(d->pid, SIGTERM); /* unmounts */
	while (waitpid(d->pid, NULL, 0) < 0 && errno == EINTR)
		;
	d->pid = 0;
	read_log(d);
}

void fault_dir_free(struct fault_dir *d)
{
	fault_dir_stop(d);
	release(d);
}

/* A power cut. */

/* A file as the disk has it, and what it was told but may forget. */
struct file {
	char *data;
	size_t size, room;
	const struct fault_record **pending;
	size_t n_pending, pending_room;
};

struct name {
	struct name *next;
	uint64_t file;
	char text[64];
};

struct disk {
	struct file files[MAX_FILES];
	struct name *names;
	const struct fault_record **pending; /* of the directory */
	size_t n_pending, pending_room;
	uint64_t random;
};

static struct fault_record header_of(const struct fault_record *at)
{
	struct fault_record r;

	memcpy(&r, at, sizeof(r));
	return r;
}

/* splitmix64 */
static uint64_t next_random(struct disk *disk)
{
	uint64_t z = disk->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static void push(const struct fault_record ***list, size_t *n, size_t *room,
		 const struct fault_record *r)
{
	if (*n == *room) {
		*room = *room ? 2 * *room : 16;
		*list = mem_resize(*list, *room, sizeof(**list));
	}
	(*list)[(*n)++] = r;
}

static void set_size(struct file *f, size_t size)
{
	if (size > f->room) {
		f->room = size > 2 * f->room ? size : 2 * f->room;
		f->data = mem_resize(f->data, f->room, 1);
	}
	if (size > f->size)
		memset(f->data + f->size, 0, size - f->size);
	f->size = size;
}

/* All of a call, or what a cut leaves of it: whole sectors, by chance. */
static void apply(struct disk *disk, struct file *f,
		  const struct fault_record *at, unsigned chance)
{
	const struct fault_record r = header_of(at);
	const char *data = (const char *)at + sizeof(r) + r.name_len + r.to_len;
	size_t done, n;

	if (r.call == FAULT_TRUNCATE || r.call == FAULT_ALLOCATE) {
		if (next_random(disk) % 100 < chance &&
		    (r.call == FAULT_TRUNCATE || r.offset > f->size))
			set_size(f, r.offset);
		return;
	}
	for (done = 0; done < r.len; done += n) {
		n = SECTOR - (r.offset + done) % SECTOR;
		n = n < r.len - done ? n : r.len - done;
		if (next_random(disk) % 100 >= chance)
			continue;
		if (r.offset + done + n > f->size)
			set_size(f, r.offset + done + n);
		memcpy(f->data + r.offset + done, data + done, n);
	}
}

static void settle(struct disk *disk, struct file *f, unsigned chance)
{
	size_t i;

	for (i = 0; i < f->n_pending; i++)
		apply(disk, f, f->pending[i], chance);
	f->n_pending = 0;
}

/* A write that is synced takes the size along, not other writes. */
static void settle_size(struct disk *disk, struct file *f)
{
	size_t i, kept = 0;

	for (i = 0; i < f->n_pending; i++) {
		if (header_of(f->pending[i]).call == FAULT_WRITE)
			f->pending[kept++] = f->pending[i];
		else
			apply(disk, f, f->pending[i], 100);
	}
	f->n_pending = kept;
}

static void unname(struct disk *disk, const char *text)
{
	struct name **at = &disk->names, *n;

	while ((n = *at)) {
		if (strcmp(n->text, text) == 0) {
			*at = n->next;
			free(n);
			return;
		}
		at = &n->next;
	}
}

static void set_name(struct disk *disk, const char *text, uint64_t file)
{
	struct name *n = mem_alloc(sizeof(*n));

	unname(disk, text);
	snprintf(n->text, sizeof(n->text), "%s", text);
	n->file = file;
	n->next = disk->names;
	disk->names = n;
}

static void apply_name(struct disk *disk, const struct fault_record *at)
{
	const struct fault_record r = header_of(at);
	const char *text = (const char *)at + sizeof(r);
	char name[64], to[64];

	snprintf(name, sizeof(name), "%.*s", (int)r.name_len, text);
	snprintf(to, sizeof(to), "%.*s", (int)r.to_len, text + r.name_len);
	if (r.call == FAULT_CREATE || r.call == FAULT_LINK) {
		if (*name) /* else one of O_TMPFILE */
			set_name(disk, name, r.file);
		return;
	}
	unname(disk, name);
	if (r.call == FAULT_RENAME) /* both names or none */
		set_name(disk, to, r.file);
}

/* The first `n`, each by chance. */
static void settle_names(struct disk *disk, size_t n, unsigned chance)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (next_random(disk) % 100 < chance)
			apply_name(disk, disk->pending[i]);
	disk->n_pending = 0;
}

static void put_call(struct disk *disk, const struct fault_record *at,
		     bool answered)
{
	const struct fault_record r = header_of(at);
	struct file *f = &disk->files[r.file];

	switch (r.call) {
	case FAULT_CREATE:
	case FAULT_LINK:
	case FAULT_RENAME:
	case FAULT_UNLINK:
		push(&disk->pending, &disk->n_pending, &disk->pending_room, at);
		break;
	case FAULT_SYNC_DIR:
		if (answered)
			settle_names(disk, disk->n_pending, 100);
		break;
	case FAULT_SYNC:
		if (answered)
			settle(disk, f, 100);
		break;
	default:
		if (r.synced && answered) {
			settle_size(disk, f);
			apply(disk, f, at, 100);
			break;
		}
		push(&f->pending, &f->n_pending, &f->pending_room, at);
	}
}

static void write_out(const struct disk *disk, const char *to)
{
	const struct name *n;
	const struct file *f;
	char path[PATH_MAX];
	int fd;

	for (n = disk->names; n; n = n->next) {
		f = &disk->files[n->file];
		snprintf(path, sizeof(path), "%s/%s", to, n->text);
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (fd < 0 || write(fd, f->data, f->size) != (ssize_t)f->size)
			abort();
		close(fd);
	}
}

static void disk_free(struct disk *disk)
{
	struct name *n;
	size_t i;

	while ((n = disk->names)) {
		disk->names = n->next;
		free(n);
	}
	for (i = 0; i < MAX_FILES; i++) {
		free(disk->files[i].data);
		free(disk->files[i].pending);
	}
	free(disk->pending);
	free(disk);
}

void fault_dir_cut(const struct fault_dir *d, uint64_t call, uint64_t seed,
		   const char *to)
{
	static const unsigned chances[] = { 0, 50, 100, 10, 90 };
	struct disk *disk = mem_alloc(sizeof(*disk));
	size_t i;

	disk->random = seed;
	for (i = 0; i <= call && i < d->n_calls; i++)
		put_call(disk, d->calls[i], i < call);
	/* Names are lost from the last on, as where there is a journal, or one
	 * by one. */
	if (next_random(disk) % 2)
		settle_names(disk, next_random(disk) % (disk->n_pending + 1),
			     100);
	else
		settle_names(disk, disk->n_pending, 50);
	for (i = 0; i < MAX_FILES; i++)
		settle(disk, &disk->files[i],
		       chances[next_random(disk) % ARRAY_SIZE(chances)]);
	write_out(disk, to);
	disk_free(disk);
}
