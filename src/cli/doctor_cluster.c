/* Who answers, and what lies behind it. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/doctor.h"

static bool is_loopback(const schema_str *address)
{
	static const char *const local[] = { "unix:", "127.", "[::1]",
					     "localhost:" };
	size_t i, len;

	for (i = 0; i < ARRAY_SIZE(local); i++) {
		len = strlen(local[i]);
		if (address->len >= len &&
		    memcmp(address->ptr, local[i], len) == 0)
			return true;
	}
	return false;
}

static bool is_alone(const struct worker_info *w)
{
	size_t i;

	for (i = 0; i < w->addresses.n; i++)
		if (!is_loopback(&w->addresses.at[i]))
			return false;
	return true;
}

/* A live worker that those of other hosts cannot reach; NULL: none. */
static const struct worker_info *find_alone(
	const schema_worker_info_array *workers)
{
	const struct worker_info *w, *first = NULL, *alone = NULL;
	bool other_hosts = false;

	for (w = workers->at; w < workers->at + workers->n; w++) {
		if (!w->live)
			continue;
		first = first ? first : w;
		other_hosts |=
			w->host.len != first->host.len ||
			memcmp(w->host.ptr, first->host.ptr, w->host.len) != 0;
		if (!alone && is_alone(w))
			alone = w;
	}
	return other_hosts ? alone : NULL;
}

static int on_report(void *arg, const void *reply)
{
	const struct report_reply *r = reply;
	const struct worker_info *alone = find_alone(&r->workers);
	struct finding *f = arg;
	unsigned live = 0;
	size_t i;

	for (i = 0; i < r->workers.n; i++)
		live += r->workers.at[i].live;
	if (live == 0)
		FOUND(f, BAD, "start one: acached --role=worker",
		      "the master answers, but no worker is alive");
	else if (alone)
		FOUND(f, BAD,
		      "set its worker.listen to an address of the network",
		      "worker %u on %.*s serves on loopback only, where other "
		      "hosts cannot reach it",
		      alone->id, (int)alone->host.len, alone->host.ptr);
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
