/* Jobs of the master, watched by a command: one, or several as one. */

#pragma once

#include "cli/cli.h"

/* What became of them, as last seen. */
struct jobs_seen {
	const uint64_t *ids;
	size_t n;

	size_t found, running, cancelled, unfinished;
	uint64_t files_done, files, bytes_done, bytes, failed;
	uint64_t started_ms, ended_ms; /* the first, the last */
	bool verify, verifying;
	char error[256]; /* the first */
};

/* "running", "done", "failed" or "cancelled". */
const char *jobs_state(const struct jobs_seen *seen);

/* Looks at them now; -ENOENT: one is not known. */
int jobs_look(struct cli *cli, struct jobs_seen *seen);
/* Shows how far they are until they end. */
int jobs_watch(struct cli *cli, struct jobs_seen *seen);

json_t *jobs_json(const struct jobs_seen *seen);

/* Submits; *id is the job's. */
int jobs_submit(struct cli *cli, const struct submit_job_request *req,
		uint64_t *id);

/* Says what came of them: the command's status. */
int jobs_finish(struct cli *cli, const char *path,
		const struct jobs_seen *seen);
