/* acached fs ls, du, count, test: names, without content. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/list.h"
#include "cli/text.h"

struct ls {
	struct cli *cli;
	char **mounts; /* their paths, NULL at the end */
	struct list_walk walk;
	json_t *json;
};

static int on_mounts(void *arg, const void *reply)
{
	const struct mounts_reply *r = reply;
	struct ls *ls = arg;
	size_t i;

	ls->mounts = mem_array(r->mounts.n + 1, sizeof(*ls->mounts));
	for (i = 0; i < r->mounts.n; i++)
		ls->mounts[i] = mem_strn(r->mounts.at[i].path.ptr,
					 r->mounts.at[i].path.len);
	return 0;
}

/* Whether a path lies in under-storage, and not above all of it. */
static bool is_stored(const struct ls *ls, const char *path)
{
	char **m;
	size_t len;

	for (m = ls->mounts; m && *m; m++) {
		len = strcmp(*m, "/") == 0 ? 0 : strlen(*m);
		if (strncmp(*m, path, len) == 0 &&
		    (path[len] == '/' || path[len] == '\0'))
			return true;
	}
	return false;
}

/* The columns are those of the old system. */
static void print_entry(struct ls *ls, const struct dirent *e, const char *path)
{
	static const char *const cached[] = { "0%", "part", "100%" };
	const bool is_dir = S_ISDIR(e->attr.mode);
	char mode[11], size[32], when[40];

	text_mode(mode, e->attr.mode);
	text_time(when, sizeof(when), e->attr.mtime_ns / 1000000);
	cli_size(ls->cli, size, e->attr.length);
	fprintf(ls->cli->out, "%s  %-14s", mode, text_user(e->attr.uid));
	fprintf(ls->cli->out, " %-14s %15s %15s %s %4s ",
		text_group(e->attr.gid), size,
		is_stored(ls, path) ? "PERSISTED" : "NOT_PERSISTED", when,
		is_dir          ? "DIR"
		: e->cached < 3 ? cached[e->cached]
				: "?");
	text_name(ls->cli->out, path, strlen(path));
	if (e->attr.target.len) {
		fputs(" -> ", ls->cli->out);
		text_name(ls->cli->out, e->attr.target.ptr, e->attr.target.len);
	}
	fputc('\n', ls->cli->out);
}

static void add_json(struct ls *ls, const struct dirent *e, const char *path)
{
	static const char *const cached[] = { "none", "part", "all" };
	json_t *o = text_json_attr(&e->attr);

	json_object_set_new(o, "path", text_json(path, strlen(path)));
	if (!S_ISDIR(e->attr.mode) && e->cached < 3)
		json_object_set_new(o, "cached",
				    json_string(cached[e->cached]));
	json_array_append_new(ls->json, o);
}

static int on_ls_entry(void *arg, const struct dirent *e, const char *path)
{
	struct ls *ls = arg;

	if (ls->json)
		add_json(ls, e, path);
	else
		print_entry(ls, e, path);
	return 0;
}

static int on_ls_self(void *arg, const struct dirent *e)
{
	char *path = mem_strn(e->name.ptr, e->name.len);

	on_ls_entry(arg, e, path);
	free(path);
	return 0;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int by_size(const struct dirent *a, const struct dirent *b)
{
	return compare_numbers(a->attr.length, b->attr.length);
}

static int by_mtime(const struct dirent *a, const struct dirent *b)
{
	return compare_numbers(a->attr.mtime_ns, b->attr.mtime_ns);
}

static int by_cached(const struct dirent *a, const struct dirent *b)
{
	return compare_numbers(a->cached, b->cached);
}

static const list_compare_fn orders[] = { list_compare_names, by_size, by_mtime,
					  by_cached };

static int ls_one(void *arg, const char *path)
{
	const struct mounts_request all = { 0 };
	struct ls *ls = arg;
	int rv = 0;

	if (!ls->mounts && !ls->json)
		rv = cli_call(ls->cli, RPC_MASTER_METHOD(mounts), &all,
			      on_mounts, ls);
	if (rv)
		return rv;
	if (cli_flag(ls->cli, 'd'))
		return list_self(ls->cli, path, ls->walk.refresh, on_ls_self,
				 ls);
	return list_walk(&ls->walk, path);
}

int cmd_ls(struct cli *cli, int argc, char **argv)
{
	struct ls ls = { .cli = cli };
	int rv, order = cli_choice(cli, OPT_SORT);
	size_t i;

	if (order == CLI_NO_SUCH_CHOICE)
		return CLI_USAGE;
	ls.json = cli->json ? json_array() : NULL;
	ls.walk = (struct list_walk){
		.cli = cli,
		.refresh = cli_flag(cli, 'f'),
		.recursive = cli_flag(cli, 'R'),
		.backwards = cli_flag(cli, 'r'),
		.compare = order >= 0           ? orders[order]
			   : cli_flag(cli, 'r') ? list_compare_names
						: NULL,
		.visit = on_ls_entry,
		.arg = &ls,
	};
	rv = cli_each_path(cli, argc, argv, ls_one, &ls);
	for (i = 0; ls.mounts && ls.mounts[i]; i++)
		free(ls.mounts[i]);
	free(ls.mounts);
	return cli_end_json(cli, ls.json, rv);
}

/* What lies below a path. */
struct sum {
	struct cli *cli;
	uint64_t files, dirs, bytes, cached;
	json_t *json;
	bool headed; /* the columns have their names */
};

static int on_sum_entry(void *arg, const struct dirent *e,
			const char *path ATTR_UNUSED)
{
	struct sum *sum = arg;

	if (S_ISDIR(e->attr.mode)) {
		sum->dirs++;
		return 0;
	}
	sum->files++;
	sum->bytes += e->attr.length;
	if (e->cached == 2)
		sum->cached += e->attr.length;
	return 0;
}

static int sum_tree(struct sum *sum, const char *path)
{
	struct list_walk w = {
		.cli = sum->cli,
		.recursive = true,
		.visit = on_sum_entry,
		.arg = sum,
	};

	sum->files = sum->dirs = sum->bytes = sum->cached = 0;
	return list_walk(&w, path);
}

/* Those of the old system. */
#define DU_COLUMNS "%-13s %-16s "

static int du_one(void *arg, const char *path)
{
	struct sum *sum = arg;
	char bytes[32], cached[32], part[64];
	int rv = sum_tree(sum, path);

	if (rv)
		return rv;
	if (sum->json) {
		json_array_append_new(sum->json,
				      json_pack("{s:o, s:I, s:I, s:I}", "path",
						text_json(path, strlen(path)),
						"files", (json_int_t)sum->files,
						"bytes", (json_int_t)sum->bytes,
						"cached",
						(json_int_t)sum->cached));
		return 0;
	}
	if (!sum->headed)
		fprintf(sum->cli->out, DU_COLUMNS "Path\n", "File Size",
			"In acached");
	sum->headed = true;
	cli_size(sum->cli, bytes, sum->bytes);
	cli_size(sum->cli, cached, sum->cached);
	snprintf(part, sizeof(part), "%s (%llu%%)", cached,
		 (unsigned long long)(sum->bytes
					      ? sum->cached * 100 / sum->bytes
					      : 0));
	fprintf(sum->cli->out, DU_COLUMNS, bytes, part);
	text_name(sum->cli->out, path, strlen(path));
	fputc('\n', sum->cli->out);
	return 0;
}

int cmd_du(struct cli *cli, int argc, char **argv)
{
	struct sum sum = { .cli = cli };

	sum.json = cli->json ? json_array() : NULL;
	return cli_end_json(cli, sum.json,
			    cli_each_path(cli, argc, argv, du_one, &sum));
}

static int count_one(void *arg, const char *path)
{
	struct sum *sum = arg;
	char bytes[32];
	int rv = sum_tree(sum, path);

	if (rv)
		return rv;
	if (sum->json) {
		json_array_append_new(sum->json,
				      json_pack("{s:o, s:I, s:I, s:I}", "path",
						text_json(path, strlen(path)),
						"files", (json_int_t)sum->files,
						"directories",
						(json_int_t)sum->dirs, "bytes",
						(json_int_t)sum->bytes));
		return 0;
	}
	if (!sum->headed)
		fprintf(sum->cli->out, "%-25s%-25s%-15s\n", "File Count",
			"Folder Count", "Folder Size");
	sum->headed = true;
	cli_size(sum->cli, bytes, sum->bytes);
	fprintf(sum->cli->out, "%-25llu%-25llu%-15s\n",
		(unsigned long long)sum->files, (unsigned long long)sum->dirs,
		bytes);
	return 0;
}

int cmd_count(struct cli *cli, int argc, char **argv)
{
	struct sum sum = { .cli = cli };

	sum.json = cli->json ? json_array() : NULL;
	return cli_end_json(cli, sum.json,
			    cli_each_path(cli, argc, argv, count_one, &sum));
}
