/*
 * The namespace: the tree of files and directories that the masters agree on.
 *
 * A deterministic state machine.  The same commands in the same order give the
 * same tree, the same results and the same image on every master: nothing here
 * reads a clock, a random number, a pointer's value or the order of a hash
 * table.  Time comes in with the command; ids come from counters in the tree.
 *
 * The tree lies in one arena and refers to itself by offsets, so an image of
 * the arena is the tree.  master/ gives the memory (huge pages, which make fork
 * 25 times cheaper) and writes checkpoints: it forks, and the child writes the
 * image, with no lock and no allocation.  There is no other snapshot.
 *
 * An id is (generation << 32 | slot): a new version of a file keeps its slot
 * and gets another generation, so an old id is known to be stale.  The root is
 * slot 1, generation 0: id 1, which is FUSE's.
 */

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "wire/journal.h"

struct namespace;

#define NAMESPACE_ROOT UINT64_C(1)

/*
 * `arena` is zeroed, aligned to 2 MiB, at least 16 MiB, and as large as the
 * tree may get, of which 32 GiB are used at most; untouched pages cost nothing.
 * The handle lies at its end, outside the image: there is nothing to free, and
 * a namespace ends with its arena.  What is freed is used again for what is of
 * the same size; a full one refuses to learn until it is opened in a larger.
 */
struct namespace *namespace_create(void *arena, size_t size);

/* The bytes in use, from the arena's start.  Same commands, same bytes. */
size_t namespace_image(const struct namespace *ns, const void **image);

/* `arena`, of any size that suffices, holds an image at its start: checks its
 * version, bounds and totals, not every inode. */
int namespace_open(struct namespace **out, void *arena, size_t size,
		   size_t image_len, struct err *err) MUST_CHECK;

/*
 * What became of a command: `code` 0, or why it was refused; a refusal leaves
 * the tree as it was.  `id` is the mount's, the job's or the worker's.
 * `stale`, of `n_stale`, are ids of file versions that are no more, valid until
 * the next apply: their blocks may go.
 */
struct namespace_result {
	int code;
	uint64_t id;
	bool updated; /* mount: only the options */
	const uint64_t *stale;
	size_t n_stale;
};

/*
 * Applies one committed command.  There is no other way to change a namespace.
 * Of a directory only one listing at a time may be learned: a record with
 * `first` ends what one before it had begun, and `last` without `first` before
 * it is refused (-EINVAL).  Mounts refuse with -EBUSY (another URI is mounted
 * there), -EEXIST, -ENOTEMPTY, -ENOTDIR or, to update, -ENOENT; unmounts with
 * -EINVAL (no mount point) or -EBUSY (mounts below); all with -ENOSPC when the
 * arena is full. A (client, sequence) that was applied before changes nothing
 * and gets the same code, id and updated; the last 64 results of each of the
 * last 1,024 clients are remembered, in the image too.
 */
void namespace_apply(struct namespace *ns, const struct journal_record *record,
		     struct namespace_result *res);

/* A view of one inode.  Pointers are into the arena, valid until the next
 * apply. */
struct inode_view {
	uint64_t id, parent; /* the root is its own parent */
	uint32_t mode, uid, gid;
	uint64_t length, mtime_ns;
	schema_bytes name, version, target;
	uint32_t mount;       /* id of the mount it lies in; 0: above all */
	bool is_mount_point;  /* the root of `mount` */
	uint64_t complete_ms; /* directories: when known in full, or 0 */
};

/* -ENOENT: there is none.  -ESTALE: that version, or the inode, is no more. */
int namespace_get(const struct namespace *ns, uint64_t id,
		  struct inode_view *out) MUST_CHECK;
/* -ENOENT, -ENOTDIR, -ESTALE. */
int namespace_child(const struct namespace *ns, uint64_t parent,
		    const void *name, size_t len,
		    struct inode_view *out) MUST_CHECK;

/*
 * Follows an absolute path, "//" and a "/" at the end allowed, "." and ".."
 * not (-EINVAL).  On -ENOENT and -ENOTDIR, *out is the deepest inode that
 * exists and *rest where what is missing begins in `path`.
 */
int namespace_find(const struct namespace *ns, const void *path, size_t len,
		   struct inode_view *out, size_t *rest) MUST_CHECK;

/*
 * The child after the one whose id is `after` (0: the first), in an order that
 * stays the same over restarts; -ENOENT at the end; -ESTALE if the place was
 * lost.  A child removed meanwhile still marks its place for a good while.
 */
int namespace_next(const struct namespace *ns, uint64_t dir, uint64_t after,
		   struct inode_view *out) MUST_CHECK;

/* Writes the absolute path, NUL-terminated; the length, or -ENAMETOOLONG. */
ssize_t namespace_path(const struct namespace *ns, uint64_t id, char *buf,
		       size_t size);
/* The path below the root of its mount's under-storage, "" for that root;
 * -ENODEV if it lies in no mount. */
ssize_t namespace_ufs_path(const struct namespace *ns, uint64_t id, char *buf,
			   size_t size);

struct mount_view {
	uint32_t id;
	uint64_t root; /* id of the mount point */
	schema_str uri;
	uint32_t uid, gid, umask;
	uint32_t n_options;
};

/* The mount with the least id above `after`; -ENOENT at the end. */
int namespace_next_mount(const struct namespace *ns, uint32_t after,
			 struct mount_view *out) MUST_CHECK;
int namespace_mount(const struct namespace *ns, uint32_t id,
		    struct mount_view *out) MUST_CHECK;
/* Option `i` of a mount. */
void namespace_mount_option(const struct namespace *ns, uint32_t mount,
			    uint32_t i, struct mount_option *out);

/* Jobs, in the order of their ids: those that run and the last 256 that have
 * ended. */
int namespace_next_job(const struct namespace *ns, uint64_t after,
		       struct job_info *out) MUST_CHECK;

/* How many paths a job that runs has of its own, and the one at *place, which
 * is 0 for the first and moves on to the next; -ENOENT: there are no more. */
uint32_t namespace_job_paths(const struct namespace *ns, uint64_t job);
int namespace_job_path(const struct namespace *ns, uint64_t job,
		       uint32_t *place, schema_bytes *out) MUST_CHECK;

/* The id of the worker of this uuid; 0 if it has none yet. */
uint32_t namespace_worker(const struct namespace *ns, schema_bytes uuid);

struct namespace_totals {
	uint8_t uuid[16]; /* of the cluster; zero before its record */
	uint64_t block_size;
	uint64_t inodes, files, directories, mounts;
	uint64_t applied; /* commands, refused ones too */
	uint64_t workers; /* that ever had an id */
};

void namespace_totals(const struct namespace *ns, struct namespace_totals *out);

/* A digest of the whole image (XXH3): equal on equal trees. */
uint64_t namespace_digest(const struct namespace *ns);

/* Calls with a constant phrase for each thing that is inconsistent, and the id
 * of the file it is about (0: of none); how many there are.  What leads nowhere
 * (an index out of order) fails an assertion: for a process of its own. */
uint64_t namespace_fsck(const struct namespace *ns,
			void (*found)(void *owner, const char *what,
				      uint64_t id),
			void *owner);

/* Fails an assertion if the tree is inconsistent; for tests and fuzzers. */
void namespace_check(const struct namespace *ns);
