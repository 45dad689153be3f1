/* acached admin report: what the master says of the cluster, and what each live
 * worker says of itself. */

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/text.h"

/* A worker that does not answer is part of the report. */
#define WAIT_MS 5000

static json_t *json_strings(const schema_str_array *a)
{
	json_t *all = json_array();
	size_t i;

	for (i = 0; i < a->n; i++)
		json_array_append_new(all, TEXT_JSON(a->at[i]));
	return all;
}

static json_t *json_tiers(const schema_tier_info_array *a)
{
	json_t *all = json_array();
	const struct tier_info *t;

	for (t = a->at; t < a->at + a->n; t++)
		json_array_append_new(all,
				      json_pack("{s:o, s:I, s:I, s:I}", "tier",
						TEXT_JSON(t->name), "capacity",
						(json_int_t)t->capacity, "used",
						(json_int_t)t->used, "files",
						(json_int_t)t->files));
	return all;
}

static json_t *json_worker(const struct worker_info *w)
{
	return json_pack("{s:i, s:o, s:o, s:I, s:I, s:b, s:I, s:o}", "id",
			 (int)w->id, "host", TEXT_JSON(w->host), "addresses",
			 json_strings(&w->addresses), "capacity",
			 (json_int_t)w->capacity, "used", (json_int_t)w->used,
			 "live", w->live, "last_heartbeat_ms",
			 (json_int_t)w->last_heartbeat_ms, "tiers",
			 json_tiers(&w->tiers));
}

static json_t *json_numbers(const schema_named_number_array *a)
{
	json_t *o = json_object();
	char *name;
	size_t i;

	for (i = 0; i < a->n; i++) {
		name = mem_strn(a->at[i].name.ptr, a->at[i].name.len);
		json_object_set_new(o, name, text_json_number(a->at[i].value));
		free(name);
	}
	return o;
}

static json_t *report_json(const struct report_reply *r)
{
	json_t *o = json_object(), *workers = json_array();
	size_t i;

	for (i = 0; i < r->workers.n; i++)
		json_array_append_new(workers, json_worker(&r->workers.at[i]));
	json_object_set_new(o, "cluster", TEXT_JSON(r->cluster));
	json_object_set_new(o, "version", TEXT_JSON(r->version));
	json_object_set_new(o, "uptime_ms", text_json_number(r->uptime_ms));
	json_object_set_new(o, "role", TEXT_JSON(r->role));
	json_object_set_new(o, "addresses", json_strings(&r->addresses));
	json_object_set_new(o, "block_size", text_json_number(r->block_size));
	json_object_set_new(o, "epoch", text_json_number(r->epoch));
	json_object_set_new(o, "workers", workers);
	json_object_set_new(o, "numbers", json_numbers(&r->numbers));
	json_object_set_new(o, "warnings", json_strings(&r->warnings));
	return o;
}

static void print_strings(struct cli *cli, const char *what,
			  const schema_str_array *a)
{
	size_t i;

	for (i = 0; i < a->n; i++)
		fprintf(cli->out, "%-12s%.*s\n", what, (int)a->at[i].len,
			a->at[i].ptr);
}

/* By the clock of this machine, which is not the master's. */
static double seconds_since(uint64_t wall_ms)
{
	struct timespec now;
	double since;

	clock_gettime(CLOCK_REALTIME, &now);
	since = (double)now.tv_sec + (double)now.tv_nsec / 1e9 -
		(double)wall_ms / 1e3;
	return since > 0 ? since : 0;
}

static void print_tiers(struct cli *cli, const schema_tier_info_array *a)
{
	char capacity[32], used[32];
	const struct tier_info *t;

	for (t = a->at; t < a->at + a->n; t++) {
		text_size(capacity, sizeof(capacity), t->capacity);
		text_size(used, sizeof(used), t->used);
		fprintf(cli->out, "  %.*s: %s of %s used, %llu files\n",
			(int)t->name.len, t->name.ptr, used, capacity,
			(unsigned long long)t->files);
	}
}

static void print_worker(struct cli *cli, const struct worker_info *w)
{
	char capacity[32], used[32];
	size_t i;

	text_size(capacity, sizeof(capacity), w->capacity);
	text_size(used, sizeof(used), w->used);
	fprintf(cli->out,
		"worker %u: %s, %.*s, %s of %s used, heartbeat %.1f s ago",
		w->id, w->live ? "live" : "lost", (int)w->host.len, w->host.ptr,
		used, capacity, seconds_since(w->last_heartbeat_ms));
	for (i = 0; i < w->addresses.n; i++)
		fprintf(cli->out, ", %.*s", (int)w->addresses.at[i].len,
			w->addresses.at[i].ptr);
	fputc('\n', cli->out);
	print_tiers(cli, &w->tiers);
}

static void print_report(struct cli *cli, const struct report_reply *r)
{
	char size[32];
	size_t i;

	text_size(size, sizeof(size), r->block_size);
	fprintf(cli->out,
		"%-12s%.*s\n%-12s%.*s\n%-12s%llu s\n%-12s%.*s\n%-12s%s\n",
		"cluster:", (int)r->cluster.len, r->cluster.ptr,
		"version:", (int)r->version.len, r->version.ptr,
		"up:", (unsigned long long)(r->uptime_ms / 1000),
		"master:", (int)r->role.len, r->role.ptr, "block size:", size);
	print_strings(cli, "address:", &r->addresses);
	for (i = 0; i < r->numbers.n; i++)
		fprintf(cli->out, "%.*s: %llu\n",
			(int)r->numbers.at[i].name.len,
			r->numbers.at[i].name.ptr,
			(unsigned long long)r->numbers.at[i].value);
	for (i = 0; i < r->workers.n; i++)
		print_worker(cli, &r->workers.at[i]);
	print_strings(cli, "warning:", &r->warnings);
}

struct live {
	uint32_t id;
	size_t at; /* in the report's list */
};

/* The master's report, and the workers still to be asked. */
struct report {
	struct cli *cli;
	json_t *json; /* NULL: printed */
	struct live *live;
	size_t n_live;
};

static int on_report(void *arg, const void *reply)
{
	const struct report_reply *r = reply;
	struct report *report = arg;
	size_t i;

	report->live = mem_array(r->workers.n, sizeof(*report->live));
	for (i = 0; i < r->workers.n; i++)
		if (r->workers.at[i].live)
			report->live[report->n_live++] =
				(struct live){ r->workers.at[i].id, i };
	if (report->cli->json)
		report->json = report_json(r);
	else
		print_report(report->cli, r);
	return 0;
}

/* A live worker that is being asked. */
struct asked {
	struct report *report;
	const struct live *worker;
};

static json_t *json_of(const struct asked *a)
{
	return json_array_get(json_object_get(a->report->json, "workers"),
			      a->worker->at);
}

static int on_worker(void *arg, const void *reply)
{
	const struct worker_report_reply *r = reply;
	const struct asked *a = arg;
	size_t i;

	if (a->report->json) {
		json_object_set_new(json_of(a), "numbers",
				    json_numbers(&r->numbers));
		json_object_set_new(json_of(a), "warnings",
				    json_strings(&r->warnings));
		return 0;
	}
	for (i = 0; i < r->warnings.n; i++)
		fprintf(a->report->cli->out, "%-12sworker %u: %.*s\n",
			"warning:", a->worker->id, (int)r->warnings.at[i].len,
			r->warnings.at[i].ptr);
	return 0;
}

/* How many did not answer. */
static unsigned ask_workers(struct report *report)
{
	const struct worker_report_request req = { .all = true };
	struct cli *cli = report->cli;
	unsigned failed = 0;
	size_t i;

	for (i = 0; i < report->n_live; i++) {
		struct asked a = { report, &report->live[i] };

		if (!cli_call_worker(cli, a.worker->id,
				     RPC_WORKER_METHOD(worker_report), &req,
				     on_worker, &a))
			continue;
		failed++;
		fprintf(cli->errors, "worker %u: %s\n", a.worker->id,
			cli->err.msg);
	}
	return failed;
}

int cmd_report(struct cli *cli, int argc ATTR_UNUSED, char **argv ATTR_UNUSED)
{
	const struct report_request req = { .all = true };
	struct report report = { .cli = cli };
	unsigned failed;

	cli->wait_ms = WAIT_MS;
	if (cli_call(cli, RPC_MASTER_METHOD(report), &req, on_report, &report))
		return cli_failed(cli);
	failed = ask_workers(&report);
	free(report.live);
	if (report.json)
		cli_print_json(cli, report.json);
	return failed ? CLI_PARTLY : CLI_DONE;
}
