/*
 * The journal: every change to the namespace, as the masters replicate it, keep
 * it and apply it.
 *
 * A record travels as [number, stamp, fields].  Tables grow at the end only and
 * numbers are never reused, as for calls; but a record that is not known cannot
 * be skipped, and stops the master that reads it.
 * doc/journal-format.md explains entries, versions and checkpoints.
 */

#pragma once

#include "wire/messages.h"

/* When the leader took the command (wall clock, ms), and whose it was: a retry
 * carries the same (client, sequence) and gets the first answer.  Client 0: the
 * master's own, never a retry. */
#define JOURNAL_STAMP(F) \
	F(u64, time_ms)  \
	F(u64, client)   \
	F(u64, sequence)

/* Something that under-storage has: `name` in its directory, `mode` with type
 * bits.  A known name with another version, length or type gets a new id. */
#define FOUND(F)          \
	F(bytes, name)    \
	F(u32, mode)      \
	F(u32, uid)       \
	F(u32, gid)       \
	F(u64, length)    \
	F(u64, mtime_ns)  \
	F(bytes, version) \
	F(bytes, target)

SCHEMA_STRUCT(journal_stamp, JOURNAL_STAMP)
SCHEMA_STRUCT(found, FOUND)
SCHEMA_ARRAY(found)

/* First of all records: what is fixed for the life of the cluster. */
#define CLUSTER_RECORD(F) \
	F(bytes, uuid)    \
	F(u64, block_size)

/* Directories above the mount's path are made; the path itself must not exist,
 * or be an empty directory that is no mount's.  `update`: only new options for
 * what is mounted there. */
#define MOUNT_RECORD(F)                \
	F(str, path)                   \
	F(str, uri)                    \
	F(u32, uid)                    \
	F(u32, gid)                    \
	F(u32, umask)                  \
	F(mount_option_array, options) \
	F(bool, update)

#define UNMOUNT_RECORD(F) F(str, path)

/*
 * Part of a listing of directory `dir`, at most 500 entries.  `first` begins
 * a listing, `last` ends it: children not found since `first` are removed (save
 * mount points and what leads to them), and the directory is then known in
 * full, `complete_ms` at the stamp's time.  Neither: entries are just added or
 * brought up to date.  `whole`: what is known then is known in full, since all
 * that differs was journalled.
 */
#define LEARN_RECORD(F)       \
	F(u64, dir)           \
	F(found_array, found) \
	F(bool, first)        \
	F(bool, last)         \
	F(bool, whole)

/* These names are no more in under-storage. */
#define FORGET_RECORD(F) \
	F(u64, dir)      \
	F(bytes_array, names)

/* `paths`, `verify` as in SUBMIT_JOB_REQUEST. */
#define JOB_RECORD(F)         \
	F(str, kind)          \
	F(bytes, path)        \
	F(bool, recursive)    \
	F(bytes_array, paths) \
	F(bool, verify)

/* `state` as in JOB_INFO. */
#define JOB_END_RECORD(F)  \
	F(u64, job)        \
	F(str, state)      \
	F(u64, files_done) \
	F(u64, files)      \
	F(u64, bytes_done) \
	F(u64, bytes)      \
	F(u64, failed)     \
	F(str, error)

/* A worker of this uuid gets an id for ever. */
#define WORKER_RECORD(F) F(bytes, uuid)

/* number, name, fields */
#define JOURNAL_RECORDS(R)            \
	R(1, cluster, CLUSTER_RECORD) \
	R(2, mount, MOUNT_RECORD)     \
	R(3, unmount, UNMOUNT_RECORD) \
	R(4, learn, LEARN_RECORD)     \
	R(5, forget, FORGET_RECORD)   \
	R(6, job, JOB_RECORD)         \
	R(7, job_end, JOB_END_RECORD) \
	R(8, worker, WORKER_RECORD)

#define RECORD_DECLARE(number, name, FIELDS) \
	SCHEMA_STRUCT(name##_record, FIELDS)
JOURNAL_RECORDS(RECORD_DECLARE)
#undef RECORD_DECLARE

enum journal_type {
#define RECORD_NUMBER(number, name, FIELDS) JOURNAL_##name = (number),
	JOURNAL_RECORDS(RECORD_NUMBER)
#undef RECORD_NUMBER
};

struct journal_record {
	enum journal_type type; /* says which of the union it is */
	struct journal_stamp stamp;
	union {
#define RECORD_MEMBER(number, name, FIELDS) struct name##_record name;
		JOURNAL_RECORDS(RECORD_MEMBER)
#undef RECORD_MEMBER
	};
};

typedef struct journal_record schema_journal_record;
SCHEMA_KIND(journal_record)
SCHEMA_MESSAGE(journal_record)

/* The name of a record type; "?" if there is none. */
const char *journal_type_name(unsigned number);
