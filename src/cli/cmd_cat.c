/* acached fs cat. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "cli/list.h"
#include "cli/text.h"
#include "runtime/loop_uv.h"

/* Bytes a read. */
#define CHUNK (4u << 20)

struct cat {
	struct cli *cli;
	uint64_t id, length;
	uint32_t mode;
	struct client_read read;
	ssize_t n;
	bool done;
};

static int on_stat(void *arg, const struct dirent *e)
{
	struct cat *cat = arg;

	cat->id = e->attr.id;
	cat->length = e->attr.length;
	cat->mode = e->attr.mode;
	return 0;
}

static void on_read(struct client_read *read, ssize_t n)
{
	struct cat *cat = container_of(read, struct cat, read);

	cat->done = true;
	cat->n = n;
	loop_uv_stop(cat->cli->loop);
}

static ssize_t read_chunk(struct cat *cat, void *buf, uint64_t offset)
{
	cat->read = (struct client_read){
		.id = cat->id,
		.length = cat->length,
		.offset = offset,
		.buf = buf,
		.len = CHUNK,
	};
	cat->done = false;
	client_read(cat->cli->client, &cat->read, on_read);
	while (!cat->done)
		loop_uv_run(cat->cli->loop);
	return cat->n;
}

static int copy(struct cat *cat, const char *path)
{
	char *buf = mem_alloc(CHUNK);
	uint64_t offset;
	ssize_t n = 0;
	int rv = 0;

	for (offset = 0; offset < cat->length && !rv; offset += (uint64_t)n) {
		n = read_chunk(cat, buf, offset);
		if (n <= 0)
			rv = err_wrap(&cat->read.err, n ? (int)n : -EIO, "%s",
				      path);
		else if (fwrite(buf, 1, (size_t)n, cat->cli->out) != (size_t)n)
			rv = err_set(&cat->read.err, -errno,
				     "%s: cannot write: %m", path);
	}
	free(buf);
	if (rv)
		cat->cli->err = cat->read.err;
	return rv;
}

static int cat_one(struct cli *cli, const char *path)
{
	struct cat cat = { .cli = cli };
	int rv = list_self(cli, path, false, on_stat, &cat);

	if (rv)
		return rv;
	if (S_ISDIR(cat.mode))
		return err_set(&cli->err, -EISDIR, "%s: is a directory", path);
	return copy(&cat, path);
}

int cmd_cat(struct cli *cli, int argc, char **argv)
{
	int i, rv, done = 0, failed = 0;
	char *path;

	if (cli->json)
		return cli_misuse(cli, "--json: a file's content is no JSON");
	for (i = 0; i < argc; i++) {
		rv = cli_path(cli, argv[i], &path);
		if (rv)
			return rv;
		rv = cat_one(cli, path);
		if (rv)
			cli_failed_at(cli, argv[i]);
		failed += rv != 0;
		done += rv == 0;
		free(path);
	}
	return !failed ? CLI_DONE : done ? CLI_PARTLY : CLI_FAILED;
}
