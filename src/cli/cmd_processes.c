/* acached admin logLevel, metrics: what each process answers. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/process.h"
#include "cli/text.h"
#include "runtime/metrics.h"

/* A command that asks one process after the other. */
struct round {
	struct cli *cli;
	struct process *p; /* that is asked */
	json_t *json;
	const char *name; /* metrics: only these; or NULL */
};

/* The socket of a mountpoint that is no more. */
static bool is_leftover(const struct process *p, int code)
{
	return p->kind == PROCESS_FUSE && code == -ECONNREFUSED;
}

static int ask_all(struct round *r, const struct rpc_method *method,
		   const void *request, cli_reply_fn fn)
{
	struct cli *cli = r->cli;
	struct processes all;
	size_t i, failed = 0;
	int rv;

	if (processes_find(cli, cli_flag_value(cli, 't'), &all))
		return cli_failed(cli);
	r->json = cli->json ? json_object() : NULL;
	for (i = 0; i < all.n; i++) {
		r->p = &all.at[i];
		rv = process_call(cli, r->p, method, request, fn, r);
		if (rv && !is_leftover(r->p, rv)) {
			failed++;
			cli_failed_at(cli, r->p->name);
		}
	}
	if (r->json && failed < all.n)
		cli_print_json(cli, r->json);
	else
		json_decref(r->json);
	i = all.n;
	processes_free(&all);
	return !failed ? CLI_DONE : failed < i ? CLI_PARTLY : CLI_FAILED;
}

static int on_levels(void *arg, const void *reply)
{
	const struct log_level_reply *l = reply;
	struct round *r = arg;
	json_t *o = r->json ? json_object() : NULL;
	const struct named_text *t;
	char *name;
	size_t i;

	if (!o)
		fprintf(r->cli->out, "%-24s", r->p->name);
	for (i = 0; i < l->levels.n; i++) {
		t = &l->levels.at[i];
		name = t->name.len ? mem_strn(t->name.ptr, t->name.len)
				   : mem_str("all");
		if (o)
			json_object_set_new(o, name, TEXT_JSON(t->text));
		else
			fprintf(r->cli->out, " %s=%.*s", name, (int)t->text.len,
				t->text.ptr);
		free(name);
	}
	if (o)
		json_object_set_new(r->json, r->p->name, o);
	else
		fputc('\n', r->cli->out);
	return 0;
}

int cmd_log_level(struct cli *cli, int argc ATTR_UNUSED,
		  char **argv ATTR_UNUSED)
{
	const char *module = cli_flag_value(cli, 'n');
	const char *level = cli_flag_value(cli, 'l');
	const struct log_level_request req = {
		.module = text_str(module ? module : ""),
		.level = text_str(level ? level : ""),
	};
	struct round r = { .cli = cli };

	if (cli_choice(cli, 'l') == CLI_NO_SUCH_CHOICE)
		return CLI_USAGE;
	if (module && !level)
		return cli_misuse(cli, "--logName is for setting a --level");
	return ask_all(&r, RPC_PROCESS_METHOD(log_level), &req, on_levels);
}

/* Whether a line is a number whose name begins with the one asked for. */
static bool is_wanted(const struct round *r, const char *line, size_t len)
{
	return len && line[0] != '#' &&
	       (!r->name || strncmp(line, r->name, strlen(r->name)) == 0);
}

static void add_metric(json_t *o, const char *line, size_t len)
{
	const char *space = memrchr(line, ' ', len);
	char *name;

	if (!space)
		return;
	name = mem_strn(line, (size_t)(space - line));
	json_object_set_new(
		o, name,
		memchr(space, '.', len - (size_t)(space - line))
			? json_real(strtod(space, NULL))
			: text_json_number(strtoull(space, NULL, 10)));
	free(name);
}

static int on_metrics(void *arg, const void *reply)
{
	const struct metrics_reply *m = reply;
	struct round *r = arg;
	json_t *o = r->json ? json_object() : NULL;
	const char *at = m->text.ptr, *end = at + m->text.len;
	size_t len;

	if (!o)
		fprintf(r->cli->out, "# process %s\n", r->p->name);
	for (; at < end; at += len + 1) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));

		len = (size_t)((newline ? newline : end) - at);
		if (o && is_wanted(r, at, len))
			add_metric(o, at, len);
		else if (!o && (!r->name || is_wanted(r, at, len)))
			fprintf(r->cli->out, "%.*s\n", (int)len, at);
	}
	if (o)
		json_object_set_new(r->json, r->p->name, o);
	return 0;
}

/* Whether a number of ours, who count the same, has such a name. */
static bool is_metric(const struct round *r)
{
	char *text = metrics_text(), *line, *save;
	bool found = false;

	for (line = strtok_r(text, "\n", &save); line && !found;
	     line = strtok_r(NULL, "\n", &save))
		found = is_wanted(r, line, strlen(line));
	free(text);
	return found;
}

int cmd_metrics(struct cli *cli, int argc, char **argv)
{
	const struct metrics_request req = { .all = true };
	struct round r = { .cli = cli, .name = argc ? argv[0] : NULL };

	if (!is_metric(&r))
		return cli_misuse(cli, "no metric begins with %s", r.name);
	return ask_all(&r, RPC_PROCESS_METHOD(metrics), &req, on_metrics);
}
