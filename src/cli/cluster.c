/* Finding the cluster, and talking to it. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "rpc/transport.h"
#include "runtime/loop_uv.h"
#include "runtime/mountpoint.h"
#include "runtime/process.h"

/* How long a command waits for a master that does not answer. */
#define WAIT_MS 30000

char *cli_state_dir(struct cli *cli)
{
	struct config config;
	char *dir;

	if (cli->state_dir)
		return mem_str(cli->state_dir);
	if (config_load(&config, cli->config_file, NULL, NULL))
		config = (struct config){ .state_dir = mem_str("") };
	dir = process_state_dir(&config);
	config_close(&config);
	return dir;
}

/* The key in `dir`, or, if it has none, the one that is configured. */
static char *key_file_of(const struct cli *cli, const char *dir)
{
	char *file = mem_printf("%s/cluster.key", dir);
	struct config config;

	if (access(file, F_OK) == 0 ||
	    config_load(&config, cli->config_file, NULL, NULL))
		return file;
	free(file);
	file = process_key_file(&config, dir);
	config_close(&config);
	return file;
}

/* The path of `path` seen from /, without ".", ".." and "//"; links stay. */
static char *absolute(const char *path)
{
	char *cwd = path[0] == '/' ? NULL : getcwd(NULL, 0), *joined, *out;
	char *part, *save, *slash;

	joined = mem_printf("%s/%s", cwd ? cwd : "", path);
	out = mem_alloc(strlen(joined) + 2);
	for (part = strtok_r(joined, "/", &save); part;
	     part = strtok_r(NULL, "/", &save)) {
		if (strcmp(part, ".") == 0)
			continue;
		if (strcmp(part, "..") == 0) {
			slash = strrchr(out, '/');
			if (slash)
				*slash = '\0';
			continue;
		}
		strcat(strcat(out, "/"), part);
	}
	if (!out[0])
		strcpy(out, "/");
	free(joined);
	free(cwd);
	return out;
}

/* A path below mountpoint `m`, as the namespace has it. */
static char *through(const struct mountpoint *m, const char *path)
{
	const char *rest =
		strcmp(m->point, "/") == 0 ? path : path + strlen(m->point);
	char *joined = mem_printf("%s/%s", m->path, rest), *out;

	out = absolute(joined);
	free(joined);
	return out;
}

int cli_path(struct cli *cli, const char *arg, char **out)
{
	static const char scheme[] = "acached:";
	struct mountpoint m;
	char *path;

	if (strncmp(arg, scheme, sizeof(scheme) - 1) == 0) {
		arg += sizeof(scheme) - 1;
		if (arg[0] != '/')
			return cli_misuse(cli, "acached:%s: want acached:/PATH",
					  arg);
		*out = absolute(arg);
		return 0;
	}
	path = absolute(arg);
	if (mountpoint_of(path, NULL, &m) == 0) {
		*out = through(&m, path);
		if (!cli->master && !cli->state_dir && !cli->client)
			cli->master = mem_str(m.masters);
		mountpoint_close(&m);
		free(path);
		return 0;
	}
	if (arg[0] == '/') {
		*out = path;
		return 0;
	}
	free(path);
	return cli_misuse(cli,
			  "%s: not below an acached mountpoint (paths of the "
			  "namespace begin with /)",
			  arg);
}

/* The addresses in a state directory: the socket, if there is one. */
static char *socket_in(const char *dir)
{
	char *path = mem_printf("%s/master/sock", dir), *address = NULL;

	if (access(path, F_OK) == 0)
		address = mem_printf("unix:%s", path);
	free(path);
	return address;
}

static char *join(config_list list)
{
	char *all = mem_str(""), *longer;

	for (; *list; list++) {
		longer = mem_printf("%s%s%s", all, all[0] ? "," : "", *list);
		free(all);
		all = longer;
	}
	return all;
}

/* Looks in `dir`; on failure cli->err says what to do. */
static int look_in(struct cli *cli, const char *dir, char **addresses)
{
	*addresses = socket_in(dir);
	if (!cli->key_file)
		cli->key_file = key_file_of(cli, dir);
	if (*addresses)
		return 0;
	return err_set(&cli->err, -ENOENT,
		       "no cluster runs in %s: start one (acached "
		       "--role=master,worker,fuse ...) or name it by --master "
		       "or --state",
		       dir);
}

static int look_in_config(struct cli *cli, char **addresses)
{
	struct config config;
	char *dir;
	int rv = config_load(&config, cli->config_file, NULL, &cli->err);

	if (!rv) {
		if (config.cluster_key_file && config.cluster_key_file[0])
			cli->key_file = mem_str(config.cluster_key_file);
		if (config.master_addresses && config.master_addresses[0])
			*addresses = join(config.master_addresses);
		dir = process_state_dir(&config);
		if (!*addresses)
			rv = look_in(cli, dir, addresses);
		free(dir);
		config_close(&config);
	}
	return rv;
}

static int find_cluster(struct cli *cli, char **addresses)
{
	const char *env = getenv("ACACHED_MASTER");

	*addresses = NULL;
	if (cli->master || (env && env[0])) {
		*addresses = mem_str(cli->master ? cli->master : env);
		if (cli->master && cli->state_dir)
			cli->key_file = key_file_of(cli, cli->state_dir);
		return 0;
	}
	if (cli->state_dir)
		return look_in(cli, cli->state_dir, addresses);
	return look_in_config(cli, addresses);
}

/* The key beside the master's own socket, or as configured. */
static void find_key_file(struct cli *cli, const char *addresses)
{
	static const char tail[] = "/master/sock";
	struct config config;
	const char *end;
	char *dir;

	if (cli->key_file)
		return;
	end = strstr(addresses, tail);
	if (strncmp(addresses, "unix:", 5) == 0 && end) {
		dir = mem_strn(addresses + 5, (size_t)(end - addresses - 5));
		cli->key_file = key_file_of(cli, dir);
		free(dir);
		return;
	}
	if (config_load(&config, cli->config_file, NULL, NULL) == 0) {
		if (config.cluster_key_file && config.cluster_key_file[0])
			cli->key_file = mem_str(config.cluster_key_file);
		config_close(&config);
	}
	if (!cli->key_file && cli->state_dir)
		cli->key_file = key_file_of(cli, cli->state_dir);
}

int cli_need_key(struct cli *cli)
{
	int rv;

	if (cli->has_key)
		return 0;
	if (!cli->key_file)
		return err_set(&cli->err, -ENOKEY,
			       "the cluster key is needed: set "
			       "cluster.key-file, or name the cluster by "
			       "--state");
	rv = secret_key_load(cli->key, cli->key_file, false, &cli->err);
	cli->has_key = rv == 0;
	return rv;
}

static void make_client(struct cli *cli, char *addresses)
{
	const char *list[17] = { NULL };
	char *one, *save;
	unsigned n = 0;
	struct client_options options = {
		.masters = list,
		.identity = { .role = RPC_CLIENT,
			      .key = cli->has_key ? cli->key : NULL },
		.wait_ms = cli->wait_ms ? cli->wait_ms : WAIT_MS,
	};

	for (one = strtok_r(addresses, ",", &save);
	     one && n + 1 < ARRAY_SIZE(list); one = strtok_r(NULL, ",", &save))
		list[n++] = one;
	cli->loop = loop_uv_new();
	transport_real_init(cli->loop);
	cli->client = client_new(cli->loop, &options);
}

int cli_connect(struct cli *cli)
{
	char *addresses;
	int rv;

	if (cli->client)
		return 0;
	rv = find_cluster(cli, &addresses);
	if (rv)
		return rv;
	find_key_file(cli, addresses);
	/* A socket of our own needs no key; without it TCP says so itself. */
	if (cli_need_key(cli) && strncmp(addresses, "unix:", 5) != 0) {
		free(addresses);
		return err_wrap(&cli->err, cli->err.code, "%s",
				"cannot prove who we are");
	}
	cli->err = (struct err){ 0 };
	cli->cluster = mem_str(addresses);
	make_client(cli, addresses);
	free(addresses);
	return 0;
}

void cli_close(struct cli *cli)
{
	if (cli->client) {
		client_close(cli->client);
		transport_real_close(cli->loop);
		loop_uv_free(cli->loop);
	}
	secret_wipe(cli->key, sizeof(cli->key));
	free(cli->key_file);
	free(cli->cluster);
	free(cli->values);
	cli->client = NULL;
	cli->values = NULL;
	cli->n_values = 0;
}

/* One call that is waited for. */
struct wait {
	struct client_call call;
	struct cli *cli;
	cli_reply_fn fn;
	void *arg;
	int code;
	bool done;
};

static void on_done(struct client_call *call, int code, const void *reply)
{
	struct wait *w = container_of(call, struct wait, call);

	w->done = true;
	w->code = code;
	if (code < 0)
		err_set(&w->cli->err, code, "%s",
			call->err.msg[0] ? call->err.msg : err_text(code));
	else if (w->fn)
		w->code = w->fn(w->arg, reply);
	loop_uv_stop(w->cli->loop);
}

static int wait_for(struct wait *w)
{
	while (!w->done)
		loop_uv_run(w->cli->loop);
	return w->code;
}

int cli_call(struct cli *cli, const struct rpc_method *method,
	     const void *request, cli_reply_fn fn, void *arg)
{
	struct wait w = { .cli = cli, .fn = fn, .arg = arg };
	int rv = cli_connect(cli);

	if (rv)
		return rv;
	client_master(cli->client, method, &w.call, request, on_done);
	return wait_for(&w);
}

int cli_call_worker(struct cli *cli, uint32_t worker,
		    const struct rpc_method *method, const void *request,
		    cli_reply_fn fn, void *arg)
{
	struct wait w = { .cli = cli, .fn = fn, .arg = arg };
	int rv = cli_connect(cli);

	if (rv)
		return rv;
	client_worker(cli->client, worker, method, &w.call, request, on_done);
	return wait_for(&w);
}

struct call_at {
	struct rpc_pending pending;
	struct cli *cli;
	cli_reply_fn fn;
	void *arg;
	int code;
	bool done;
};

static void on_done_at(struct rpc_pending *p, int code, const void *reply)
{
	struct call_at *c = container_of(p, struct call_at, pending);

	c->done = true;
	c->code = code;
	if (code < 0)
		err_set(&c->cli->err, code, "%s",
			p->err.msg[0] ? p->err.msg : err_text(code));
	else if (c->fn)
		c->code = c->fn(c->arg, reply);
	loop_uv_stop(c->cli->loop);
}

int cli_call_at(struct cli *cli, const char *address, uint64_t ms,
		const struct rpc_method *method, const void *request,
		cli_reply_fn fn, void *arg)
{
	const struct rpc_identity identity = {
		.role = RPC_CLIENT,
		.key = cli->has_key ? cli->key : NULL,
	};
	struct call_at c = { .cli = cli, .fn = fn, .arg = arg };
	struct rpc_client *client;
	int rv = cli_connect(cli);

	if (rv)
		return rv;
	client = rpc_client_new(cli->loop, address, &identity);
	c.pending = (struct rpc_pending){
		.deadline_ms = loop_now_ms(cli->loop) + ms,
		.fd = -1,
	};
	rpc_call(client, method, &c.pending, request, on_done_at);
	while (!c.done)
		loop_uv_run(cli->loop);
	rpc_client_close(client);
	return c.code;
}

struct pause {
	struct timer timer;
	struct loop *loop;
	bool over;
};

static void on_pause_over(struct timer *t)
{
	struct pause *p = container_of(t, struct pause, timer);

	p->over = true;
	loop_uv_stop(p->loop);
}

void cli_wait(struct cli *cli, uint64_t ms)
{
	struct pause p = { .loop = cli->loop };

	loop_timer_start(cli->loop, &p.timer, ms, on_pause_over);
	while (!p.over)
		loop_uv_run(cli->loop);
}
