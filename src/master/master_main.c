/* The process of a master: its loops, its disk, its signals. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "http/admin.h"
#include "master/arena.h"
#include "master/master.h"
#include "master/raft_disk.h"
#include "rpc/transport.h"
#include "runtime/loop_uv.h"
#include "runtime/metrics.h"
#include "runtime/role.h"
#include "runtime/secret.h"
#include "runtime/watch.h"

#define LOG_MODULE "master"
#include "runtime/log.h"

#define ARENA_MOST  (UINT64_C(32) << 30) /* an upper bound; sparse */
#define ARENA_LEAST (UINT64_C(512) << 20)
#define LISTEN_MAX  16
#define UFS_THREADS 8

struct process {
	const struct role_env *env;
	struct loop *loop, *ufs_loop;
	struct workpool *ufs_thread; /* runs ufs_loop */
	struct workpool *ufs_pool, *checkpoint_pool, *arena_pool;
	struct task ufs_task, ufs_stop;
	struct raft_disk *disk;
	char *raft_dir;
	struct checkpoints *checkpoints;
	struct arena arena;
	uint8_t key[SECRET_KEY_LEN];
	char host[256];
	char *socket;
	const char *listen[LISTEN_MAX + 1];
	const char *own[2];
	struct master *master;
	struct http_admin http;
	int signal_fd;
	struct watch *signals;
	bool ready, stopping;
	int status;
};

static uint64_t wall_ms(void *owner ATTR_UNUSED)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* The end. */

static void on_stopped(void *owner, bool clean)
{
	struct process *p = owner;

	if (!clean) {
		log_warn("under-storage did not answer", "effect=\"%s\"",
			 "ended without waiting");
		_exit(p->status);
	}
	loop_uv_stop(p->loop);
}

static void stop(struct process *p, int status)
{
	if (p->stopping)
		return;
	p->stopping = true;
	p->status = status;
	master_end(p->master, on_stopped, p);
}

static void on_signal(void *owner, int fd, unsigned events ATTR_UNUSED)
{
	struct signalfd_siginfo info;
	struct process *p = owner;

	if (read(fd, &info, sizeof(info)) == sizeof(info)) {
		log_info("master stops", "signal=%" PRIu32, info.ssi_signo);
		stop(p, EXIT_SUCCESS);
	}
}

static void on_broken(void *owner ATTR_UNUSED, const struct err *err)
{
	log_error("master cannot go on", "error=\"%s\"", err->msg);
	_exit(EXIT_FAILURE);
}

/* The beginning. */

static int health(void *owner, struct err *err)
{
	struct process *p = owner;

	if (p->stopping)
		return err_set(err, -ESHUTDOWN, "the master stops");
	if (!p->ready)
		return err_set(err, -EAGAIN, "the master does not serve yet");
	return 0;
}

static int start_http(struct process *p, struct err *err)
{
	p->http.health = health;
	p->http.owner = p;
	return http_admin_start(&p->http, p->loop, p->env->config->master_http,
				err);
}

static char *ready_line(const struct process *p)
{
	char *line = mem_str(""), *longer;
	const char *a;
	unsigned i;

	for (i = 0; (a = master_address(p->master, i)); i++) {
		longer = mem_printf("%s%smaster=%s", line, i ? " " : "", a);
		free(line);
		line = longer;
	}
	if (p->http.http) {
		longer = mem_printf("%s master.http=%s", line,
				    http_address(p->http.http));
		free(line);
		line = longer;
	}
	return line;
}

static void on_ready(void *owner, int code, const struct err *err)
{
	struct process *p = owner;
	char *line;

	if (code) {
		log_error("master not started", "error=\"%s\"", err->msg);
		stop(p, EXIT_FAILURE);
		return;
	}
	p->ready = true;
	line = ready_line(p);
	role_ready(p->env, line);
	free(line);
}

static ssize_t run_ufs_loop(struct task *t)
{
	struct process *p = container_of(t, struct process, ufs_task);

	loop_uv_run(p->ufs_loop);
	return 0;
}

static void on_nothing(struct task *t ATTR_UNUSED)
{
}

static void on_ufs_stop(struct task *t)
{
	loop_uv_stop(container_of(t, struct process, ufs_stop)->ufs_loop);
}

static int open_signals(struct process *p, struct err *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL); /* before there are threads */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL); /* checkpoints wait for their child */
	p->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (p->signal_fd < 0)
		return err_set(err, -errno, "signalfd: %m");
	return 0;
}

/* Nobody is served while a turn lasts. */
static void on_turn(void *owner ATTR_UNUSED, uint64_t wall_us, uint64_t cpu_us)
{
	metric_observe_us(METRIC_turn_us, wall_us);
	if (wall_us > metric_value(METRIC_longest_turn_us))
		metric_set(METRIC_longest_turn_us, wall_us);
	if (cpu_us > metric_value(METRIC_longest_cpu_us))
		metric_set(METRIC_longest_cpu_us, cpu_us);
}

static int open_loops(struct process *p, struct err *err)
{
	int rv;

	p->loop = loop_uv_new();
	p->ufs_loop = loop_uv_new();
	transport_real_init(p->loop);
	loop_uv_measure(p->loop, on_turn, p);
	p->signals = watch_new(p->loop, p->signal_fd, on_signal, p);
	watch_set(p->signals, WATCH_READ);
	rv = workpool_new(&p->checkpoint_pool, "checkpoint", 1);
	if (!rv)
		rv = workpool_new(&p->arena_pool, "arena", 1);
	if (!rv)
		rv = workpool_new(&p->ufs_pool, "ufs", UFS_THREADS);
	if (!rv)
		rv = workpool_new(&p->ufs_thread, "ufs-loop", 1);
	if (rv)
		return err_set(err, rv, "threads: %s", err_text(rv));
	workpool_submit(p->ufs_thread, p->loop, &p->ufs_task, run_ufs_loop,
			on_nothing);
	return 0;
}

/* raft's files lie by themselves. */
static int open_raft(struct process *p, struct err *err)
{
	const char *dir = p->raft_dir = mem_printf("%s/raft", p->env->dir);

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_set(err, -errno, "%s: %m", dir);
	return raft_disk_open(&p->disk, p->loop, dir, err);
}

/* As much as the system's limits let us have. */
static int map_arena(struct process *p, struct err *err)
{
	uint64_t size = ARENA_MOST;
	int rv = arena_map(&p->arena, size, err);

	while (rv == -ENOMEM && size > ARENA_LEAST) {
		size /= 2;
		rv = arena_map(&p->arena, size, err);
	}
	if (!rv && size < ARENA_MOST)
		log_warn("address space is limited",
			 "namespace_bytes_max=%" PRIu64, size);
	if (!rv)
		arena_populate(&p->arena, p->arena_pool, p->loop);
	return rv;
}

static int open_disk(struct process *p, struct err *err)
{
	int rv = secret_key_load(p->key, p->env->key_file, false, err);

	if (!rv)
		rv = map_arena(p, err);
	if (!rv)
		rv = checkpoints_open(&p->checkpoints, p->env->dir, err);
	if (!rv)
		rv = open_raft(p, err);
	return rv;
}

/* Its socket, then what is configured, or a loopback port of the kernel's. */
static void list_addresses(struct process *p)
{
	char **configured = p->env->config->master_listen;
	unsigned n = 0;

	p->socket = mem_printf("unix:%s/sock", p->env->dir);
	p->listen[n++] = p->socket;
	while (configured && *configured && n < LISTEN_MAX)
		p->listen[n++] = *configured++;
	if (n == 1)
		p->listen[n++] = "127.0.0.1:0";
	p->listen[n] = NULL;
}

static void start(struct process *p)
{
	const struct raft_member *member = raft_disk_member(p->disk);
	const struct config *c = p->env->config;
	struct master_options o = {
		.loop = p->loop,
		.storage = { .ufs_loop = p->ufs_loop,
			     .pool = p->ufs_pool,
			     .open = ufs_open,
			     .own = p->own },
		.pool = p->checkpoint_pool,
		.io = raft_disk_io(p->disk),
		.member = member->id,
		.empty = member->empty,
		.checkpoints = p->checkpoints,
		.raft_dir = p->raft_dir,
		.arena = &p->arena,
		.block_size = c->block_size.bytes,
		.key = p->key,
		.listen = p->listen,
		.host = p->host,
		.negative_ttl_ms = c->master_negative_ttl,
		.owner = p,
		.wall_ms = wall_ms,
		.ready = on_ready,
		.broken = on_broken,
	};

	memcpy(o.uuid, member->uuid, sizeof(o.uuid));
	raft_disk_on_failure(p->disk, on_broken, p);
	p->own[0] = p->env->state_dir;
	gethostname(p->host, sizeof(p->host) - 1);
	list_addresses(p);
	p->master = master_start(&o);
}

static void close_all(struct process *p)
{
	http_admin_stop(&p->http);
	loop_post(p->ufs_loop, &p->ufs_stop, on_ufs_stop);
	workpool_close(p->ufs_thread);
	workpool_close(p->ufs_pool);
	workpool_close(p->checkpoint_pool);
	workpool_close(p->arena_pool);
	watch_free(p->signals);
	close(p->signal_fd);
	raft_disk_close(p->disk);
	checkpoints_close(p->checkpoints);
	secret_wipe(p->key, sizeof(p->key));
	free(p->socket);
	free(p->raft_dir);
}

int master_main(const struct role_env *env)
{
	struct process *p = mem_alloc(sizeof(*p));
	struct err err;
	int rv, status;

	p->env = env;
	/* libuv's own pool writes raft's log; set before there are threads. */
	setenv("UV_THREADPOOL_SIZE", "16", 0);
	rv = open_signals(p, &err);
	if (!rv)
		rv = open_loops(p, &err);
	if (!rv)
		rv = open_disk(p, &err);
	if (!rv)
		rv = start_http(p, &err);
	if (rv) {
		log_error("master not started", "error=\"%s\"", err.msg);
		_exit(EXIT_FAILURE);
	}
	start(p);
	loop_uv_run(p->loop);
	close_all(p);
	status = p->status;
	free(p);
	return status;
}
