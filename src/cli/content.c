#include "cli/content.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "cli/list.h"
#include "runtime/loop_uv.h"

/* Bytes a read. */
#define CHUNK (4u << 20)

static int on_stat(void *arg, const struct dirent *e)
{
	struct content *c = arg;

	c->id = e->attr.id;
	c->length = e->attr.length;
	c->mode = e->attr.mode;
	return 0;
}

int content_open(struct content *c, struct cli *cli, const char *path)
{
	int rv;

	*c = (struct content){ .cli = cli, .path = path };
	rv = list_self(cli, path, false, on_stat, c);
	if (!rv && S_ISDIR(c->mode))
		rv = err_set(&cli->err, -EISDIR, "%s: is a directory", path);
	if (!rv && !S_ISREG(c->mode))
		rv = err_set(&cli->err, -EINVAL, "%s: is a symbolic link",
			     path);
	return rv;
}

static void on_read(struct client_read *read, ssize_t n)
{
	struct content *c = container_of(read, struct content, read);

	c->done = true;
	c->n = n;
	loop_uv_stop(c->cli->loop);
}

static ssize_t read_chunk(struct content *c, void *buf, size_t len,
			  uint64_t offset)
{
	c->read = (struct client_read){
		.id = c->id,
		.length = c->length,
		.offset = offset,
		.buf = buf,
		.len = len,
	};
	c->done = false;
	client_read(c->cli->client, &c->read, on_read);
	while (!c->done)
		loop_uv_run(c->cli->loop);
	if (c->n <= 0)
		c->n = err_wrap(&c->read.err, c->n ? (int)c->n : -EIO, "%s",
				c->path);
	if (c->n < 0)
		c->cli->err = c->read.err;
	return c->n;
}

int content_read(struct content *c, uint64_t from, uint64_t to, content_fn fn,
		 void *arg)
{
	char *buf = mem_alloc(CHUNK);
	ssize_t n;
	int rv = 0;

	while (from < to && !rv) {
		n = read_chunk(c, buf, to - from < CHUNK ? to - from : CHUNK,
			       from);
		rv = n < 0 ? (int)n : fn(arg, buf, (size_t)n);
		from += n > 0 ? (uint64_t)n : 0;
	}
	free(buf);
	return rv;
}
