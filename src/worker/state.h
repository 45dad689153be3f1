/*
 * What the files of worker/ share.  Nobody else includes this.
 *
 *	files.c    what must be known of a file to fetch it, from the master
 *	mounts.c   under-storages, by mount
 *	flights.c  ranges under way: one fetch each, however many wait
 *	read.c     calls read and load
 *	serve.c    the other calls
 *	grants.c   who holds which descriptor
 *	busiest.c  what is opened most
 *	verify.c   what is on disk, read again
 *	history.c  why opens were hits or misses
 *	control.c  registration, reports
 *	peers.c    the worker set, who may have what
 *	master.c   calls to the master, tried again
 *	tiers.c    what the tiers hold and move
 *	fsck.c     the index against the backing files, for admin fsck
 */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "core/placement.h"
#include "rpc/client.h"
#include "rpc/method.h"
#include "rpc/server.h"
#include "worker/shares.h"
#include "worker/worker.h"

#define MAX_READ   (16u << 20)         /* bytes of one call */
#define FETCH_UNIT (UINT64_C(4) << 20) /* bytes of one fetch, at most */

#define FILE_HOLDERS 4
#define PEERS_ASKED  3 /* at most, for one fetch */

/* ---- master.c ---- */

struct upcall;
typedef void (*upcall_done_fn)(struct upcall *call, int code,
			       const void *reply);

/* A call to whichever master answers. */
struct upcall {
	struct rpc_pending pending;

	/* private */
	struct worker *w;
	const struct rpc_method *method;
	uint64_t request[4]; /* ids and flags, no pointers; to send it again */
	bool once;
	uint64_t give_up_ms;
	unsigned at; /* index of the master that was asked */
	struct timer again;
	struct list link;
	upcall_done_fn done;
};

struct master_link {
	struct rpc_client **clients;
	unsigned n, at;      /* the one that answered last */
	struct list waiting; /* calls between two tries */
};

void master_open(struct worker *w);
/* Ends the calls under way, whose callbacks come. */
void master_stop(struct worker *w);
void master_close(struct worker *w);

/* Tries other masters and again for 30 s; `request` is at most 32 bytes and has
 * no pointers. */
void master_ask(struct worker *w, const struct rpc_method *method,
		struct upcall *call, const void *request, upcall_done_fn done);
/* Asks once: for requests of any kind. */
void master_tell(struct worker *w, const struct rpc_method *method,
		 struct upcall *call, const void *request, upcall_done_fn done);

/* ---- mounts.c ---- */

struct mount {
	uint32_t id;
	struct ufs *ufs;
	unsigned users;
	uint64_t digest; /* of uri and options */
	uint64_t checked_ms;
	bool gone; /* replaced by another of the same id */
};

struct mount_wait {
	struct list link;
	uint32_t id;
	/* `m` is used until mount_put(); NULL: `code` and `err` say why. */
	void (*done)(struct mount_wait *wait, struct mount *m, int code,
		     const struct err *err);
};

struct mounts {
	struct map by_id;
	struct list waiting;
	bool asking;
	bool changed; /* since it was asked: ask again */
	struct upcall call;
};

/* The master has other options for a mount: those we use are opened again. */
void mounts_changed(struct worker *w);
/* Comes at once if the mount is known, else when the master has answered. */
void mount_get(struct worker *w, struct mount_wait *wait, uint32_t id);
void mount_put(struct mount *m);
/* As mount_get(), but asks the master first: it has refused us, and its keys
 * may be others by now.  False: that was done just before. */
bool mount_refresh(struct worker *w, struct mount_wait *wait, uint32_t id);
/* All ids mean other mounts from now on. */
void mounts_doubt_all(struct worker *w);
void mounts_close(struct worker *w);

/* ---- files.c ---- */

struct file {
	struct worker *w;
	struct list link; /* in files.idle, when nobody uses it */
	uint64_t id;
	unsigned users;
	bool known, asking;
	bool dropped; /* what is under way for it is not cached */
	uint32_t mount;
	uint64_t length;
	char *path;
	struct ufs_version version;
	/* Who the master says has some of it, in the set of that epoch. */
	struct file_holder {
		uint32_t worker;
		uint32_t lacks; /* not this block, counted from 1; 0: none */
	} holders[FILE_HOLDERS];
	unsigned n_holders;
	uint64_t epoch;
	struct list waiting; /* struct file_wait */
	struct list flights;
	struct upcall call;
	int failed; /* how the last fetch did, `why` and when; 0: well */
	char *why;
	uint64_t failed_ms;
};

struct file_wait {
	struct list link;
	void (*done)(struct file_wait *wait, int code, const struct err *err);
};

struct files {
	struct map by_id;
	struct list idle; /* longest first */
	size_t n_idle;
};

struct file *file_get(struct worker *w, uint64_t id);
void file_put(struct file *f);
/* Whether it is known; else `wait` is told when it is, or why not. */
bool file_know(struct file *f, struct file_wait *wait);
/* Whether its holders are those of the worker set that we know; else `wait` is
 * told when the master has answered, or does not. */
bool file_know_holders(struct file *f, struct file_wait *wait);
void file_forget_wait(struct file_wait *wait);
/* Under-storage could not be read, after all attempts: who asks again at once,
 * as kernels do for the page that read-ahead did not bring, is told the same.
 * Not of what nobody has waited for: it was fetched ahead. */
void file_failed(struct file *f, int code, const struct err *err);
/* 0: it has not failed just now. */
int file_failure(const struct file *f, struct err *err);
/* It is known to have no bytes. */
bool file_is_empty(const struct worker *w, uint64_t id);
/* Its version is no more, or it was dropped. */
void file_drop(struct worker *w, uint64_t id);
/* All ids mean other files from now on. */
void files_forget(struct worker *w);
void files_close(struct worker *w);

/* ---- flights.c ---- */

enum source { SOURCE_LOCAL, SOURCE_PEER, SOURCE_UFS };

struct waiter {
	struct list link;
	uint64_t until; /* offset in the file; UINT64_MAX: all is over */
	void (*ready)(struct waiter *wait, int code, const struct err *err);
};

enum flight_state { QUEUED, FETCHING, FILLING, KEPT, OVER };

/* A range of a file that is fetched and cached. */
struct flight {
	struct list link;       /* in file->flights */
	struct list queue;      /* in flights.active or .all_kept */
	struct share_wait turn; /* while it is QUEUED */
	struct file *file;
	enum flight_state state;
	enum source source;
	unsigned refs;
	uint64_t offset;
	size_t len, got; /* the first `got` bytes have come */
	char *buf;
	bool unsettled; /* must not be cached */
	bool left_out;  /* the disk could not take it just then */
	bool keeps;     /* the block is ours to cache */
	bool cancelled, asking_peer;
	uint32_t instead_of; /* the home, if it is not there */
	uint32_t asked[PEERS_ASKED];
	unsigned n_asked;
	struct file_wait info;
	uint64_t load; /* number of the load that wants it, or 0 */
	uint64_t started_ms;
	struct list waiters;
	struct mount_wait mount_wait;
	struct mount *mount;
	struct ufs_req ufs;
	struct rpc_pending peer;
	struct store_req fill;
	struct timer timer; /* of KEPT */
};

struct flights {
	struct shares shares;    /* of what is queued and fetched */
	uint64_t kept, max_kept; /* bytes */
	uint64_t filling;        /* bytes that wait for disks */
	struct list active, all_kept;
	bool stopped; /* what is begun from now on is cancelled at once */
};

/* The flight that has, or will have, the byte at `at`; NULL: none. */
struct flight *flight_find(const struct file *f, uint64_t at);
/* Starts what fetches the byte at `at`, wanted up to `end`; `instead_of`: as
 * read_request has it.  `f` is known and `at` in it.  Never calls back before
 * it returns. */
struct flight *flight_start(struct file *f, uint64_t at, uint64_t end,
			    uint32_t instead_of);
/* Whether the byte at `at` is in the store or under way. */
bool file_has(const struct file *f, uint64_t at);
/* This worker is away: what it is asked for is got elsewhere. */
void flights_leave(struct worker *w, const struct rpc_client *peer);
static inline uint64_t flight_end(const struct flight *fl)
{
	return fl->offset + fl->len;
}
struct block_id flight_block(const struct flight *fl);
void flight_get(struct flight *fl);
void flight_put(struct flight *fl);
/* What is kept for who reads it next goes: it is to be fetched again. */
void flight_forget(struct flight *fl);
void flight_wait(struct flight *fl, struct waiter *wait, uint64_t until);
void waiter_leave(struct waiter *wait);
void flights_open(struct worker *w);
/* Ends all that are under way or will be begun, soon, and forgets those that
 * are kept. */
void flights_stop(struct worker *w);

/* ---- ahead.c ---- */

/* These bytes are being read here: starts what comes next, perhaps. */
void read_ahead(struct file *f, uint64_t offset, size_t len);

/* ---- history.c ---- */

#define HISTORY_MAX 65536

/* What became of a file's bytes here, or why an open found none. */
enum fate {
	FATE_NEW, /* never here */
	FATE_CACHED,
	FATE_NOT_ADMITTED, /* the policy kept others */
	FATE_NO_ROOM,
	FATE_DISK,
	FATE_BEHIND,    /* the disk took less than came */
	FATE_UNSETTLED, /* changed too lately to be cached */
	FATE_NOT_HOME,
	FATE_EVICTED,
	FATE_DAMAGED,
	FATE_FREED,
	FATE_CHANGED, /* in under-storage */
	FATE_FAILED
};

struct remembered {
	uint64_t file;
	uint64_t open_ms; /* 0: not opened */
	bool hit;
	enum fate fate, then;  /* now, and when it was opened */
	int error, then_error; /* of FATE_FAILED */
	uint32_t path;         /* a checksum; 0: not known */
	uint32_t earlier;      /* of what had its slot before; 0: nothing */
};

struct history {
	struct map by_slot; /* index + 1 in ring */
	struct remembered *ring;
	size_t next;
};

enum { HISTORY_TEXT = 160 };

void history_open(struct worker *w, uint64_t file, bool complete, bool partly);
void history_fate(struct worker *w, uint64_t file, enum fate fate);
/* Of a file that is known; `error` of FATE_FAILED, else 0. */
void history_file(const struct file *f, enum fate fate, int error);
const struct remembered *history_get(const struct history *h, uint64_t file);
/* "hit", "miss: " and why, or "" if no open is remembered. */
void history_last_open(const struct worker *w, uint64_t file,
		       char out[HISTORY_TEXT]);
/* Why a file that is not complete is not. */
void history_state(const struct worker *w, uint64_t file,
		   char out[HISTORY_TEXT]);
void history_close(struct history *h);

/* ---- open.c ---- */

void serve_open(void *role, struct rpc_call *call, const void *request);

/* ---- grants.c ---- */

struct grants {
	struct map sessions; /* of rpc_session: struct held */
};

/* A descriptor for this session, the caller's, or a negative code; `check`: of
 * store_grant(), else of store_try_grant(). */
int grant_take(struct worker *w, struct rpc_session *s, uint64_t file,
	       bool check);
/* Whether the session held it. */
bool grant_release(struct worker *w, struct rpc_session *s, uint64_t file);
void grants_lost(struct worker *w, struct rpc_session *s);
/* The store's: any thread. */
void grants_let_go(void *owner, const uint64_t *files, size_t n);
void grants_close(struct worker *w);

/* ---- control.c ---- */

/* Another worker. */
struct peer_worker {
	struct worker *w;
	uint32_t id;
	char *address;
	bool away;                 /* says nothing: not to be asked */
	struct rpc_client *client; /* NULL until used */
};

/* Waits until it is known who the workers are and which of them we are. */
struct set_wait {
	struct list link;
	void (*done)(struct set_wait *wait);
};

struct control {
	uint32_t id; /* ours; 0: not registered */
	uint64_t heartbeat_ms, block_size;
	bool telling, asking, stopped;
	bool all_due;    /* all there is is to be told, not what has changed */
	bool full;       /* the next report begins a full one */
	bool hurried;    /* there is news since the last report */
	bool said;       /* that there is no master */
	unsigned tries;  /* of registering */
	uint64_t mounts; /* as the master counts their changes */
	uint64_t life, heard; /* ours, and the last report that was answered */
	struct map news;      /* file -> what to tell of it: see control.c */
	uint64_t *told;       /* files whose news are on their way */
	size_t n_told;
	uint64_t moved_ms;             /* when the set became another */
	struct worker_set set, before; /* arrays are ours */
	struct worker_info *infos;     /* of all workers, as told to others */
	size_t n_infos;
	struct peer_worker **peers;
	size_t n_peers;
	struct list waiting; /* of struct set_wait */
	struct timer timer, patience;
	struct upcall tell, ask;
	uint64_t evictions, evicted_bytes, not_admitted;  /* counted so far */
	uint64_t damaged, scrubbed_files, scrubbed_bytes; /* the same */
};

void control_start(struct worker *w);
void control_stop(struct worker *w);
void control_close(struct worker *w);
/* Something is cached or gone that the master should know of soon. */
void control_news(struct worker *w);

/* ---- peers.c ---- */

/* A newer epoch was heard of. */
void control_epoch(struct worker *w, uint64_t epoch);
/* Whether a call of that epoch need not wait for the set; else `wait` is told
 * when it is known, or could not be learned soon. */
bool control_wait(struct worker *w, struct set_wait *wait, uint64_t epoch);
void control_go_on(struct worker *w);
/* Whether we keep the block: we are its home, or next to the one that is not
 * there (`instead_of`), as far as is known. */
bool control_keeps(const struct worker *w, struct block_id block,
		   uint32_t instead_of);
/* The next worker that may have what the flight fetches: the home, who the
 * master says holds some of the file, the home before.  NULL: nobody else. */
struct peer_worker *control_source(struct worker *w, struct flight *fl);
void peers_close(struct control *c);
void peers_forget(struct control *c);
void serve_known_set(void *role, struct rpc_call *call, const void *request);

/* ---- busiest.c ---- */

/* The last opens. */
struct busiest {
	struct recent_open *ring; /* NULL: none yet */
	size_t next;              /* ever noted */
};

void busiest_note(struct worker *w, uint64_t file);
void serve_busiest(void *role, struct rpc_call *call, const void *request);
void busiest_close(struct busiest *b);

/* ---- verify.c ---- */

/* Calls of explain that read all first. */
struct verifies {
	struct list waiting;
	unsigned running;
};

void verify(struct worker *w, struct rpc_call *call, uint64_t id);

/* ---- serve.c, read.c ---- */

/* Answers a call of explain. */
void explain(struct worker *w, struct rpc_call *call, uint64_t id);

void serve_read(void *role, struct rpc_call *call, const void *request);
void serve_load(void *role, struct rpc_call *call, const void *request);
extern const rpc_handler worker_handlers[];
extern const unsigned worker_n_handlers;

/* ---- fsck.c ---- */

void serve_fsck_store(void *role, struct rpc_call *call, const void *request);
/* Forgets what was found; none is under way. */
void fsck_close(struct worker *w);

/* ---- tiers.c ---- */

/* Named by tier, of those that there are. */
struct tier_numbers {
	struct named_number at[6 * N_TIERS];
	char names[6 * N_TIERS][24];
	unsigned n;
};

/* The metrics, since the last time. */
void tiers_count(struct worker *w, const struct store_totals *t);
/* `infos` has room for N_TIERS. */
schema_tier_info_array tiers_infos(const struct store_totals *totals,
				   struct tier_info *infos);
void tiers_numbers(const struct store_totals *totals, struct tier_numbers *out);

/* ---- worker.c ---- */

struct worker {
	struct worker_options o;
	struct loop *loop;
	struct store *store;
	struct rpc_identity identity;
	struct rpc_server *server;
	char **addresses; /* bound, NULL-terminated */

	struct master_link master;
	struct control control;
	struct mounts mounts;
	struct files files;
	struct flights flights;
	struct history history;
	struct grants grants;
	struct store_tier counted[N_TIERS]; /* by tiers_count() */

	struct {
		uint64_t bytes;      /* that calls of read may need at once */
		struct list waiting; /* calls beyond that */
		bool starting;
	} reads;
	struct {
		uint64_t number; /* of the last one */
		unsigned calls;  /* of it under way */
		uint64_t ended_ms;
	} load;

	struct verifies verifies;
	struct worker_fsck *fsck; /* the last one's; NULL: none */
	struct busiest busiest;

	/* Posted or in flight, with a callback to come. */
	unsigned busy;
	bool stopping, served, given_up;
	struct timer patience;
	struct task stop_task;
	void (*stopped)(void *owner, bool all);
	void *stopped_owner;
};

uint64_t worker_wall_ms(const struct worker *w);
static inline void worker_begin(struct worker *w)
{
	w->busy++;
}
void worker_end(struct worker *w);
