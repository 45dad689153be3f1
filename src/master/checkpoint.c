#include "master/checkpoint.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/mem.h"

#define CHECKPOINT_MAGIC   UINT64_C(0x31544b5043434100) /* "\0ACCPKT1" */
#define CHECKPOINT_VERSION 2
#define PIECE              ((size_t)256 << 10)
#define KEPT               2

/* In the byte order of this machine, like the image itself. */
struct header {
	uint64_t magic;
	uint32_t version;
	uint32_t piece; /* bytes */
	uint64_t index;
	uint64_t len; /* of the image */
	uint32_t pad;
	uint32_t header_crc; /* of what is before it */
};

/* Behind each piece of the image. */
struct seal {
	uint32_t crc; /* of index, number and the piece */
	uint32_t number;
};

struct files {
	struct checkpoints c;
	char *dir;
	int dir_fd;
	pid_t child;
	uint64_t index; /* of the one under way */
};

static struct files *to_files(struct checkpoints *c)
{
	return container_of(c, struct files, c);
}

static void file_name(char out[40], uint64_t index, const char *suffix)
{
	snprintf(out, 40, "ckpt-%020" PRIu64 "%s", index, suffix);
}

static struct seal seal_piece(uint64_t index, uint32_t number,
			      const void *piece, size_t len)
{
	uint32_t crc = crc32c(0, &index, sizeof(index));

	crc = crc32c(crc, &number, sizeof(number));
	return (struct seal){ crc32c(crc, piece, len), number };
}

static off_t place_of(uint32_t number)
{
	return (off_t)(sizeof(struct header) +
		       number * (PIECE + sizeof(struct seal)));
}

static void seal_header(struct header *h)
{
	h->header_crc = crc32c(0, h, offsetof(struct header, header_crc));
}

/* Here and below: in the child.  Nothing that allocates or locks. */

static bool write_all(int fd, const void *data, size_t len, off_t at)
{
	const char *p = data;
	ssize_t n;

	while (len > 0) {
		n = pwrite(fd, p, len, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

static bool write_piece(int fd, uint64_t index, uint32_t number,
			const char *piece, size_t len)
{
	const struct seal seal = seal_piece(index, number, piece, len);

	return write_all(fd, piece, len, place_of(number)) &&
	       write_all(fd, &seal, sizeof(seal),
			 place_of(number) + (off_t)len);
}

static bool write_image(int fd, uint64_t index, const char *image, size_t len)
{
	struct header h = { .magic = CHECKPOINT_MAGIC,
			    .version = CHECKPOINT_VERSION,
			    .piece = PIECE,
			    .index = index,
			    .len = len };
	uint32_t number;
	size_t at, n;

	for (at = 0, number = 0; at < len; at += n, number++) {
		n = len - at < PIECE ? len - at : PIECE;
		if (!write_piece(fd, index, number, image + at, n))
			return false;
	}
	seal_header(&h);
	return write_all(fd, &h, sizeof(h), 0) && fsync(fd) == 0;
}

static void child_main(int fd, pid_t parent, uint64_t index, const void *image,
		       size_t len)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	if (dup2(fd, 0) != 0)
		_exit(errno);
	close_range(1, ~0u, 0);
	_exit(write_image(0, index, image, len) ? 0 : errno ? errno : EIO);
}

/* In the master again. */

static int files_begin(struct checkpoints *c, uint64_t index, const void *image,
		       size_t len, struct err *err)
{
	struct files *f = to_files(c);
	pid_t parent = getpid();
	char name[40];
	int fd, rv;

	assert(f->child == 0);
	file_name(name, index, ".part");
	fd = openat(f->dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
		    0600);
	if (fd < 0)
		return err_set(err, -errno, "%s/%s: %m", f->dir, name);
	f->index = index;
	f->child = fork();
	if (f->child == 0)
		child_main(fd, parent, index, image, len);
	rv = f->child < 0 ? -errno : 0;
	close(fd);
	if (rv) {
		f->child = 0;
		unlinkat(f->dir_fd, name, 0);
		return err_set(err, rv, "fork: %s", err_text(rv));
	}
	return 0;
}

/* Leaves the child to files_end(), so that its pid stays its own until the loop
 * knows.  Its exit status is an errno. */
static int await(pid_t child)
{
	siginfo_t info;

	while (waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) < 0)
		if (errno != EINTR)
			return -errno;
	return info.si_code == CLD_EXITED ? -info.si_status : -EINTR;
}

static int files_wait(struct checkpoints *c)
{
	struct files *f = to_files(c);
	char part[40], whole[40];
	int rv = await(f->child);

	file_name(part, f->index, ".part");
	file_name(whole, f->index, "");
	if (!rv && renameat(f->dir_fd, part, f->dir_fd, whole) < 0)
		rv = -errno;
	if (!rv && fsync(f->dir_fd) < 0)
		rv = -errno;
	if (rv)
		unlinkat(f->dir_fd, part, 0);
	return rv;
}

static void files_end(struct checkpoints *c)
{
	struct files *f = to_files(c);

	while (waitpid(f->child, NULL, 0) < 0 && errno == EINTR)
		;
	f->child = 0;
}

static void files_cancel(struct checkpoints *c)
{
	pid_t child = to_files(c)->child;

	if (child > 0)
		kill(child, SIGKILL);
}

/* The index in a name; false if it is no checkpoint's. */
static bool parse_name(const char *name, uint64_t *index, bool *part)
{
	int end = 0;

	if (sscanf(name, "ckpt-%20" SCNu64 "%n", index, &end) != 1 || !end)
		return false;
	*part = strcmp(name + end, ".part") == 0;
	return *part || name[end] == '\0';
}

/* Removes checkpoints below `least`, and those that never got whole. */
static void remove_old(struct files *f, uint64_t least, bool parts)
{
	DIR *d = opendir(f->dir);
	struct dirent *e;
	uint64_t index;
	bool part;

	while (d && (e = readdir(d))) {
		if (!parse_name(e->d_name, &index, &part))
			continue;
		if (part ? parts : index < least)
			unlinkat(f->dir_fd, e->d_name, 0);
	}
	if (d)
		closedir(d);
}

static void files_trim(struct checkpoints *c)
{
	struct files *f = to_files(c);
	uint64_t newest[KEPT] = { 0 }, index;
	DIR *d = opendir(f->dir);
	struct dirent *e;
	bool part;

	while (d && (e = readdir(d))) {
		if (!parse_name(e->d_name, &index, &part) || part)
			continue;
		if (index > newest[0]) {
			newest[1] = newest[0];
			newest[0] = index;
		} else if (index > newest[1]) {
			newest[1] = index;
		}
	}
	if (d)
		closedir(d);
	remove_old(f, newest[KEPT - 1], false);
}

static int read_all(int fd, void *to, size_t len, off_t at)
{
	char *p = to;
	ssize_t n;

	while (len > 0) {
		n = pread(fd, p, len, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		p += n;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

static int read_header(int fd, struct header *h, uint64_t index, size_t size,
		       struct err *err)
{
	uint32_t crc;
	int rv = read_all(fd, h, sizeof(*h), 0);

	if (rv)
		return err_set(err, rv, "%s", err_text(rv));
	crc = h->header_crc;
	seal_header(h);
	if (h->magic != CHECKPOINT_MAGIC || crc != h->header_crc ||
	    h->index != index)
		return err_set(err, -EBADMSG, "byte 0: damaged header");
	if (h->version != CHECKPOINT_VERSION || h->piece != PIECE)
		return err_set(err, -EBADMSG,
			       "version %u, this program knows %d", h->version,
			       CHECKPOINT_VERSION);
	if (h->len > size)
		return err_set(err, -EFBIG, "larger than the namespace may be");
	return 0;
}

static int read_piece(int fd, uint64_t index, uint32_t number, char *to,
		      size_t len, struct err *err)
{
	struct seal seal, want;
	int rv = read_all(fd, to, len, place_of(number));

	if (!rv)
		rv = read_all(fd, &seal, sizeof(seal),
			      place_of(number) + (off_t)len);
	if (rv)
		return err_set(err, rv, "byte %jd: %s",
			       (intmax_t)place_of(number), err_text(rv));
	want = seal_piece(index, number, to, len);
	if (memcmp(&seal, &want, sizeof(seal)) != 0)
		return err_set(err, -EBADMSG,
			       "bytes %jd to %jd: damaged: wrong checksum",
			       (intmax_t)place_of(number),
			       (intmax_t)(place_of(number + 1) - 1));
	return 0;
}

static ssize_t read_image(int fd, uint64_t index, char *arena, size_t size,
			  struct err *err)
{
	uint32_t number;
	struct header h;
	size_t at, n;
	int rv = read_header(fd, &h, index, size, err);

	for (at = 0, number = 0; !rv && at < h.len; at += n, number++) {
		n = h.len - at < PIECE ? h.len - at : PIECE;
		rv = read_piece(fd, index, number, arena + at, n, err);
	}
	return rv ? rv : (ssize_t)h.len;
}

static ssize_t files_load(struct checkpoints *c, uint64_t index, void *arena,
			  size_t size, struct err *err)
{
	struct files *f = to_files(c);
	char name[40];
	ssize_t len;
	int fd;

	file_name(name, index, "");
	fd = openat(f->dir_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, "%s/%s: %m", f->dir, name);
	len = read_image(fd, index, arena, size, err);
	close(fd);
	if (len < 0)
		err_wrap(err, (int)len, "%s/%s", f->dir, name);
	return len;
}

static unsigned files_list(struct checkpoints *c, uint64_t *out, unsigned max)
{
	struct files *f = to_files(c);
	DIR *d = opendir(f->dir);
	struct dirent *e;
	unsigned n = 0;
	bool part;

	while (d && n < max && (e = readdir(d)))
		if (parse_name(e->d_name, &out[n], &part) && !part)
			n++;
	if (d)
		closedir(d);
	return n;
}

static ssize_t verify_image(int fd, uint64_t index, struct err *err)
{
	static char piece[PIECE]; /* no memory is to be had in a child */
	uint32_t number;
	struct header h;
	size_t at, n;
	int rv = read_header(fd, &h, index, SIZE_MAX, err);

	for (at = 0, number = 0; !rv && at < h.len; at += n, number++) {
		n = h.len - at < PIECE ? h.len - at : PIECE;
		rv = read_piece(fd, index, number, piece, n, err);
	}
	return rv ? rv : (ssize_t)h.len;
}

static ssize_t files_verify(struct checkpoints *c, uint64_t index,
			    struct err *err)
{
	struct files *f = to_files(c);
	char name[40], path[PATH_MAX];
	ssize_t len;
	int fd;

	file_name(name, index, "");
	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, "%s: %m", path);
	len = verify_image(fd, index, err);
	close(fd);
	if (len < 0)
		err_wrap(err, (int)len, "%s", path);
	return len;
}

static const struct checkpoint_ops files_ops = {
	.begin = files_begin,
	.wait = files_wait,
	.end = files_end,
	.cancel = files_cancel,
	.trim = files_trim,
	.load = files_load,
	.list = files_list,
	.verify = files_verify,
};

int checkpoints_open(struct checkpoints **out, const char *dir, struct err *err)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct files *f;

	if (fd < 0)
		return err_set(err, -errno, "%s: %m", dir);
	f = mem_alloc(sizeof(*f));
	f->c.ops = &files_ops;
	f->dir = mem_str(dir);
	f->dir_fd = fd;
	remove_old(f, 0, true);
	*out = &f->c;
	return 0;
}

void checkpoints_close(struct checkpoints *c)
{
	struct files *f = to_files(c);

	assert(f->child == 0);
	close(f->dir_fd);
	free(f->dir);
	free(f);
}
