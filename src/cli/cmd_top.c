/* acached admin top. */

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/sample.h"
#include "cli/text.h"

#define BUSIEST_MS 60000
#define LINES      10
#define MOST_LINES 100

/* A file of which the workers heard most opens lately. */
struct busy {
	uint64_t id, opens;
	char *path; /* NULL: it is no more */
};

struct top {
	struct cli *cli;
	struct sample sample;
	uint64_t interval_ms, last_ms, took_ms;
	size_t lines; /* busiest paths at most */
	struct busy *busy;
	size_t n_busy;
	bool terminal;
};

/* Busiest paths. */

static void busy_free(struct top *t)
{
	size_t i;

	for (i = 0; i < t->n_busy; i++)
		free(t->busy[i].path);
	free(t->busy);
	t->busy = NULL;
	t->n_busy = 0;
}

/* A large file has a home for each of its blocks: its opens are told by the
 * worker that heard of most. */
static void add_busy(struct top *t, const struct heat *h)
{
	size_t i;

	for (i = 0; i < t->n_busy; i++)
		if (t->busy[i].id == h->id) {
			if (h->opens > t->busy[i].opens)
				t->busy[i].opens = h->opens;
			return;
		}
	t->busy = mem_resize(t->busy, t->n_busy + 1, sizeof(*t->busy));
	t->busy[t->n_busy++] = (struct busy){ h->id, h->opens, NULL };
}

static int on_busiest(void *arg, const void *reply)
{
	const struct busiest_reply *r = reply;
	size_t i;

	for (i = 0; i < r->files.n; i++)
		add_busy(arg, &r->files.at[i]);
	return 0;
}

static int by_opens(const void *a, const void *b)
{
	const struct busy *x = a, *y = b;

	if (x->opens != y->opens)
		return x->opens < y->opens ? 1 : -1;
	return (x->id > y->id) - (x->id < y->id);
}

static int on_paths(void *arg, const void *reply)
{
	const struct paths_reply *r = reply;
	struct top *t = arg;
	size_t i;

	for (i = 0; i < r->paths.n && i < t->n_busy; i++)
		if (r->paths.at[i].len)
			t->busy[i].path = mem_strn(r->paths.at[i].ptr,
						   r->paths.at[i].len);
	return 0;
}

static int find_busiest(struct top *t)
{
	const struct busiest_request req = { BUSIEST_MS, (uint32_t)t->lines };
	const struct processes *all = &t->sample.processes;
	struct paths_request paths;
	uint64_t ids[MOST_LINES];
	size_t i;

	busy_free(t);
	for (i = 0; i < all->n && t->lines; i++)
		if (all->at[i].kind == PROCESS_WORKER && !all->at[i].silent)
			process_call(t->cli, &all->at[i],
				     RPC_WORKER_METHOD(busiest), &req,
				     on_busiest, t);
	if (!t->n_busy)
		return 0;
	qsort(t->busy, t->n_busy, sizeof(*t->busy), by_opens);
	t->n_busy = t->n_busy < t->lines ? t->n_busy : t->lines;
	for (i = 0; i < t->n_busy; i++)
		ids[i] = t->busy[i].id;
	paths = (struct paths_request){ { ids, t->n_busy } };
	return cli_call(t->cli, RPC_MASTER_METHOD(paths), &paths, on_paths, t);
}

/* Numbers. */

/* Who tells of reads: the mountpoints of this machine see all of theirs, the
 * workers only what is asked of them. */
static const struct sample_numbers *seen(const struct top *t)
{
	return t->sample.n_mountpoints ? &t->sample.readers
				       : &t->sample.servers;
}

static uint64_t opens(const struct sample_numbers *n)
{
	return n->at[OPENS_LOCAL] + n->at[OPENS_REMOTE] + n->at[OPENS_MISS];
}

static double hit_ratio(const struct sample_numbers *n)
{
	return 1 - (double)n->at[OPENS_MISS] / (double)opens(n);
}

static uint64_t ufs_errors(const struct sample_numbers *n)
{
	return n->at[UFS_4XX] + n->at[UFS_5XX] + n->at[UFS_ERROR];
}

static uint64_t ufs_requests(const struct sample_numbers *n)
{
	return n->at[UFS_OK] + ufs_errors(n);
}

/* A second; what is little is not rounded to nothing. */
static double rate(const struct top *t, uint64_t n)
{
	return t->took_ms ? (double)n * 1000 / (double)t->took_ms : 0;
}

static void print_clock(FILE *out)
{
	time_t now = time(NULL);
	char text[16];
	struct tm tm;

	localtime_r(&now, &tm);
	strftime(text, sizeof(text), "%H:%M:%S", &tm);
	fputs(text, out);
}

static const char *size_rate(const struct top *t, uint64_t n)
{
	static char text[4][40];
	static unsigned at;
	char *to = text[at++ % 4];

	text_size(to, 32, (uint64_t)rate(t, n));
	return strcat(to, "/s");
}

/* A screen. */

static void print_source(const struct top *t, const char *name, int reads,
			 int bytes)
{
	const struct sample_numbers *n = seen(t);

	fprintf(t->cli->out, "  %-14s %10.1f/s %12s\n", name,
		rate(t, n->at[reads]), size_rate(t, n->at[bytes]));
}

static void print_hits(const struct top *t)
{
	const struct sample_numbers *n = seen(t);

	fprintf(t->cli->out, "opens            %10.1f/s", rate(t, opens(n)));
	if (opens(n))
		fprintf(t->cli->out, "   %.1f%% hits", 100 * hit_ratio(n));
	fputc('\n', t->cli->out);
}

static void print_busiest(const struct top *t)
{
	size_t i;

	if (t->n_busy)
		fprintf(t->cli->out, "\nbusiest, by opens of the last %u s\n",
			BUSIEST_MS / 1000);
	for (i = 0; i < t->n_busy; i++) {
		const char *path = t->busy[i].path ? t->busy[i].path : "?";

		fprintf(t->cli->out, "  %8llu  ",
			(unsigned long long)t->busy[i].opens);
		text_name(t->cli->out, path, strlen(path));
		fputc('\n', t->cli->out);
	}
}

static void print_screen(const struct top *t)
{
	const struct sample_numbers *s = &t->sample.servers;
	FILE *out = t->cli->out;
	char used[32], capacity[32];

	text_size(used, sizeof(used), s->at[CACHE_USED]);
	text_size(capacity, sizeof(capacity), s->at[CACHE_CAPACITY]);
	fputs("\033[H\033[J", out);
	print_clock(out);
	fprintf(out, "  %s  %u workers, %u mountpoints here", t->cli->cluster,
		t->sample.n_workers, t->sample.n_mountpoints);
	if (t->sample.silent)
		fprintf(out, ", %u do not answer", t->sample.silent);
	fprintf(out, "\n\nreads, by %s\n",
		t->sample.n_mountpoints ? "mountpoints here" : "workers");
	print_source(t, "local", READS_LOCAL, BYTES_LOCAL);
	print_source(t, "peer", READS_PEER, BYTES_PEER);
	print_source(t, "under-storage", READS_UFS, BYTES_UFS);
	print_hits(t);
	fprintf(out,
		"S3 requests      %10.1f/s %12s   %llu failed, %llu again\n",
		rate(t, ufs_requests(s)), size_rate(t, s->at[UFS_BYTES]),
		(unsigned long long)ufs_errors(s),
		(unsigned long long)s->at[UFS_RETRIES]);
	fprintf(out, "cache            %s of %s, %.1f evictions/s\n", used,
		capacity, rate(t, s->at[EVICTIONS]));
	print_busiest(t);
}

/* A line. */

static void print_line(const struct top *t)
{
	const struct sample_numbers *s = &t->sample.servers, *n = seen(t);
	FILE *out = t->cli->out;
	size_t i;

	print_clock(out);
	fprintf(out, " local=%.1f/s,%s peer=%.1f/s,%s ufs=%.1f/s,%s",
		rate(t, n->at[READS_LOCAL]), size_rate(t, n->at[BYTES_LOCAL]),
		rate(t, n->at[READS_PEER]), size_rate(t, n->at[BYTES_PEER]),
		rate(t, n->at[READS_UFS]), size_rate(t, n->at[BYTES_UFS]));
	fprintf(out, " opens=%.1f/s hits=", rate(t, opens(n)));
	if (opens(n))
		fprintf(out, "%.1f%%", 100 * hit_ratio(n));
	else
		fputc('-', out);
	fprintf(out, " s3=%.1f/s,%s failed=%llu used=%llu",
		rate(t, ufs_requests(s)), size_rate(t, s->at[UFS_BYTES]),
		(unsigned long long)ufs_errors(s),
		(unsigned long long)s->at[CACHE_USED]);
	for (i = 0; i < t->n_busy; i++)
		if (t->busy[i].path) {
			fprintf(out, " busiest=%llu:",
				(unsigned long long)t->busy[i].opens);
			text_name(out, t->busy[i].path,
				  strlen(t->busy[i].path));
			break;
		}
	fputc('\n', out);
}

/* An object. */

static json_t *source_json(const struct sample_numbers *n, int reads, int bytes)
{
	return json_pack("{s:I, s:I}", "reads", (json_int_t)n->at[reads],
			 "bytes", (json_int_t)n->at[bytes]);
}

static json_t *busiest_json(const struct top *t)
{
	json_t *all = json_array();
	size_t i;

	for (i = 0; i < t->n_busy; i++) {
		const struct busy *b = &t->busy[i];

		json_array_append_new(
			all,
			json_pack("{s:o, s:I}", "path",
				  b->path ? text_json(b->path, strlen(b->path))
					  : json_null(),
				  "opens", (json_int_t)b->opens));
	}
	return all;
}

static void print_object(const struct top *t)
{
	const struct sample_numbers *s = &t->sample.servers, *n = seen(t);
	json_t *o = json_object();

	json_object_set_new(o, "interval_ms", text_json_number(t->took_ms));
	json_object_set_new(o, "workers",
			    text_json_number(t->sample.n_workers));
	json_object_set_new(o, "mountpoints",
			    text_json_number(t->sample.n_mountpoints));
	json_object_set_new(o, "silent", text_json_number(t->sample.silent));
	json_object_set_new(o, "local",
			    source_json(n, READS_LOCAL, BYTES_LOCAL));
	json_object_set_new(o, "peer", source_json(n, READS_PEER, BYTES_PEER));
	json_object_set_new(o, "ufs", source_json(n, READS_UFS, BYTES_UFS));
	json_object_set_new(o, "opens", text_json_number(opens(n)));
	json_object_set_new(o, "misses", text_json_number(n->at[OPENS_MISS]));
	json_object_set_new(o, "hit_ratio",
			    opens(n) ? json_real(hit_ratio(n)) : json_null());
	json_object_set_new(o, "s3",
			    json_pack("{s:I, s:I, s:I, s:I}", "requests",
				      (json_int_t)ufs_requests(s), "failed",
				      (json_int_t)ufs_errors(s), "retries",
				      (json_int_t)s->at[UFS_RETRIES], "bytes",
				      (json_int_t)s->at[UFS_BYTES]));
	json_object_set_new(o, "cache",
			    json_pack("{s:I, s:I, s:I}", "capacity",
				      (json_int_t)s->at[CACHE_CAPACITY], "used",
				      (json_int_t)s->at[CACHE_USED],
				      "evictions",
				      (json_int_t)s->at[EVICTIONS]));
	json_object_set_new(o, "busiest", busiest_json(t));
	json_dumpf(o, t->cli->out, JSON_COMPACT | JSON_REAL_PRECISION(6));
	fputc('\n', t->cli->out);
	json_decref(o);
	t->cli->printed = true;
}

/* Ticks. */

static int take(struct top *t)
{
	int rv = sample_take(&t->sample);
	uint64_t now;

	if (rv)
		return rv;
	now = loop_now_ms(t->cli->loop);
	t->took_ms = now - t->last_ms;
	t->last_ms = now;
	return 0;
}

static int tick(struct top *t)
{
	int rv;

	cli_wait(t->cli, t->interval_ms);
	rv = take(t);
	if (!rv)
		rv = find_busiest(t);
	if (rv)
		return rv;
	if (t->cli->json)
		print_object(t);
	else if (t->terminal)
		print_screen(t);
	else
		print_line(t);
	fflush(t->cli->out);
	return 0;
}

/* A number above 0, with a fraction; what is misused is told. */
static int take_number(struct cli *cli, int letter, double most, double *out)
{
	const char *text = cli_flag_value(cli, letter);
	char *end;
	double n;

	if (!text)
		return 0;
	n = strtod(text, &end);
	if (end == text || *end || !(n > 0) || n > most)
		return cli_misuse(cli,
				  "\"%s\": want a number above 0, %g at "
				  "most",
				  text, most);
	*out = n;
	return 0;
}

int cmd_top(struct cli *cli, int argc ATTR_UNUSED, char **argv ATTR_UNUSED)
{
	struct top t = { .cli = cli, .terminal = isatty(fileno(cli->out)) };
	double interval = 2, count = INFINITY, lines = LINES;
	int rv = take_number(cli, 'i', 3600, &interval);

	if (!rv)
		rv = take_number(cli, 'n', 1e9, &count);
	if (!rv)
		rv = take_number(cli, 'l', MOST_LINES, &lines);
	if (rv)
		return rv;
	t.interval_ms = (uint64_t)(interval * 1000);
	t.lines = (size_t)lines;
	sample_open(&t.sample, cli);
	rv = take(&t);
	for (; !rv && count >= 1; count--)
		rv = tick(&t);
	busy_free(&t);
	sample_close(&t.sample);
	return rv ? cli_failed(cli) : CLI_DONE;
}
