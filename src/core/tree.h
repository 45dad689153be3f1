/*
 * The inside of the namespace, for its own files only.
 *
 * Everything lies in the arena: first a `struct image`, then what it leads to.
 * An inode is named by its slot, everything else by its ref (arena.h).  A
 * `struct namespace` is the handle: it lies at the arena's very end, outside
 * the image, as does the list of stale ids below it, which grows downwards.
 *
 * A file takes 32 bytes for its inode, 4 to 8 in its directory's index, and its
 * name and version, packed, with 4 bytes more, rounded up to 8.
 */

#pragma once

#include "core/arena.h"
#include "core/namespace.h"

/* Type bits of a mode, which are those of stat(2). */
#define MODE_TYPE 0170000U
#define MODE_DIR  0040000U
#define MODE_LINK 0120000U

#define TREE_VERSION  2
#define SEGMENT_BITS  13
#define SEGMENT_SLOTS (1U << SEGMENT_BITS)
#define MAX_SEGMENTS  32768
#define TOMBS         16384 /* removed inodes whose slot and name are kept */
#define BUCKETS       1024
#define DEDUP_CLIENTS 1024
#define DEDUP_RESULTS 64
#define ROOT_SLOT     1
#define INDEX_DEPTH   16

/* Bytes of the longest version and link target. */
#define VERSION_MAX 127
#define TARGET_MAX  4095

/*
 * A generation is (incarnation << 16 | change): a slot that is used again gets
 * the next incarnation, so a place in a listing is not mistaken for another's.
 */
struct inode {
	uint32_t generation;
	uint32_t parent; /* slot; a removed one keeps it */
	uint32_t data;   /* struct packed; 0: a removed one's is no more */
	uint32_t attrs;  /* struct attrs; 0: removed */
	union {
		uint64_t length;    /* of a file */
		uint32_t dir;       /* struct dir */
		uint32_t next_free; /* of a removed one: slot */
	};
	uint64_t mtime_ns;
};

/* The bytes of an inode: name, version and a link's target, each behind its
 * length. */
struct packed {
	uint8_t seen; /* the sweep of its directory in which it was found */
	unsigned char bytes[];
};

/* What many inodes have in common, counted. */
struct attrs {
	uint32_t mode, uid, gid;
	uint32_t mount; /* struct mount; 0: above all */
	uint32_t refs;
	uint32_t next; /* in its bucket */
};

#define DIR_SWEEPING 1 /* between `first` and `last` of a listing */
#define DIR_MADE     2 /* by a mount below it; not found so far */

struct dir {
	uint64_t complete_ms;
	uint32_t index; /* root node (index.h); 0: empty */
	uint32_t n_children;
	uint32_t n_seen;       /* of the children, in this sweep */
	uint32_t mounts_below; /* mount points, not itself */
	uint32_t rival;        /* struct rival */
	uint8_t sweep;
	uint8_t flags;
};

/* A file that was found in this sweep under the name of a known directory: if
 * the directory is not found as well, it has become this. */
struct rival {
	uint32_t mode, uid, gid;
	uint16_t target_len;
	uint8_t version_len;
	uint8_t sweep;
	uint64_t length, mtime_ns;
	unsigned char bytes[]; /* version, target */
};

struct mount {
	uint32_t id;
	uint32_t next; /* in the order of ids */
	uint32_t root; /* slot */
	uint32_t uid, gid, umask;
	uint32_t uri, uri_len;
	uint32_t options, options_size, n_options;
};

struct job {
	uint64_t id, started_ms, ended_ms;
	uint64_t files_done, files, bytes_done, bytes, failed;
	uint64_t end_order; /* 0: it runs */
	uint32_t next;      /* in the order of ids */
	uint32_t text;      /* kind, path, state, error */
	uint32_t kind_len, path_len, state_len, error_len;
	uint32_t recursive, verify;
	/* Until it ends: each path behind its length, of 4 bytes. */
	uint32_t paths, paths_size, n_paths;
	uint32_t pad;
};

struct worker {
	uint32_t next;
	uint32_t id;
	uint8_t uuid[16];
};

struct dedup_result {
	uint64_t sequence, id;
	int32_t code;
	uint32_t updated;
};

struct dedup_client {
	uint64_t client;
	uint32_t next;         /* in its bucket */
	uint32_t older, newer; /* by last use */
	uint32_t n;            /* ever put into the ring */
	struct dedup_result ring[DEDUP_RESULTS];
};

struct image {
	char magic[8];
	uint32_t version;
	uint32_t byte_order;
	struct arena_state arena;

	uint8_t uuid[16];
	uint64_t block_size;
	uint64_t applied;

	/* Slots; the freed ones in the order of their removal, of which the
	 * last n_tombs, from first_tomb on, have kept their names. */
	uint32_t n_slots; /* from here on never used; 0 is no slot */
	uint32_t n_inodes, n_directories;
	uint32_t first_free, last_free, n_free;
	uint32_t first_tomb, n_tombs;
	uint32_t n_retired; /* no incarnation left */

	uint32_t mounts, n_mounts, last_mount;
	uint32_t workers, last_worker;
	uint32_t jobs, n_running, n_ended;
	uint64_t last_job, last_end;
	uint32_t oldest_client, newest_client, n_clients;

	uint32_t client_bucket[BUCKETS];
	uint32_t attrs_bucket[BUCKETS];
	uint32_t segment[MAX_SEGMENTS];
};

/* A place in an index, before an entry or at the end; lost by any change. */
struct index_place {
	uint32_t node[INDEX_DEPTH]; /* from the root on */
	uint16_t at[INDEX_DEPTH];
	unsigned depth; /* 0: there is no index */
};

/* Where namespace_next() was, so that it does not search for every child. */
struct cursor {
	uint64_t dir, after; /* 0: nowhere */
	struct index_place place;
};

struct namespace
{
	struct arena arena;
	struct image *image;
	size_t room;     /* the image may not grow beyond */
	uint64_t *stale; /* the last one, which lies first */
	size_t n_stale;
	struct cursor *cursor;
	struct cursor cursor_space;
};

static inline void *at_ref(const struct namespace *ns, uint32_t ref)
{
	return arena_at(&ns->arena, ref);
}

static inline struct inode *inode_at(const struct namespace *ns, uint32_t slot)
{
	struct inode *segment =
		at_ref(ns, ns->image->segment[slot >> SEGMENT_BITS]);

	return segment + (slot & (SEGMENT_SLOTS - 1));
}

static inline uint64_t inode_id(const struct namespace *ns, uint32_t slot)
{
	return (uint64_t)inode_at(ns, slot)->generation << 32 | slot;
}

static inline struct attrs *attrs_of(const struct namespace *ns,
				     const struct inode *i)
{
	return at_ref(ns, i->attrs);
}

static inline bool mode_is_dir(uint32_t mode)
{
	return (mode & MODE_TYPE) == MODE_DIR;
}

static inline bool mode_is_link(uint32_t mode)
{
	return (mode & MODE_TYPE) == MODE_LINK;
}

static inline bool is_dir(const struct namespace *ns, uint32_t slot)
{
	const struct inode *i = inode_at(ns, slot);

	return i->attrs && mode_is_dir(attrs_of(ns, i)->mode);
}

static inline struct dir *dir_of(const struct namespace *ns, uint32_t slot)
{
	assert(is_dir(ns, slot));
	return at_ref(ns, inode_at(ns, slot)->dir);
}

/* Whether `slot` is the root of the mount it lies in. */
bool tree_is_mount_point(const struct namespace *ns, uint32_t slot);

/* Whether `slot` is a mount point or leads to one. */
bool tree_leads_to_mount(const struct namespace *ns, uint32_t slot);

/* inode.c */

/* What an inode is made of, but its name. */
struct content {
	uint32_t mode, uid, gid;
	uint32_t mount; /* ref */
	uint64_t length, mtime_ns;
	schema_bytes version, target;
};

schema_bytes inode_name(const struct namespace *ns, uint32_t slot);
/* Its version and, for a link, its target. */
void inode_strings(const struct namespace *ns, const struct inode *i,
		   schema_bytes *version, schema_bytes *target);

/* A new inode, in no index; of a directory an empty one. */
uint32_t inode_new(struct namespace *ns, uint32_t parent, schema_bytes name,
		   const struct content *c);
/* Frees the slot, its name stays a while; a directory is empty.  A file's id is
 * added to the stale ones. */
void inode_free(struct namespace *ns, uint32_t slot);

/* Gives a file another generation and all of `c`; false if it has had the last
 * one, then nothing was done. */
bool inode_renew(struct namespace *ns, uint32_t slot, const struct content *c);
/* Changes only what does not make it another version. */
void inode_set_attrs(struct namespace *ns, uint32_t slot,
		     const struct content *c);

/* 0, -ENOENT or -ESTALE; the slot. */
int inode_lookup(const struct namespace *ns, uint64_t id, uint32_t *slot);

uint8_t inode_seen(const struct namespace *ns, uint32_t slot);
void inode_set_seen(struct namespace *ns, uint32_t slot, uint8_t sweep);

/* What the bytes of an inode take. */
size_t inode_data_size(const struct namespace *ns, const struct inode *i);
size_t rival_size(const struct rival *r);

/* change.c: children of a directory; indexes and counts are kept right. */

uint32_t tree_child(const struct namespace *ns, uint32_t dir, const void *name,
		    size_t len); /* 0: none */
uint32_t tree_add(struct namespace *ns, uint32_t dir, schema_bytes name,
		  const struct content *c);
/* All below a directory; mount points and what leads to them stay. */
void tree_clear(struct namespace *ns, uint32_t dir);
/* The same and then itself, unless it leads to a mount. */
void tree_remove(struct namespace *ns, uint32_t slot);
void tree_drop_rival(struct namespace *ns, struct dir *d);

/* Whether `bytes` more may be allocated, and `ids` more become stale. */
bool tree_has_room(const struct namespace *ns, uint64_t bytes, uint64_t ids);

/* Commands: learn.c, mounts.c, jobs.c.  What they return is the code. */
int learn_apply(struct namespace *ns, const struct learn_record *r,
		uint64_t time_ms);
int forget_apply(struct namespace *ns, const struct forget_record *r);
int mount_apply(struct namespace *ns, const struct mount_record *r,
		uint64_t time_ms, struct namespace_result *res);
int unmount_apply(struct namespace *ns, const struct unmount_record *r,
		  struct namespace_result *res);
int job_apply(struct namespace *ns, const struct job_record *r,
	      uint64_t time_ms, struct namespace_result *res);
int job_end_apply(struct namespace *ns, const struct job_end_record *r,
		  uint64_t time_ms, struct namespace_result *res);
int worker_apply(struct namespace *ns, const struct worker_record *r,
		 struct namespace_result *res);

/* dedup.c */
const struct dedup_result *dedup_find(const struct namespace *ns,
				      uint64_t client, uint64_t sequence);
void dedup_remember(struct namespace *ns, uint64_t client, uint64_t sequence,
		    const struct namespace_result *res);
