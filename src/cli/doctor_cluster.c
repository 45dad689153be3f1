/* Who answers, and what lies behind it. */

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/doctor.h"

static int on_report(void *arg, const void *reply)
{
	const struct report_reply *r = reply;
	struct finding *f = arg;
	unsigned live = 0;
	size_t i;

	for (i = 0; i < r->workers.n; i++)
		live += r->workers.at[i].live;
	if (live == 0)
		FOUND(f, BAD, "start one: acached --role=worker",
		      "the master answers, but no worker is alive");
	else if (live < r->workers.n)
		FOUND(f, WARN, "see `acached admin report` and start it again",
		      "the master answers, %zu of %zu workers do not",
		      r->workers.n - live, r->workers.n);
	else
		FOUND(f, GOOD, NULL,
		      "the master answers, and so do all %zu workers",
		      r->workers.n);
	return 0;
}

void doctor_cluster(struct cli *cli, struct finding *f)
{
	const struct report_request req = { 0 };
	int rv = cli_call(cli, RPC_MASTER_METHOD(report), &req, on_report, f);

	if (rv == -EACCES || rv == -EPERM || rv == -ENOKEY)
		FOUND(f, BAD,
		      "copy cluster.key of a master here, or name the file by "
		      "cluster.key-file",
		      "the cluster refuses us: %.200s", cli->err.msg);
	else if (rv)
		FOUND(f, WARN, "start it, or name it by --master or --state",
		      "no cluster answers: %.200s", cli->err.msg);
}

/* A mount, to be asked for after the list of them. */
struct mount {
	uint32_t id;
	char *path;
};

struct mounts {
	struct mount *at;
	size_t n;
};

static int on_mounts(void *arg, const void *reply)
{
	const struct mounts_reply *r = reply;
	struct mounts *all = arg;
	size_t i;

	all->at = mem_array(r->mounts.n, sizeof(*all->at));
	for (i = 0; i < r->mounts.n; i++) {
		const struct mount_info *m = &r->mounts.at[i];

		all->at[all->n++] = (struct mount){
			m->id,
			mem_strn(m->path.ptr, m->path.len),
		};
	}
	return 0;
}

static bool answers(struct cli *cli, const struct mount *m, struct finding *f)
{
	const struct probe_request req = { m->id };

	if (cli_call(cli, RPC_MASTER_METHOD(probe), &req, NULL, NULL) == 0)
		return true;
	FOUND(f, BAD,
	      "mend its endpoint, credentials or permissions: mount the same "
	      "address again with other options",
	      "%.60s: %.170s", m->path, cli->err.msg);
	return false;
}

void doctor_storage(struct cli *cli, struct finding *f)
{
	const struct mounts_request req = { 0 };
	struct mounts all = { 0 };
	size_t i;

	if (cli_call(cli, RPC_MASTER_METHOD(mounts), &req, on_mounts, &all)) {
		FOUND(f, WARN, "start the cluster first", "not known");
		return;
	}
	for (i = 0; i < all.n && answers(cli, &all.at[i], f); i++)
		;
	if (all.n == 0)
		FOUND(f, WARN, "acached fs mount /PATH URI",
		      "nothing is mounted");
	else if (i == all.n)
		FOUND(f, GOOD, NULL, "%zu mounted, each answers", all.n);
	for (i = 0; i < all.n; i++)
		free(all.at[i].path);
	free(all.at);
}
