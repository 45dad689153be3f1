/*
 * Requests of the kernel that were read and not answered, for kernels that do
 * not send them again to the next process (before Linux 6.9).
 *
 * It lies in memory that outlives the process, which may be killed between any
 * two instructions: a request is kept before it is worked on and forgotten
 * after its answer, so at worst it is done and answered twice; the kernel drops
 * a second answer.  Requests longer than a slot are not kept (none is, on a
 * read-only mountpoint).
 *
 * journal_forget() on any thread, the rest on the loop's.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { JOURNAL_SLOTS = 4096, JOURNAL_REQUEST = 504 };

struct journal {
	uint64_t last; /* the highest unique that was ever kept */
	struct journal_slot {
		_Atomic uint64_t unique; /* 0: free */
		char request[JOURNAL_REQUEST];
	} slots[JOURNAL_SLOTS];
};

void journal_keep(struct journal *j, const void *request, size_t len);
/* What was read last, unless it got that far before. */
void journal_keep_if_new(struct journal *j, const void *request, size_t len);
void journal_forget(struct journal *j, uint64_t unique);

/* `fn` may answer at once. */
void journal_replay(struct journal *j,
		    void (*fn)(void *owner, void *request, size_t len),
		    void *owner);
