/* A store in a fresh directory on a simulated loop, and verbs to drive it.  The
 * bytes of a file follow from its id; every read is compared. */
#pragma once

#include "lib/test.h"

#include "store/store.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)

struct fixture {
	struct loop *loop;
	struct store *store;
	char *dir; /* of the cache: below the fresh directory */
	char *parent;
	uint64_t capacity;
	const char *evictor;
	const uint8_t *cluster; /* NULL: as the directory knows */
	uint64_t scrub_rate, scrub_interval_ms;
	unsigned threads;  /* 0: on a simulated loop */
	unsigned failures; /* of directories, as reported */
	uint64_t let_go[64];
	size_t n_let_go;
};

extern struct fixture f;

/* 64 MiB with LRU. */
int setup(void **state);
int teardown(void **state);

void store_start(void);
void store_stop(void);  /* cleanly */
void store_crash(void); /* and nothing runs any more; then store_start() */

/* The bytes [offset, offset + len) of a file. */
void pattern(uint64_t file, uint64_t offset, void *buf, size_t len);

/* The result of one store_fill(), store_read(); a read's bytes are right. */
ssize_t fill_range(uint64_t file, uint64_t size, uint64_t offset, size_t len);
ssize_t fill(uint64_t file, uint64_t size); /* all of it */
ssize_t read_range(uint64_t file, uint64_t size, uint64_t offset, size_t len);
ssize_t read_all(uint64_t file, uint64_t size);

bool is_complete(uint64_t file);

/* The path of the backing file of `file`; NULL: there is none. */
const char *backing_path(uint64_t file);
void flip_bit(const char *path, uint64_t offset);
/* As du(1) counts. */
uint64_t disk_usage(void);
