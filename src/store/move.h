/*
 * One file on its way to a directory of another tier.
 *
 * The copy is written beside everything else, each page compared with its
 * checksum, which goes along; then it takes the file's place, and the old one
 * goes when the index of the new directory tells of the copy.  So a process
 * that dies leaves one or both, and the next start keeps one.  Reads, and
 * descriptors that were lent, go on with the file they have.
 *
 * Owned by the mover of one directory, used by one thread at a time.
 */
#pragma once

#include "store/disk.h"

struct move {
	struct entry *from; /* NULL: nothing is on its way */
	struct entry *to;   /* NULL: it has taken its place, and may be gone */
	struct dir *dir;    /* where it goes */
	int from_fd, to_fd; /* -1: not open */
	uint64_t page;      /* the next to copy */
	uint64_t mark;      /* of the index, when it has taken its place */
	bool failed;        /* the last one */
};

/* Whether `e` can move at all. */
bool move_may_locked(const struct entry *e);

/* Room for it has been made. */
uint64_t move_room(const struct entry *e);
void move_start_locked(struct move *m, struct entry *e, struct dir *to);

/* Copies a part, on a disk thread; the bytes.  It is over when m->from is NULL,
 * one way or the other. */
uint64_t move_go_on(struct move *m, char *buf);

/* Ends it early; keeps what the index tells of. */
void move_stop(struct move *m);
