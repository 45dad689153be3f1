/*
 * The errno that a program sees, by cause.
 *
 * One table: doc/errors.md shows it, a test compares the two and walks it.  A
 * code that has no row is EIO.  The handlers log each EIO with its code.
 *
 * ETIMEDOUT comes from client/ only, after its whole wait for a missing role.
 */
#pragma once

#include <errno.h>

#include "base/err.h"

/* code, errno, cause */
#define FUSE_ERRORS(E)                                                         \
	E(-ENOENT, ENOENT, "there is no such name")                            \
	E(-ENOTDIR, ENOTDIR, "a part of the path is no directory")             \
	E(-EISDIR, EISDIR, "it is a directory")                                \
	E(-EACCES, EACCES, "under-storage refuses to give it to us")           \
	E(-EPERM, EPERM, "under-storage does not allow it")                    \
	E(-ENAMETOOLONG, ENAMETOOLONG, "a name of more than 255 bytes")        \
	E(-ELOOP, ELOOP, "too many symbolic links")                            \
	E(-EINVAL, EINVAL, "it is not a symbolic link, or a bad argument")     \
	E(-EROFS, EROFS, "a write: the mountpoint is read-only")               \
	E(-ESTALE, ESTALE, "that version of the file is no more")              \
	E(ERR_CHANGED, ESTALE, "under-storage has another version by now")     \
	E(ERR_STALE_LEASE, ESTALE, "the lease has expired")                    \
	E(-ETIMEDOUT, ETIMEDOUT, "a role is missing, and was waited for")      \
	E(ERR_NOT_LEADER, ETIMEDOUT, "no master was the leader all that time") \
	E(ERR_WRONG_EPOCH, ETIMEDOUT,                                          \
	  "the set of workers changed all that time")                          \
	E(-EINTR, EINTR, "a signal ended the wait")                            \
	E(-ECANCELED, EINTR, "a signal ended the wait; or we are ending")      \
	E(-EIO, EIO,                                                           \
	  "under-storage failed after all retries, or its bytes stay wrong")   \
	E(-EBADMSG, EIO, "the bytes stay wrong: their checksum says so")       \
	E(ERR_NO_WORKER, ENOSPC,                                               \
	  "no worker has room, and none can do without")                       \
	E(ERR_NOT_ADMITTED, ENOSPC, "no worker wants to cache it")             \
	E(ERR_BAD_MESSAGE, EPROTO, "master or worker talk another protocol")   \
	E(-EPROTO, EPROTO, "master or worker talk another protocol")           \
	E(-ENOSPC, ENOSPC, "a disk is full")                                   \
	E(-ENOMEM, ENOMEM, "there is no memory")                               \
	E(-EMFILE, ENFILE, "we, not the program, have no descriptor left")     \
	E(-ENFILE, ENFILE, "the system has no descriptor left")                \
	E(-ENODATA, ENODATA, "there is no such extended attribute")            \
	E(-ERANGE, ERANGE, "the buffer for an extended attribute is short")    \
	E(-EOPNOTSUPP, EOPNOTSUPP, "the file system has no such operation")    \
	E(-ENOSYS, ENOSYS, "the file system has no such operation")

/* A positive errno for a negative code. */
int fuse_errno(int code);
