/*
 * What a directory lies on: memory, a disk without moving parts, or one with.
 *
 * Source: statfs(2) (f_type), and queue/rotational of the kernel's
 * Documentation/ABI/stable/sysfs-block.  Blocks: for the start only.
 */
#pragma once

#include <stdbool.h>

#include "core/tiers.h"

/* Its files take memory, whatever its tier is called. */
bool medium_is_memory(int dir_fd);

/* TIER_SSD where the kernel does not tell: a volume manager, a network. */
enum tier medium_tier(int dir_fd);
