/*
 * Opening below a directory and nowhere else: no symbolic link, ".." or
 * magic link leads out of it, whoever changes the tree meanwhile.
 *
 * By openat2(2) (Linux 5.6); where that is missing or forbidden, component by
 * component, and then links on the way are refused even if they stay inside.
 * Calls block: for pool threads.
 */
#pragma once

/*
 * `path` ("a/b", "" for the root itself) below `root_fd`, never through a last
 * symbolic link unless O_PATH | O_NOFOLLOW asks for the link itself.  A
 * descriptor or -errno; -EACCES: the path leads out.
 */
int beneath_open(int root_fd, const char *path, int flags);

/* For tests: the way of older kernels. */
int beneath_open_walk(int root_fd, const char *path, int flags);
