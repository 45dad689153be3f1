#include "cli/jobs.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli/text.h"

/* How often a job is asked for, the longer it takes the more seldom, and how
 * often a line says so when nobody is at a terminal. */
#define POLL_MIN_MS 10
#define POLL_MAX_MS 200
#define LINE_MS     5000

static bool is(const schema_str *s, const char *word)
{
	return s->len == strlen(word) && memcmp(s->ptr, word, s->len) == 0;
}

const char *jobs_state(const struct jobs_seen *seen)
{
	return seen->running      ? "running"
	       : seen->cancelled  ? "cancelled"
	       : seen->unfinished ? "failed"
				  : "done";
}

static bool is_ours(const struct jobs_seen *seen, uint64_t id)
{
	size_t i;

	for (i = 0; i < seen->n; i++)
		if (seen->ids[i] == id)
			return true;
	return false;
}

static void add(struct jobs_seen *seen, const struct job_info *j)
{
	if (!seen->found || j->started_ms < seen->started_ms)
		seen->started_ms = j->started_ms;
	if (j->ended_ms > seen->ended_ms)
		seen->ended_ms = j->ended_ms;
	seen->found++;
	seen->running += is(&j->state, "running");
	seen->cancelled += is(&j->state, "cancelled");
	seen->unfinished += is(&j->state, "failed");
	seen->files_done += j->files_done;
	seen->files += j->files;
	seen->bytes_done += j->bytes_done;
	seen->bytes += j->bytes;
	seen->failed += j->failed;
	seen->verify |= j->verify;
	seen->verifying |= j->verifying;
	if (!seen->error[0])
		snprintf(seen->error, sizeof(seen->error), "%.*s",
			 (int)j->error.len, j->error.ptr);
}

static int on_jobs(void *arg, const void *reply)
{
	const struct jobs_reply *r = reply;
	struct jobs_seen *seen = arg;
	size_t i;

	for (i = 0; i < r->jobs.n; i++)
		if (is_ours(seen, r->jobs.at[i].id))
			add(seen, &r->jobs.at[i]);
	return 0;
}

int jobs_look(struct cli *cli, struct jobs_seen *seen)
{
	const struct jobs_request req = { .id = seen->n == 1 ? seen->ids[0]
							     : 0 };
	int rv;

	*seen = (struct jobs_seen){ .ids = seen->ids, .n = seen->n };
	rv = cli_call(cli, RPC_MASTER_METHOD(jobs), &req, on_jobs, seen);
	if (!rv && seen->found < seen->n)
		rv = err_set(&cli->err, -ENOENT,
			     "%zu of %zu jobs are not known any more",
			     seen->n - seen->found, seen->n);
	return rv;
}

static void print_progress(struct cli *cli, const struct jobs_seen *s,
			   uint64_t took_ms, const char *end)
{
	const uint64_t rate = took_ms ? s->bytes_done * 1000 / took_ms : 0;
	const unsigned percent =
		s->bytes ? (unsigned)(s->bytes_done * 100 / s->bytes) : 0;
	char done[32], all[32], per_s[32];

	text_size(done, sizeof(done), s->bytes_done);
	text_size(all, sizeof(all), s->bytes);
	text_size(per_s, sizeof(per_s), rate);
	fprintf(cli->errors,
		"%3u%% %llu/%llu files, %s of %s, %s/s, ETA %llu s%s%s",
		percent, (unsigned long long)s->files_done,
		(unsigned long long)s->files, done, all, per_s,
		(unsigned long long)(rate && s->bytes > s->bytes_done
					     ? (s->bytes - s->bytes_done) / rate
					     : 0),
		s->verifying && s->verify ? ", verifying" : "", end);
	fflush(cli->errors);
}

int jobs_watch(struct cli *cli, struct jobs_seen *seen)
{
	const bool terminal = isatty(fileno(cli->errors));
	uint64_t start, said = 0, now, wait;
	int rv;

	if (terminal)
		setvbuf(cli->errors, NULL, _IOFBF, 512);
	for (start = loop_now_ms(cli->loop);; cli_wait(cli, wait)) {
		rv = jobs_look(cli, seen);
		now = loop_now_ms(cli->loop) - start;
		if (rv || !seen->running)
			break;
		if (terminal) {
			print_progress(cli, seen, now, "\033[K\r");
		} else if (now - said >= LINE_MS) {
			print_progress(cli, seen, now, "\n");
			said = now;
		}
		wait = now / 4 < POLL_MAX_MS ? now / 4 : POLL_MAX_MS;
		if (wait < POLL_MIN_MS)
			wait = POLL_MIN_MS;
	}
	if (terminal)
		fputs("\r\033[K", cli->errors);
	return rv;
}

json_t *jobs_json(const struct jobs_seen *s)
{
	json_t *o = json_pack(
		"{s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:b, s:s}", "id",
		(json_int_t)s->ids[0], "state", jobs_state(s), "files_done",
		(json_int_t)s->files_done, "files", (json_int_t)s->files,
		"bytes_done", (json_int_t)s->bytes_done, "bytes",
		(json_int_t)s->bytes, "failed", (json_int_t)s->failed, "verify",
		s->verify, "error", s->error);

	if (s->n > 1)
		json_object_set_new(o, "jobs", json_integer((json_int_t)s->n));
	return o;
}

static int on_submitted(void *arg, const void *reply)
{
	const struct submit_job_reply *r = reply;

	*(uint64_t *)arg = r->id;
	return 0;
}

int jobs_submit(struct cli *cli, const struct submit_job_request *req,
		uint64_t *id)
{
	struct submit_job_request mine = *req;
	int rv = cli_connect(cli);

	if (rv)
		return rv;
	mine.origin = client_origin(cli->client);
	return cli_call(cli, RPC_MASTER_METHOD(submit_job), &mine, on_submitted,
			id);
}

/* What jobs that have ended come to. */
static int status_of(const struct jobs_seen *s)
{
	if (strcmp(jobs_state(s), "done") == 0 && s->failed == 0)
		return CLI_DONE;
	return s->files_done && !s->cancelled ? CLI_PARTLY : CLI_FAILED;
}

int jobs_finish(struct cli *cli, const char *path, const struct jobs_seen *s)
{
	const int status = status_of(s);
	char done[32];

	if (status != CLI_DONE)
		cli_fail(cli, "%s: job %llu %s, %llu files failed%s%s", path,
			 (unsigned long long)s->ids[0], jobs_state(s),
			 (unsigned long long)s->failed, s->error[0] ? ": " : "",
			 s->error);
	if (cli->json) {
		cli_print_json(cli, jobs_json(s));
	} else {
		text_size(done, sizeof(done), s->bytes_done);
		fprintf(cli->out, "%s: %llu of %llu files, %s%s\n", path,
			(unsigned long long)s->files_done,
			(unsigned long long)s->files, done,
			s->verify ? ", verified" : "");
	}
	return status;
}
