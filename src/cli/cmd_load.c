/* acached fs load: of a path, or of the paths in a file. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/jobs.h"
#include "cli/text.h"

/* Of a list, each job takes as many paths as one call may carry. */
#define BATCH_BYTES ((size_t)256 << 10)
#define BATCH_PATHS 5000

/* What is to be loaded: a path, or several, in batches. */
struct load {
	struct cli *cli;
	char *name; /* the path, or the file with the list */
	bool is_list;
	schema_bytes *paths; /* of the list; each its own */
	size_t n_paths;
	uint64_t *ids; /* jobs */
	size_t n_ids;
};

static void load_close(struct load *l)
{
	size_t i;

	for (i = 0; i < l->n_paths; i++)
		free((void *)(uintptr_t)l->paths[i].ptr);
	free(l->paths);
	free(l->ids);
	free(l->name);
}

/* The list. */

static int add_line(struct load *l, char *line)
{
	char *path;
	int rv;

	line[strcspn(line, "\r\n")] = '\0';
	if (!line[0] || line[0] == '#')
		return 0;
	rv = cli_path(l->cli, line, &path);
	if (rv)
		return rv;
	l->paths = mem_resize(l->paths, l->n_paths + 1, sizeof(*l->paths));
	l->paths[l->n_paths++] = text_bytes(path);
	return 0;
}

static int read_list(struct load *l)
{
	const bool is_stdin = strcmp(l->name, "-") == 0;
	FILE *f = is_stdin ? stdin : fopen(l->name, "re");
	char *line = NULL;
	size_t size = 0;
	int rv = 0;

	if (!f)
		return cli_fail(l->cli, "%s: %m", l->name);
	while (!rv && getline(&line, &size, f) > 0)
		rv = add_line(l, line);
	if (!rv && ferror(f))
		rv = cli_fail(l->cli, "%s: cannot be read", l->name);
	free(line);
	if (!is_stdin)
		fclose(f);
	if (!rv && l->n_paths == 0)
		rv = cli_fail(l->cli, "%s: there is no path in it", l->name);
	return rv;
}

/* How many paths from `first` on one job takes. */
static size_t batch(const struct load *l, size_t first)
{
	size_t bytes = 0, n = 0;

	while (first + n < l->n_paths && n < BATCH_PATHS) {
		bytes += l->paths[first + n].len + 8;
		if (n && bytes > BATCH_BYTES)
			break;
		n++;
	}
	return n;
}

/* The name of batch `k` of `n`, by which it is found again. */
static char *batch_name(const struct load *l, size_t k, size_t n)
{
	return mem_printf("%s#%zu/%zu", l->name, k, n);
}

/* Jobs. */

static int submit_one(struct load *l, const char *name,
		      const schema_bytes *paths, size_t n)
{
	const struct submit_job_request req = {
		.kind = text_str("load"),
		.path = text_bytes(name),
		.recursive = true,
		.paths = { paths, n },
		.verify = cli_flag(l->cli, 'v'),
	};
	uint64_t id = 0;
	int rv = jobs_submit(l->cli, &req, &id);

	if (rv)
		return rv;
	l->ids = mem_resize(l->ids, l->n_ids + 1, sizeof(*l->ids));
	l->ids[l->n_ids++] = id;
	return 0;
}

static int submit_list(struct load *l)
{
	size_t first, n = 0, k = 0, size;
	char *name;
	int rv = 0;

	for (first = 0; first < l->n_paths; first += batch(l, first))
		n++;
	for (first = 0; first < l->n_paths && !rv; first += size) {
		size = batch(l, first);
		name = batch_name(l, ++k, n);
		rv = submit_one(l, name, l->paths + first, size);
		free(name);
	}
	return rv;
}

static int submit(struct load *l)
{
	struct jobs_seen seen;
	int rv = l->is_list ? read_list(l) : 0;

	if (rv)
		return rv;
	rv = l->is_list ? submit_list(l) : submit_one(l, l->name, NULL, 0);
	seen = (struct jobs_seen){ .ids = l->ids, .n = l->n_ids };
	if (!rv && !cli_flag(l->cli, 's'))
		rv = jobs_watch(l->cli, &seen);
	if (rv)
		return cli_failed_at(l->cli, l->name);
	if (!cli_flag(l->cli, 's'))
		return jobs_finish(l->cli, l->name, &seen);
	if (l->cli->json)
		return cli_print_json(l->cli, json_pack("{s:I}", "id",
							(json_int_t)l->ids[0]));
	fprintf(l->cli->out,
		"Load '%s' is successfully submitted. JobId: %llu\n", l->name,
		(unsigned long long)l->ids[0]);
	return CLI_DONE;
}

/* The last ones of this name: of each batch the newest. */

static bool is_named(const struct job_info *j, const char *name)
{
	return j->kind.len == 4 && memcmp(j->kind.ptr, "load", 4) == 0 &&
	       j->path.len == strlen(name) &&
	       memcmp(j->path.ptr, name, j->path.len) == 0;
}

/* The number of batches of the newest job of this list; 0: there is none. */
static size_t newest_batches(const struct load *l, const struct jobs_reply *r)
{
	const size_t len = strlen(l->name);
	const schema_bytes *path;
	size_t i, k, n = 0, found = 0;
	char *text;

	for (i = 0; i < r->jobs.n; i++) {
		path = &r->jobs.at[i].path;
		if (path->len <= len || memcmp(path->ptr, l->name, len) != 0)
			continue;
		text = mem_strn((const char *)path->ptr + len, path->len - len);
		if (sscanf(text, "#%zu/%zu", &k, &n) == 2)
			found = n;
		free(text);
	}
	return found;
}

static int on_jobs(void *arg, const void *reply)
{
	const struct jobs_reply *r = reply;
	struct load *l = arg;
	const size_t n = l->is_list ? newest_batches(l, r) : 1;
	char *name;
	size_t i, k;

	l->ids = mem_array(n + 1, sizeof(*l->ids));
	for (k = 1; k <= n; k++) {
		name = l->is_list ? batch_name(l, k, n) : mem_str(l->name);
		for (i = r->jobs.n; i > 0; i--)
			if (is_named(&r->jobs.at[i - 1], name))
				break;
		if (i)
			l->ids[l->n_ids++] = r->jobs.at[i - 1].id;
		free(name);
	}
	return 0;
}

static int find(struct load *l)
{
	const struct jobs_request all = { 0 };

	return cli_call(l->cli, RPC_MASTER_METHOD(jobs), &all, on_jobs, l);
}

/* Progress, in the words of the old system. */

static const char *old_state(const struct jobs_seen *s)
{
	const char *state = jobs_state(s);

	if (strcmp(state, "running") == 0)
		return s->verifying ? "VERIFYING" : "RUNNING";
	return strcmp(state, "done") == 0     ? "SUCCEEDED"
	       : strcmp(state, "failed") == 0 ? "FAILED"
					      : "STOPPED";
}

/* Bytes a second; 0: it took too short to tell. */
static uint64_t throughput(const struct jobs_seen *s)
{
	struct timespec now;
	uint64_t end = s->ended_ms;

	if (s->running) {
		clock_gettime(CLOCK_REALTIME, &now);
		end = (uint64_t)now.tv_sec * 1000;
	}
	return end > s->started_ms + 1000
		       ? s->bytes_done * 1000 / (end - s->started_ms)
		       : 0;
}

static double failure_rate(const struct jobs_seen *s)
{
	const uint64_t all = s->files_done + s->failed;

	return all ? 100.0 * (double)s->failed / (double)all : 0;
}

static void print_progress(const struct load *l, const struct jobs_seen *s)
{
	const bool failed = strcmp(jobs_state(s), "failed") == 0;
	char done[32], all[32], rate[32];
	FILE *out = l->cli->out;

	text_size(done, sizeof(done), s->bytes_done);
	text_size(all, sizeof(all), s->bytes);
	text_size(rate, sizeof(rate), throughput(s));
	fprintf(out,
		"Progress for loading path '%s':\n"
		"\tSettings:\tbandwidth: unlimited\tverify: %s\n"
		"\tJob State: %s%s%s%s\n"
		"\tFiles Processed: %llu\n"
		"\tBytes Loaded: %s%s%s\n",
		l->name, s->verify ? "true" : "false", old_state(s),
		failed ? " (" : "", failed ? s->error : "", failed ? ")" : "",
		(unsigned long long)s->files_done, done,
		s->bytes ? " out of " : "", s->bytes ? all : "");
	if (throughput(s))
		fprintf(out, "\tThroughput: %s/s\n", rate);
	fprintf(out,
		"\tBlock load failure rate: %.2f%%\n"
		"\tFiles Failed: %llu\n\n",
		failure_rate(s), (unsigned long long)s->failed);
}

/* --format JSON: as the old system, whose names they are. */
static void print_old_json(const struct load *l, const struct jobs_seen *s)
{
	json_t *o = json_pack(
		"{s:b, s:s, s:b, s:I, s:I, s:I, s:f, s:I}", "mVerbose",
		cli_flag(l->cli, OPT_VERBOSE) > 0, "mJobState", old_state(s),
		"mVerificationEnabled", s->verify, "mProcessedFileCount",
		(json_int_t)s->files_done, "mLoadedByteCount",
		(json_int_t)s->bytes_done, "mTotalByteCount",
		(json_int_t)s->bytes, "mFailurePercentage", failure_rate(s),
		"mFailedFileCount", (json_int_t)s->failed);

	fprintf(l->cli->out, "Progress for loading path '%s':\n", l->name);
	json_dumpf(o, l->cli->out, JSON_COMPACT | JSON_REAL_PRECISION(4));
	fputc('\n', l->cli->out);
	json_decref(o);
}

static int progress(struct load *l)
{
	const int format = cli_choice(l->cli, OPT_FORMAT);
	struct jobs_seen seen;
	int rv;

	if (format == CLI_NO_SUCH_CHOICE)
		return CLI_USAGE;
	rv = find(l);
	if (!rv && l->n_ids == 0)
		return cli_fail(l->cli, "Cannot find load job for path %s",
				l->name);
	seen = (struct jobs_seen){ .ids = l->ids, .n = l->n_ids };
	if (!rv)
		rv = jobs_look(l->cli, &seen);
	if (rv)
		return cli_failed_at(l->cli, l->name);
	if (l->cli->json)
		return cli_print_json(l->cli, jobs_json(&seen));
	if (format == 1)
		print_old_json(l, &seen);
	else
		print_progress(l, &seen);
	return CLI_DONE;
}

static int stop(struct load *l)
{
	struct cancel_job_request req = { 0 };
	size_t i, stopped = 0;
	int rv = find(l);

	for (i = 0; i < l->n_ids && !rv; i++) {
		req.origin = client_origin(l->cli->client);
		req.id = l->ids[i];
		rv = cli_call(l->cli, RPC_MASTER_METHOD(cancel_job), &req, NULL,
			      NULL);
		stopped += rv == 0;
		rv = rv == -ENOENT ? 0 : rv; /* it has ended */
	}
	if (rv)
		return cli_failed_at(l->cli, l->name);
	if (!stopped)
		return cli_fail(l->cli,
				"Cannot find load job for path %s, it might "
				"have already been stopped or finished",
				l->name);
	if (l->cli->json)
		return cli_print_json(l->cli, json_pack("{s:I}", "stopped",
							(json_int_t)stopped));
	fprintf(l->cli->out, "Load '%s' is successfully stopped.\n", l->name);
	return CLI_DONE;
}

int cmd_load(struct cli *cli, int argc, char **argv)
{
	const char *index = cli_flag_value(cli, 'i');
	const bool asks = cli_flag(cli, 'p'), stops = cli_flag(cli, OPT_STOP);
	struct load l = { .cli = cli, .is_list = index != NULL };
	int rv = 0;

	if ((argc == 1) == l.is_list)
		return cli_misuse(cli, "want a PATH, or --index FILE");
	if (asks + stops + (cli_flag(cli, 's') > 0) > 1)
		return cli_misuse(cli, "only one of --submit, --progress and "
				       "--stop");
	if (index)
		l.name = strcmp(index, "-") == 0 ? mem_str("-")
						 : realpath(index, NULL);
	else
		rv = cli_path(cli, argv[0], &l.name);
	if (!rv && !l.name)
		rv = cli_fail(cli, "%s: %m", index);
	if (!rv)
		rv = asks ? progress(&l) : stops ? stop(&l) : submit(&l);
	load_close(&l);
	return rv;
}
