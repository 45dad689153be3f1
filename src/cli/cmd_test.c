/* acached fs test. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/commands.h"
#include "cli/list.h"

struct test {
	uint32_t mode;
	uint64_t length;
	bool exists, has_entries;
};

static int on_self(void *arg, const struct dirent *e)
{
	struct test *t = arg;

	t->mode = e->attr.mode;
	t->length = e->attr.length;
	t->exists = true;
	return 0;
}

static int on_entry(void *arg, const struct dirent *e ATTR_UNUSED)
{
	((struct test *)arg)->has_entries = true;
	return -ECANCELED; /* one is enough */
}

static int look(struct cli *cli, struct test *t, const char *path)
{
	int rv = list_self(cli, path, false, on_self, t);

	if (!rv && S_ISDIR(t->mode)) {
		rv = list_directory(cli, path, LIST_ALL, on_entry, t);
		if (t->has_entries)
			rv = 0;
	}
	return rv == -ENOENT || rv == -ENOTDIR ? 0 : rv;
}

static bool answer(const struct test *t, int letter)
{
	if (!t->exists)
		return false;
	switch (letter) {
	case 'd':
		return S_ISDIR(t->mode);
	case 'f':
		return S_ISREG(t->mode);
	case 's':
		return S_ISDIR(t->mode) ? t->has_entries : t->length > 0;
	case 'z':
		return !S_ISDIR(t->mode) && t->length == 0;
	default:
		return true;
	}
}

int cmd_test(struct cli *cli, int argc ATTR_UNUSED, char **argv)
{
	struct test t = { 0 };
	bool yes;
	char *path;
	int rv;

	if (cli->n_values != 1)
		return cli_misuse(cli, "want one of -d, -e, -f, -s, -z");
	rv = cli_path(cli, argv[0], &path);
	if (rv)
		return rv;
	rv = cli_connect(cli); /* no cluster is no answer */
	if (!rv)
		rv = look(cli, &t, path);
	free(path);
	if (rv) {
		cli_failed_at(cli, argv[0]);
		return CLI_PARTLY; /* 1 is "no" */
	}
	yes = answer(&t, cli->values[0].flag->letter);
	if (cli->json)
		cli_print_json(cli, json_pack("{s:b}", "answer", yes));
	return yes ? CLI_DONE : CLI_FAILED;
}
