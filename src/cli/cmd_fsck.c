/*
 * acached admin fsck: the tree by itself, each worker's index against its
 * backing files, and what the master thinks that a worker holds against what it
 * does.
 *
 * Workers and master go on meanwhile, so what is on its way from one to the
 * other looks wrong: what differs is looked at again, and is wrong if it
 * differs in the same way.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/process.h"
#include "cli/text.h"

#define AGAIN_MS 2500 /* two heartbeats and more */
#define NAMED    20   /* ids of each kind, of a worker */

struct strings {
	char **at;
	size_t n;
};

struct fsck {
	struct cli *cli;
	struct strings findings;
	uint64_t found; /* more than are in words, perhaps */
	json_t *json;   /* NULL: text */
};

/* How a worker and the master may differ about a file. */
enum kind { GONE, UNTOLD, LOST, N_KINDS };

static const char *const kinds[N_KINDS] = {
	[GONE] = "is held, but no version of a file any more",
	[UNTOLD] = "is held, but the master does not know",
	[LOST] = "is not held, but the master thinks so",
};

/* One look at a worker. */
struct look {
	struct fsck *f;
	uint32_t worker;
	struct map ids;              /* that it holds */
	struct map differs[N_KINDS]; /* the ids */
	struct strings findings;     /* of its store */
	uint64_t found;
	uint64_t files, bytes;
	uint64_t next; /* where to go on */
	bool listing;
	int code;
};

static void strings_add(struct strings *s, char *text)
{
	s->at = mem_resize(s->at, s->n + 1, sizeof(*s->at));
	s->at[s->n++] = text;
}

static bool strings_have(const struct strings *s, const char *text)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (strcmp(s->at[i], text) == 0)
			return true;
	return false;
}

static void strings_free(struct strings *s)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		free(s->at[i]);
	free(s->at);
}

/* The tree. */

static int on_tree(void *arg, const void *reply)
{
	const struct fsck_tree_reply *r = reply;
	struct fsck *f = arg;
	char bytes[32];
	size_t i;

	for (i = 0; i < r->findings.n; i++)
		strings_add(&f->findings, mem_strn(r->findings.at[i].ptr,
						   r->findings.at[i].len));
	f->found += r->found;
	if (f->json) {
		json_object_set_new(
			f->json, "master",
			json_pack("{s:o, s:o, s:o, s:o}", "inodes",
				  text_json_number(r->inodes), "mounts",
				  text_json_number(r->mounts), "checkpoints",
				  text_json_number(r->checkpoints), "bytes",
				  text_json_number(r->bytes)));
		return 0;
	}
	text_size(bytes, sizeof(bytes), r->bytes);
	fprintf(f->cli->out,
		"master: %llu inodes, %llu mounts, %llu checkpoints, %s\n",
		(unsigned long long)r->inodes, (unsigned long long)r->mounts,
		(unsigned long long)r->checkpoints, bytes);
	return 0;
}

/* A worker. */

static void note(struct look *l, enum kind kind, uint64_t id)
{
	map_put(&l->differs[kind], id, l);
}

static int on_holdings(void *arg, const void *reply)
{
	const struct holdings_reply *r = reply;
	struct look *l = arg;
	size_t i;

	for (i = 0; i < r->gone.n; i++)
		note(l, GONE, r->gone.at[i]);
	for (i = 0; i < r->untold.n; i++)
		note(l, UNTOLD, r->untold.at[i]);
	for (i = 0; i < r->ids.n; i++)
		if (!map_get(&l->ids, r->ids.at[i]))
			note(l, LOST, r->ids.at[i]);
	if (l->listing)
		l->next = r->next;
	return 0;
}

/* A page of what there is; the ids are kept for the master. */
struct page {
	struct look *l;
	uint64_t *ids;
	size_t n;
};

static int on_store(void *arg, const void *reply)
{
	const struct fsck_store_reply *r = reply;
	struct page *p = arg;
	size_t i;

	for (i = 0; i < r->findings.n; i++)
		strings_add(&p->l->findings, mem_strn(r->findings.at[i].ptr,
						      r->findings.at[i].len));
	p->l->found = r->found;
	p->l->files = r->files;
	p->l->bytes = r->bytes;
	p->l->next = r->next;
	p->n = r->ids.n;
	p->ids = mem_copy(r->ids.at, r->ids.n * sizeof(*p->ids));
	for (i = 0; i < r->ids.n; i++)
		map_put(&p->l->ids, r->ids.at[i], p->l);
	return 0;
}

static int ask_master(struct look *l, const uint64_t *ids, size_t n)
{
	const struct holdings_request req = {
		.worker = l->worker,
		.ids = { ids, n },
		.list = l->listing,
		.at = l->listing ? l->next : 0,
	};

	return cli_call(l->f->cli, RPC_MASTER_METHOD(holdings), &req,
			on_holdings, l);
}

static int look_at_store(struct look *l)
{
	struct fsck_store_request req = { .start = true };
	struct page p = { .l = l };
	int rv;

	do {
		rv = cli_call_worker(l->f->cli, l->worker,
				     RPC_WORKER_METHOD(fsck_store), &req,
				     on_store, &p);
		if (!rv)
			rv = ask_master(l, p.ids, p.n);
		free(p.ids);
		p.ids = NULL;
		req = (struct fsck_store_request){ .at = l->next };
	} while (!rv && l->next);
	return rv;
}

static int look(struct look *l, struct fsck *f, uint32_t worker)
{
	int rv;

	*l = (struct look){ .f = f, .worker = worker };
	rv = look_at_store(l);
	l->listing = true;
	l->next = 0;
	while (!rv) {
		rv = ask_master(l, NULL, 0);
		if (!l->next)
			break;
	}
	return rv;
}

static void look_free(struct look *l)
{
	int i;

	strings_free(&l->findings);
	map_close(&l->ids);
	for (i = 0; i < N_KINDS; i++)
		map_close(&l->differs[i]);
}

static bool is_clean(const struct look *l)
{
	int i;

	for (i = 0; i < N_KINDS; i++)
		if (l->differs[i].used)
			return false;
	return l->found == 0;
}

static void keep_ids(struct fsck *f, const char *name, enum kind kind,
		     const struct map *first, const struct map *second)
{
	struct map_slot *slot;
	size_t at = 0, n = 0;

	while ((slot = map_next(second, &at))) {
		if (!map_get(first, slot->key))
			continue;
		f->found++;
		if (n++ < NAMED)
			strings_add(&f->findings,
				    mem_printf("%s: file %llu %s", name,
					       (unsigned long long)slot->key,
					       kinds[kind]));
	}
}

/* What was wrong both times. */
static void keep(struct fsck *f, const char *name, const struct look *first,
		 const struct look *second)
{
	size_t i;
	int k;

	for (i = 0; i < second->findings.n; i++) {
		if (!strings_have(&first->findings, second->findings.at[i]))
			continue;
		f->found++;
		strings_add(&f->findings,
			    mem_printf("%s: %s", name, second->findings.at[i]));
	}
	for (k = 0; k < N_KINDS; k++)
		keep_ids(f, name, (enum kind)k, &first->differs[k],
			 &second->differs[k]);
}

static void say_worker(struct fsck *f, const char *name, const struct look *l)
{
	char bytes[32];

	if (f->json) {
		json_object_set_new(f->json, name,
				    json_pack("{s:o, s:o}", "files",
					      text_json_number(l->files),
					      "bytes",
					      text_json_number(l->bytes)));
		return;
	}
	text_size(bytes, sizeof(bytes), l->bytes);
	fprintf(f->cli->out, "%s: %llu files, %s\n", name,
		(unsigned long long)l->files, bytes);
}

static int check_worker(struct fsck *f, const struct process *p)
{
	struct look first, second;
	int rv = look(&first, f, p->worker);

	if (!rv && !is_clean(&first)) {
		cli_wait(f->cli, AGAIN_MS);
		rv = look(&second, f, p->worker);
		if (!rv)
			keep(f, p->name, &first, &second);
		look_free(&second);
	}
	if (!rv)
		say_worker(f, p->name, &first);
	look_free(&first);
	return rv;
}

static size_t check_workers(struct fsck *f)
{
	struct processes all;
	size_t i, failed = 0;

	if (processes_find(f->cli, "worker", &all))
		return 0; /* none is alive */
	for (i = 0; i < all.n; i++)
		if (check_worker(f, &all.at[i])) {
			failed++;
			cli_failed_at(f->cli, all.at[i].name);
		}
	processes_free(&all);
	return failed;
}

static void say_findings(struct fsck *f)
{
	json_t *list = f->json ? json_array() : NULL;
	size_t i;

	for (i = 0; i < f->findings.n; i++)
		if (list)
			json_array_append_new(list,
					      json_string(f->findings.at[i]));
		else
			fprintf(f->cli->out, "wrong: %s\n", f->findings.at[i]);
	if (list) {
		json_object_set_new(f->json, "found",
				    text_json_number(f->found));
		json_object_set_new(f->json, "findings", list);
		cli_print_json(f->cli, f->json);
	} else if (f->found) {
		fprintf(f->cli->out, "%llu wrong\n",
			(unsigned long long)f->found);
	} else {
		fputs("nothing is wrong\n", f->cli->out);
	}
}

int cmd_fsck(struct cli *cli, int argc ATTR_UNUSED, char **argv ATTR_UNUSED)
{
	const struct fsck_tree_request req = { .checkpoints = true };
	struct fsck f = { .cli = cli };
	size_t failed;

	f.json = cli->json ? json_object() : NULL;
	if (cli_call(cli, RPC_MASTER_METHOD(fsck_tree), &req, on_tree, &f)) {
		json_decref(f.json);
		return cli_failed(cli);
	}
	failed = check_workers(&f);
	say_findings(&f);
	strings_free(&f.findings);
	return f.found ? CLI_FAILED : failed ? CLI_PARTLY : CLI_DONE;
}
