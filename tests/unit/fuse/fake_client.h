/*
 * A double of client/: a small tree in memory, whose files' bytes follow from
 * id and offset.  It answers by timers, or never.  A lookup of "bump" changes
 * the tree, as far as one can tell; one in "wide" tells the next name, too.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "runtime/loop.h"

enum {
	FAKE_BIG = 50,     /* "big": FAKE_BIG_LEN bytes */
	FAKE_HELD = 51,    /* "held": reads are answered when cancelled */
	FAKE_LINK = 52,    /* "link" -> "big" */
	FAKE_GONE = 53,    /* "gone": its version is no more */
	FAKE_SLOW = 54,    /* "slow": each read takes 20 ms */
	FAKE_LOST = 55,    /* "lost": the worker is away */
	FAKE_GRANTED = 56, /* "granted": has a descriptor */
	FAKE_BROKEN = 57,  /* "broken": its descriptor has nothing to read */
	FAKE_STUCK = 58,   /* "stuck": opening is answered when cancelled */
	FAKE_ASKED = 59,   /* "asked": as long as LOOKUPs were asked */
	FAKE_SUB = 60,     /* "sub": a directory, 7 entries */
	FAKE_WIDE = 61,    /* "wide": a directory, FAKE_WIDE_N entries */
	FAKE_BIG_LEN = (8 << 20) + 123,
	FAKE_WIDE_N = 5000,
	FAKE_SMALL = 100, /* "sub/0" ... "sub/6": 10,000 bytes each + number */
	FAKE_WIDE_FIRST = 10000, /* "wide/file-00000", ...: 1 byte each */
};

struct client *fake_client_new(struct loop *loop);

/* The bytes at `offset` of the file `id`. */
void fake_bytes(uint64_t id, uint64_t offset, void *buf, size_t len);
