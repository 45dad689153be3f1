/*
 * A directory whose disk can fail, and lose its power.
 *
 * It is a FUSE file system of a process of its own (fault_fs.c) over a backing
 * directory, for code that does its own I/O and cannot be wrapped.  Every call
 * that changes something is done and then logged, with its bytes, before it is
 * answered.  From one log, any number of power cuts are made: the directory as
 * it could be when the power went in the middle of the n-th call, with what was
 * not synced lost, kept or torn by a seed.
 *
 * What a sync promises is POSIX's least: a file's bytes and size are there when
 * fsync() or a write with O_DSYNC or RWF_DSYNC has returned, its name when the
 * directory was synced.  A sector of 512 bytes is written whole or not at all.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Kinds of calls; bits of fault_control.fail. */
enum fault_call {
	FAULT_CREATE = 1,
	FAULT_WRITE = 2,
	FAULT_TRUNCATE = 4,
	FAULT_ALLOCATE = 8,
	FAULT_SYNC = 16,
	FAULT_SYNC_DIR = 32,
	FAULT_RENAME = 64,
	FAULT_UNLINK = 128,
	FAULT_LINK = 1024,
	FAULT_READ = 256, /* not logged */
	FAULT_OPEN = 512, /* for writing; not logged */
	FAULT_CHANGES = FAULT_CREATE | FAULT_WRITE | FAULT_TRUNCATE |
			FAULT_ALLOCATE | FAULT_RENAME | FAULT_UNLINK |
			FAULT_LINK |
			FAULT_OPEN, /* what a read-only disk refuses */
	FAULT_GROWTH = FAULT_CREATE | FAULT_WRITE | FAULT_ALLOCATE | FAULT_LINK,
};

/* Shared with the file system, by a mapped file. */
struct fault_control {
	_Atomic uint64_t logged; /* calls */
	_Atomic uint64_t failed; /* on demand */
	_Atomic int32_t error;   /* errno they fail with */
	_Atomic uint32_t fail;   /* which; set last */
	char name[64];           /* only files with this in their name */
};

/* A call in the log; names and bytes follow. */
struct fault_record {
	uint32_t call;
	uint32_t synced; /* a write's own */
	uint64_t file;   /* 0: a directory */
	uint64_t offset; /* of a write; the new size of others */
	uint64_t len;    /* of the bytes that follow the names */
	uint32_t name_len, to_len;
};

struct fault_dir;

/* NULL: this machine or user has no FUSE; then tests skip. */
struct fault_dir *fault_dir_start(void);
/* Where it is mounted; nothing is in it. */
const char *fault_dir_path(const struct fault_dir *d);
/* How many calls were logged: what was answered by now is in them. */
uint64_t fault_dir_calls(const struct fault_dir *d);
/* From now on these calls fail, on files with `name` in theirs ("": all). */
void fault_dir_fail(struct fault_dir *d, unsigned calls, int error,
		    const char *name);
void fault_dir_heal(struct fault_dir *d);
uint64_t fault_dir_failed(const struct fault_dir *d);
/* Unmounts; the log stays. */
void fault_dir_stop(struct fault_dir *d);
void fault_dir_free(struct fault_dir *d);

/*
 * Makes `to`, an empty directory, what a power cut leaves: calls before `call`
 * were answered, that one was under way.  Stopped only.
 */
void fault_dir_cut(const struct fault_dir *d, uint64_t call, uint64_t seed,
		   const char *to);
