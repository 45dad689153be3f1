/* One cached file: its pages, its checksums, its backing file. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "store/disk.h"

void *buffer_add(struct buffer *b, size_t len)
{
	void *at;

	if (b->room - b->len < len) {
		b->room = (b->len + len) * 2;
		b->at = mem_resize(b->at, b->room, 1);
	}
	at = b->at + b->len;
	b->len += len;
	return at;
}

void buffer_close(struct buffer *b)
{
	free(b->at);
	*b = (struct buffer){ 0 };
}

struct entry *entry_new(struct dir *d, uint64_t file, uint64_t size)
{
	size_t words = entry_chunks(size) + (entry_pages(size) + 31) / 32;
	struct entry *e;

	e = mem_alloc(sizeof(*e) + words * sizeof(e->words[0]));
	list_init(&e->place.link);
	e->place.is_entry = true;
	e->dir = d;
	e->size = size;
	e->node.id = file;
	return e;
}

bool entry_has(const struct entry *e, uint64_t page)
{
	const uint32_t *bits = e->words + entry_chunks(e->size);

	return bits[page / 32] >> page % 32 & 1;
}

void entry_set(struct entry *e, uint64_t page)
{
	uint32_t *bits = e->words + entry_chunks(e->size);

	e->n_present += !entry_has(e, page);
	bits[page / 32] |= UINT32_C(1) << page % 32;
}

bool entry_complete(const struct entry *e)
{
	return e->n_present == entry_pages(e->size);
}

uint64_t entry_present(const struct entry *e, uint64_t offset, uint64_t len)
{
	uint64_t end, at = offset;

	if (offset >= e->size)
		return 0;
	end = len < e->size - offset ? offset + len : e->size;
	while (at < end && entry_has(e, at / STORE_PAGE))
		at = (at / STORE_PAGE + 1) * STORE_PAGE;
	return (at < end ? at : end) - offset;
}

bool entry_check(const struct entry *e, const void *buf, uint64_t offset,
		 size_t len, uint64_t *bad)
{
	uint64_t chunk = (offset + CHUNK - 1) / CHUNK, end = offset + len, to;
	const char *at;

	for (; chunk * CHUNK < end; chunk++) {
		to = (chunk + 1) * CHUNK;
		if (to > e->size)
			to = e->size;
		if (to > end)
			break;
		at = (const char *)buf + (chunk * CHUNK - offset);
		if (crc32c(0, at, to - chunk * CHUNK) != e->words[chunk]) {
			*bad = chunk * CHUNK;
			return false;
		}
	}
	return true;
}

uint64_t entry_extents_share(uint64_t size)
{
	return size > STORE_PAGE ? DISK_UNIT : 0;
}

uint64_t entry_disk_bytes(uint64_t size, const struct stat *st)
{
	return (uint64_t)st->st_blocks * 512 + INODE_SHARE +
	       entry_extents_share(size);
}

void entry_resize_locked(struct entry *e, uint64_t used)
{
	e->dir->entry_bytes += used - e->used;
	e->used = e->node.size = used;
}

void entry_path(const struct entry *e, char path[40])
{
	snprintf(path, 40, BACKING_PATH, (unsigned)(e->node.id % N_SUBDIRS),
		 e->node.id, e->seq);
}

int entry_open_file(const struct entry *e, int flags)
{
	char path[40];
	int fd;

	entry_path(e, path);
	do
		fd = openat(e->dir->fd, path, flags | O_CLOEXEC, 0600);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}
