#include "master/raft_meta.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "runtime/io.h"

#define SUM_NAME  "metadata.sum"
#define SUM_MAGIC UINT64_C(0x316d757361746561) /* "aetasum1" */

/* As libraft writes it, little-endian. */
struct metadata {
	uint64_t format, version, term, vote;
};

/* CRC32Cs; 0: no file. */
struct sums {
	uint64_t magic;
	uint32_t before[2], after[2];
	uint32_t pad;
	uint32_t crc; /* of what is before it */
};

static const char *const names[] = { "metadata1", "metadata2" };

/* 1: it is there and whole; 0: it is not; or -errno. */
static int load(int dir, const char *name, void *to, size_t len)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	n = io_read_at(fd, to, len, 0);
	close(fd);
	return n < 0 ? (int)n : n == (ssize_t)len;
}

static uint32_t sum_of(const struct metadata *m)
{
	return crc32c(0, m, sizeof(*m));
}

static uint32_t own_crc(const struct sums *s)
{
	return crc32c(0, s, offsetof(struct sums, crc));
}

/* Both files and their sums as they are now. */
static int load_both(int dir, struct metadata m[2], uint32_t sums[2])
{
	int i, rv;

	for (i = 0; i < 2; i++) {
		rv = load(dir, names[i], &m[i], sizeof(m[i]));
		if (rv < 0)
			return rv;
		if (!rv)
			memset(&m[i], 0, sizeof(m[i]));
		sums[i] = rv ? sum_of(&m[i]) : 0;
	}
	return 0;
}

/* What a beginning leaves, before there are sums. */
static bool is_first(const struct metadata m[2], const uint32_t sums[2])
{
	return sums[1] == 0 && le64toh(m[0].format) == 1 &&
	       le64toh(m[0].version) == 1 && le64toh(m[0].term) == 1 &&
	       m[0].vote == 0;
}

static int damaged(const char *path, const char *name, struct err *err)
{
	return err_set(err, -EBADMSG, "%s/%s: byte 0: damaged", path, name);
}

static int check_in(int dir, const char *path, struct err *err)
{
	struct metadata m[2];
	uint32_t now[2];
	struct sums s;
	int rv = load_both(dir, m, now), i;
	int found = rv ? rv : load(dir, SUM_NAME, &s, sizeof(s));

	if (found < 0)
		return err_set(err, found, "%s/%s: %s", path, SUM_NAME,
			       err_text(found));
	if (!found)
		return is_first(m, now) ? 0 : damaged(path, names[0], err);
	if (s.magic != SUM_MAGIC || s.crc != own_crc(&s))
		return damaged(path, SUM_NAME, err);
	for (i = 0; i < 2; i++)
		if (now[i] != s.before[i] && now[i] != s.after[i])
			return damaged(path, names[i], err);
	return 0;
}

int raft_meta_check(const char *dir, struct err *err)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rv;

	if (fd < 0)
		return err_set(err, -errno, "%s: %m", dir);
	rv = check_in(fd, dir, err);
	close(fd);
	return rv;
}

static int store(int dir, const struct sums *s)
{
	int fd = openat(dir, SUM_NAME ".part",
			O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int rv = 0;

	if (fd < 0)
		return -errno;
	errno = EIO;
	if (write(fd, s, sizeof(*s)) != sizeof(*s) || fsync(fd) < 0)
		rv = -errno;
	close(fd);
	if (!rv && renameat(dir, SUM_NAME ".part", dir, SUM_NAME) < 0)
		rv = -errno;
	if (!rv && fsync(dir) < 0)
		rv = -errno;
	return rv;
}

static int expect_in(int dir, uint64_t term, uint64_t vote)
{
	struct sums s = { .magic = SUM_MAGIC };
	struct metadata m[2], next = { .format = htole64(1) };
	uint64_t version[2];
	int newest, rv = load_both(dir, m, s.before);

	if (rv)
		return rv;
	version[0] = le64toh(m[0].version);
	version[1] = le64toh(m[1].version);
	newest = version[1] > version[0];
	next.version = htole64(version[newest] + 1);
	next.term = term ? htole64(term) : m[newest].term;
	next.vote = htole64(vote);
	memcpy(s.after, s.before, sizeof(s.after));
	s.after[version[newest] % 2] = sum_of(&next);
	s.crc = own_crc(&s);
	return store(dir, &s);
}

int raft_meta_expect(const char *dir, uint64_t term, uint64_t vote)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rv;

	if (fd < 0)
		return -errno;
	rv = expect_in(fd, term, vote);
	close(fd);
	return rv;
}
