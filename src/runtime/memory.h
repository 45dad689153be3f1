/*
 * How much memory this process may use: the machine's, or less if a control
 * group says so.
 *
 * Source: proc(5) (meminfo, cgroup) and the kernel's
 * Documentation/admin-guide/cgroup-v2.rst (memory.max).  Reads files: for the
 * start.  Any thread.
 */
#pragma once

#include <stdint.h>

/* Bytes; UINT64_MAX: not known.  `root` is "", or where a test has its proc/
 * and sys/. */
uint64_t memory_limit(const char *root);
