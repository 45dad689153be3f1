#include "master/raft_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <raft/uv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "master/raft_files.h"
#include "master/raft_meta.h"
#include "runtime/loop_uv.h"
#include "runtime/secret.h"

#define LOG_MODULE "raft"
#include "runtime/log.h"

#define SEGMENT_BYTES ((size_t)16 << 20)
#define LEVEL_ERROR   1
#define LEVEL_WARN    2

struct raft_disk {
	struct raft_io io;
	struct raft_uv_transport transport;
	struct raft_tracer tracer;
	struct raft_member member;
	char *dir;
	void (*failed)(void *owner, const struct err *err);
	void *failed_owner;
	int (*set_term)(struct raft_io *io, raft_term term);
	int (*set_vote)(struct raft_io *io, raft_id id);
};

/* A transport to nobody. */

static int none_init(struct raft_uv_transport *t ATTR_UNUSED,
		     raft_id id ATTR_UNUSED, const char *address ATTR_UNUSED)
{
	return 0;
}

static int none_listen(struct raft_uv_transport *t ATTR_UNUSED,
		       raft_uv_accept_cb cb ATTR_UNUSED)
{
	return 0;
}

static int none_connect(struct raft_uv_transport *t ATTR_UNUSED,
			struct raft_uv_connect *req ATTR_UNUSED,
			raft_id id ATTR_UNUSED, const char *address ATTR_UNUSED,
			raft_uv_connect_cb cb ATTR_UNUSED)
{
	return RAFT_NOCONNECTION;
}

static void none_close(struct raft_uv_transport *t,
		       raft_uv_transport_close_cb cb)
{
	cb(t);
}

/* What raft has to say. */

/* What libraft says before it would try a write again. */
#define WRITE_FAILED "retry failed write"

static void write_failed(struct raft_disk *d, const char *message)
{
	void (*failed)(void *owner, const struct err *err) = d->failed;
	const char *number = strstr(message, "failed: -");
	int code = number ? -atoi(number + 9) : -ENOSPC; /* a short one */
	struct err err;

	err_set(&err, code, "%s: the log cannot be written: %s", d->dir,
		err_text(code));
	d->failed = NULL;
	if (failed)
		failed(d->failed_owner, &err);
}

/* What it says before it makes a segment again.  If the directory could not be
 * synced the last time, the file is there and libraft would never get past it;
 * it was not used. */
#define SEGMENT_FAILED "retry creating segment "

static void segment_failed(struct raft_disk *d, const char *name)
{
	char *path = mem_printf("%s/%s", d->dir, name);

	if (unlink(path) == 0)
		log_warn("a segment is made again", "file=%s", path);
	free(path);
}

static void trace(struct raft_tracer *t, int type, const void *info)
{
	struct raft_disk *d = container_of(t, struct raft_disk, tracer);
	const struct raft_tracer_info *i = info;
	const char *message;

	if (type != RAFT_TRACER_DIAGNOSTIC)
		return;
	message = i->diagnostic.message;
	if (strncmp(message, WRITE_FAILED, strlen(WRITE_FAILED)) == 0)
		write_failed(d, message);
	else if (strncmp(message, SEGMENT_FAILED, strlen(SEGMENT_FAILED)) == 0)
		segment_failed(d, message + strlen(SEGMENT_FAILED));
	else if (i->diagnostic.level == LEVEL_ERROR)
		log_error("raft", "message=\"%s\"", message);
	else if (i->diagnostic.level == LEVEL_WARN)
		log_warn("raft", "message=\"%s\"", message);
}

void raft_disk_on_failure(struct raft_disk *d,
			  void (*failed)(void *owner, const struct err *err),
			  void *owner)
{
	d->failed = failed;
	d->failed_owner = owner;
}

/* The file `member`: the id, the UUID and the CRC32C of both in hexadecimal,
 * one a line. */

#define CHECKED_LEN (16 + 1 + 32 + 1)
#define MEMBER_LEN  (CHECKED_LEN + 8 + 1)

static int parse_member(const char *text, struct raft_member *m)
{
	unsigned byte;
	char crc[16];
	int i, end = 0;

	snprintf(crc, sizeof(crc), "%08" PRIx32 "\n",
		 crc32c(0, text, CHECKED_LEN));
	if (sscanf(text, "%16llx\n%n", &m->id, &end) != 1 || end != 17 ||
	    m->id == 0 || strcmp(text + CHECKED_LEN, crc) != 0)
		return -EBADMSG;
	for (i = 0; i < 16; i++) {
		if (sscanf(text + end + 2 * i, "%2x", &byte) != 1)
			return -EBADMSG;
		m->uuid[i] = (uint8_t)byte;
	}
	return 0;
}

static void print_member(char text[MEMBER_LEN + 1], const struct raft_member *m)
{
	int i, n = snprintf(text, MEMBER_LEN + 1, "%016llx\n", m->id);

	for (i = 0; i < 16; i++)
		n += snprintf(text + n, MEMBER_LEN + 1 - (size_t)n, "%02x",
			      m->uuid[i]);
	n += snprintf(text + n, MEMBER_LEN + 1 - (size_t)n, "\n");
	snprintf(text + n, MEMBER_LEN + 1 - (size_t)n, "%08" PRIx32 "\n",
		 crc32c(0, text, CHECKED_LEN));
}

static int write_member(int dir, const struct raft_member *m)
{
	char text[MEMBER_LEN + 1];
	int rv = 0, fd;

	print_member(text, m);
	fd = openat(dir, "member.part",
		    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (write(fd, text, MEMBER_LEN) != MEMBER_LEN || fsync(fd) < 0)
		rv = errno ? -errno : -EIO;
	close(fd);
	if (!rv && renameat(dir, "member.part", dir, "member") < 0)
		rv = -errno;
	if (!rv && fsync(dir) < 0)
		rv = -errno;
	return rv;
}

static int read_member(int dir, struct raft_member *m)
{
	char text[MEMBER_LEN + 1] = { 0 };
	int fd = openat(dir, "member", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, MEMBER_LEN);
	close(fd);
	return n == MEMBER_LEN ? parse_member(text, m) : -EBADMSG;
}

static int fail_member(const char *dir, int rv, struct err *err)
{
	return err_set(err, rv, "%s/member: %s", dir,
		       rv == -EBADMSG ? "byte 0: damaged" : err_text(rv));
}

static int get_member(const char *dir, struct raft_member *m, struct err *err)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rv;

	if (fd < 0)
		return err_set(err, -errno, "%s: %m", dir);
	rv = read_member(fd, m);
	if (rv == -ENOENT && m->empty) {
		while (m->id == 0)
			secret_random(&m->id, sizeof(m->id));
		secret_random(m->uuid, sizeof(m->uuid));
		rv = write_member(fd, m);
	}
	close(fd);
	return rv ? fail_member(dir, rv, err) : 0;
}

/* raft's io, with checksums for what it writes without. */

static int set_term(struct raft_io *io, raft_term term)
{
	struct raft_disk *d = container_of(io, struct raft_disk, io);

	return raft_meta_expect(d->dir, term, 0) ? RAFT_IOERR
						 : d->set_term(io, term);
}

static int set_vote(struct raft_io *io, raft_id id)
{
	struct raft_disk *d = container_of(io, struct raft_disk, io);

	return raft_meta_expect(d->dir, 0, id) ? RAFT_IOERR
					       : d->set_vote(io, id);
}

/* libraft makes its snapshots so, and would try for ever. */
static void look_for_tmpfile(const char *dir)
{
	int fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
	else if (errno == EOPNOTSUPP || errno == EISDIR)
		log_warn("no O_TMPFILE here", "dir=%s effect=\"%s\"", dir,
			 "no checkpoints are made and the log grows");
}

int raft_disk_open(struct raft_disk **out, struct loop *l, const char *dir,
		   struct err *err)
{
	struct raft_disk *d = mem_alloc(sizeof(*d));
	bool begun;
	int rv = raft_files_check(dir, &begun, err);

	d->member.empty = !begun;
	if (!rv)
		rv = get_member(dir, &d->member, err);
	if (rv) {
		free(d);
		return rv;
	}
	d->transport.version = 1;
	d->transport.init = none_init;
	d->transport.listen = none_listen;
	d->transport.connect = none_connect;
	d->transport.close = none_close;
	d->tracer.version = 2;
	d->tracer.emit = trace;
	rv = raft_uv_init(&d->io, loop_uv(l), dir, &d->transport);
	if (rv) {
		err_set(err, -EIO, "%s: raft: %s", dir, raft_strerror(rv));
		free(d);
		return -EIO;
	}
	look_for_tmpfile(dir);
	d->dir = mem_str(dir);
	d->set_term = d->io.set_term;
	d->set_vote = d->io.set_vote;
	d->io.set_term = set_term;
	d->io.set_vote = set_vote;
	raft_uv_set_segment_size(&d->io, SEGMENT_BYTES);
	raft_uv_set_connect_retry_delay(&d->io, 100);
	raft_uv_set_auto_recovery(&d->io, false);
	raft_uv_set_tracer(&d->io, &d->tracer);
	*out = d;
	return 0;
}

struct raft_io *raft_disk_io(struct raft_disk *d)
{
	return &d->io;
}

const struct raft_member *raft_disk_member(const struct raft_disk *d)
{
	return &d->member;
}

void raft_disk_close(struct raft_disk *d)
{
	raft_uv_close(&d->io);
	free(d->dir);
	free(d);
}
