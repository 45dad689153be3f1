/* What the processes of a cluster have counted, by now and since last time. */

#pragma once

#include "cli/process.h"

/* Sums over processes; the first ones are counters, the others are as of now.
 */
enum sample_number {
	READS_LOCAL,
	READS_PEER,
	READS_UFS,
	BYTES_LOCAL,
	BYTES_PEER,
	BYTES_UFS,
	OPENS_LOCAL,
	OPENS_REMOTE,
	OPENS_MISS,
	UFS_OK,
	UFS_4XX,
	UFS_5XX,
	UFS_ERROR,
	UFS_BYTES,
	UFS_RETRIES,
	EVICTIONS,
	CACHE_CAPACITY,
	CACHE_USED,
	SAMPLE_NUMBERS,
	SAMPLE_COUNTERS = CACHE_CAPACITY
};

struct sample_numbers {
	uint64_t at[SAMPLE_NUMBERS];
};

/* What one process had counted when it was asked last. */
struct sample_process {
	char *name;
	struct sample_numbers last;
	bool fresh; /* it was asked once */
};

struct sample {
	struct cli *cli;
	struct processes processes;
	struct sample_process *before; /* by name */
	size_t n_before;

	/* Since the last time: of the mountpoints' processes here, and of
	 * masters and workers. */
	struct sample_numbers readers, servers;
	unsigned n_workers, n_mountpoints; /* that answered */
	unsigned silent;                   /* that did not */
};

void sample_open(struct sample *s, struct cli *cli);
void sample_close(struct sample *s);
/* Asks all; an error only if the master does not answer. */
int sample_take(struct sample *s);
