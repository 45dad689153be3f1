/*
 * An entry of the raft log: a header and a batch of journal records.
 *
 * Header, 40 bytes, little-endian: magic, version, number of records, bytes of
 * payload (32 bits each), the cluster's UUID, the entry's own index (64 bits).
 * Then each record with its length (32 bits) before it, zeros up to a multiple
 * of 8, which libraft needs, and 8 bytes that end it: the CRC32C of all before
 * and a magic, so that an entry never ends in zeros.  doc/journal-format.md
 * describes it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "wire/journal.h"

#define ENTRY_HEADER  40
#define ENTRY_TRAILER 8
#define ENTRY_VERSION 2
/* A batch is closed when its payload reaches this. */
#define ENTRY_FULL ((size_t)1 << 20)

/* A batch being filled. */
struct entry {
	msgpack_sbuffer payload;
	uint32_t n;
};

void entry_init(struct entry *e);
void entry_close(struct entry *e);
void entry_add(struct entry *e, const struct journal_record *record);
/* The bytes of the whole entry, and these bytes. */
size_t entry_size(const struct entry *e);
void entry_write(const struct entry *e, const uint8_t uuid[16], uint64_t index,
		 void *out);

/* Reads an entry, record by record. */
struct entry_reader {
	uint8_t uuid[16];
	uint64_t index; /* that it was written for */
	uint32_t n;     /* records left */
	const uint8_t *next, *end;
};

/* ERR_BAD_MESSAGE: damaged, or of a version that is not known. */
int entry_open(struct entry_reader *r, const void *buf, size_t len,
	       struct err *err) MUST_CHECK;
/* 1: a record, which points into the entry and the zone; 0: the end.  A record
 * of an unknown type is ERR_BAD_MESSAGE too: it cannot be skipped. */
int entry_next(struct entry_reader *r, struct journal_record *record,
	       msgpack_zone *zone, struct err *err) MUST_CHECK;
