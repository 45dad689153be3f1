/*
 * The block store: cached blocks on a worker's directories.
 *
 * Any of the worker's loops may call it; it locks inside and never holds a lock
 * over I/O or a callback.  Blocks of a file lie in one sparse backing file a
 * version, each at its own offset, in pages of 1 MiB with presence bits and a
 * CRC32C per fixed chunk; nobody else knows.
 *
 * Every request is asynchronous: `done` comes once, on `req->loop`, never
 * before the call returns; the request may be freed or reused inside it.
 */

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "core/tiers.h"
#include "runtime/workpool.h"

#define STORE_PAGE (UINT64_C(1) << 20) /* bytes: the unit of filling */

struct store;

struct store_dir {
	const char *path;
	uint64_t capacity; /* bytes that the directory may use on its disk */
	/* Instead, if not 0: this share of what is free there at the start, or
	 * the directory's already. */
	unsigned percent;
	enum tier tier; /* TIER_AUTO: by what it lies on */
};

struct store_options {
	const struct store_dir *dirs;
	unsigned n_dirs;
	uint64_t block_size; /* bytes; a change empties the store */
	/* 16 bytes: another cluster's store is refused.  NULL: not known, see
	 * store_bind(). */
	const uint8_t *cluster;
	const char *evictor; /* "retain", "lru": see core/evictor.h */
	unsigned threads;    /* disk threads a directory; 0: simulated */
	/* Bytes a second that may move between the tiers of each directory that
	 * is not of the slowest; 0: any number. */
	uint64_t move_rate;
	/* Where work that nobody waits for begins: the check after an unclean
	 * stop, removals, moves.  The thread that opens and closes the store is
	 * its own.  NULL: no check in the background, removals at once, nothing
	 * moves. */
	struct loop *loop;
	/* How fast a directory is scrubbed, bytes a second, 0: no limit; and
	 * how often, 0: when store_scrub() says so. */
	uint64_t scrub_rate, scrub_interval_ms;
	/* Called on any thread when a directory goes out of service. */
	void (*failed)(void *owner, const char *dir, const struct err *err);
	void *owner;
};

int store_open(struct store **out, const struct store_options *options,
	       struct err *err) MUST_CHECK;
/*
 * The cluster whose ids the files have, once it is known.  What is there of
 * another one is forgotten: the same ids would be other files.  A store keeps
 * its cluster over restarts.  On the thread that has opened it; true if the
 * store was another's.
 */
bool store_bind(struct store *s, const uint8_t cluster[16]);
/* No request may be in flight.  Leaves the mark of a clean stop. */
void store_close(struct store *s);

struct store_req;
typedef void (*store_done_fn)(struct store_req *req, ssize_t result);

struct store_req {
	struct loop *loop;
	uint64_t file;      /* the id of this version */
	uint64_t file_size; /* bytes */
	uint64_t offset;    /* in the file */
	void *buf;
	size_t len;
	uint64_t load; /* fill: as evict_node has it */
	struct err err;

	/* private */
	struct store_loan *loan;
	store_done_fn done;
	struct task task;
	struct store *store;
	unsigned binding;
};

/* The bytes read, each chunk that lies in them whole checked against its
 * checksum, and the others too until all of the file was written or checked
 * since the start; -ENOENT if the first page is not present (a later one that
 * is not ends the read early), or proves to be damaged and so is no more. */
void store_read(struct store *s, struct store_req *req, store_done_fn done);

/* The same at once, if that takes no waiting for a disk, else -EAGAIN; no
 * callback comes. */
ssize_t store_try_read(struct store *s, struct store_req *req);

/* Bytes of a backing file, for sendfile. */
struct store_loan {
	int fd; /* the store's; the offsets are the file's */
	void *entry;
};

/* Reads and checks as store_read(), always whole chunks (a file borrowed whole
 * is checked, then), but gives no bytes: until store_return() they can be sent
 * from `loan->fd`, and stay as they are, evicted or not.  `req->buf` is not
 * used. -EAGAIN: not all of it is present.  -ENOENT: it cannot be read, too. */
void store_lend(struct store *s, struct store_req *req, struct store_loan *loan,
		store_done_fn done);
/* Any thread. */
void store_return(struct store_loan *loan);

/* Writes whole pages (the last one of the file may be short): data first, then
 * the index record with their checksums.  Room is made by eviction; -ENOSPC if
 * there is none, ERR_NOT_ADMITTED if the policy says so; the bytes are then
 * simply not cached. */
void store_fill(struct store *s, struct store_req *req, store_done_fn done);

/* Bytes present from `offset` on without a gap, up to `len`; 0: none.  Takes no
 * I/O. */
uint64_t store_present(struct store *s, uint64_t file, uint64_t offset,
		       uint64_t len);

/* Somebody opened the file: tells the policy.  Unknown files too. */
void store_touch(struct store *s, uint64_t file);

/*
 * A read-only descriptor, the caller's, to be sent with SCM_RIGHTS: of a file
 * that is complete, and was all written or checked since the start, else
 * -EAGAIN, and it is checked soon; -EBUSY when grants hold half the room.  From
 * the first grant until as many releases, the file's space counts as used,
 * evicted or not, and nothing in it changes.
 */
int store_grant(struct store *s, uint64_t file);
/* The same, but it is not checked behind the caller's back, who reads or
 * borrows all of it instead. */
int store_try_grant(struct store *s, uint64_t file);
void store_release(struct store *s, uint64_t file);

/* The granted files that eviction waits for, once each time it does, and those
 * that were dropped or prove to be damaged; `fn` may come on any thread.  One
 * that has begun may go on after another `fn`, or NULL, was set: `owner` stays
 * until store_close(), which waits for it. */
void store_on_let_go(struct store *s,
		     void (*fn)(void *owner, const uint64_t *files, size_t n),
		     void *owner);

/* Forgets a file; the bytes that come free, now or after its last release. */
uint64_t store_drop(struct store *s, uint64_t file);

struct store_file_state {
	uint64_t size, present; /* bytes */
	bool complete, verified, granted;
	enum tier tier;
	const char *dir;
};

/* -ENOENT: nothing of it is cached. */
int store_file_state(struct store *s, uint64_t file,
		     struct store_file_state *out);

struct store_tier {
	uint64_t capacity, used, files;
	uint64_t touched; /* files wanted that lay here, by store_touch() */
	uint64_t promoted, promoted_bytes; /* that came up to it */
	uint64_t demoted, demoted_bytes;   /* that went down from it */
	unsigned dirs;
};

struct store_totals {
	uint64_t capacity,
		used; /* bytes on disk: allocated blocks and inodes */
	uint64_t files, granted;
	uint64_t evictions, evicted_bytes, not_admitted;
	unsigned dirs_failed;
	uint64_t unverified; /* files the background check has yet to see */
	uint64_t corrupt;    /* files dropped since their bytes were wrong */
	struct store_tier tiers[N_TIERS];
	/* Of these, in directories that lie in memory. */
	uint64_t memory_capacity, memory_used;
	uint64_t scrubbed_files, scrubbed_bytes; /* by all passes */
};

void store_totals(struct store *s, struct store_totals *out);

/*
 * The scrubber: reads all that is there from the disks, as fast as it may and
 * no faster, drops what is not what was written, and says so in the log.
 */
struct store_scrub_state {
	unsigned running;      /* directories */
	uint64_t passes;       /* ended, of all directories, since the start */
	uint64_t files, bytes; /* checked in this pass, or the last */
	uint64_t damaged;      /* files of them, dropped */
	uint64_t to_do;        /* bytes left to check in this pass */
};

/* Begins a pass in each directory that has none under way; with `rate` bytes a
 * second each instead of what the options say, if it is not 0.  On the thread
 * that has opened the store. */
void store_scrub(struct store *s, uint64_t rate);
void store_scrub_state(struct store *s, struct store_scrub_state *out);

/* What to tell the master: calls fn for each file that gained its first page,
 * became complete, or lost its last since the previous call, or with `all` for
 * each file there is.  STORE_DAMAGED comes before the loss of one whose bytes
 * were found to be wrong. */
enum store_change { STORE_ADDED, STORE_COMPLETE, STORE_DAMAGED, STORE_REMOVED };
void store_take_changes(struct store *s, bool all,
			void (*fn)(void *owner, uint64_t file,
				   enum store_change change),
			void *owner);

/*
 * For `admin fsck`: compares what the index says with the backing files that
 * are there, their presence and sizes; reads no data.  What comes or goes
 * meanwhile may look wrong: it is right the next time.
 */
#define STORE_FSCK_FINDINGS 100

struct store_fsck {
	struct loop *loop; /* for `done` */

	uint64_t files, bytes; /* that there are, on disk */
	uint64_t found;        /* that is wrong; the first of them in words: */
	char *findings[STORE_FSCK_FINDINGS];
	unsigned n_findings;
	uint64_t *ids; /* of the files */
	size_t n_ids;

	/* private */
	struct store *store;
	size_t room;
	struct task task;
	void (*done)(struct store_fsck *f);
};

/* Zeroed but for `loop`; the caller's until `done`, which comes once, not
 * before the call returns. */
void store_fsck(struct store *s, struct store_fsck *f,
		void (*done)(struct store_fsck *f));
void store_fsck_clear(struct store_fsck *f);
