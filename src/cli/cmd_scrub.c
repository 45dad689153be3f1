/* acached admin scrub. */

#include <errno.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/process.h"
#include "cli/text.h"

#define WAIT_MS 3000 /* for one that does not answer */

/* One worker after the other is asked. */
struct asked {
	struct cli *cli;
	const struct process *p;
	json_t *json;
};

static json_t *json_state(const struct scrub_reply *r)
{
	json_t *o = json_object();

	json_object_set_new(o, "running", json_boolean(r->running > 0));
	json_object_set_new(o, "passes", text_json_number(r->passes));
	json_object_set_new(o, "files", text_json_number(r->files));
	json_object_set_new(o, "bytes", text_json_number(r->bytes));
	json_object_set_new(o, "bytes_left", text_json_number(r->to_do));
	json_object_set_new(o, "damaged", text_json_number(r->damaged));
	return o;
}

static int on_state(void *arg, const void *reply)
{
	const struct scrub_reply *r = reply;
	const struct asked *a = arg;
	char bytes[32], left[32];

	if (a->json) {
		json_object_set_new(a->json, a->p->name, json_state(r));
		return 0;
	}
	text_size(bytes, sizeof(bytes), r->bytes);
	text_size(left, sizeof(left), r->to_do);
	fprintf(a->cli->out,
		"%s: %s, %llu files and %s compared, %s left, %llu damaged\n",
		a->p->name,
		r->running  ? "running"
		: r->passes ? "idle"
			    : "not run since the start",
		(unsigned long long)r->files, bytes, left,
		(unsigned long long)r->damaged);
	return 0;
}

static int ask_workers(struct cli *cli, const char *target,
		       const struct scrub_request *req)
{
	struct asked a = { .cli = cli };
	struct processes all;
	size_t i, failed = 0;

	if (processes_find(cli, target, &all))
		return cli_failed(cli);
	a.json = cli->json ? json_object() : NULL;
	for (i = 0; i < all.n; i++) {
		a.p = &all.at[i];
		if (cli_call_worker(cli, a.p->worker, RPC_WORKER_METHOD(scrub),
				    req, on_state, &a)) {
			failed++;
			cli_failed_at(cli, a.p->name);
		}
	}
	processes_free(&all);
	if (a.json && failed < i)
		cli_print_json(cli, a.json);
	else
		json_decref(a.json);
	return !failed ? CLI_DONE : failed < i ? CLI_PARTLY : CLI_FAILED;
}

int cmd_scrub(struct cli *cli, int argc, char **argv)
{
	const char *target = cli_flag_value(cli, 't');
	const char *rate = cli_flag_value(cli, 'r');
	struct scrub_request req = { .start = false };

	if (argc && strcmp(argv[0], "start") == 0)
		req.start = true;
	else if (argc && strcmp(argv[0], "status") != 0)
		return cli_misuse(cli, "start or status, not \"%s\"", argv[0]);
	if (target && strncmp(target, "worker", strlen("worker")) != 0)
		return cli_misuse(cli, "--target is worker or worker:ID");
	if (rate && !req.start)
		return cli_misuse(cli, "--rate is for start");
	if (rate && (text_parse_size(rate, &req.rate) || !req.rate))
		return cli_misuse(cli, "no rate: \"%s\"", rate);
	cli->wait_ms = WAIT_MS;
	return ask_workers(cli, target ? target : "worker", &req);
}
