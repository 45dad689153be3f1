/*
 * fault_fs BACKING MOUNTPOINT CONTROL LOG: see fault_dir.h.
 *
 * One thread, so that the log has the order of the calls.  Flat: names are
 * those of files in the backing directory.
 */
#define FUSE_USE_VERSION 31

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/fault_dir.h"

#define TMPFILE ".tmpfile-"

/* A name, and which file it is. */
struct name {
	struct name *next;
	uint64_t file;
	char text[];
};

struct handle {
	int fd;
	uint64_t file;
};

static struct fault_control *control;
static int backing, log_fd;
static uint64_t last_file;
static struct name *names;

/* NULL: of an open file that was unlinked. */
static const char *below(const char *path)
{
	return !path ? "" : path[1] ? path + 1 : ".";
}

static struct name **find(const char *name)
{
	struct name **at = &names;

	while (*at && strcmp((*at)->text, name) != 0)
		at = &(*at)->next;
	return at;
}

static uint64_t file_of(const char *name)
{
	struct name *n = *find(name);

	return n ? n->file : 0;
}

static void forget(const char *name)
{
	struct name **at = find(name), *n = *at;

	if (n) {
		*at = n->next;
		free(n);
	}
}

static void remember(const char *name, uint64_t file)
{
	size_t len = strlen(name) + 1;
	struct name *n = mem_alloc(sizeof(*n) + len);

	forget(name);
	memcpy(n->text, name, len);
	n->file = file;
	n->next = names;
	names = n;
}

/* The error that is wanted of a call, or 0. */
static int wanted(unsigned call, const char *name)
{
	if (!(control->fail & call) || !strstr(name, control->name))
		return 0;
	control->failed++;
	return -control->error;
}

static void log_call(struct fault_record *r, const char *name, const char *to,
		     const void *data)
{
	struct iovec v[4] = {
		{ r, sizeof(*r) },
		{ (char *)(uintptr_t)name, name ? strlen(name) : 0 },
		{ (char *)(uintptr_t)to, to ? strlen(to) : 0 },
		{ (void *)(uintptr_t)data, data ? r->len : 0 },
	};
	size_t all = v[0].iov_len + v[1].iov_len + v[2].iov_len + v[3].iov_len;

	r->name_len = (uint32_t)v[1].iov_len;
	r->to_len = (uint32_t)v[2].iov_len;
	if (writev(log_fd, v, 4) != (ssize_t)all)
		abort();
	control->logged++;
}

static int fs_getattr(const char *path, struct stat *st,
		      struct fuse_file_info *fi ATTR_UNUSED)
{
	if (fstatat(backing, below(path), st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

static int fs_readdir(const char *path ATTR_UNUSED, void *buf,
		      fuse_fill_dir_t fill, off_t offset ATTR_UNUSED,
		      struct fuse_file_info *fi ATTR_UNUSED,
		      enum fuse_readdir_flags flags ATTR_UNUSED)
{
	int fd = openat(backing, ".", O_RDONLY | O_DIRECTORY);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d)
		return -EIO;
	while ((e = readdir(d)))
		if (strncmp(e->d_name, TMPFILE, strlen(TMPFILE)) != 0)
			fill(buf, e->d_name, NULL, 0, 0);
	closedir(d);
	return 0;
}

static int open_it(const char *path, int flags, mode_t mode,
		   struct fuse_file_info *fi)
{
	struct handle *h;
	/* Passing O_APPEND or O_DIRECT on would change what comes. */
	int fd = openat(backing, below(path),
			(flags & (O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC)) |
				O_CLOEXEC,
			mode);

	if (fd < 0)
		return -errno;
	h = mem_alloc(sizeof(*h));
	h->fd = fd;
	h->file = file_of(below(path));
	fi->fh = (uint64_t)(uintptr_t)h;
	return 0;
}

static int fs_open(const char *path, struct fuse_file_info *fi)
{
	int rv = 0;

	if ((fi->flags & O_ACCMODE) != O_RDONLY)
		rv = wanted(FAULT_OPEN, below(path));
	return rv ? rv : open_it(path, fi->flags & O_ACCMODE, 0, fi);
}

static int fs_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	struct fault_record r = { .call = FAULT_CREATE };
	int rv = wanted(FAULT_CREATE, below(path));

	if (!rv)
		rv = open_it(path, O_RDWR | O_CREAT | O_EXCL, mode, fi);
	if (rv)
		return rv;
	r.file = ++last_file;
	((struct handle *)(uintptr_t)fi->fh)->file = r.file;
	remember(below(path), r.file);
	/* Without a name it is in no directory. */
	if (strncmp(below(path), TMPFILE, strlen(TMPFILE)) == 0)
		log_call(&r, NULL, NULL, NULL);
	else
		log_call(&r, below(path), NULL, NULL);
	return 0;
}

static int fs_link(const char *from, const char *to)
{
	struct fault_record r = { .call = FAULT_LINK };
	int rv = wanted(FAULT_LINK, below(to));

	if (!rv && linkat(backing, below(from), backing, below(to), 0) < 0)
		rv = -errno;
	if (rv)
		return rv;
	r.file = file_of(below(from));
	remember(below(to), r.file);
	log_call(&r, below(to), NULL, NULL);
	return 0;
}

static int fs_release(const char *path ATTR_UNUSED, struct fuse_file_info *fi)
{
	struct handle *h = (void *)(uintptr_t)fi->fh;

	close(h->fd);
	free(h);
	return 0;
}

static int fs_read(const char *path, char *buf, size_t len, off_t offset,
		   struct fuse_file_info *fi)
{
	struct handle *h = (void *)(uintptr_t)fi->fh;
	int rv = wanted(FAULT_READ, below(path));
	ssize_t n;

	if (rv)
		return rv;
	n = pread(h->fd, buf, len, offset);
	return n < 0 ? -errno : (int)n;
}

static int fs_write(const char *path, const char *buf, size_t len, off_t offset,
		    struct fuse_file_info *fi)
{
	struct handle *h = (void *)(uintptr_t)fi->fh;
	struct fault_record r = { .call = FAULT_WRITE, .file = h->file };
	int rv = wanted(FAULT_WRITE, below(path));
	ssize_t n;

	if (rv)
		return rv;
	n = pwrite(h->fd, buf, len, offset);
	if (n < 0)
		return -errno;
	r.synced = (fi->flags & (O_DSYNC | O_SYNC)) != 0;
	r.offset = (uint64_t)offset;
	r.len = (uint64_t)n;
	log_call(&r, NULL, NULL, buf);
	return (int)n;
}

static int fs_truncate(const char *path, off_t size,
		       struct fuse_file_info *fi ATTR_UNUSED)
{
	struct fault_record r = { .call = FAULT_TRUNCATE,
				  .file = file_of(below(path)),
				  .offset = (uint64_t)size };
	int rv = wanted(FAULT_TRUNCATE, below(path)), fd;

	if (rv)
		return rv;
	fd = openat(backing, below(path), O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rv = ftruncate(fd, size) < 0 ? -errno : 0;
	close(fd);
	if (!rv)
		log_call(&r, NULL, NULL, NULL);
	return rv;
}

static int fs_fallocate(const char *path, int mode, off_t offset, off_t len,
			struct fuse_file_info *fi)
{
	struct handle *h = (void *)(uintptr_t)fi->fh;
	struct fault_record r = { .call = FAULT_ALLOCATE,
				  .file = h->file,
				  .offset = (uint64_t)(offset + len) };
	int rv = mode ? -EOPNOTSUPP : wanted(FAULT_ALLOCATE, below(path));

	if (!rv)
		rv = -posix_fallocate(h->fd, offset, len);
	if (!rv)
		log_call(&r, NULL, NULL, NULL);
	return rv;
}

static int fs_fsync(const char *path, int data ATTR_UNUSED,
		    struct fuse_file_info *fi)
{
	struct handle *h = (void *)(uintptr_t)fi->fh;
	struct fault_record r = { .call = FAULT_SYNC, .file = h->file };
	int rv = wanted(FAULT_SYNC, below(path));

	if (!rv)
		log_call(&r, NULL, NULL, NULL);
	return rv;
}

static int fs_fsyncdir(const char *path, int data ATTR_UNUSED,
		       struct fuse_file_info *fi ATTR_UNUSED)
{
	struct fault_record r = { .call = FAULT_SYNC_DIR };
	int rv = wanted(FAULT_SYNC_DIR, below(path));

	if (!rv)
		log_call(&r, NULL, NULL, NULL);
	return rv;
}

static int fs_rename(const char *from, const char *to, unsigned flags)
{
	struct fault_record r = { .call = FAULT_RENAME };
	int rv = flags ? -EINVAL : wanted(FAULT_RENAME, to);

	if (!rv && renameat(backing, below(from), backing, below(to)) < 0)
		rv = -errno;
	if (rv)
		return rv;
	r.file = file_of(below(from));
	remember(below(to), r.file);
	forget(below(from));
	log_call(&r, below(from), below(to), NULL);
	return 0;
}

static int fs_unlink(const char *path)
{
	struct fault_record r = { .call = FAULT_UNLINK };
	int rv = wanted(FAULT_UNLINK, below(path));

	if (!rv && unlinkat(backing, below(path), 0) < 0)
		rv = -errno;
	if (rv)
		return rv;
	r.file = file_of(below(path));
	forget(below(path));
	log_call(&r, below(path), NULL, NULL);
	return 0;
}

static int fs_chmod(const char *path, mode_t mode,
		    struct fuse_file_info *fi ATTR_UNUSED)
{
	return fchmodat(backing, below(path), mode, 0) < 0 ? -errno : 0;
}

static int fs_statfs(const char *path ATTR_UNUSED, struct statvfs *st)
{
	return fstatvfs(backing, st) < 0 ? -errno : 0;
}

static void *fs_init(struct fuse_conn_info *conn, struct fuse_config *config)
{
	conn->want &= ~(unsigned)FUSE_CAP_SPLICE_READ; /* see rewrite() */
	config->use_ino = 0;
	/* An open file that is unlinked keeps no name. */
	config->hard_remove = 1;
	config->attr_timeout = 0;
	config->entry_timeout = 0;
	config->negative_timeout = 0;
	return NULL;
}

static const struct fuse_operations operations = {
	.init = fs_init,
	.getattr = fs_getattr,
	.readdir = fs_readdir,
	.open = fs_open,
	.create = fs_create,
	.release = fs_release,
	.read = fs_read,
	.write = fs_write,
	.truncate = fs_truncate,
	.fallocate = fs_fallocate,
	.fsync = fs_fsync,
	.fsyncdir = fs_fsyncdir,
	.link = fs_link,
	.rename = fs_rename,
	.unlink = fs_unlink,
	.chmod = fs_chmod,
	.statfs = fs_statfs,
};

struct request {
	struct fuse_in_header head;
	struct fuse_create_in in;
	char name[32];
};

/* O_TMPFILE is asked for like a create, with a name that says nothing. */
static void rewrite(struct fuse_buf *buf)
{
	struct request *r = buf->mem;
	static unsigned number;

	if (buf->size < sizeof(r->head) || r->head.opcode != FUSE_TMPFILE)
		return;
	r->head.opcode = FUSE_CREATE;
	snprintf(r->name, sizeof(r->name), TMPFILE "%u", ++number);
	buf->size = sizeof(*r) - sizeof(r->name) + strlen(r->name) + 1;
	r->head.len = (uint32_t)buf->size;
}

static void serve(struct fuse_session *se)
{
	struct fuse_buf buf = { .mem = NULL };
	int n;

	while (!fuse_session_exited(se)) {
		n = fuse_session_receive_buf(se, &buf);
		if (n == -EINTR)
			continue;
		if (n <= 0)
			break;
		rewrite(&buf);
		fuse_session_process_buf(se, &buf);
	}
	free(buf.mem);
}

static int run(char *program, const char *where)
{
	struct fuse_args args = { .argc = 1, .argv = &program };
	struct fuse *f = fuse_new(&args, &operations, sizeof(operations), NULL);

	if (!f || fuse_mount(f, where) != 0)
		return 1;
	fuse_set_signal_handlers(fuse_get_session(f));
	serve(fuse_get_session(f));
	fuse_unmount(f);
	fuse_destroy(f);
	return 0;
}

int main(int argc, char **argv)
{
	int fd;

	if (argc != 5)
		return 2;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	backing = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	log_fd = open(argv[4], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	fd = open(argv[3], O_RDWR | O_CLOEXEC);
	if (backing < 0 || log_fd < 0 || fd < 0)
		return 1;
	control = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE,
		       MAP_SHARED, fd, 0);
	if (control == MAP_FAILED)
		return 1;
	return run(argv[0], argv[2]);
}
