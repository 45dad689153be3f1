/* acached fs cat, head, tail. */

#include <errno.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/content.h"
#include "cli/text.h"

#define END_BYTES 1024 /* of head and tail, if no other number is given */

/* What to print of each file. */
struct part {
	struct cli *cli;
	enum { ALL, HEAD, TAIL } which;
	uint64_t bytes;
	const char *path;
};

static int on_bytes(void *arg, const void *buf, size_t n)
{
	const struct part *p = arg;

	if (fwrite(buf, 1, n, p->cli->out) != n)
		return err_set(&p->cli->err, -errno, "%s: cannot write: %m",
			       p->path);
	return 0;
}

static int print_part(void *arg, const char *path)
{
	struct part *p = arg;
	struct content c;
	uint64_t from = 0, to;
	int rv = content_open(&c, p->cli, path);

	if (rv)
		return rv;
	to = c.length;
	if (p->which == HEAD && p->bytes < c.length)
		to = p->bytes;
	if (p->which == TAIL && p->bytes < c.length)
		from = c.length - p->bytes;
	p->path = path;
	return content_read(&c, from, to, on_bytes, p);
}

static int print_files(struct part *p, int argc, char **argv)
{
	if (p->cli->json)
		return cli_misuse(p->cli,
				  "--json: a file's content is no JSON");
	return cli_each_path(p->cli, argc, argv, print_part, p);
}

int cmd_cat(struct cli *cli, int argc, char **argv)
{
	struct part p = { .cli = cli, .which = ALL };

	return print_files(&p, argc, argv);
}

static int print_end(struct part *p, int argc, char **argv)
{
	const char *bytes = cli_flag_value(p->cli, 'c');

	p->bytes = END_BYTES;
	if (bytes && text_parse_size(bytes, &p->bytes))
		return cli_misuse(p->cli,
				  "--bytes %s: want a number, or one with K, "
				  "M, G or T",
				  bytes);
	return print_files(p, argc, argv);
}

int cmd_head(struct cli *cli, int argc, char **argv)
{
	struct part p = { .cli = cli, .which = HEAD };

	return print_end(&p, argc, argv);
}

int cmd_tail(struct cli *cli, int argc, char **argv)
{
	struct part p = { .cli = cli, .which = TAIL };

	return print_end(&p, argc, argv);
}
