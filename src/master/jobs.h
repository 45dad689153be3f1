/*
 * Jobs of the master: "load" and "loadMetadata".
 *
 * A job's beginning and end are in the journal; its progress is soft.  One that
 * ran when the master stopped begins again, and what is cached by then is soon
 * passed.  Master's loop.
 *
 * load: lists what is not known and counts it, has every file loaded by its
 * home worker, then asks each home whether the file is complete; only then is
 * the job done.
 */
#pragma once

#include "master/tree_walk.h"
#include "master/workers.h"

/* Files a job has loaded at a time: at 40 ms a file, thousands a second. */
#define JOBS_PARALLEL 256

struct jobs_options {
	struct loop *loop;
	struct journal *journal;
	struct loader *loader;
	struct workers *workers;
};

struct jobs {
	struct jobs_options o;
	struct list running;
	bool stopping;
};

void jobs_init(struct jobs *j, const struct jobs_options *o);
/* No job goes on; jobs_idle() is true on a later turn, when nothing that one
 * asked for is under way. */
void jobs_stop(struct jobs *j);
bool jobs_idle(const struct jobs *j);
void jobs_close(struct jobs *j); /* forgets what did not end */

/* Begins a job that the journal has; nothing if it runs or has ended. */
void jobs_start(struct jobs *j, uint64_t id);
/* Begins all that the journal says run: after a restart. */
void jobs_resume(struct jobs *j);
/* -ENOENT: it does not run. */
int jobs_cancel(struct jobs *j, uint64_t id);
/* Puts the progress of a job that runs into what the journal knows of it. */
void jobs_progress(const struct jobs *j, struct job_info *info);
