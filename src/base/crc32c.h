/*
 * CRC32C (Castagnoli), the checksum of cached chunks and of records on disk.
 *
 * By ISA-L, which picks the machine's own instructions (10 GB/s) and has a
 * portable version for machines without.  Pure; any thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Of `len` bytes that follow those whose checksum is `crc`; 0 to begin. */
uint32_t crc32c(uint32_t crc, const void *buf, size_t len);
