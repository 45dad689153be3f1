/* acached fs getCapacityBytes, getUsedBytes, masterInfo. */

#include <string.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/text.h"

/* Of all workers that are live. */
struct room {
	uint64_t capacity, used;
};

static int on_workers(void *arg, const void *reply)
{
	const struct workers_reply *r = reply;
	struct room *room = arg;
	size_t i;

	for (i = 0; i < r->workers.n; i++) {
		if (!r->workers.at[i].live)
			continue;
		room->capacity += r->workers.at[i].capacity;
		room->used += r->workers.at[i].used;
	}
	return 0;
}

static int ask_room(struct cli *cli, struct room *room)
{
	const struct workers_request all = { 0 };

	return cli_call(cli, RPC_MASTER_METHOD(workers), &all, on_workers,
			room);
}

static int print_bytes(struct cli *cli, const char *what, const char *key,
		       uint64_t bytes)
{
	if (cli->json)
		return cli_print_json(
			cli, json_pack("{s:o}", key, text_json_number(bytes)));
	fprintf(cli->out, "%s: %llu\n", what, (unsigned long long)bytes);
	return CLI_DONE;
}

int cmd_capacity(struct cli *cli, int argc ATTR_UNUSED, char **argv ATTR_UNUSED)
{
	struct room room = { 0 };

	if (ask_room(cli, &room))
		return cli_failed(cli);
	return print_bytes(cli, "Capacity Bytes", "capacity", room.capacity);
}

int cmd_used(struct cli *cli, int argc ATTR_UNUSED, char **argv ATTR_UNUSED)
{
	struct room room = { 0 };

	if (ask_room(cli, &room))
		return cli_failed(cli);
	return print_bytes(cli, "Used Bytes", "used", room.used);
}

/* Where others reach it: an address that is no socket of its machine, if there
 * is one. */
static const schema_str *reachable(const schema_str_array *addresses)
{
	size_t i;

	for (i = 0; i < addresses->n; i++)
		if (addresses->at[i].len < 5 ||
		    memcmp(addresses->at[i].ptr, "unix:", 5) != 0)
			return &addresses->at[i];
	return &addresses->at[0];
}

static int on_report(void *arg, const void *reply)
{
	const struct report_reply *r = reply;
	struct cli *cli = arg;
	const schema_str *leader = reachable(&r->addresses);

	if (cli->json) {
		cli_print_json(cli, json_pack("{s:o, s:[o]}", "leader",
					      TEXT_JSON(*leader), "masters",
					      TEXT_JSON(*leader)));
		return 0;
	}
	fprintf(cli->out, "Current leader master: %.*s\nAll masters: [%.*s]\n",
		(int)leader->len, leader->ptr, (int)leader->len, leader->ptr);
	return 0;
}

int cmd_master_info(struct cli *cli, int argc ATTR_UNUSED,
		    char **argv ATTR_UNUSED)
{
	const struct report_request req = { .all = true };

	return cli_call(cli, RPC_MASTER_METHOD(report), &req, on_report, cli)
		       ? cli_failed(cli)
		       : CLI_DONE;
}
