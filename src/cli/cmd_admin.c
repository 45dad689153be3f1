/* acached admin journal; acached fs leader. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/text.h"

static int on_leader(void *arg, const void *reply)
{
	const struct leader_reply *r = reply;
	struct cli *cli = arg;

	if (cli->json)
		cli_print_json(cli, json_pack("{s:o}", "leader",
					      TEXT_JSON(r->address)));
	else
		fprintf(cli->out, "%.*s\n", (int)r->address.len,
			r->address.ptr);
	return 0;
}

int cmd_leader(struct cli *cli, int argc ATTR_UNUSED, char **argv ATTR_UNUSED)
{
	const struct leader_request req = { .wait = true };

	return cli_call(cli, RPC_MASTER_METHOD(leader), &req, on_leader, cli)
		       ? cli_failed(cli)
		       : CLI_DONE;
}

struct dump {
	struct cli *cli;
	uint64_t after;
	bool more;
	json_t *json;
};

static int on_dump(void *arg, const void *reply)
{
	const struct journal_dump_reply *r = reply;
	struct dump *d = arg;
	json_t *record;
	size_t i;

	for (i = 0; i < r->records.n; i++) {
		const schema_str *line = &r->records.at[i];

		if (!d->json) {
			fprintf(d->cli->out, "%.*s\n", (int)line->len,
				line->ptr);
			continue;
		}
		record =
			json_loadb(line->ptr, line->len, JSON_DECODE_ANY, NULL);
		json_array_append_new(d->json,
				      record ? record : TEXT_JSON(*line));
	}
	d->after = r->last;
	d->more = r->more;
	return 0;
}

int cmd_journal(struct cli *cli, int argc ATTR_UNUSED, char **argv)
{
	struct dump d = { .cli = cli, .more = true };
	struct journal_dump_request req = { .limit = 1000 };
	const char *after = cli_flag_value(cli, 'a');
	char *end = NULL;
	int rv = 0;

	if (strcmp(argv[0], "dump") != 0)
		return cli_misuse(cli, "\"%s\": only dump is known", argv[0]);
	d.after = after ? strtoull(after, &end, 10) : 0;
	if (after && (!after[0] || *end))
		return cli_misuse(cli, "--after %s: want a number", after);
	d.json = cli->json ? json_array() : NULL;
	while (d.more && !rv) {
		req.after = d.after;
		rv = cli_call(cli, RPC_MASTER_METHOD(journal_dump), &req,
			      on_dump, &d);
	}
	if (rv) {
		json_decref(d.json);
		return cli_failed(cli);
	}
	return d.json ? cli_print_json(cli, d.json) : CLI_DONE;
}
