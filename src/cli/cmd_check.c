/* acached fs checkConsistency. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/list.h"
#include "cli/text.h"

/* By the kinds of a difference. */
static const char *const kinds[] = { "?", "differs", "missing", "new" };

struct check {
	struct cli *cli;
	const char *path; /* that is compared */
	char **dirs;      /* still to be, last in first out */
	size_t n_dirs;
	bool repair, is_file, differs;
	uint64_t compared, found;
	json_t *json;
};

static void print_difference(struct check *c, const struct difference *d)
{
	char *path =
		c->is_file ? mem_str(c->path) : list_join(c->path, &d->name);
	const char *kind = d->kind < ARRAY_SIZE(kinds) ? kinds[d->kind] : "?";

	if (c->json) {
		json_array_append_new(
			c->json, json_pack("{s:o, s:s, s:b}", "path",
					   text_json(path, strlen(path)), "is",
					   kind, "repaired", c->repair));
	} else {
		if (c->found == 0)
			fputs("The following files are inconsistent:\n",
			      c->cli->out);
		text_name(c->cli->out, path, strlen(path));
		fprintf(c->cli->out, "  (%s%s)\n", kind,
			c->repair ? ", repaired" : "");
	}
	c->found++;
	free(path);
}

static int on_checked(void *arg, const void *reply)
{
	const struct check_reply *r = reply;
	struct check *c = arg;
	size_t i;

	c->compared += r->compared;
	c->differs = r->differences.n > 0;
	for (i = 0; i < r->differences.n; i++)
		print_difference(c, &r->differences.at[i]);
	if (r->left_out && !c->json)
		fprintf(c->cli->out, "%s: %llu more\n", c->path,
			(unsigned long long)r->left_out);
	c->found += r->left_out;
	return 0;
}

static int on_known(void *arg, const struct dirent *e)
{
	struct check *c = arg;

	if (!S_ISDIR(e->attr.mode))
		return 0;
	c->dirs = mem_resize(c->dirs, c->n_dirs + 1, sizeof(*c->dirs));
	c->dirs[c->n_dirs++] = list_join(c->path, &e->name);
	return 0;
}

static int on_nothing(void *arg ATTR_UNUSED, const struct dirent *e ATTR_UNUSED)
{
	return 0;
}

/* Asks under-storage again: what it says is learned. */
static int refresh(struct check *c)
{
	if (c->is_file)
		return list_self(c->cli, c->path, true, on_nothing, NULL);
	return list_directory(c->cli, c->path, LIST_REFRESHED, on_nothing,
			      NULL);
}

static int check_one(struct check *c, const char *path)
{
	const struct check_request req = { .path = text_bytes(path) };
	int rv;

	c->path = path;
	rv = cli_call(c->cli, RPC_MASTER_METHOD(check), &req, on_checked, c);
	if (!rv && c->differs && c->repair)
		rv = refresh(c);
	if (!rv && !c->is_file)
		rv = list_directory(c->cli, path, LIST_KNOWN, on_known, c);
	/* What was removed is a difference, and told by its parent. */
	return rv == -ENOENT && c->found ? 0 : rv;
}

static int on_root(void *arg, const struct dirent *e)
{
	((struct check *)arg)->is_file = !S_ISDIR(e->attr.mode);
	return 0;
}

static int check_tree(struct check *c, const char *path)
{
	int rv = list_self(c->cli, path, false, on_root, c);
	char *dir;

	if (!rv)
		rv = check_one(c, path);
	while (c->n_dirs) {
		dir = c->dirs[--c->n_dirs];
		if (!rv)
			rv = check_one(c, dir);
		free(dir);
	}
	free(c->dirs);
	return rv;
}

int cmd_check_consistency(struct cli *cli, int argc ATTR_UNUSED, char **argv)
{
	struct check c = { .cli = cli, .repair = cli_flag(cli, 'r') };
	char *path;
	int rv = cli_path(cli, argv[0], &path);

	if (rv)
		return rv;
	c.json = cli->json ? json_array() : NULL;
	rv = check_tree(&c, path);
	if (rv) {
		rv = cli_failed_at(cli, argv[0]);
	} else {
		if (c.found == 0 && !c.json)
			fprintf(cli->out,
				"%s is consistent with the under storage "
				"system.\n",
				path);
		rv = c.found && !c.repair ? CLI_FAILED : CLI_DONE;
	}
	free(path);
	return cli_end_json(cli, c.json, rv);
}
