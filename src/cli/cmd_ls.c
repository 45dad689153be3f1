/* acached fs ls, fs du: walks of the tree. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "cli/list.h"
#include "cli/text.h"

/* Directories that are still to be walked, last in first out. */
struct stack {
	char **paths;
	size_t n;
};

static void push(struct stack *s, char *path)
{
	s->paths = mem_resize(s->paths, s->n + 1, sizeof(*s->paths));
	s->paths[s->n++] = path;
}

/* The last `n` in the opposite order, so that the first comes off first. */
static void turn(struct stack *s, size_t n)
{
	size_t i = s->n - n, j = s->n;
	char *path;

	for (; j > i + 1; i++) {
		path = s->paths[i];
		s->paths[i] = s->paths[--j];
		s->paths[j] = path;
	}
}

struct ls {
	struct cli *cli;
	const char *dir; /* NULL: the entry's name is a whole path */
	struct stack below;
	json_t *json;
};

static void print_entry(struct ls *ls, const struct dirent *e, const char *path)
{
	static const char *const cached[] = { "0%", "part", "100%" };
	const bool is_dir = S_ISDIR(e->attr.mode);
	char mode[11], size[32], when[40];

	text_mode(mode, e->attr.mode);
	text_time(when, sizeof(when), e->attr.mtime_ns / 1000000);
	if (cli_flag(ls->cli, 'h'))
		text_size(size, sizeof(size), e->attr.length);
	else
		snprintf(size, sizeof(size), "%llu",
			 (unsigned long long)e->attr.length);
	fprintf(ls->cli->out, "%s  %-14s", mode, text_user(e->attr.uid));
	fprintf(ls->cli->out, " %-14s %17s %15s %s %4s ",
		text_group(e->attr.gid), size, "PERSISTED", when,
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

static int on_entry(void *arg, const struct dirent *e)
{
	struct ls *ls = arg;
	char *path = ls->dir ? list_join(ls->dir, &e->name)
			     : mem_strn(e->name.ptr, e->name.len);

	if (ls->json)
		add_json(ls, e, path);
	else
		print_entry(ls, e, path);
	if (S_ISDIR(e->attr.mode) && ls->dir && cli_flag(ls->cli, 'R'))
		push(&ls->below, path);
	else
		free(path);
	return 0;
}

/* Takes `path`. */
static int ls_one(struct ls *ls, char *path)
{
	const bool refresh = cli_flag(ls->cli, 'f');
	size_t before = ls->below.n;
	int rv;

	ls->dir = path;
	rv = list_directory(ls->cli, path, refresh, on_entry, ls);
	turn(&ls->below, ls->below.n - before);
	if (rv == -ENOTDIR) {
		ls->dir = NULL;
		rv = list_self(ls->cli, path, refresh, on_entry, ls);
	}
	free(path);
	return rv;
}

static int ls_tree(struct ls *ls, char *path)
{
	int rv = ls_one(ls, path);

	while (!rv && ls->below.n)
		rv = ls_one(ls, ls->below.paths[--ls->below.n]);
	while (ls->below.n)
		free(ls->below.paths[--ls->below.n]);
	return rv;
}

/* Of several arguments some may fail. */
static int status(int done, int failed)
{
	return !failed ? CLI_DONE : done ? CLI_PARTLY : CLI_FAILED;
}

int cmd_ls(struct cli *cli, int argc, char **argv)
{
	struct ls ls = { .cli = cli, .json = cli->json ? json_array() : NULL };
	int i, rv, done = 0, failed = 0;
	char *path;

	for (i = 0; i < argc; i++) {
		rv = cli_path(cli, argv[i], &path);
		if (rv)
			return rv;
		rv = ls_tree(&ls, path);
		if (rv)
			cli_failed_at(cli, argv[i]);
		failed += rv != 0;
		done += rv == 0;
	}
	free(ls.below.paths);
	if (ls.json)
		cli_print_json(cli, ls.json);
	return status(done, failed);
}

struct du {
	struct cli *cli;
	const char *dir;
	struct stack below;
	uint64_t files, bytes, cached;
};

static int on_du_entry(void *arg, const struct dirent *e)
{
	struct du *du = arg;

	if (S_ISDIR(e->attr.mode)) {
		if (du->dir)
			push(&du->below, list_join(du->dir, &e->name));
		return 0;
	}
	du->files++;
	du->bytes += e->attr.length;
	if (e->cached == 2)
		du->cached += e->attr.length;
	return 0;
}

static int du_tree(struct du *du, char *path)
{
	int rv = 0;

	push(&du->below, path);
	while (!rv && du->below.n) {
		char *dir = du->below.paths[--du->below.n];

		du->dir = dir;
		rv = list_directory(du->cli, dir, false, on_du_entry, du);
		if (rv == -ENOTDIR)
			rv = list_self(du->cli, dir, false, on_du_entry, du);
		free(dir);
	}
	while (du->below.n)
		free(du->below.paths[--du->below.n]);
	return rv;
}

static void print_du(const struct du *du, const char *path, json_t *json)
{
	char bytes[32], cached[32];

	if (json) {
		json_array_append_new(
			json, json_pack("{s:o, s:I, s:I, s:I}", "path",
					text_json(path, strlen(path)), "files",
					(json_int_t)du->files, "bytes",
					(json_int_t)du->bytes, "cached",
					(json_int_t)du->cached));
		return;
	}
	if (cli_flag(du->cli, 'h')) {
		text_size(bytes, sizeof(bytes), du->bytes);
		text_size(cached, sizeof(cached), du->cached);
	} else {
		snprintf(bytes, sizeof(bytes), "%llu",
			 (unsigned long long)du->bytes);
		snprintf(cached, sizeof(cached), "%llu",
			 (unsigned long long)du->cached);
	}
	fprintf(du->cli->out, "%-16s %s (%llu%%)%*s ", bytes, cached,
		(unsigned long long)(du->bytes ? du->cached * 100 / du->bytes
					       : 0),
		4, "");
	text_name(du->cli->out, path, strlen(path));
	fputc('\n', du->cli->out);
}

int cmd_du(struct cli *cli, int argc, char **argv)
{
	json_t *json = cli->json ? json_array() : NULL;
	int i, rv, done = 0, failed = 0;
	char *path;

	if (!json)
		fprintf(cli->out, "%-16s %-19s %s\n", "File Size", "In acached",
			"Path");
	for (i = 0; i < argc; i++) {
		struct du du = { .cli = cli };

		rv = cli_path(cli, argv[i], &path);
		if (rv)
			return rv;
		rv = du_tree(&du, mem_str(path));
		if (rv)
			cli_failed_at(cli, argv[i]);
		else
			print_du(&du, path, json);
		failed += rv != 0;
		done += rv == 0;
		free(path);
		free(du.below.paths);
	}
	if (json)
		cli_print_json(cli, json);
	return status(done, failed);
}
