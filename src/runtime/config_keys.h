/*
 * name, kind, field of struct config, default, what is accepted, help.
 * Everything that tells of keys is made from this table.
 */
#pragma once

#define CONFIG_KEYS(K)                                                         \
	K("state.dir", path, state_dir, "", "a path that starts with /",       \
	  "where all that must survive a restart lies; empty: "                \
	  "/var/lib/acached, without root $XDG_STATE_HOME/acached")            \
	K("cluster.key-file", path, cluster_key_file, "",                      \
	  "a path that starts with /",                                         \
	  "the key that all processes of a cluster share; empty: cluster.key " \
	  "in the state directory, made by the first start")                   \
	K("master.listen", endpoints, master_listen, "", "HOST:PORT, ...",     \
	  "where a master serves, besides its socket; empty: a port of the "   \
	  "loopback address that the kernel chooses")                          \
	K("master.addresses", addresses, master_addresses, "",                 \
	  "HOST:PORT or unix:/PATH, ...",                                      \
	  "addresses of masters, any of them will do; empty: the socket of "   \
	  "the master in the state directory")                                 \
	K("master.http", endpoint, master_http, "", "HOST:PORT",               \
	  "metrics and health of the master over HTTP; empty: none")           \
	K("master.negative-ttl", duration, master_negative_ttl, "5s",          \
	  "a time such as 500ms, 5s, 2m or 1h",                                \
	  "how long an unknown name is not asked of under-storage again")      \
	K("worker.listen", endpoints, worker_listen, "", "HOST:PORT, ...",     \
	  "where a worker serves, besides its socket; empty: a port of the "   \
	  "loopback address that the kernel chooses")                          \
	K("worker.dirs", dirs, worker_dirs, "",                                \
	  "/PATH=SIZE[:TIER], ... (SIZE in K, M, G, T or % of the disk; TIER " \
	  "memory, ssd or hdd)",                                               \
	  "directories for cached blocks, each with its room and its tier: "   \
	  "by default memory for a tmpfs, hdd for a disk that turns, else "    \
	  "ssd; what is wanted often comes up to the fastest, what is not "    \
	  "goes down; empty: one in the state directory")                      \
	K("worker.capacity", size, worker_capacity, "50%",                     \
	  "a size in K, M, G, T, or % of the disk",                            \
	  "room for cached blocks in the default directory")                   \
	K("worker.evictor", choice, worker_evictor, "retain", "retain, lru",   \
	  "which blocks to keep: retain withstands scans and shuffled epochs") \
	K("worker.move-rate", rate, worker_move_rate, "200M",                  \
	  "bytes a second, in K, M or G",                                      \
	  "how fast blocks may move between tiers, for each directory that "   \
	  "is not of the slowest tier")                                        \
	K("worker.scrub-rate", rate, worker_scrub_rate, "16M",                 \
	  "bytes a second, in K, M or G",                                      \
	  "how fast each directory is read by the scrubber, which looks for "  \
	  "cached bytes that are not what they were")                          \
	K("worker.scrub-interval", duration, worker_scrub_interval, "7d",      \
	  "a time such as 500ms, 5s, 2m, 1h or 7d",                            \
	  "how often the scrubber begins; 0: only by acached admin scrub")     \
	K("worker.http", endpoint, worker_http, "", "HOST:PORT",               \
	  "metrics and health of the worker over HTTP; empty: none")           \
	K("fuse.http", endpoint, fuse_http, "", "HOST:PORT",                   \
	  "metrics and health of the mountpoint over HTTP; empty: none")       \
	K("fuse.attr-ttl", duration, fuse_attr_ttl, "1s",                      \
	  "a time such as 500ms, 5s, 2m or 1h",                                \
	  "how long the kernel keeps names and attributes")                    \
	K("block.size", block, block_size, "256M", "1M to 4G, a power of two", \
	  "of a new cluster; fixed in its journal from then on")               \
	K("log.level", choice, log_level, "info", "error, warn, info, debug",  \
	  "what is logged")                                                    \
	K("log.format", choice, log_format, "logfmt", "logfmt, json",          \
	  "how it is logged")
