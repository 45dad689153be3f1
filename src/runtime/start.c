#include "runtime/start.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/fuse_mount.h"
#include "runtime/process.h"
#include "runtime/secret.h"
#include "runtime/supervisor.h"

#define LOG_MODULE "start"
#include "runtime/log.h"

enum { EXIT_FAILED = 1, EXIT_MISUSED = 2 };

/* The descriptors of a child after SUPERVISOR_CTL_FD. */
enum {
	LOCK_FD = SUPERVISOR_CTL_FD + 1,
	FUSE_FD,
	MEMORY_FD,
	OPTIONS_FD = LOCK_FD /* of the command that mounts */
};

#define UFS_DRAIN_MS  1000
#define FUSE_DRAIN_MS 5000

/* What all processes of a command have. */
struct start {
	const struct command *c;
	struct config config;
	char *state_dir, *key_file;
	config_list masters;
	int locks[COMMAND_MAX_ROLES];
	struct fuse_mount mount;
	int memory_fd, options_fd;
};

static int load(struct start *s, const struct command *c, struct err *err)
{
	unsigned i;
	int rv;

	*s = (struct start){
		.c = c, .mount = { .fd = -1 }, .memory_fd = -1, .options_fd = -1
	};
	for (i = 0; i < COMMAND_MAX_ROLES; i++)
		s->locks[i] = -1;
	rv = config_load(&s->config, c->config, (const char *const *)c->sets,
			 err);
	if (rv)
		return rv;
	s->state_dir = process_state_dir(&s->config);
	s->key_file = process_key_file(&s->config, s->state_dir);
	s->masters = process_masters(&s->config, s->state_dir);
	s->mount.words = mem_str("");
	return fuse_mount_options(&s->mount, c->mount_options, err);
}

static void unload(struct start *s)
{
	unsigned i;

	for (i = 0; i < COMMAND_MAX_ROLES; i++)
		if (s->locks[i] >= 0)
			close(s->locks[i]);
	fuse_mount_close(&s->mount);
	if (s->memory_fd >= 0)
		close(s->memory_fd);
	if (s->options_fd >= 0)
		close(s->options_fd);
	config_list_free(s->masters);
	free(s->state_dir);
	free(s->key_file);
	config_close(&s->config);
}

static char *role_dir(const struct start *s, const char *role)
{
	const bool fuse = strcmp(role, "fuse") == 0;

	return process_role_dir(s->state_dir, role,
				fuse ? s->mount.point : NULL);
}

static char *log_file(const struct start *s, const char *name)
{
	return mem_printf("%s/log/%s.log", s->state_dir, name);
}

/* The state directory, the locks of its folders and the key. */
static int take_state(struct start *s, struct err *err)
{
	uint8_t key[SECRET_KEY_LEN];
	unsigned i;
	char *dir;
	int rv;

	rv = process_make_dir(s->state_dir, 0755, err);
	for (i = 0; i < s->c->n_roles && rv == 0; i++) {
		dir = role_dir(s, s->c->roles[i]);
		rv = process_lock(dir, &s->locks[i], err);
		free(dir);
	}
	if (rv == 0)
		rv = secret_key_load(key, s->key_file,
				     s->config.cluster_key_file[0] == '\0',
				     err);
	secret_wipe(key, sizeof(key));
	return rv ? rv : process_pid_write(s->state_dir, err);
}

static char *source_of(const struct start *s)
{
	char *all = mem_str(""), *more;
	unsigned i;

	for (i = 0; s->masters[i]; i++) {
		more = mem_printf("%s%s%s", all, i ? "," : "", s->masters[i]);
		free(all);
		all = more;
	}
	more = mem_printf("%s:%s", all, s->c->path);
	free(all);
	return more;
}

static int take_mountpoint(struct start *s, struct err *err)
{
	int rv = fuse_mount_prepare(&s->mount, err);

	if (rv)
		return rv;
	s->memory_fd = memfd_create("acached-fuse", MFD_CLOEXEC);
	if (s->memory_fd < 0)
		return err_set(err, -errno, "memfd_create: %m");
	s->mount.source = source_of(s);
	return fuse_mount_attach(&s->mount, err);
}

/* The options of --ufs as a file, so that no command line has them. */
static int write_options(struct start *s, struct err *err)
{
	const struct command *c = s->c;
	unsigned i;
	int rv = 0;

	/* The command seals them with the cluster's key. */
	if (s->config.cluster_key_file[0] != '\0')
		setenv("ACACHED_CLUSTER_KEY_FILE", s->key_file, 1);
	s->options_fd = memfd_create("options", MFD_CLOEXEC);
	if (s->options_fd < 0)
		return err_set(err, -errno, "memfd_create: %m");
	for (i = 0; i < c->n_ufs_options && rv == 0; i++)
		if (dprintf(s->options_fd, "%s\n", c->ufs_options[i]) < 0)
			rv = err_set(err, -errno, "options of --ufs: %m");
	return rv;
}

/* The command that mounts --ufs, as cli/ has it. */
static char **ufs_argv(const struct start *s)
{
	const struct command *c = s->c;
	char **argv = mem_array(16, sizeof(*argv));
	unsigned n = 0;

	argv[n++] = mem_str("acached");
	argv[n++] = mem_str("fs");
	argv[n++] = mem_str("mount");
	/* Ours, whatever ACACHED_MASTER says. */
	argv[n++] = mem_str("--master");
	argv[n++] = mem_printf("unix:%s/master/sock", s->state_dir);
	argv[n++] = mem_str("--state");
	argv[n++] = mem_str(s->state_dir);
	if (c->config) {
		argv[n++] = mem_str("--config");
		argv[n++] = mem_str(c->config);
	}
	argv[n++] = mem_str("--option-file");
	argv[n++] = mem_printf("/proc/self/fd/%d", OPTIONS_FD);
	if (c->option_file) {
		argv[n++] = mem_str("--option-file");
		argv[n++] = mem_str(c->option_file);
	}
	argv[n++] = mem_str("/");
	argv[n++] = mem_str(c->ufs);
	return argv;
}

static void free_argv(char *const *argv)
{
	unsigned i;

	for (i = 0; argv[i]; i++)
		free(argv[i]);
	free((void *)(uintptr_t)argv);
}

static bool mount_is_gone(void *owner)
{
	const struct start *s = owner;

	return fuse_mount_is_gone(&s->mount);
}

static void end_mount(void *owner)
{
	struct start *s = owner;

	fuse_mount_detach(&s->mount);
}

static void on_ready(void *owner ATTR_UNUSED, const char *addresses)
{
	process_ready(addresses);
}

/* The children of a command. */
static unsigned plan(struct start *s, struct supervised *children)
{
	const struct command *c = s->c;
	struct supervised *child = children;
	unsigned i;
	char *log;

	for (i = 0; i < c->n_roles; i++, child++) {
		log = c->background ? log_file(s, c->roles[i]) : NULL;
		*child = (struct supervised){
			.name = c->roles[i],
			.argv = command_child_argv(c, c->roles[i], log,
						   s->mount.point),
			.fds = { s->locks[i] },
			.n_fds = 1,
			.after = i > 0 ? c->roles[0] : NULL,
		};
		free(log);
		if (strcmp(c->roles[i], "fuse") == 0) {
			child->fds[1] = s->mount.fd;
			child->fds[2] = s->memory_fd;
			child->n_fds = 3;
			child->drain_ms = FUSE_DRAIN_MS;
			child->can_be_over = true;
		}
		if (c->ufs && strcmp(c->roles[i], "master") == 0) {
			*++child = (struct supervised){
				.name = "mounting --ufs",
				.argv = ufs_argv(s),
				.fds = { s->options_fd },
				.n_fds = 1,
				.drain_ms = UFS_DRAIN_MS,
				.after = "master",
				.command = true,
			};
		}
	}
	return (unsigned)(child - children);
}

static int supervise(struct start *s, struct err *err)
{
	struct supervised children[SUPERVISOR_CHILDREN];
	const struct supervisor_options o = {
		.program = "/proc/self/exe",
		.children = children,
		.n = plan(s, children),
		.owner = s,
		.ready = on_ready,
		.is_over = mount_is_gone,
		.ending = end_mount,
	};
	unsigned i;
	int rv;

	rv = supervisor_run(&o, err);
	for (i = 0; i < o.n; i++)
		free_argv(children[i].argv);
	return rv;
}

static int start_supervised(struct start *s, struct err *err)
{
	int rv = 0;

	if (s->c->ufs)
		rv = write_options(s, err);
	if (rv == 0 && s->c->mountpoint)
		rv = take_mountpoint(s, err);
	return rv ? rv : supervise(s, err);
}

static int run_role(struct start *s, const char *role, start_role_fn run,
		    int ctl_fd)
{
	char *dir = role_dir(s, role);
	const bool fuse = strcmp(role, "fuse") == 0;
	const struct role_env env = {
		.config = &s->config,
		.state_dir = s->state_dir,
		.dir = dir,
		.key_file = s->key_file,
		.masters = (const char *const *)s->masters,
		.ctl_fd = ctl_fd,
		.fuse_fd = fuse ? FUSE_FD : -1,
		.memory_fd = fuse ? MEMORY_FD : -1,
		.starts = s->c->starts,
		.mountpoint = s->mount.point,
		.path = s->c->path,
		.options = s->mount.words,
	};
	int status;

	process_init(role);
	status = run(role, &env);
	free(dir);
	return status;
}

/* One role, no supervisor. */
static int start_alone(struct start *s, start_role_fn run)
{
	const int status = run_role(s, s->c->roles[0], run, -1);
	char why[512];

	if (status != 0 && s->c->background) {
		log_last_error(why, sizeof(why));
		process_failed(why[0] ? why : "see the log");
	}
	return status;
}

static int go_to_background(const struct start *s, const char *name,
			    struct err *err)
{
	char *dir = mem_printf("%s/log", s->state_dir);
	char *log = log_file(s, name);
	int rv;

	rv = process_make_dir(dir, 0755, err);
	if (rv == 0)
		rv = process_background(err);
	if (rv == 0)
		rv = process_detach(log, err);
	free(dir);
	free(log);
	return rv;
}

/* The role that needs no supervisor, or NULL. */
static const char *only_role(const struct command *c)
{
	return c->n_roles == 1 && !c->mountpoint && !c->ufs ? c->roles[0]
							    : NULL;
}

static int start(struct start *s, start_role_fn run)
{
	const char *alone = only_role(s->c);
	struct err err = { 0 };
	int rv = 0, status = 0;

	if (s->c->mountpoint)
		rv = fuse_mount_resolve(&s->mount, s->c->mountpoint, &err);
	if (rv == 0 && s->c->background)
		rv = go_to_background(s, alone ? alone : "acached", &err);
	log_configure(s->config.log_level, s->config.log_format, alone);
	if (rv == 0)
		rv = take_state(s, &err);
	if (rv == 0 && alone)
		status = start_alone(s, run);
	else if (rv == 0)
		rv = start_supervised(s, &err);
	if (rv) {
		process_failed(err.msg);
		status = EXIT_FAILED;
	}
	process_pid_remove(s->state_dir);
	return status;
}

int start_roles(const struct command *c, start_role_fn run)
{
	struct err err = { 0 };
	struct start s;
	int status;

	process_init(NULL);
	if (load(&s, c, &err) == 0) {
		status = start(&s, run);
	} else {
		fprintf(stderr, "acached: %s\n", err.msg);
		status = EXIT_MISUSED;
	}
	unload(&s);
	return status;
}

int start_child(const struct command *c, start_role_fn run)
{
	struct err err = { 0 };
	struct start s;
	int status = EXIT_FAILED;

	if (c->log && log_to_file(c->log) < 0)
		log_warn("log not opened", "file=%s", c->log);
	log_copy_errors(SUPERVISOR_CTL_FD);
	if (load(&s, c, &err) == 0) {
		log_configure(s.config.log_level, s.config.log_format,
			      c->child);
		if (c->mountpoint)
			s.mount.point = mem_str(c->mountpoint);
		status = run_role(&s, c->child, run, SUPERVISOR_CTL_FD);
	} else {
		log_error("bad configuration", "why=%s", err.msg);
	}
	unload(&s);
	return status;
}
