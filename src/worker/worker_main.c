/* The process of a worker: its loop, its directories, its signals. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "http/admin.h"
#include "rpc/transport.h"
#include "runtime/loop_uv.h"
#include "runtime/role.h"
#include "runtime/secret.h"
#include "runtime/watch.h"
#include "worker/worker.h"

#define LOG_MODULE "worker"
#include "runtime/log.h"

#define LISTEN_MAX   16
#define DISK_THREADS 4 /* a directory */
#define UFS_THREADS  8

/* Below this the heap gives buffers again without asking the system for fresh
 * pages, which would cost more than copying into them. */
#define HEAP_KEEPS (64 << 20)

/* How long `ready` waits for a master to know us. */
#define READY_MS 3000

struct process {
	const struct role_env *env;
	struct loop *loop;
	struct workpool *ufs_pool;
	struct store_dir *dirs;
	unsigned n_dirs;
	struct store *store;
	struct rpc_identity identity;
	uint8_t key[SECRET_KEY_LEN], uuid[16];
	char host[256];
	char *socket;
	const char *listen[LISTEN_MAX + 1];
	const char *own[2];
	struct worker *worker;
	struct http_admin http;
	int signal_fd;
	struct watch *signals;
	bool stopping, all_stopped;
	struct timer patience; /* with masters that do not answer */
	bool ready;
};

/* ---- the end ---- */

static void on_stopped(void *owner, bool all)
{
	struct process *p = owner;

	p->all_stopped = all;
	loop_uv_stop(p->loop);
}

static void on_signal(void *owner, int fd, unsigned events ATTR_UNUSED)
{
	struct signalfd_siginfo info;
	struct process *p = owner;

	if (read(fd, &info, sizeof(info)) != sizeof(info) || p->stopping)
		return;
	p->stopping = true;
	log_info("worker stops", "signal=%" PRIu32, info.ssi_signo);
	worker_stop(p->worker, on_stopped, p);
}

/* ---- the beginning ---- */

static int health(void *owner, struct err *err)
{
	struct process *p = owner;
	struct store_totals t;

	if (p->stopping)
		return err_set(err, -ESHUTDOWN, "the worker stops");
	store_totals(p->store, &t);
	if (t.dirs_failed == p->n_dirs)
		return err_set(err, -EIO, "no directory is in service");
	return 0;
}

static int open_signals(struct process *p, struct err *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL); /* before there are threads */
	signal(SIGPIPE, SIG_IGN);
	p->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (p->signal_fd < 0)
		return err_set(err, -errno, "signalfd: %m");
	return 0;
}

/* Grants and connections are descriptors. */
static void raise_limits(void)
{
	struct rlimit r;

	mallopt(M_MMAP_THRESHOLD, HEAP_KEEPS);
	mallopt(M_TRIM_THRESHOLD, 2 * HEAP_KEEPS);
	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

static int open_loop(struct process *p, struct err *err)
{
	int rv;

	p->loop = loop_uv_new();
	transport_real_init(p->loop);
	p->signals = watch_new(p->loop, p->signal_fd, on_signal, p);
	watch_set(p->signals, WATCH_READ);
	rv = workpool_new(&p->ufs_pool, "ufs", UFS_THREADS);
	return rv ? err_set(err, rv, "threads: %s", err_text(rv)) : 0;
}

static int write_uuid(struct process *p, const char *path)
{
	char *fresh = mem_printf("%s.new", path);
	int fd, rv = 0;

	secret_random(p->uuid, sizeof(p->uuid));
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, p->uuid, sizeof(p->uuid)) != sizeof(p->uuid) ||
	    fsync(fd) < 0 || rename(fresh, path) < 0)
		rv = -errno;
	if (fd >= 0)
		close(fd);
	free(fresh);
	return rv;
}

/* Who we are, for the master: as at the last start. */
static int load_uuid(struct process *p, struct err *err)
{
	char *path = mem_printf("%s/uuid", p->env->dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC), rv = 0;
	ssize_t n = fd < 0 ? 0 : read(fd, p->uuid, sizeof(p->uuid));

	if (fd >= 0)
		close(fd);
	if (n != sizeof(p->uuid))
		rv = write_uuid(p, path);
	if (rv)
		err_set(err, rv, "%s: %s", path, err_text(rv));
	free(path);
	return rv;
}

static void list_dirs(struct process *p)
{
	const struct config *c = p->env->config;
	const struct config_dir *dir;
	unsigned i;

	p->n_dirs = c->worker_dirs.n ? c->worker_dirs.n : 1;
	p->dirs = mem_array(p->n_dirs, sizeof(*p->dirs));
	if (c->worker_dirs.n == 0)
		p->dirs[0] = (struct store_dir){
			.path = mem_printf("%s/cache", p->env->dir),
			.capacity = c->worker_capacity.bytes,
			.percent = c->worker_capacity.percent,
		};
	for (i = 0; i < c->worker_dirs.n; i++) {
		dir = &c->worker_dirs.at[i];
		p->dirs[i] = (struct store_dir){
			.path = mem_str(dir->path),
			.capacity = dir->capacity.bytes,
			.percent = dir->capacity.percent,
			.tier = dir->tier ? tier_find(dir->tier) : TIER_AUTO,
		};
	}
}

static int open_store(struct process *p, struct err *err)
{
	struct store_options o = {
		.evictor = p->env->config->worker_evictor,
		.threads = DISK_THREADS,
		.move_rate = p->env->config->worker_move_rate,
		.scrub_rate = p->env->config->worker_scrub_rate,
		.scrub_interval_ms = p->env->config->worker_scrub_interval,
		.loop = p->loop,
	};

	list_dirs(p);
	o.dirs = p->dirs;
	o.n_dirs = p->n_dirs;
	return store_open(&p->store, &o, err);
}

/* Its socket, then what is configured, or a loopback port of the kernel's. */
static void list_addresses(struct process *p)
{
	char **configured = p->env->config->worker_listen;
	unsigned n = 0;

	p->socket = mem_printf("unix:%s/sock", p->env->dir);
	p->listen[n++] = p->socket;
	while (configured && *configured && n < LISTEN_MAX)
		p->listen[n++] = *configured++;
	if (n == 1)
		p->listen[n++] = "127.0.0.1:0";
	p->listen[n] = NULL;
}

static void say_ready(struct process *p)
{
	char *line, *longer;
	const char *a;
	unsigned i;

	if (p->ready)
		return;
	p->ready = true;
	loop_timer_stop(&p->patience);
	line = mem_str("");
	for (i = 0; (a = worker_address(p->worker, i)); i++) {
		longer = mem_printf("%s%sworker=%s", line, i ? " " : "", a);
		free(line);
		line = longer;
	}
	if (p->http.http) {
		longer = mem_printf("%s worker.http=%s", line,
				    http_address(p->http.http));
		free(line);
		line = longer;
	}
	role_ready(p->env, line);
	free(line);
}

/* What is cached is served without a master too. */
static void on_no_master(struct timer *t)
{
	say_ready(container_of(t, struct process, patience));
}

static void on_registered(void *owner)
{
	say_ready(owner);
}

static int start(struct process *p, struct err *err)
{
	struct worker_options o = {
		.loop = p->loop,
		.store = p->store,
		.identity = &p->identity,
		.masters = p->env->masters,
		.listen = p->listen,
		.uuid = p->uuid,
		.host = p->host,
		.pool = p->ufs_pool,
		.own = p->own,
		.registered = on_registered,
		.owner = p,
	};
	int rv = secret_key_load(p->key, p->env->key_file, false, err);

	if (rv)
		return rv;
	p->identity.role = RPC_WORKER;
	p->identity.key = p->key;
	p->own[0] = p->env->state_dir;
	gethostname(p->host, sizeof(p->host) - 1);
	list_addresses(p);
	p->http.health = health;
	p->http.owner = p;
	rv = http_admin_start(&p->http, p->loop, p->env->config->worker_http,
			      err);
	return rv ? rv : worker_start(&p->worker, &o, err);
}

static void close_all(struct process *p)
{
	loop_timer_stop(&p->patience);
	http_admin_stop(&p->http);
	if (p->all_stopped)
		workpool_close(p->ufs_pool);
	store_close(p->store);
	if (p->all_stopped)
		worker_free(p->worker);
	watch_free(p->signals);
	close(p->signal_fd);
	secret_wipe(p->key, sizeof(p->key));
}

int worker_main(const struct role_env *env)
{
	struct process *p = mem_alloc(sizeof(*p));
	struct err err;
	int rv;

	p->env = env;
	raise_limits();
	rv = open_signals(p, &err);
	if (!rv)
		rv = open_loop(p, &err);
	if (!rv)
		rv = load_uuid(p, &err);
	if (!rv)
		rv = open_store(p, &err);
	if (!rv)
		rv = start(p, &err);
	if (rv) {
		log_error("worker not started", "error=\"%s\"", err.msg);
		_exit(EXIT_FAILURE);
	}
	loop_timer_start(p->loop, &p->patience, READY_MS, on_no_master);
	loop_uv_run(p->loop);
	close_all(p);
	/* The process ends: what is left is the system's to free. */
	return EXIT_SUCCESS;
}
