/*
 * What the files of store/ share: the store, its directories, its entries.
 * Nobody else includes this.
 *
 * On disk, below a directory: `lock`, held while a worker uses it; `index`, the
 * log of index.h; and XX/ID.SEQ, the backing file of one version of one file,
 * sparse, each byte at its own offset.  SEQ tells the backing files of one id
 * apart, so that one that is going does not meet one that is coming.
 *
 * One mutex guards all that changes; it is never held over I/O or a callback.
 * Functions named _locked are called with it.  An entry stays in memory while
 * it has users or grants; its file is removed when the last user has gone.
 */
#pragma once

#include <inttypes.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/map.h"
#include "core/evictor.h"
#include "core/tiers.h"
#include "store/store.h"

#define CHUNK     (UINT64_C(128) << 10) /* bytes under one checksum */
#define DISK_UNIT UINT64_C(4096)        /* bytes: files take whole ones */
#define INODE_SHARE \
	UINT64_C(512) /* bytes of inode and name that st_blocks leaves out */
#define N_SUBDIRS 256
/* A backing file, by subdirectory, id and seq. */
#define BACKING_PATH "%02x/%016" PRIx64 ".%08" PRIx32

/* A position in a walk over a directory's entries that other threads change;
 * it stands between entries. */
struct place {
	struct list link;
	bool is_entry;
};

struct entry {
	struct place place; /* in dir->entries; of doomed ones in a list of
			       those to remove */
	struct evict_node node;
	struct dir *dir;
	uint64_t size;    /* of the file, bytes */
	uint64_t used;    /* bytes on disk, with room kept for fills */
	uint64_t on_disk; /* the most that fills saw which are not settled */
	uint32_t seq;
	uint32_t users;     /* reads, fills and checks under way */
	uint32_t fills;     /* of them */
	uint32_t grants;    /* descriptors lent */
	uint32_t n_present; /* pages */
	bool verified;      /* all that is present was written or compared
			       since the start */
	bool doomed;        /* forgotten; the file goes with the last user */
	bool removed;       /* the file is gone; grants keep the entry */
	bool asked;         /* let_go was called for it */
	bool found;         /* by the sweep after an unclean stop */
	bool moving;        /* to another tier */
	bool nominated;     /* for a faster tier */
	bool check_wanted;  /* a grant waits for it */
	/* A checksum a chunk, then a bit a page. */
	uint32_t words[];
};

struct buffer {
	char *at;
	size_t len, room;
};

/* Passes over all that a directory has: scrub.c. */
enum pass { NO_PASS, UNCLEAN_PASS, SCRUB_PASS };

struct scrub {
	/* Protected by store->mutex. */
	enum pass pass;
	bool wanted;         /* a scrub is to follow */
	bool due;            /* its next slice */
	struct place at;     /* between what was seen and what was not */
	uint64_t file, page; /* of what comes next: where to go on */
	uint32_t seq;
	struct buffer files; /* ids that grants wait for */
	uint64_t rate;       /* bytes a second of this scrub; 0: no limit */
	uint64_t cost;       /* bytes that are not reckoned with yet */
	uint64_t begun_ms, next_ms;
	struct store_scrub_state state;

	struct timer timer; /* of the store's loop: the next slice, or pass */
};

/* Work of a directory that nobody waits for.  Its own allocation: its last
 * callback may come after the store has gone. */
struct chore {
	struct task task;
	struct dir *dir; /* NULL: the store has gone */
	bool busy;       /* protected by store->mutex */
};

enum service {
	IN_SERVICE,
	NO_FILLS, /* the disk is full: what is there is still read */
	OUT_OF_SERVICE,
};

struct mover; /* mover.c */

struct dir {
	struct store *store;
	char *path;
	enum tier tier;
	bool in_memory; /* its file system is */
	int fd, lock_fd;
	uint64_t capacity;
	struct workpool *pool;
	struct evictor *evictor;
	atomic_bool may_not_wait; /* RWF_NOWAIT works here, as far as known */
	struct chore *reaper, *checker;
	struct mover *mover; /* of what comes up to it, and goes down from */

	/* Protected by store->mutex. */
	enum service service;
	uint64_t again_ms;   /* when a full disk is tried again; 0: not known */
	uint64_t pause_ms;   /* and how long it was left alone */
	struct list entries; /* of struct place */
	uint64_t n_entries;
	uint64_t entry_bytes, granted_bytes;
	uint64_t leaving_bytes; /* of entry_bytes: doomed, not removed yet */
	uint64_t n_unverified;
	bool sound; /* the last stop was clean, or all was compared since */
	unsigned bad_reads; /* that failed with EIO */
	struct scrub scrub;
	uint32_t next_seq;
	unsigned n_subdirs;
	struct list doomed; /* of entries, for the reaper */

	/* index.c's */
	int index_fd;            /* the flusher's */
	uint64_t index_bytes;    /* of the file */
	uint64_t index_rewrite;  /* bytes of the new one while there are two */
	uint64_t live_bytes;     /* what a rewritten index would take */
	struct buffer pending;   /* records to write */
	uint64_t taken, written; /* bytes of records, since the start */
	bool flushing;           /* somebody writes them */
	bool rewrite_wanted;     /* its header is to be another */
	bool index_torn;         /* a record was lost, or a file left: no
				    clean stop */
	/* Files of its records that another directory has; while it is read. */
	struct map elsewhere;
};

struct store {
	struct loop *loop; /* may be NULL */
	uint64_t block_size;
	uint8_t cluster[16];
	unsigned threads;
	uint64_t move_rate; /* bytes a second and directory; 0: no limit */
	uint64_t scrub_rate, scrub_interval_ms;
	void (*failed)(void *owner, const char *dir, const struct err *err);
	void *owner;

	atomic_bool full; /* a directory has been, once */

	struct mutex mutex;

	/* Protected by mutex. */
	void (*let_go)(void *owner, const uint64_t *files, size_t n);
	void *let_go_owner;
	struct map files; /* id -> entry, never a doomed one */
	struct map held;  /* id -> doomed entry that has grants */
	struct store_totals totals;
	struct buffer changes; /* struct change */
	unsigned binding;      /* to how many clusters, one after another */
	bool closing;

	unsigned n_dirs;
	struct dir dirs[];
};

struct stat;

struct change {
	uint64_t file;
	enum store_change what;
};

/* Adds `len` bytes; where they are. */
void *buffer_add(struct buffer *b, size_t len);
void buffer_close(struct buffer *b);

/* entry.c */
static inline uint64_t entry_pages(uint64_t size)
{
	return (size + STORE_PAGE - 1) / STORE_PAGE;
}

static inline uint64_t entry_chunks(uint64_t size)
{
	return (size + CHUNK - 1) / CHUNK;
}

static inline struct entry *entry_of(struct evict_node *n)
{
	return container_of(n, struct entry, node);
}

struct entry *entry_new(struct dir *d, uint64_t file, uint64_t size);
bool entry_has(const struct entry *e, uint64_t page);
void entry_set(struct entry *e, uint64_t page);
bool entry_complete(const struct entry *e);
/* Bytes present from `offset` on, up to `len`. */
uint64_t entry_present(const struct entry *e, uint64_t offset, uint64_t len);
/* Whether `buf`, the bytes at `offset`, agrees with the checksums of the chunks
 * that lie in it whole; *bad is the first offset that does not. */
bool entry_check(const struct entry *e, const void *buf, uint64_t offset,
		 size_t len, uint64_t *bad);
/* What a file system may add to a sparse file that has several extents; it may
 * do so as late as when it writes the data back. */
uint64_t entry_extents_share(uint64_t size);
/* What a file of `size` takes. */
uint64_t entry_disk_bytes(uint64_t size, const struct stat *st);
/* It is known to take `used` bytes. */
void entry_resize_locked(struct entry *e, uint64_t used);
void entry_path(const struct entry *e, char path[40]);
/* An open backing file or -errno. */
int entry_open_file(const struct entry *e, int flags);
/* A new one, for writing. */
int entry_create_file(struct entry *e);

/* dir.c */
struct entry *dir_next_locked(struct dir *d, struct list *after);
void dir_add_locked(struct entry *e);
/* Forgets an entry; its file is removed when it has no users: then it is put
 * on `gone`, if not NULL, for dir_remove_all(). */
void dir_doom_locked(struct entry *e, struct list *gone);
void dir_put_locked(struct entry *e, struct list *gone);
/* `by`, a copy elsewhere, whose room is charged, takes the place of `old`,
 * which the caller uses and which is doomed. */
void dir_replace_locked(struct entry *old, struct entry *by);
/* Nothing of it is left. */
void dir_forget_locked(struct entry *e);
void dir_remove_all(struct list *gone);
/* The same on a disk thread, for callers that must not wait. */
void dir_reap(struct dir *d, struct list *gone);
uint64_t dir_used_locked(const struct dir *d);
/* Whether a disk that was full is due to be tried again, which it then is. */
bool dir_try_again_locked(struct dir *d, uint64_t now_ms);
/* Its disk fails at the start already. */
void dir_lost(struct dir *d, const struct err *err);
/* The disk has failed with `code`: out of service. */
void dir_failed(struct dir *d, int code, const char *doing);

/* Kept free for the index to grow. */
#define DIR_SLACK (8 * DISK_UNIT)

/* What there is room for, the slack left out. */
static inline struct tier_room dir_room_locked(const struct dir *d)
{
	return (struct tier_room){ d->capacity,
				   dir_used_locked(d) + DIR_SLACK };
}

/* room.c: finds room for `need` more bytes for the sake of `n` (NULL: of all):
 * 0, ERR_NOT_ADMITTED, or -ENOSPC if what would go is held by users or grants.
 * Victims are put on `gone`, to be removed before the room is used; ids to be
 * let go in `ask`, for room_ask(). */
int room_make_locked(struct dir *d, const struct evict_node *n, uint64_t need,
		     struct list *gone, struct buffer *ask);
void room_ask(struct store *s, struct buffer *ask);

/* read.c */
/* Becomes a user of the file; *len is what of the request is present.  NULL:
 * nothing. */
struct entry *store_use(struct store *s, const struct store_req *req,
			size_t *len, bool *verified);
void store_unuse(struct entry *e, struct list *gone);
/* Has `work` done on a disk thread of the file's directory. */
void store_submit(struct store *s, struct store_req *req, task_work_fn work,
		  store_done_fn done);
/* Compares a small file at once, if that takes no waiting for a disk; whether
 * it is verified now.  The caller uses it. */
bool read_verifies(struct entry *e);

/* dir_open.c */
int dir_open(struct dir *d, struct store *s, const struct store_dir *o,
	     const struct evictor_ops *policy, struct err *err) MUST_CHECK;
/* No work may be in flight.  Lets its threads end. */
void dir_close(struct dir *d);

/* store.c */
void store_changed_locked(struct store *s, uint64_t file,
			  enum store_change what);
/* Has the holders of granted files let them go. */
void store_ask_back(struct store *s, const uint64_t *files, size_t n);

/* tiers.c */
/* The slowest tier that is in service; TIER_AUTO: there is none. */
enum tier tiers_last_locked(const struct store *s);
/* Where a file lies in a tier; NULL: nothing of that is in service. */
struct dir *tiers_home_locked(struct store *s, uint64_t file, enum tier t);
/* Where a new file goes.  In parts it is slow for as long as it grows, since
 * what is to move must be complete. */
struct dir *tiers_place_locked(struct store *s, uint64_t file, uint64_t size,
			       bool in_parts);
/* The file was wanted; `e` NULL: it is not here. */
void tiers_touched_locked(struct store *s, uint64_t file, struct entry *e);
/* A file that came in parts is complete. */
void tiers_completed_locked(struct entry *e);

/* mover.c */
void mover_open(struct dir *d);
/* It is to come up to `d`, when that is its turn. */
void mover_want_locked(struct dir *d, struct entry *e);
uint64_t mover_wanted_locked(const struct dir *d); /* bytes */
/* Begins what there is to do. */
void mover_kick_locked(struct dir *d);
/* All threads have ended. */
void mover_close(struct dir *d);

/* check.c */
/* The bytes at `offset` are not those that were written. */
void check_bad(struct entry *e, uint64_t offset);
/* A read at `offset` has failed with `code`: unless that is a shortage of ours,
 * the file is damaged, or the disk is done for. */
void check_failed(struct entry *e, int code, uint64_t offset);
/* All that is present has been compared. */
void check_passed_locked(struct entry *e);
void check_passed(struct entry *e);
/* Compares the pages from *page on, which it moves, until `budget` bytes were
 * read or the end is reached, from the disk itself if `direct`.  The bytes; or
 * a code, when it is no use to go on. */
int64_t check_pages(struct entry *e, uint64_t *page, uint64_t budget,
		    bool direct);

/* scrub.c */
/* After the start. */
void scrub_open(struct dir *d);
/* A grant waits for this file to be verified. */
void scrub_want_locked(struct entry *e);
void scrub_kick(struct dir *d);
/* On the store's thread. */
void scrub_close(struct dir *d);
