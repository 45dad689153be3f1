#include "cli/process.h"

#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

#define CALL_MS 3000

struct search {
	struct cli *cli;
	const char *target; /* NULL: all */
	struct processes *out;
};

/* "worker" chooses each worker, "worker:2" one. */
static bool chosen(const struct search *s, const char *name)
{
	const size_t len = s->target ? strlen(s->target) : 0;

	return !s->target || strcmp(s->target, name) == 0 ||
	       (strncmp(s->target, name, len) == 0 && name[len] == ':');
}

/* Takes name and address. */
static void add(const struct search *s, enum process_kind kind, char *name,
		uint32_t worker, char *address)
{
	struct processes *all = s->out;

	if (!chosen(s, name)) {
		free(name);
		free(address);
		return;
	}
	all->at = mem_resize(all->at, all->n + 1, sizeof(*all->at));
	all->at[all->n++] = (struct process){
		.kind = kind, .name = name, .worker = worker, .address = address
	};
}

/* Its socket if that is on this machine, else where others reach it. */
static char *address_of(const struct worker_info *w)
{
	char *address;
	size_t i;

	for (i = 0; i < w->addresses.n; i++) {
		address = mem_strn(w->addresses.at[i].ptr,
				   w->addresses.at[i].len);
		if (strncmp(address, "unix:", 5) != 0 ||
		    access(address + 5, F_OK) == 0)
			return address;
		free(address);
	}
	return mem_str("");
}

static int on_workers(void *arg, const void *reply)
{
	const struct workers_reply *r = reply;
	const struct search *s = arg;
	size_t i;

	for (i = 0; i < r->workers.n; i++)
		if (r->workers.at[i].live)
			add(s, PROCESS_WORKER,
			    mem_printf("worker:%u", r->workers.at[i].id),
			    r->workers.at[i].id, address_of(&r->workers.at[i]));
	return 0;
}

/* The mountpoint whose folder this is: a line "mountpoint=..." in `address`. */
static char *mountpoint_in(const char *folder)
{
	static const char key[] = "mountpoint=";
	char *path = mem_printf("%s/address", folder), *line = NULL, *at = NULL;
	FILE *f = fopen(path, "re");
	size_t size = 0;

	while (f && !at && getline(&line, &size, f) > 0)
		if (strncmp(line, key, sizeof(key) - 1) == 0)
			at = mem_strn(line + sizeof(key) - 1,
				      strcspn(line + sizeof(key) - 1, "\n"));
	if (f)
		fclose(f);
	free(line);
	free(path);
	return at;
}

static void find_mountpoints(const struct search *s)
{
	char *dir = cli_state_dir(s->cli);
	char *pattern = mem_printf("%s/fuse/*", dir), *point, *sock;
	glob_t found = { 0 };
	size_t i;

	if (glob(pattern, 0, NULL, &found) == 0) {
		for (i = 0; i < found.gl_pathc; i++) {
			point = mountpoint_in(found.gl_pathv[i]);
			sock = mem_printf("%s/sock", found.gl_pathv[i]);
			if (point && access(sock, F_OK) == 0)
				add(s, PROCESS_FUSE,
				    mem_printf("fuse:%s", point), 0,
				    mem_printf("unix:%s", sock));
			free(point);
			free(sock);
		}
	}
	globfree(&found);
	free(pattern);
	free(dir);
}

int processes_find(struct cli *cli, const char *target, struct processes *out)
{
	const struct workers_request all = { 0 };
	const struct search s = { cli, target, out };
	int rv;

	*out = (struct processes){ 0 };
	add(&s, PROCESS_MASTER, mem_str("master"), 0, NULL);
	rv = cli_call(cli, RPC_MASTER_METHOD(workers), &all, on_workers,
		      (void *)(uintptr_t)&s);
	if (rv) {
		processes_free(out);
		return rv;
	}
	/* Another machine's cluster is not that of our mountpoints. */
	if (!cli->master || cli->state_dir)
		find_mountpoints(&s);
	if (out->n == 0)
		return err_set(
			&cli->err, -ENOENT,
			"%s: there is no such process; want " PROCESS_TARGETS,
			target);
	return 0;
}

void processes_free(struct processes *all)
{
	size_t i;

	for (i = 0; i < all->n; i++) {
		free(all->at[i].name);
		free(all->at[i].address);
	}
	free(all->at);
	*all = (struct processes){ 0 };
}

int process_call(struct cli *cli, struct process *p,
		 const struct rpc_method *method, const void *request,
		 cli_reply_fn fn, void *arg)
{
	int rv = p->address ? cli_call_at(cli, p->address, CALL_MS, method,
					  request, fn, arg)
			    : cli_call(cli, method, request, fn, arg);

	p->silent = rv != 0;
	return rv;
}
