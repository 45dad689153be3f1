/* acached fs location, explain: where a file is. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/text.h"

/* A worker that does not answer is part of the explanation. */
#define EXPLAIN_WAIT_MS 5000

/* A file and who may have it. */
struct place {
	struct cli *cli;
	uint64_t id, length;
	uint32_t cached;
	uint32_t *holders;
	size_t n_holders;
	char *path, *uri;
	json_t *json;
	uint32_t worker; /* asked right now */
	unsigned live;
};

static int on_place(void *arg, const void *reply)
{
	const struct stat_reply *r = reply;
	struct place *p = arg;

	if (!S_ISREG(r->attr.mode))
		return err_set(&p->cli->err, -EISDIR, "%.*s: not a file",
			       (int)r->path.len, (const char *)r->path.ptr);
	p->id = r->attr.id;
	p->length = r->attr.length;
	p->cached = r->cached;
	p->path = mem_strn(r->path.ptr, r->path.len);
	p->uri = mem_strn(r->uri.ptr, r->uri.len);
	p->n_holders = r->holders.n;
	p->holders =
		mem_copy(r->holders.at, r->holders.n * sizeof(*r->holders.at));
	return 0;
}

static void place_close(struct place *p)
{
	free(p->holders);
	free(p->path);
	free(p->uri);
}

static bool holds(const struct place *p, uint32_t worker)
{
	size_t i;

	for (i = 0; i < p->n_holders; i++)
		if (p->holders[i] == worker)
			return true;
	return false;
}

static int on_workers(void *arg, const void *reply)
{
	const struct workers_reply *r = reply;
	struct place *p = arg;
	size_t i;

	for (i = 0; i < r->workers.n; i++) {
		const struct worker_info *w = &r->workers.at[i];

		if (!holds(p, w->id))
			continue;
		if (p->json)
			json_array_append_new(p->json, TEXT_JSON(w->host));
		else
			fprintf(p->cli->out, "%.*s\n", (int)w->host.len,
				w->host.ptr);
	}
	return 0;
}

int cmd_location(struct cli *cli, int argc ATTR_UNUSED, char **argv)
{
	const struct workers_request all = { 0 };
	struct place p = { .cli = cli };
	int rv = cli_stat(cli, argv[0], on_place, &p);

	if (rv)
		return rv;
	if (cli->json)
		p.json = json_array();
	else
		fprintf(cli->out, "%s with file id %llu is on nodes:\n", p.path,
			(unsigned long long)p.id);
	rv = cli_call(cli, RPC_MASTER_METHOD(workers), &all, on_workers, &p);
	if (rv)
		rv = cli_failed(cli);
	if (p.json)
		cli_print_json(cli, json_pack("{s:o, s:I, s:o}", "path",
					      text_json(p.path, strlen(p.path)),
					      "id", (json_int_t)p.id, "nodes",
					      p.json));
	place_close(&p);
	return rv;
}

static void explain_json(struct place *p, const struct explain_reply *r)
{
	json_t *blocks = json_array();
	size_t i;

	for (i = 0; i < r->blocks.n; i++)
		json_array_append_new(blocks,
				      text_json_number(r->blocks.at[i]));
	json_array_append_new(
		p->json,
		json_pack("{s:i, s:b, s:I, s:b, s:b, s:b, s:o, s:o, s:I, s:o, "
			  "s:o, s:o}",
			  "worker", (int)p->worker, "home", r->home, "present",
			  (json_int_t)r->present, "complete", r->complete,
			  "verified", r->verified, "granted", r->granted, "why",
			  TEXT_JSON(r->why), "last_open",
			  TEXT_JSON(r->last_open), "last_open_ms",
			  (json_int_t)r->last_open_ms, "tier",
			  TEXT_JSON(r->tier), "dir", TEXT_JSON(r->dir),
			  "blocks", blocks));
}

static int on_explain(void *arg, const void *reply)
{
	const struct explain_reply *r = reply;
	struct place *p = arg;
	FILE *out = p->cli->out;
	char when[40];
	size_t i;

	if (p->json) {
		explain_json(p, r);
		return 0;
	}
	fprintf(out, "worker %u%s: %llu of %llu bytes cached%s%s%s", p->worker,
		r->home ? ", its home" : "", (unsigned long long)r->present,
		(unsigned long long)p->length, r->complete ? ", complete" : "",
		r->verified ? ", verified" : "",
		r->granted ? ", granted to a reader" : "");
	if (r->tier.len)
		fprintf(out, ", in %.*s (%.*s)", (int)r->tier.len, r->tier.ptr,
			(int)r->dir.len, r->dir.ptr);
	fputc('\n', out);
	if (r->why.len)
		fprintf(out, "  not cached whole: %.*s\n", (int)r->why.len,
			r->why.ptr);
	for (i = 0; i < r->blocks.n; i++)
		fprintf(out, "  block %zu: %llu bytes cached\n", i,
			(unsigned long long)r->blocks.at[i]);
	if (r->last_open.len) {
		text_time(when, sizeof(when), r->last_open_ms);
		fprintf(out, "  last open, %s: %.*s\n", when,
			(int)r->last_open.len, r->last_open.ptr);
	} else {
		fprintf(out, "  last open: not remembered\n");
	}
	return 0;
}

struct live {
	uint32_t *ids;
	size_t n;
};

static int on_live(void *arg, const void *reply)
{
	const struct workers_reply *r = reply;
	struct live *live = arg;
	size_t i;

	live->ids = mem_array(r->workers.n, sizeof(*live->ids));
	for (i = 0; i < r->workers.n; i++)
		if (r->workers.at[i].live)
			live->ids[live->n++] = r->workers.at[i].id;
	return 0;
}

/* Asks each live worker; one that does not answer is a warning. */
static int explain_workers(struct cli *cli, struct place *p)
{
	const struct explain_request req = { .id = p->id };
	const struct workers_request all = { 0 };
	struct live live = { 0 };
	int rv =
		cli_call(cli, RPC_MASTER_METHOD(workers), &all, on_live, &live);
	size_t i;
	int failed = 0;

	for (i = 0; i < live.n && !rv; i++) {
		p->worker = live.ids[i];
		if (cli_call_worker(cli, p->worker, RPC_WORKER_METHOD(explain),
				    &req, on_explain, p) < 0) {
			failed++;
			fprintf(cli->errors, "worker %u: %s\n", p->worker,
				cli->err.msg);
		}
	}
	free(live.ids);
	if (rv)
		return cli_failed(cli);
	if (live.n == 0 && !p->json)
		fprintf(cli->out, "no worker is alive\n");
	return failed ? CLI_PARTLY : CLI_DONE;
}

int cmd_explain(struct cli *cli, int argc ATTR_UNUSED, char **argv)
{
	struct place p = { .cli = cli };
	int rv;

	cli->wait_ms = EXPLAIN_WAIT_MS;
	rv = cli_stat(cli, argv[0], on_place, &p);

	if (rv)
		return rv;
	if (cli->json)
		p.json = json_array();
	else
		fprintf(cli->out, "%s\nstorage: %s\nid %llu, %llu bytes\n",
			p.path, p.uri, (unsigned long long)p.id,
			(unsigned long long)p.length);
	rv = explain_workers(cli, &p);
	if (p.json)
		cli_print_json(cli,
			       json_pack("{s:o, s:o, s:I, s:I, s:o}", "path",
					 text_json(p.path, strlen(p.path)),
					 "uri", text_json(p.uri, strlen(p.uri)),
					 "id", (json_int_t)p.id, "length",
					 (json_int_t)p.length, "workers",
					 p.json));
	place_close(&p);
	return rv;
}
