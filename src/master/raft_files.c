#include "master/raft_files.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <isa-l/crc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "master/raft_meta.h"
#include "runtime/io.h"

#define LOG_MODULE "raft"
#include "runtime/log.h"

#define FORMAT   1 /* of libraft's files */
#define SECTOR   512
#define BLOCK    4096
#define NAME_LEN 256
#define BATCH_HEADER                                                          \
	((size_t)16)               /* two checksums and the number of entries \
				    */
#define ENTRY_HEADER  ((size_t)16) /* term, type, length */
#define ENTRIES_MAX   (1U << 18)
#define MISCOUNTS_MAX 1024
#define META_HEADER   ((size_t)32)
#define METADATA_LEN  32

/* Those of raft's files that matter here. */
struct listing {
	const char *dir;
	int fd;
	char (*closed)[NAME_LEN];
	size_t n_closed;
	uint64_t *open; /* numbers, ascending */
	size_t n_open;
	struct snapshot {
		uint64_t term, index, time; /* 0: none */
	} newest;
};

struct bytes {
	uint8_t *at;
	size_t len;
};

static uint64_t get64(const uint8_t *at)
{
	uint64_t v;

	memcpy(&v, at, sizeof(v));
	return le64toh(v);
}

static uint32_t get32(const uint8_t *at)
{
	uint32_t v;

	memcpy(&v, at, sizeof(v));
	return le32toh(v);
}

/* libraft's: the polynomial of IEEE 802.3, most significant bit first, without
 * the inversions. */
static uint32_t raft_crc(const uint8_t *at, size_t len)
{
	return ~crc32_ieee(~0U, at, len);
}

static int damaged(const struct listing *l, const char *name, size_t at,
		   const char *what, struct err *err)
{
	return err_set(err, -EBADMSG, "%s/%s: byte %zu: %s", l->dir, name, at,
		       what);
}

/* Listing. */

static bool is_newer(const struct snapshot *a, const struct snapshot *b)
{
	if (a->term != b->term)
		return a->term > b->term;
	if (a->index != b->index)
		return a->index > b->index;
	return a->time > b->time;
}

/* The whole of a name, with nothing behind it. */
static bool is_whole(const char *name, int end)
{
	return end > 0 && name[end] == '\0';
}

static bool exists(const struct listing *l, const char *name)
{
	struct stat st;

	return fstatat(l->fd, name, &st, 0) == 0;
}

static void snapshot_name(char out[NAME_LEN], const struct snapshot *s,
			  const char *suffix)
{
	snprintf(out, NAME_LEN,
		 "snapshot-%" PRIu64 "-%" PRIu64 "-%" PRIu64 "%s", s->term,
		 s->index, s->time, suffix);
}

static void list_snapshot(struct listing *l, const char *name)
{
	char data[NAME_LEN];
	struct snapshot s;
	int end = 0;

	if (sscanf(name,
		   "snapshot-%20" SCNu64 "-%20" SCNu64 "-%20" SCNu64 ".meta%n",
		   &s.term, &s.index, &s.time, &end) != 3 ||
	    !is_whole(name, end))
		return;
	snapshot_name(data, &s, "");
	/* Without the other half it was never finished. */
	if (exists(l, data) && is_newer(&s, &l->newest))
		l->newest = s;
}

static void list_name(struct listing *l, const char *name)
{
	uint64_t first, last, number;
	int end = 0;

	list_snapshot(l, name);
	if (sscanf(name, "%16" SCNu64 "-%16" SCNu64 "%n", &first, &last,
		   &end) == 2 &&
	    is_whole(name, end)) {
		l->closed = mem_resize(l->closed, l->n_closed + 1,
				       sizeof(*l->closed));
		snprintf(l->closed[l->n_closed++], NAME_LEN, "%s", name);
	}
	end = 0;
	if (sscanf(name, "open-%20" SCNu64 "%n", &number, &end) == 1 &&
	    is_whole(name, end)) {
		l->open = mem_resize(l->open, l->n_open + 1, sizeof(*l->open));
		l->open[l->n_open++] = number;
	}
}

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static int list_files(struct listing *l, struct err *err)
{
	DIR *d = opendir(l->dir);
	struct dirent *e;

	if (!d)
		return err_set(err, -errno, "%s: %m", l->dir);
	while ((e = readdir(d)))
		list_name(l, e->d_name);
	closedir(d);
	if (l->n_open)
		qsort(l->open, l->n_open, sizeof(*l->open), by_number);
	return 0;
}

/* The file's bytes, to be freed. */
static int read_file(const struct listing *l, const char *name,
		     struct bytes *out, struct err *err)
{
	int fd = openat(l->fd, name, O_RDONLY | O_CLOEXEC);
	struct stat st;
	ssize_t n;

	out->at = NULL;
	if (fd < 0 || fstat(fd, &st) < 0) {
		err_set(err, -errno, "%s/%s: %m", l->dir, name);
		if (fd >= 0)
			close(fd);
		return err->code;
	}
	out->len = (size_t)st.st_size;
	out->at = mem_alloc(out->len + 1);
	n = io_read_at(fd, out->at, out->len, 0);
	close(fd);
	if (n == (ssize_t)out->len)
		return 0;
	free(out->at);
	out->at = NULL;
	return err_set(err, n < 0 ? (int)n : -EIO, "%s/%s: %s", l->dir, name,
		       n < 0 ? err_text((int)n) : "cut off");
}

/* Segments. */

/* A batch's of n entries, as far as there is room for it. */
static size_t header_length(uint64_t n, size_t left)
{
	size_t len = BATCH_HEADER + (size_t)n * ENTRY_HEADER;

	return len < left ? len : left;
}

/* Whether a whole batch begins here; *len is its length, or as far as that can
 * be told. */
static bool check_batch(const uint8_t *at, size_t left, size_t *len)
{
	size_t header, data = 0;
	uint64_t n, i;

	*len = header_length(1, left);
	if (left < BATCH_HEADER)
		return false;
	n = get64(at + 8);
	if (n == 0 || n > ENTRIES_MAX)
		return false;
	header = BATCH_HEADER + (size_t)n * ENTRY_HEADER;
	*len = header_length(n, left);
	if (header > left || raft_crc(at + 8, header - 8) != get32(at))
		return false;
	for (i = 0; i < n; i++)
		data += get32(at + BATCH_HEADER + i * ENTRY_HEADER + 12);
	*len = header + data < left ? header + data : left;
	return header + data <= left &&
	       raft_crc(at + header, data) == get32(at + 4);
}

static bool all_zero(const uint8_t *at, size_t len)
{
	return len == 0 || (at[0] == 0 && memcmp(at, at + 1, len - 1) == 0);
}

static size_t used_length(const struct bytes *b)
{
	size_t len = b->len;

	while (len > 0 && b->at[len - 1] == 0)
		len--;
	return len;
}

/* Whether a header would be whole if only the number of its entries were
 * another: that has rotted, and says nothing about the length. */
static bool is_miscounted(const uint8_t *at, size_t left)
{
	const uint64_t said = left < BATCH_HEADER ? 0 : get64(at + 8);
	uint64_t n, count;
	uint32_t crc;

	for (n = 1; n <= MISCOUNTS_MAX; n++) {
		if (BATCH_HEADER + n * ENTRY_HEADER > left)
			return false;
		count = htole64(n);
		crc = crc32_ieee(~0U, (const uint8_t *)&count, sizeof(count));
		crc = crc32_ieee(crc, at + BATCH_HEADER, n * ENTRY_HEADER);
		if (n != said && ~crc == get32(at))
			return true;
	}
	return false;
}

/* Whether the batch at `at`, of `len` bytes as far as is known, lacks a whole
 * sector, which is zero then: its write was never answered.  At 0 there is not
 * even a header: that sector itself must be lacking. */
static bool is_torn(const struct bytes *b, size_t at, size_t len)
{
	size_t end = used_length(b), n;

	if (at == 0)
		return all_zero(b->at, b->len < SECTOR ? b->len : SECTOR);
	if (is_miscounted(b->at + at, b->len - at))
		return false;
	if (end < at + len)
		end = at + len;
	for (; at < end; at += n) {
		n = SECTOR - at % SECTOR;
		n = n < end - at ? n : end - at;
		if (all_zero(b->at + at, n))
			return true;
	}
	return false;
}

/* Where the batches end; false if not all are whole up to there: then there is
 * one of `len` bytes, as far as is known, that is not. */
static bool walk_batches(const struct bytes *b, size_t *at, size_t *len)
{
	*at = 0;
	*len = 0;
	if (b->len < 8 || get64(b->at) != FORMAT)
		return used_length(b) == 0;
	for (*at = 8; check_batch(b->at + *at, b->len - *at, len); *at += *len)
		;
	return *at >= used_length(b);
}

static int check_closed(const struct listing *l, const char *name,
			struct err *err)
{
	struct bytes b;
	size_t at, len;
	int rv = read_file(l, name, &b, err);

	if (rv)
		return rv;
	if (!walk_batches(&b, &at, &len) || at < b.len)
		rv = damaged(l, name, at, "damaged entry", err);
	free(b.at);
	return rv;
}

static int set_length(const struct listing *l, const char *name, size_t len,
		      struct err *err)
{
	int fd = openat(l->fd, name, O_WRONLY | O_CLOEXEC), rv = 0;

	if (fd < 0 || ftruncate(fd, (off_t)len) < 0 || fsync(fd) < 0)
		rv = err_set(err, -errno, "%s/%s: %m", l->dir, name);
	if (fd >= 0)
		close(fd);
	return rv;
}

/* libraft cuts off what is torn, but wants the segment's header, or nothing at
 * all. */
static int drop_torn(const struct listing *l, const char *name, size_t at,
		     struct err *err)
{
	log_warn("the last write was cut off", "file=%s byte=%zu effect=\"%s\"",
		 name, at, "dropped, it was never acknowledged");
	return at ? 0 : set_length(l, name, 0, err);
}

/* Open segments are written one after another: only the last that has entries
 * may end in a torn one. */
static int check_open(const struct listing *l, const char *name, bool last,
		      struct err *err)
{
	struct bytes b;
	size_t at, len;
	int rv = read_file(l, name, &b, err);

	if (rv)
		return rv;
	if (!walk_batches(&b, &at, &len)) {
		if (!last || !is_torn(&b, at, len))
			rv = damaged(l, name, at, "damaged entry", err);
		else
			rv = drop_torn(l, name, at, err);
	}
	/* libraft wants a header, or nothing, behind the last entry; else it
	 * frees its memory twice. */
	if (!rv && at && at < b.len && b.len - at < BATCH_HEADER)
		rv = set_length(l, name, b.len + BLOCK, err);
	free(b.at);
	return rv;
}

/* The number of open segments up to the last that has something in it. */
static int count_open(const struct listing *l, size_t *n, struct err *err)
{
	char name[NAME_LEN];
	struct bytes b;
	size_t i;
	int rv;

	*n = 0;
	for (i = 0; i < l->n_open; i++) {
		snprintf(name, sizeof(name), "open-%" PRIu64, l->open[i]);
		rv = read_file(l, name, &b, err);
		if (rv)
			return rv;
		if (used_length(&b))
			*n = i + 1;
		free(b.at);
	}
	return 0;
}

static int check_segments(const struct listing *l, size_t n_open,
			  struct err *err)
{
	char name[NAME_LEN];
	size_t i;
	int rv = 0;

	for (i = 0; !rv && i < l->n_closed; i++)
		rv = check_closed(l, l->closed[i], err);
	for (i = 0; !rv && i < n_open; i++) {
		snprintf(name, sizeof(name), "open-%" PRIu64, l->open[i]);
		rv = check_open(l, name, i + 1 == n_open, err);
	}
	return rv;
}

/* Snapshots and the beginning. */

static int check_meta(const struct listing *l, const char *name,
		      struct err *err)
{
	struct bytes b;
	int rv = read_file(l, name, &b, err);

	if (rv)
		return rv;
	if (b.len < META_HEADER || get64(b.at) != FORMAT ||
	    b.len != META_HEADER + get64(b.at + 24) ||
	    raft_crc(b.at + 16, b.len - 16) != get64(b.at + 8))
		rv = damaged(l, name, 0, "damaged snapshot", err);
	free(b.at);
	return rv;
}

static int check_marker(const struct listing *l, const char *name,
			struct err *err)
{
	struct bytes b;
	int rv = read_file(l, name, &b, err);

	if (rv)
		return rv;
	if (!raft_marker_ok(b.at, b.len))
		rv = damaged(l, name, 0, "damaged snapshot", err);
	free(b.at);
	return rv;
}

static int check_snapshot(const struct listing *l, struct err *err)
{
	char name[NAME_LEN];
	int rv;

	if (!l->newest.index)
		return 0;
	snapshot_name(name, &l->newest, ".meta");
	rv = check_meta(l, name, err);
	if (rv)
		return rv;
	snapshot_name(name, &l->newest, "");
	return check_marker(l, name, err);
}

/* raft makes `metadata1` first and would wait for ever if that were all. */
static int begin_anew(const struct listing *l, struct err *err)
{
	struct stat st;

	if (exists(l, "metadata2") ||
	    (fstatat(l->fd, "metadata1", &st, 0) == 0 &&
	     st.st_size > METADATA_LEN))
		return err_set(err, -EBADMSG, "%s: raft's log is gone", l->dir);
	if (unlinkat(l->fd, "metadata1", 0) < 0)
		return errno == ENOENT ? 0
				       : err_set(err, -errno,
						 "%s/metadata1: %m", l->dir);
	if (fsync(l->fd) < 0)
		return err_set(err, -errno, "%s: %m", l->dir);
	log_warn("a beginning was cut off", "effect=\"begun anew\"");
	return 0;
}

static int check(struct listing *l, bool *begun, struct err *err)
{
	size_t n_open;
	int rv = list_files(l, err);

	if (!rv)
		rv = count_open(l, &n_open, err);
	if (rv)
		return rv;
	*begun = l->n_closed || n_open || l->newest.index;
	if (!*begun)
		return begin_anew(l, err);
	if (!exists(l, "metadata1") && !exists(l, "metadata2"))
		return err_set(err, -EBADMSG, "%s/metadata1: missing", l->dir);
	rv = raft_meta_check(l->dir, err);
	if (!rv)
		rv = check_snapshot(l, err);
	return rv ? rv : check_segments(l, n_open, err);
}

int raft_files_check(const char *dir, bool *begun, struct err *err)
{
	struct listing l = { .dir = dir };
	int rv;

	l.fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (l.fd < 0)
		return err_set(err, -errno, "%s: %m", dir);
	rv = check(&l, begun, err);
	close(l.fd);
	free(l.closed);
	free(l.open);
	return rv;
}

/* Reading. */

#define COMMAND 1 /* the type of our entries */

typedef bool (*entry_fn)(void *owner, const void *entry, size_t len);

static bool read_batch(const uint8_t *at, entry_fn fn, void *owner)
{
	uint64_t n = get64(at + 8), i;
	const uint8_t *header = at + BATCH_HEADER;
	const uint8_t *data = header + n * ENTRY_HEADER;
	bool more = true;
	uint32_t len;

	for (i = 0; i < n && more; i++, header += ENTRY_HEADER) {
		len = get32(header + 12);
		if (header[8] == COMMAND)
			more = fn(owner, data, len);
		data += len;
	}
	return more;
}

/* Whether there may be more. */
static bool read_segment(const struct listing *l, const char *name, entry_fn fn,
			 void *owner)
{
	bool more = true;
	struct bytes b;
	struct err err;
	size_t at, len;

	if (read_file(l, name, &b, &err))
		return true; /* removed, or renamed when it was closed */
	if (b.len >= 8 && get64(b.at) == FORMAT)
		for (at = 8; more && check_batch(b.at + at, b.len - at, &len);
		     at += len)
			more = read_batch(b.at + at, fn, owner);
	free(b.at);
	return more;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void read_all(struct listing *l, entry_fn fn, void *owner)
{
	char name[NAME_LEN];
	bool more = true;
	size_t i;

	if (l->n_closed)
		qsort(l->closed, l->n_closed, sizeof(*l->closed), by_name);
	for (i = 0; i < l->n_closed && more; i++)
		more = read_segment(l, l->closed[i], fn, owner);
	for (i = 0; i < l->n_open && more; i++) {
		snprintf(name, sizeof(name), "open-%" PRIu64, l->open[i]);
		more = read_segment(l, name, fn, owner);
	}
}

int raft_files_read(const char *dir, entry_fn fn, void *owner, struct err *err)
{
	struct listing l = { .dir = dir };
	int rv;

	l.fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (l.fd < 0)
		return err_set(err, -errno, "%s: %m", dir);
	rv = list_files(&l, err);
	if (!rv)
		read_all(&l, fn, owner);
	close(l.fd);
	free(l.closed);
	free(l.open);
	return rv;
}

/* Markers. */

#define MARKER_VERSION 2

static uint64_t marker_crc(const struct raft_marker *m)
{
	return crc32c(0, m, offsetof(struct raft_marker, crc));
}

struct raft_marker raft_marker(uint64_t index)
{
	struct raft_marker m = { .version = MARKER_VERSION, .index = index };

	m.crc = marker_crc(&m);
	return m;
}

bool raft_marker_ok(const void *marker, size_t len)
{
	struct raft_marker m;

	if (len != sizeof(m))
		return false;
	memcpy(&m, marker, sizeof(m));
	return m.version == MARKER_VERSION && m.crc == marker_crc(&m);
}
