/* acached fs load, loadMetadata, free: work that the master does. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/text.h"

/* How often a job is asked for, and how often a line says so when nobody is at
 * a terminal. */
#define POLL_MS 200
#define LINE_MS 5000

/* A job as last seen; `kind` and so on are not kept. */
struct seen {
	struct job_info job;
	char state[16];
	char error[256];
	bool found;
};

static int on_job(void *arg, const void *reply)
{
	const struct jobs_reply *r = reply;
	struct seen *seen = arg;

	seen->found = r->jobs.n == 1;
	if (!seen->found)
		return 0;
	seen->job = r->jobs.at[0];
	snprintf(seen->state, sizeof(seen->state), "%.*s",
		 (int)seen->job.state.len, seen->job.state.ptr);
	snprintf(seen->error, sizeof(seen->error), "%.*s",
		 (int)seen->job.error.len, seen->job.error.ptr);
	return 0;
}

static int ask(struct cli *cli, uint64_t id, struct seen *seen)
{
	const struct jobs_request req = { .id = id };
	int rv = cli_call(cli, RPC_MASTER_METHOD(jobs), &req, on_job, seen);

	if (!rv && !seen->found)
		rv = err_set(&cli->err, -ENOENT, "job %llu is not known",
			     (unsigned long long)id);
	return rv;
}

static void print_progress(struct cli *cli, const struct seen *seen,
			   uint64_t took_ms, const char *end)
{
	const struct job_info *j = &seen->job;
	const uint64_t rate = took_ms ? j->bytes_done * 1000 / took_ms : 0;
	const unsigned percent =
		j->bytes ? (unsigned)(j->bytes_done * 100 / j->bytes) : 0;
	char done[32], all[32], per_s[32];

	text_size(done, sizeof(done), j->bytes_done);
	text_size(all, sizeof(all), j->bytes);
	text_size(per_s, sizeof(per_s), rate);
	fprintf(cli->errors,
		"%3u%% %llu/%llu files, %s of %s, %s/s, ETA %llu s%s", percent,
		(unsigned long long)j->files_done, (unsigned long long)j->files,
		done, all, per_s,
		(unsigned long long)(rate && j->bytes > j->bytes_done
					     ? (j->bytes - j->bytes_done) / rate
					     : 0),
		end);
	fflush(cli->errors);
}

/* Watches a job to its end. */
static int watch(struct cli *cli, uint64_t id, struct seen *seen)
{
	const bool terminal = isatty(fileno(cli->errors));
	uint64_t start, said = 0, now;
	int rv;

	if (terminal)
		setvbuf(cli->errors, NULL, _IOFBF, 512);
	for (start = loop_now_ms(cli->loop);; cli_wait(cli, POLL_MS)) {
		rv = ask(cli, id, seen);
		now = loop_now_ms(cli->loop) - start;
		if (rv || strcmp(seen->state, "running") != 0)
			break;
		if (terminal) {
			print_progress(cli, seen, now, "\033[K\r");
		} else if (now - said >= LINE_MS) {
			print_progress(cli, seen, now, "\n");
			said = now;
		}
	}
	if (terminal)
		fputs("\r\033[K", cli->errors);
	return rv;
}

static json_t *job_json(uint64_t id, const struct seen *seen)
{
	const struct job_info *j = &seen->job;

	return json_pack("{s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:s}", "id",
			 (json_int_t)id, "state", seen->state, "files_done",
			 (json_int_t)j->files_done, "files",
			 (json_int_t)j->files, "bytes_done",
			 (json_int_t)j->bytes_done, "bytes",
			 (json_int_t)j->bytes, "failed", (json_int_t)j->failed,
			 "error", seen->error);
}

/* What a job that has ended comes to. */
static int job_status(const struct seen *seen)
{
	if (strcmp(seen->state, "done") == 0 && seen->job.failed == 0)
		return CLI_DONE;
	return seen->job.files_done && strcmp(seen->state, "cancelled") != 0
		       ? CLI_PARTLY
		       : CLI_FAILED;
}

static int finish(struct cli *cli, uint64_t id, const char *path,
		  const struct seen *seen)
{
	const struct job_info *j = &seen->job;
	const int status = job_status(seen);
	char done[32];

	if (status != CLI_DONE)
		cli_fail(cli, "%s: job %llu %s, %llu files failed%s%s", path,
			 (unsigned long long)id, seen->state,
			 (unsigned long long)j->failed,
			 seen->error[0] ? ": " : "", seen->error);
	if (cli->json) {
		cli_print_json(cli, job_json(id, seen));
	} else {
		text_size(done, sizeof(done), j->bytes_done);
		fprintf(cli->out, "%s: %llu of %llu files, %s\n", path,
			(unsigned long long)j->files_done,
			(unsigned long long)j->files, done);
	}
	return status;
}

static int on_submitted(void *arg, const void *reply)
{
	const struct submit_job_reply *r = reply;

	*(uint64_t *)arg = r->id;
	return 0;
}

static int run_job(struct cli *cli, const char *kind, const char *path,
		   bool recursive, bool wait)
{
	struct submit_job_request req = {
		.kind = text_str(kind),
		.path = text_bytes(path),
		.recursive = recursive,
	};
	struct seen seen = { 0 };
	uint64_t id = 0;
	int rv = cli_connect(cli);

	if (!rv) {
		req.origin = client_origin(cli->client);
		rv = cli_call(cli, RPC_MASTER_METHOD(submit_job), &req,
			      on_submitted, &id);
	}
	if (!rv && wait)
		rv = watch(cli, id, &seen);
	if (rv)
		return cli_failed_at(cli, path);
	if (wait)
		return finish(cli, id, path, &seen);
	if (cli->json)
		return cli_print_json(cli,
				      json_pack("{s:I}", "id", (json_int_t)id));
	fprintf(cli->out, "Load '%s' is submitted. JobId: %llu\n", path,
		(unsigned long long)id);
	return CLI_DONE;
}

int cmd_load(struct cli *cli, int argc ATTR_UNUSED, char **argv)
{
	char *path;
	int rv = cli_path(cli, argv[0], &path);

	if (rv)
		return rv;
	rv = run_job(cli, "load", path, true, !cli_flag(cli, 's'));
	free(path);
	return rv;
}

int cmd_load_metadata(struct cli *cli, int argc ATTR_UNUSED, char **argv)
{
	char *path;
	int rv = cli_path(cli, argv[0], &path);

	if (rv)
		return rv;
	rv = run_job(cli, "loadMetadata", path, cli_flag(cli, 'R'), true);
	free(path);
	return rv;
}

struct freed {
	struct cli *cli;
	const char *path;
	json_t *json;
};

static int on_freed(void *arg, const void *reply)
{
	const struct free_reply *r = reply;
	const struct freed *f = arg;
	char bytes[32];

	if (f->json) {
		json_array_append_new(
			f->json, json_pack("{s:o, s:I, s:I}", "path",
					   text_json(f->path, strlen(f->path)),
					   "files", (json_int_t)r->files,
					   "bytes", (json_int_t)r->bytes));
		return 0;
	}
	text_size(bytes, sizeof(bytes), r->bytes);
	fprintf(f->cli->out, "%s was freed: %llu files, %s\n", f->path,
		(unsigned long long)r->files, bytes);
	return 0;
}

static int free_one(void *arg, const char *path)
{
	struct freed *f = arg;
	const struct free_request req = { .path = text_bytes(path) };

	f->path = path;
	return cli_call(f->cli, RPC_MASTER_METHOD(free), &req, on_freed, f);
}

int cmd_free(struct cli *cli, int argc, char **argv)
{
	struct freed f = { .cli = cli };

	f.json = cli->json ? json_array() : NULL;
	return cli_end_json(cli, f.json,
			    cli_each_path(cli, argc, argv, free_one, &f));
}
