/*
 * Paths: absolute, "/" separated, bytes rather than text, not NUL-terminated.
 *
 * "//" and a "/" at the end mean nothing; "." and ".." are refused rather than
 * resolved, since the kernel resolves them before we see a path.  Nothing is
 * allocated, and what comes out points into what went in.
 */

#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Longest name of one file: FUSE's limit. */
#define PATH_NAME_MAX 1024

/* Whether it may be the name of a file: 1 to PATH_NAME_MAX bytes, no "/", no
 * NUL, not "." or "..". */
bool path_name_ok(const void *name, size_t len);

/* Whether it starts with "/" and all its components are names. */
bool path_ok(const void *path, size_t len);

/*
 * The component that starts at *at or behind the slashes there; NULL at the
 * end.  Moves *at to the component's own start, so that the next search starts
 * at *at + *len.
 */
const char *path_component(const void *path, size_t path_len, size_t *at,
			   size_t *len);
