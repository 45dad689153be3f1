/* Writes that are whole or fail: a short one is tried again, which tells why.
 * They block: for disk threads. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* 0 or -errno. */
int file_append(int fd, const void *buf, size_t len);
int file_write_at(int fd, const void *buf, size_t len, uint64_t offset);
