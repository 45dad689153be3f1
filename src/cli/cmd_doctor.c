/* acached admin doctor: the checks of cli/doctor.h, a line each. */

#include "cli/doctor.h"

/* A cluster that does not answer at once is a finding. */
#define WAIT_MS 3000

static const struct check {
	const char *name;
	void (*look)(struct cli *cli, struct finding *f);
} checks[] = {
	{ "kernel", doctor_kernel },
	{ "fuse", doctor_fuse },
	{ "fusermount", doctor_fusermount },
	{ "descriptors", doctor_descriptors },
	{ "memory", doctor_memory },
	{ "clock", doctor_clock },
	{ "config", doctor_config },
	{ "key", doctor_key },
	{ "ports", doctor_ports },
	{ "state", doctor_state },
	{ "cache", doctor_cache },
	{ "mountpoints", doctor_mountpoints },
	{ "cluster", doctor_cluster },
	{ "storage", doctor_storage },
};

static const char *const levels[] = { "ok", "warning", "problem" };

static json_t *to_json(const char *check, const struct finding *f)
{
	return json_pack("{s:s, s:s, s:s, s:s}", "check", check, "level",
			 levels[f->level], "found", f->what, "mend",
			 f->mend ? f->mend : "");
}

static void print(struct cli *cli, const char *check, const struct finding *f)
{
	fprintf(cli->out, "%-8s %-12s %s%s%s\n", levels[f->level], check,
		f->what, f->mend ? "; " : "", f->mend ? f->mend : "");
	fflush(cli->out); /* the next may take a while */
}

int cmd_doctor(struct cli *cli, int argc ATTR_UNUSED, char **argv ATTR_UNUSED)
{
	json_t *all = cli->json ? json_array() : NULL;
	struct finding f;
	unsigned bad = 0;
	size_t i;

	cli->wait_ms = WAIT_MS;
	for (i = 0; i < ARRAY_SIZE(checks); i++) {
		f = (struct finding){ 0 };
		checks[i].look(cli, &f);
		bad += f.level == BAD;
		if (all)
			json_array_append_new(all, to_json(checks[i].name, &f));
		else
			print(cli, checks[i].name, &f);
	}
	if (all)
		cli_print_json(cli, all);
	return bad ? CLI_FAILED : CLI_DONE;
}
