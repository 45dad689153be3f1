/*
 * The directories that a local under-storage must not touch: acached's own
 * state and acached's mountpoints on this machine.  To cache them would be to
 * wait for ourselves.
 *
 * Refused is a root that contains one of them or lies in one, also behind
 * symbolic links, and also if a mountpoint comes later: the kernel tells when
 * its table of mounts has changed (poll(2) on proc(5)'s mountinfo).
 */
#pragma once

#include "base/err.h"

struct own_dirs;

/* `own` may be NULL, else NULL-terminated; `mountinfo` is NULL for the
 * kernel's.  All are copied. */
struct own_dirs *own_dirs_new(const char *root, const char *const *own,
			      const char *mountinfo);
void own_dirs_free(struct own_dirs *o);

/* By name alone; 0 or -EINVAL. */
int own_dirs_check_names(const struct own_dirs *o, struct err *err) MUST_CHECK;

/* As the directories are now.  Any thread; may block. */
int own_dirs_check(struct own_dirs *o, struct err *err) MUST_CHECK;
