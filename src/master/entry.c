#include "master/entry.h"

#include <endian.h>
#include <inttypes.h>
#include <string.h>

#include "base/crc32c.h"

#define ENTRY_MAGIC 0x314a4341u /* "ACJ1" */
#define END_MAGIC   0x456a6341u /* "AcjE" */

struct header {
	uint32_t magic, version, n, payload;
	uint8_t uuid[16];
	uint64_t index;
};

struct trailer {
	uint32_t crc, magic;
};

_Static_assert(sizeof(struct header) == ENTRY_HEADER, "the header's size");
_Static_assert(sizeof(struct trailer) == ENTRY_TRAILER, "the trailer's size");

void entry_init(struct entry *e)
{
	msgpack_sbuffer_init(&e->payload);
	e->n = 0;
}

void entry_close(struct entry *e)
{
	msgpack_sbuffer_destroy(&e->payload);
}

void entry_add(struct entry *e, const struct journal_record *record)
{
	size_t at = e->payload.size;
	uint32_t len = 0;
	msgpack_packer pk;

	msgpack_sbuffer_write(&e->payload, (const char *)&len, sizeof(len));
	msgpack_packer_init(&pk, &e->payload, msgpack_sbuffer_write);
	journal_record_encode(record, &pk);
	len = htole32((uint32_t)(e->payload.size - at - sizeof(len)));
	memcpy(e->payload.data + at, &len, sizeof(len));
	e->n++;
}

static size_t padded(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

size_t entry_size(const struct entry *e)
{
	return ENTRY_HEADER + padded(e->payload.size) + ENTRY_TRAILER;
}

static struct trailer trailer_of(const void *entry, size_t len)
{
	return (struct trailer){
		.crc = htole32(crc32c(0, entry, len - ENTRY_TRAILER)),
		.magic = htole32(END_MAGIC),
	};
}

void entry_write(const struct entry *e, const uint8_t uuid[16], uint64_t index,
		 void *out)
{
	const size_t len = entry_size(e);
	struct trailer t;
	struct header h = {
		.magic = htole32(ENTRY_MAGIC),
		.version = htole32(ENTRY_VERSION),
		.n = htole32(e->n),
		.payload = htole32((uint32_t)e->payload.size),
		.index = htole64(index),
	};
	char *to = out;

	memcpy(h.uuid, uuid, sizeof(h.uuid));
	memcpy(to, &h, sizeof(h));
	memcpy(to + sizeof(h), e->payload.data, e->payload.size);
	memset(to + sizeof(h) + e->payload.size, 0,
	       padded(e->payload.size) - e->payload.size);
	t = trailer_of(out, len);
	memcpy(to + len - sizeof(t), &t, sizeof(t));
}

static int check_whole(const void *buf, size_t len, const struct header *h,
		       struct err *err)
{
	const size_t payload = padded(le32toh(h->payload));
	struct trailer t, want;

	if (payload != len - ENTRY_HEADER - ENTRY_TRAILER)
		return err_set(err, ERR_BAD_MESSAGE, "journal: entry cut off");
	want = trailer_of(buf, len);
	memcpy(&t, (const char *)buf + len - sizeof(t), sizeof(t));
	if (t.magic != want.magic || t.crc != want.crc)
		return err_set(err, ERR_BAD_MESSAGE,
			       "journal: entry %" PRIu64
			       ": damaged: wrong checksum",
			       le64toh(h->index));
	return 0;
}

int entry_open(struct entry_reader *r, const void *buf, size_t len,
	       struct err *err)
{
	struct header h;
	int rv;

	if (len < sizeof(h) + ENTRY_TRAILER)
		return err_set(err, ERR_BAD_MESSAGE, "journal: entry cut off");
	memcpy(&h, buf, sizeof(h));
	if (le32toh(h.magic) != ENTRY_MAGIC)
		return err_set(err, ERR_BAD_MESSAGE, "journal: not an entry");
	if (le32toh(h.version) != ENTRY_VERSION)
		return err_set(err, ERR_BAD_MESSAGE,
			       "journal: entry of version %u, this program "
			       "knows version %d",
			       le32toh(h.version), ENTRY_VERSION);
	rv = check_whole(buf, len, &h, err);
	if (rv)
		return rv;
	memcpy(r->uuid, h.uuid, sizeof(r->uuid));
	r->index = le64toh(h.index);
	r->n = le32toh(h.n);
	r->next = (const uint8_t *)buf + sizeof(h);
	r->end = r->next + le32toh(h.payload);
	return 0;
}

int entry_next(struct entry_reader *r, struct journal_record *record,
	       msgpack_zone *zone, struct err *err)
{
	uint32_t len;
	int rv;

	if (r->n == 0)
		return 0;
	if ((size_t)(r->end - r->next) < sizeof(len))
		return err_set(err, ERR_BAD_MESSAGE, "journal: entry cut off");
	memcpy(&len, r->next, sizeof(len));
	len = le32toh(len);
	r->next += sizeof(len);
	if (len > (size_t)(r->end - r->next))
		return err_set(err, ERR_BAD_MESSAGE, "journal: entry cut off");
	rv = journal_record_decode(record, r->next, len, zone, err);
	if (rv)
		return rv;
	r->next += len;
	r->n--;
	return 1;
}
