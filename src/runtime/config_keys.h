/*
 * name, kind, field of struct config, default, what is accepted, restart
 * needed, help.  Everything that tells of keys is made from this table.
 */
#pragma once

#define CONFIG_KEYS(K)                                                        \
	K("state.dir", string, state_dir, "", "a path", true,                 \
	  "where all that must survive a restart lies")                       \
	K("cluster.key-file", string, cluster_key_file, "", "a path", true,   \
	  "the key that all processes of a cluster share")                    \
	K("master.listen", list, master_listen, "", "HOST:PORT, ...", true,   \
	  "where a master serves, besides its socket")                        \
	K("master.addresses", list, master_addresses, "",                     \
	  "HOST:PORT or unix:PATH, ...", true,                                \
	  "addresses of masters, any of them will do")                        \
	K("master.http", string, master_http, "", "HOST:PORT", true,          \
	  "metrics and health of the master")                                 \
	K("master.negative-ttl", duration, master_negative_ttl, "5s",         \
	  "a time", false, "how long an unknown name is not asked for again") \
	K("worker.listen", list, worker_listen, "", "HOST:PORT, ...", true,   \
	  "where a worker serves, besides its socket")                        \
	K("worker.dirs", dirs, worker_dirs, "",                               \
	  "PATH=SIZE, ... (K, M, G, T or % of the disk)", true,               \
	  "directories for cached blocks")                                    \
	K("worker.capacity", size, worker_capacity, "50%",                    \
	  "a size in K, M, G, T, or % of the disk", true,                     \
	  "room for cached blocks in the default directory")                  \
	K("worker.evictor", choice, worker_evictor, "retain", "retain, lru",  \
	  true, "which blocks to keep")                                       \
	K("worker.http", string, worker_http, "", "HOST:PORT", true,          \
	  "metrics and health of the worker")                                 \
	K("fuse.http", string, fuse_http, "", "HOST:PORT", true,              \
	  "metrics and health of the mountpoint")                             \
	K("fuse.attr-ttl", duration, fuse_attr_ttl, "1s", "a time", true,     \
	  "how long the kernel keeps names and attributes")                   \
	K("block.size", size, block_size, "256M", "1M to 4G, a power of two", \
	  true, "of a new cluster; fixed in its journal from then on")        \
	K("log.level", choice, log_level, "info", "error, warn, info, debug", \
	  false, "what is logged")                                            \
	K("log.format", choice, log_format, "logfmt", "logfmt, json", true,   \
	  "how it is logged")
