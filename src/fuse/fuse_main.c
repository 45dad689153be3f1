/*
 * The fuse role: one process that serves one mountpoint, the supervisor's next
 * child after it dies.
 *
 * It ends by _exit() only: no destructor may unmount, or close what the next
 * process goes on with.
 */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "fuse/fs.h"
#include "fuse/readahead.h"
#include "http/admin.h"
#include "rpc/server.h"
#include "rpc/transport.h"
#include "runtime/loop_uv.h"
#include "runtime/role.h"
#include "runtime/secret.h"
#include "runtime/watch.h"

#define LOG_MODULE "fuse"
#include "runtime/log.h"

enum {
	WAIT_MS = 30000, /* for a missing role */
	DRAIN_MS = 2000, /* then the next process is sent the rest again */
	DRAIN_LOOK_MS = 2,
	DISK_THREADS = 4,
	MAX_GRANTS = 1 << 16,
	READAHEAD_KIB = 1024,
};

/* The process. */
static struct server {
	const struct role_env *env;
	struct loop *loop;
	struct client *client;
	struct fs fs;
	struct fs_options fs_options;
	struct session *session;
	struct http_admin admin;
	struct rpc_server *rpc; /* what every process answers, nothing else */
	uint8_t key[SECRET_KEY_LEN];
	struct watch *signals;
	struct timer timer;
	uint64_t drain_until_ms;
	struct client_call call; /* for the directory to show */
} server;

static void fail(const char *what, const struct err *err)
{
	log_error(what, "mountpoint=%s why=\"%s\"", server.env->mountpoint,
		  err->msg);
	_exit(EXIT_FAILURE);
}

/* What hangs for longer comes again to the next process, or was asked for by
 * programs on a mountpoint that goes away. */
static void on_drain(struct timer *t)
{
	struct server *s = container_of(t, struct server, timer);

	if (session_in_flight(s->session) == 0 ||
	    loop_now_ms(s->loop) >= s->drain_until_ms)
		_exit(EXIT_SUCCESS);
	loop_timer_start(s->loop, t, DRAIN_LOOK_MS, on_drain);
}

static void on_signal(void *owner, int fd, unsigned events ATTR_UNUSED)
{
	struct server *s = owner;
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (!s->session)
		_exit(EXIT_SUCCESS);
	log_info("draining", "in_flight=%u", session_in_flight(s->session));
	watch_set(s->signals, 0);
	session_stop(s->session);
	s->drain_until_ms = loop_now_ms(s->loop) + DRAIN_MS;
	on_drain(&s->timer);
}

/* Before there are threads: they inherit that it is blocked. */
static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void on_mounted(void *owner)
{
	struct server *s = container_of(owner, struct server, fs);
	int rv = readahead_set(s->env->mountpoint, READAHEAD_KIB, NULL, NULL);

	if (rv)
		log_info("read-ahead stays as it is",
			 "mountpoint=%s why=\"%s\"", s->env->mountpoint,
			 err_text(rv));
}

static void on_ended(void *owner ATTR_UNUSED)
{
	_exit(ROLE_EXIT_UNMOUNTED);
}

/* Half of the descriptors for grants; the rest for connections and the like. */
static unsigned max_grants(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) || files.rlim_cur / 2 > MAX_GRANTS)
		return MAX_GRANTS;
	return (unsigned)(files.rlim_cur / 2);
}

static void start_client(struct server *s)
{
	struct client_options o = {
		.masters = s->env->masters,
		.identity = { .role = RPC_FUSE, .key = s->key },
		.wait_ms = WAIT_MS,
		.max_grants = max_grants(),
	};
	struct err err = { 0 };

	if (secret_key_load(s->key, s->env->key_file, false, &err))
		fail("no cluster key", &err);
	if (workpool_new(&o.disk, "disk", DISK_THREADS)) {
		err_set(&err, -EAGAIN, "cannot start threads");
		fail("cannot start", &err);
	}
	s->client = client_new(s->loop, &o);
	s->fs_options.disk = o.disk;
	s->fs_options.client = s->client;
}

/* For acached admin: a mountpoint does well without it. */
static void start_rpc(struct server *s)
{
	const struct rpc_identity identity = { .role = RPC_FUSE,
					       .key = s->key };
	const struct rpc_service service = { .name = "mountpoint" };
	char *address = mem_printf("unix:%s/sock", s->env->dir);
	struct err err = { 0 };

	s->rpc = rpc_server_new(s->loop, &service, &identity);
	if (rpc_server_listen(s->rpc, address, NULL, &err))
		log_warn("cannot listen for commands", "why=\"%s\"", err.msg);
	free(address);
}

static void tell_ready(struct server *s)
{
	char *text = s->admin.http
			     ? mem_printf("mountpoint=%s fuse.http=%s",
					  s->env->mountpoint,
					  http_address(s->admin.http))
			     : mem_printf("mountpoint=%s", s->env->mountpoint);

	role_ready(s->env, text);
	free(text);
}

/* Whether `word` is one of those after -o. */
static bool has_option(const struct role_env *env, const char *word)
{
	const char *at = env->options ? env->options : "";
	size_t len;

	for (; *at; at += len + (at[len] == ',')) {
		len = strcspn(at, ",");
		if (len == strlen(word) && strncmp(at, word, len) == 0)
			return true;
	}
	return false;
}

static void start_session(struct server *s)
{
	struct fuse_lowlevel_ops ops;
	const struct session_options o = {
		.device = s->env->fuse_fd,
		.memory = s->env->memory_fd,
		.starts = s->env->starts,
		.ops = &ops,
		.owner = &s->fs,
		.mounted = on_mounted,
		.ended = on_ended,
	};
	struct err err = { 0 };

	fs_ops(&ops, has_option(s->env, "xattr"));
	fs_init(&s->fs, s->loop, &s->fs_options);
	if (session_new(&s->session, s->loop, &o, &err))
		fail("cannot serve the mountpoint", &err);
	tell_ready(s);
}

static void on_path(struct client_call *call, int code, const void *reply)
{
	struct server *s = container_of(call, struct server, call);
	const struct stat_reply *stat = reply;

	if (!code && !S_ISDIR(stat->attr.mode))
		code = err_set(&call->err, -ENOTDIR, "not a directory");
	if (code) {
		err_wrap(&call->err, code, "%s", s->env->path);
		fail("cannot show this path", &call->err);
	}
	s->fs_options.root = stat->attr.id;
	start_session(s);
}

/* A path that is not there is better refused at the first start; at a later
 * one there are programs that wait. */
static void find_path(struct server *s)
{
	const struct stat_request stat = {
		.path = { s->env->path, strlen(s->env->path) },
	};

	if (strcmp(s->env->path, "/") == 0 || s->env->starts > 0)
		start_session(s);
	else
		client_master(s->client, RPC_MASTER_METHOD(stat), &s->call,
			      &stat, on_path);
}

int fuse_main(const struct role_env *env)
{
	struct server *s = &server;
	struct err err = { 0 };
	int fd = open_signals();

	s->env = env;
	list_init(&s->timer.link);
	s->loop = loop_uv_new();
	transport_real_init(s->loop);
	s->signals = watch_new(s->loop, fd, on_signal, s);
	watch_set(s->signals, WATCH_READ);
	s->fs_options = (struct fs_options){
		.path = env->path,
		.ttl_ms = env->config->fuse_attr_ttl,
		.starts = env->starts,
	};
	start_client(s);
	start_rpc(s);
	if (http_admin_start(&s->admin, s->loop, env->config->fuse_http, &err))
		fail("cannot listen", &err);
	find_path(s);
	loop_uv_run(s->loop);
	_exit(EXIT_FAILURE); /* nothing stops the loop */
}
