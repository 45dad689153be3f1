/*
 * Counters, gauges and histograms of this process: one table gives their names,
 * labels and help, and the Prometheus text (exposition format 0.0.4).
 *
 * Any thread; each update is one relaxed atomic addition, of a histogram three.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* A row for each tier, in the order of core/tiers.h. */
#define METRIC_TIERS(M, kind, field, name, help)               \
	M(kind, field##_memory, name, "tier=\"memory\"", help) \
	M(kind, field##_ssd, name, "tier=\"ssd\"", "")         \
	M(kind, field##_hdd, name, "tier=\"hdd\"", "")

/* kind, field, name, labels (or ""), help.  Rows of one name stand together. */
#define METRICS(M)                                                             \
	M(COUNTER, opens_local, "acached_opens_total", "mode=\"local\"",       \
	  "opens by how they will be read")                                    \
	M(COUNTER, opens_remote, "acached_opens_total", "mode=\"remote\"", "") \
	M(COUNTER, opens_miss, "acached_opens_total", "mode=\"miss\"", "")     \
	M(COUNTER, reads_local, "acached_reads_total", "source=\"local\"",     \
	  "reads that reach us by where the bytes were")                       \
	M(COUNTER, reads_peer, "acached_reads_total", "source=\"peer\"", "")   \
	M(COUNTER, reads_ufs, "acached_reads_total", "source=\"ufs\"", "")     \
	M(COUNTER, bytes_local, "acached_read_bytes_total",                    \
	  "source=\"local\"", "bytes of these reads")                          \
	M(COUNTER, bytes_peer, "acached_read_bytes_total", "source=\"peer\"",  \
	  "")                                                                  \
	M(COUNTER, bytes_ufs, "acached_read_bytes_total", "source=\"ufs\"",    \
	  "")                                                                  \
	M(COUNTER, ufs_ok, "acached_ufs_requests_total", "status=\"2xx\"",     \
	  "requests to under-storage by status")                               \
	M(COUNTER, ufs_4xx, "acached_ufs_requests_total", "status=\"4xx\"",    \
	  "")                                                                  \
	M(COUNTER, ufs_5xx, "acached_ufs_requests_total", "status=\"5xx\"",    \
	  "")                                                                  \
	M(COUNTER, ufs_error, "acached_ufs_requests_total",                    \
	  "status=\"error\"", "")                                              \
	M(COUNTER, ufs_bytes, "acached_ufs_read_bytes_total", "",              \
	  "bytes received from under-storage")                                 \
	M(COUNTER, ufs_retries, "acached_ufs_retries_total", "",               \
	  "requests to under-storage sent again")                              \
	M(COUNTER, ufs_wrong_bytes, "acached_ufs_wrong_bytes_total", "",       \
	  "objects that came with other bytes than their checksum's")          \
	M(GAUGE, ufs_limit, "acached_ufs_requests_limit", "",                  \
	  "requests to under-storage that may be under way at once, of all "   \
	  "mounts together")                                                   \
	M(COUNTER, ufs_lowered_slow, "acached_ufs_limit_lowered_total",        \
	  "reason=\"slow\"", "times that this limit was lowered")              \
	M(COUNTER, ufs_lowered_refused, "acached_ufs_limit_lowered_total",     \
	  "reason=\"refused\"", "")                                            \
	M(COUNTER, evictions, "acached_evictions_total", "", "files evicted")  \
	M(COUNTER, evicted_bytes, "acached_evicted_bytes_total", "",           \
	  "bytes evicted")                                                     \
	M(COUNTER, not_admitted, "acached_not_admitted_total", "",             \
	  "fills that the policy did not cache")                               \
	M(COUNTER, damaged_files, "acached_damaged_files_total", "",           \
	  "cached files dropped since their bytes were wrong or unreadable")   \
	M(COUNTER, scrubbed_files, "acached_scrubbed_files_total", "",         \
	  "files that the scrubber has compared with their checksums")         \
	M(COUNTER, scrubbed_bytes, "acached_scrubbed_bytes_total", "",         \
	  "bytes of these files")                                              \
	M(GAUGE, unverified_files, "acached_unverified_files", "",             \
	  "files still to be checked after an unclean stop")                   \
	M(COUNTER, hops, "acached_reads_elsewhere_total", "",                  \
	  "reads asked of another worker, since the home was away")            \
	M(GAUGE, cache_capacity, "acached_cache_capacity_bytes", "",           \
	  "room for cached blocks")                                            \
	M(GAUGE, cache_used, "acached_cache_used_bytes", "",                   \
	  "bytes on disk of cached blocks")                                    \
	METRIC_TIERS(M, GAUGE, tier_capacity, "acached_tier_capacity_bytes",   \
		     "room for cached blocks by tier")                         \
	METRIC_TIERS(M, GAUGE, tier_used, "acached_tier_used_bytes",           \
		     "bytes of cached blocks by tier")                         \
	METRIC_TIERS(M, GAUGE, tier_files, "acached_tier_files",               \
		     "cached files by tier")                                   \
	METRIC_TIERS(M, COUNTER, tier_hits, "acached_tier_hits_total",         \
		     "wanted files that were cached, by the tier they lay in") \
	METRIC_TIERS(M, COUNTER, promotions, "acached_promotions_total",       \
		     "files that came up to a tier")                           \
	METRIC_TIERS(M, COUNTER, promoted_bytes,                               \
		     "acached_promoted_bytes_total", "bytes of these")         \
	METRIC_TIERS(M, COUNTER, demotions, "acached_demotions_total",         \
		     "files that went down from a tier")                       \
	METRIC_TIERS(M, COUNTER, demoted_bytes, "acached_demoted_bytes_total", \
		     "bytes of these")                                         \
	M(GAUGE, memory_capacity, "acached_cache_memory_capacity_bytes", "",   \
	  "memory that cached blocks may take: room in a tmpfs")               \
	M(GAUGE, memory_used, "acached_cache_memory_used_bytes", "",           \
	  "memory that cached blocks take: used in a tmpfs")                   \
	M(COUNTER, rpcs, "acached_rpcs_total", "", "calls served")             \
	M(COUNTER, rpc_errors, "acached_rpc_errors_total", "",                 \
	  "calls answered with an error")                                      \
	M(COUNTER, bad_frames, "acached_bad_frames_total", "",                 \
	  "connections closed for a bad frame")                                \
	M(GAUGE, inodes, "acached_inodes", "",                                 \
	  "files and directories that the master knows")                       \
	M(HISTOGRAM, turn_us, "acached_master_turn_seconds", "",               \
	  "turns of the master's loop of half a millisecond and more")         \
	M(GAUGE, longest_turn_us, "acached_master_longest_turn_microseconds",  \
	  "clock=\"wall\"", "the longest turn of the master's loop")           \
	M(GAUGE, longest_cpu_us, "acached_master_longest_turn_microseconds",   \
	  "clock=\"cpu\"", "")                                                 \
	M(GAUGE, workers_live, "acached_workers", "", "workers that are live") \
	M(COUNTER, journal_records, "acached_journal_records_total", "",       \
	  "commands applied to the namespace")                                 \
	M(COUNTER, journal_entries, "acached_journal_entries_total", "",       \
	  "entries of the journal that held them")                             \
	M(COUNTER, checkpoints, "acached_checkpoints_total",                   \
	  "result=\"done\"", "checkpoints of the namespace")                   \
	M(COUNTER, checkpoints_failed, "acached_checkpoints_total",            \
	  "result=\"failed\"", "")                                             \
	M(HISTOGRAM, fill_us, "acached_fill_seconds", "",                      \
	  "from a miss to its bytes")                                          \
	M(COUNTER, upcalls_lookup, "acached_fuse_upcalls_total",               \
	  "kind=\"lookup\"", "requests of the kernel by kind")                 \
	M(COUNTER, upcalls_getattr, "acached_fuse_upcalls_total",              \
	  "kind=\"getattr\"", "")                                              \
	M(COUNTER, upcalls_readlink, "acached_fuse_upcalls_total",             \
	  "kind=\"readlink\"", "")                                             \
	M(COUNTER, upcalls_open, "acached_fuse_upcalls_total",                 \
	  "kind=\"open\"", "")                                                 \
	M(COUNTER, upcalls_read, "acached_fuse_upcalls_total",                 \
	  "kind=\"read\"", "")                                                 \
	M(COUNTER, upcalls_release, "acached_fuse_upcalls_total",              \
	  "kind=\"release\"", "")                                              \
	M(COUNTER, upcalls_statfs, "acached_fuse_upcalls_total",               \
	  "kind=\"statfs\"", "")                                               \
	M(COUNTER, upcalls_opendir, "acached_fuse_upcalls_total",              \
	  "kind=\"opendir\"", "")                                              \
	M(COUNTER, upcalls_readdir, "acached_fuse_upcalls_total",              \
	  "kind=\"readdir\"", "")                                              \
	M(COUNTER, upcalls_readdirplus, "acached_fuse_upcalls_total",          \
	  "kind=\"readdirplus\"", "")                                          \
	M(COUNTER, upcalls_releasedir, "acached_fuse_upcalls_total",           \
	  "kind=\"releasedir\"", "")                                           \
	M(COUNTER, upcalls_getxattr, "acached_fuse_upcalls_total",             \
	  "kind=\"getxattr\"", "")                                             \
	M(COUNTER, upcalls_listxattr, "acached_fuse_upcalls_total",            \
	  "kind=\"listxattr\"", "")                                            \
	M(COUNTER, upcalls_access, "acached_fuse_upcalls_total",               \
	  "kind=\"access\"", "")                                               \
	M(COUNTER, upcalls_flush, "acached_fuse_upcalls_total",                \
	  "kind=\"flush\"", "")                                                \
	M(COUNTER, upcalls_forget, "acached_fuse_upcalls_total",               \
	  "kind=\"forget\"", "")                                               \
	M(COUNTER, upcalls_interrupt, "acached_fuse_upcalls_total",            \
	  "kind=\"interrupt\"", "")                                            \
	M(COUNTER, upcalls_ioctl, "acached_fuse_upcalls_total",                \
	  "kind=\"ioctl\"", "")                                                \
	M(COUNTER, upcalls_write, "acached_fuse_upcalls_total",                \
	  "kind=\"write\"", "")                                                \
	M(COUNTER, upcalls_other, "acached_fuse_upcalls_total",                \
	  "kind=\"other\"", "")                                                \
	M(COUNTER, upcall_errors, "acached_fuse_errors_total", "",             \
	  "requests of the kernel answered with an error other than ENOENT "   \
	  "and ENOSYS")                                                        \
	M(COUNTER, upcalls_resent, "acached_fuse_resent_total", "",            \
	  "requests that a child before this one had left unanswered")         \
	M(GAUGE, upcalls_in_flight, "acached_fuse_in_flight", "",              \
	  "requests of the kernel not answered yet")                           \
	M(HISTOGRAM, fuse_read_us, "acached_fuse_read_seconds", "",            \
	  "from a read's request to its answer")

enum metric {
#define METRIC_ENUM(kind, field, name, labels, help) METRIC_##field,
	METRICS(METRIC_ENUM)
#undef METRIC_ENUM
		METRIC_COUNT
};

void metric_add(enum metric m, uint64_t n);
void metric_set(enum metric m, uint64_t value);     /* gauges */
void metric_observe_us(enum metric m, uint64_t us); /* histograms */
uint64_t metric_value(enum metric m); /* of a histogram: how many */

/* The Prometheus text of all of them; the caller frees it. */
char *metrics_text(void);
