/* acached fs stat, location, explain: one file. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/text.h"

/* A worker that does not answer is part of the explanation. */
#define EXPLAIN_WAIT_MS 5000

static const char *const cached_words[] = { "none", "part", "all" };

static const char *cached_word(uint32_t cached)
{
	return cached < ARRAY_SIZE(cached_words) ? cached_words[cached] : "?";
}

static json_t *json_numbers(const schema_u32_array *a)
{
	json_t *all = json_array();
	size_t i;

	for (i = 0; i < a->n; i++)
		json_array_append_new(all, text_json_number(a->at[i]));
	return all;
}

static void print_field(struct cli *cli, const char *name,
			const schema_bytes *value)
{
	fprintf(cli->out, "%-12s", name);
	text_name(cli->out, value->ptr, value->len);
	fputc('\n', cli->out);
}

static void print_attr(struct cli *cli, const struct stat_reply *r)
{
	const struct attr *a = &r->attr;
	char mode[11], when[40];

	text_mode(mode, a->mode);
	text_time(when, sizeof(when), a->mtime_ns / 1000000);
	print_field(cli, "path:", &r->path);
	fprintf(cli->out, "%-12s%s\n", "type:",
		S_ISDIR(a->mode)   ? "directory"
		: S_ISLNK(a->mode) ? "symbolic link"
				   : "file");
	fprintf(cli->out, "%-12s%llu\n", "id:", (unsigned long long)a->id);
	fprintf(cli->out, "%-12s%llu\n",
		"length:", (unsigned long long)a->length);
	fprintf(cli->out, "%-12s%s %s", "mode:", mode, text_user(a->uid));
	fprintf(cli->out, ":%s\n", text_group(a->gid));
	fprintf(cli->out, "%-12s%s\n", "modified:", when);
	if (a->target.len)
		print_field(cli, "target:", &a->target);
	if (a->version.len)
		print_field(cli, "version:", &a->version);
	if (r->uri.len)
		print_field(cli, "storage:", &r->uri);
	if (r->mount_path.len)
		print_field(cli, "mounted at:",
			    &(schema_bytes){ r->mount_path.ptr,
					     r->mount_path.len });
}

static int on_stat(void *arg, const void *reply)
{
	const struct stat_reply *r = reply;
	struct cli *cli = arg;
	const bool is_dir = S_ISDIR(r->attr.mode);
	json_t *o;

	if (!cli->json) {
		print_attr(cli, r);
		if (!is_dir)
			fprintf(cli->out, "%-12s%s\n%-12s%llu\n",
				"cached:", cached_word(r->cached),
				"block size:",
				(unsigned long long)r->block_size);
		return 0;
	}
	o = text_json_attr(&r->attr);
	json_object_set_new(o, "path", TEXT_JSON(r->path));
	json_object_set_new(o, "uri", TEXT_JSON(r->uri));
	json_object_set_new(o, "mount", TEXT_JSON(r->mount_path));
	json_object_set_new(o, "block_size", text_json_number(r->block_size));
	json_object_set_new(o, "holders", json_numbers(&r->holders));
	if (is_dir)
		json_object_set_new(o, "complete_ms",
				    text_json_number(r->complete_ms));
	else
		json_object_set_new(o, "cached",
				    json_string(cached_word(r->cached)));
	cli_print_json(cli, o);
	return 0;
}

/* Calls stat for an argument; a status. */
static int stat_path(struct cli *cli, const char *arg, cli_reply_fn fn,
		     void *to)
{
	struct stat_request req;
	char *path;
	int rv = cli_path(cli, arg, &path);

	if (rv)
		return rv;
	req = (struct stat_request){ .path = text_bytes(path) };
	rv = cli_call(cli, RPC_MASTER_METHOD(stat), &req, fn, to);
	free(path);
	return rv ? cli_failed_at(cli, arg) : CLI_DONE;
}

int cmd_stat(struct cli *cli, int argc ATTR_UNUSED, char **argv)
{
	return stat_path(cli, argv[0], on_stat, cli);
}

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
	int rv = stat_path(cli, argv[0], on_place, &p);

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
	rv = stat_path(cli, argv[0], on_place, &p);

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
