/* acached fs loadMetadata, free: work that the master does. */

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/jobs.h"
#include "cli/text.h"

int cmd_load_metadata(struct cli *cli, int argc ATTR_UNUSED, char **argv)
{
	struct submit_job_request req = {
		.kind = text_str("loadMetadata"),
		.recursive = cli_flag(cli, 'R'),
	};
	uint64_t id = 0;
	struct jobs_seen seen = { .ids = &id, .n = 1 };
	char *path;
	int rv = cli_path(cli, argv[0], &path);

	if (rv)
		return rv;
	req.path = text_bytes(path);
	rv = jobs_submit(cli, &req, &id);
	if (!rv)
		rv = jobs_watch(cli, &seen);
	rv = rv ? cli_failed_at(cli, path) : jobs_finish(cli, path, &seen);
	free(path);
	return rv;
}

struct freed {
	struct cli *cli;
	const char *path;
	json_t *json;
};

static int on_freed(void *arg, const void *reply)
{
	const struct free_reply *r = reply;
	const struct freed *f = arg;
	char bytes[32];

	if (f->json) {
		json_array_append_new(
			f->json, json_pack("{s:o, s:I, s:I}", "path",
					   text_json(f->path, strlen(f->path)),
					   "files", (json_int_t)r->files,
					   "bytes", (json_int_t)r->bytes));
		return 0;
	}
	text_size(bytes, sizeof(bytes), r->bytes);
	fprintf(f->cli->out, "%s was freed: %llu files, %s\n", f->path,
		(unsigned long long)r->files, bytes);
	return 0;
}

static int free_one(void *arg, const char *path)
{
	struct freed *f = arg;
	const struct free_request req = { .path = text_bytes(path) };

	f->path = path;
	return cli_call(f->cli, RPC_MASTER_METHOD(free), &req, on_freed, f);
}

int cmd_free(struct cli *cli, int argc, char **argv)
{
	struct freed f = { .cli = cli };

	f.json = cli->json ? json_array() : NULL;
	return cli_end_json(cli, f.json,
			    cli_each_path(cli, argc, argv, free_one, &f));
}
