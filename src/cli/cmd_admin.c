/* acached admin report, journal, config; acached fs leader. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/text.h"

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

static void report_json(struct cli *cli, const struct report_reply *r)
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
	cli_print_json(cli, o);
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

static int on_report(void *arg, const void *reply)
{
	const struct report_reply *r = reply;
	struct cli *cli = arg;
	char size[32];
	size_t i;

	if (cli->json) {
		report_json(cli, r);
		return 0;
	}
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
	return 0;
}

int cmd_report(struct cli *cli, int argc ATTR_UNUSED, char **argv ATTR_UNUSED)
{
	const struct report_request req = { .all = true };

	return cli_call(cli, RPC_MASTER_METHOD(report), &req, on_report, cli)
		       ? cli_failed(cli)
		       : CLI_DONE;
}

static int on_leader(void *arg, const void *reply)
{
	const struct leader_reply *r = reply;
	struct cli *cli = arg;

	if (cli->json)
		cli_print_json(cli, json_pack("{s:o}", "leader",
					      TEXT_JSON(r->address)));
	else
		fprintf(cli->out, "%.*s\n", (int)r->address.len,
			r->address.ptr);
	return 0;
}

int cmd_leader(struct cli *cli, int argc ATTR_UNUSED, char **argv ATTR_UNUSED)
{
	const struct leader_request req = { .wait = true };

	return cli_call(cli, RPC_MASTER_METHOD(leader), &req, on_leader, cli)
		       ? cli_failed(cli)
		       : CLI_DONE;
}

struct dump {
	struct cli *cli;
	uint64_t after;
	bool more;
	json_t *json;
};

static int on_dump(void *arg, const void *reply)
{
	const struct journal_dump_reply *r = reply;
	struct dump *d = arg;
	json_t *record;
	size_t i;

	for (i = 0; i < r->records.n; i++) {
		const schema_str *line = &r->records.at[i];

		if (!d->json) {
			fprintf(d->cli->out, "%.*s\n", (int)line->len,
				line->ptr);
			continue;
		}
		record =
			json_loadb(line->ptr, line->len, JSON_DECODE_ANY, NULL);
		json_array_append_new(d->json,
				      record ? record : TEXT_JSON(*line));
	}
	d->after = r->last;
	d->more = r->more;
	return 0;
}

int cmd_journal(struct cli *cli, int argc ATTR_UNUSED, char **argv)
{
	struct dump d = { .cli = cli, .more = true };
	struct journal_dump_request req = { .limit = 1000 };
	const char *after = cli_flag_value(cli, 'a');
	char *end = NULL;
	int rv = 0;

	if (strcmp(argv[0], "dump") != 0)
		return cli_misuse(cli, "\"%s\": only dump is known", argv[0]);
	d.after = after ? strtoull(after, &end, 10) : 0;
	if (after && (!after[0] || *end))
		return cli_misuse(cli, "--after %s: want a number", after);
	d.json = cli->json ? json_array() : NULL;
	while (d.more && !rv) {
		req.after = d.after;
		rv = cli_call(cli, RPC_MASTER_METHOD(journal_dump), &req,
			      on_dump, &d);
	}
	if (rv) {
		json_decref(d.json);
		return cli_failed(cli);
	}
	return d.json ? cli_print_json(cli, d.json) : CLI_DONE;
}
