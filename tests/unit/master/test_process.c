/* A master as a real process: its sockets, its disk, kill -9. */
#include "lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/tempdir.h"
#include "rpc/client.h"
#include "rpc/method.h"
#include "rpc/transport.h"
#include "runtime/log.h"
#include "runtime/loop_uv.h"
#include "runtime/role.h"
#include "runtime/secret.h"

#define GUARD_MS 30000
#define FILES    6000

static struct fixture {
	char *root, *dir, *key_file, *data, *socket;
	uint8_t key[SECRET_KEY_LEN];
	pid_t pid;
	struct loop *loop;
	struct rpc_identity me;
	struct rpc_client *client;
	struct timer guard, look;
	char tcp[64];

	struct rpc_pending pending;
	bool done;
	int code;
	uint64_t n, last, files;
	bool more;
} f;

/* In the child. */
static void serve(void)
{
	struct config config;
	struct role_env env = { .config = &config, .ctl_fd = -1 };
	const char *sets[] = { "log.level=error", NULL };
	struct err err;
	int null = open("/dev/null", O_WRONLY);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(null, 1); /* no "ready" in the test's output */
	if (config_load(&config, "/dev/null", sets, &err)) {
		fprintf(stderr, "%s\n", err.msg);
		_exit(1);
	}
	log_set_level(LOG_LEVEL_ERROR);
	env.state_dir = f.root;
	env.dir = f.dir;
	env.key_file = f.key_file;
	_exit(master_main(&env));
}

static void start_client(const char *address)
{
	f.client = rpc_client_new(f.loop, address, &f.me);
}

static void read_tcp_address(void)
{
	char *path = mem_printf("%s/address", f.dir), line[256];
	FILE *file = fopen(path, "r");

	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (strncmp(line, "master=127.", 11) == 0)
			snprintf(f.tcp, sizeof(f.tcp), "%.*s",
				 (int)strcspn(line + 7, "\n"), line + 7);
	fclose(file);
	free(path);
}

static void on_guard(struct timer *t ATTR_UNUSED)
{
	abort();
}

static void run(void)
{
	f.done = false;
	loop_timer_start(f.loop, &f.guard, GUARD_MS, on_guard);
	while (!f.done)
		loop_uv_run(f.loop);
	loop_timer_stop(&f.guard);
}

static void end(int code)
{
	f.done = true;
	f.code = code;
	loop_uv_stop(f.loop);
}

static void on_look(struct timer *t ATTR_UNUSED)
{
	end(0);
}

static void start(void)
{
	char *address = mem_printf("%s/address", f.dir);

	unlink(address);
	f.pid = fork();
	if (f.pid == 0)
		serve();
	f.loop = loop_uv_new();
	transport_real_init(f.loop);
	list_init(&f.look.link);
	while (access(address, F_OK) < 0) {
		assert_int_equal(waitpid(f.pid, NULL, WNOHANG), 0);
		loop_timer_start(f.loop, &f.look, 10, on_look);
		run();
	}
	free(address);
	read_tcp_address();
	start_client(f.socket);
}

static void end_client(void)
{
	rpc_client_close(f.client);
	loop_timer_start(f.loop, &f.look, 10, on_look);
	run();
	transport_real_close(f.loop);
	loop_uv_free(f.loop);
}

static int stop(int signal)
{
	int status = 0;

	kill(f.pid, signal);
	assert_int_equal(waitpid(f.pid, &status, 0), f.pid);
	end_client();
	return status;
}

static int setup(void **state ATTR_UNUSED)
{
	struct err err;

	f = (struct fixture){ .root = tempdir_make(), .data = tempdir_make() };
	f.dir = mem_printf("%s/master", f.root);
	f.key_file = mem_printf("%s/cluster.key", f.root);
	f.socket = mem_printf("unix:%s/sock", f.dir);
	assert_int_equal(mkdir(f.dir, 0700), 0);
	assert_int_equal(secret_key_load(f.key, f.key_file, true, &err), 0);
	f.me = (struct rpc_identity){ .role = RPC_CLIENT, .key = f.key };
	start();
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	int status = stop(SIGTERM);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	tempdir_remove(f.root);
	tempdir_remove(f.data);
	free(f.dir);
	free(f.key_file);
	free(f.socket);
	return 0;
}

static schema_str str(const char *s)
{
	return (schema_str){ s, strlen(s) };
}

static void on_any(struct rpc_pending *p ATTR_UNUSED, int code,
		   const void *reply ATTR_UNUSED)
{
	end(code);
}

static int mount_uri(const char *uri)
{
	const struct mount_request req = {
		.origin = { 1, 1 },
		.path = str("/data"),
		.uri = str(uri),
		.check = true,
	};

	f.pending = (struct rpc_pending){ .fd = -1 };
	rpc_call(f.client, RPC_MASTER_METHOD(mount), &f.pending, &req, on_any);
	run();
	return f.code;
}

static int mount(void)
{
	char *uri = mem_printf("file://%s", f.data);
	int rv = mount_uri(uri);

	free(uri);
	return rv;
}

static void on_list(struct rpc_pending *p ATTR_UNUSED, int code,
		    const void *reply)
{
	const struct list_reply *r = reply;

	if (!code) {
		f.n = r->entries.n;
		f.more = r->more;
		if (f.n)
			f.last = r->entries.at[f.n - 1].attr.id;
	}
	end(code);
}

static void begin_list(uint64_t after)
{
	const struct list_request req = {
		.path = { "/data", 5 },
		.after = after,
	};

	f.pending = (struct rpc_pending){ .fd = -1 };
	rpc_call(f.client, RPC_MASTER_METHOD(list), &f.pending, &req, on_list);
}

static uint64_t list_all(void)
{
	uint64_t n = 0;

	f.last = 0;
	do {
		begin_list(f.last);
		run();
		assert_int_equal(f.code, 0);
		n += f.n;
	} while (f.more);
	return n;
}

static void on_report(struct rpc_pending *p ATTR_UNUSED, int code,
		      const void *reply)
{
	const struct report_reply *r = reply;
	size_t i;

	for (i = 0; !code && i < r->numbers.n; i++)
		if (r->numbers.at[i].name.len == 5 &&
		    memcmp(r->numbers.at[i].name.ptr, "files", 5) == 0)
			f.files = r->numbers.at[i].value;
	end(code);
}

static uint64_t known_files(void)
{
	const struct report_request req = { true };

	f.pending = (struct rpc_pending){ .fd = -1 };
	rpc_call(f.client, RPC_MASTER_METHOD(report), &f.pending, &req,
		 on_report);
	run();
	assert_int_equal(f.code, 0);
	return f.files;
}

static void make_files(int n)
{
	char *path;
	int i, fd;

	for (i = 0; i < n; i++) {
		path = mem_printf("%s/%d", f.data, i);
		fd = open(path, O_WRONLY | O_CREAT, 0644);
		assert_true(fd >= 0);
		close(fd);
		free(path);
	}
}

static void it_serves_on_its_socket_and_on_loopback(void **state ATTR_UNUSED)
{
	make_files(3);
	assert_int_equal(mount(), 0);
	assert_int_equal(list_all(), 3);
	rpc_client_close(f.client);
	assert_true(strncmp(f.tcp, "127.0.0.1:", 10) == 0);
	start_client(f.tcp);
	assert_int_equal(list_all(), 3);
}

static void on_mounts(struct rpc_pending *p ATTR_UNUSED, int code,
		      const void *reply)
{
	if (!code)
		f.n = ((const struct mounts_reply *)reply)->mounts.n;
	end(code);
}

static int mounts_with_keys(void)
{
	const struct mounts_request req = { true };

	f.pending = (struct rpc_pending){ .fd = -1 };
	rpc_call(f.client, RPC_MASTER_METHOD(mounts), &f.pending, &req,
		 on_mounts);
	run();
	return f.code;
}

static void over_tcp_only_holders_of_the_key_get_in(void **state ATTR_UNUSED)
{
	uint8_t other[SECRET_KEY_LEN] = { 1 };

	assert_int_equal(mounts_with_keys(), 0);
	rpc_client_close(f.client);
	f.me.key = other;
	start_client(f.tcp);
	assert_int_not_equal(mounts_with_keys(), 0);
	rpc_client_close(f.client);
	f.me.key = NULL;
	start_client(f.tcp);
	assert_int_not_equal(mounts_with_keys(), 0);
	f.me.key = f.key;
}

static void a_directory_with_our_own_state_is_refused(void **state ATTR_UNUSED)
{
	char *uri = mem_printf("file://%s", f.root);

	assert_int_not_equal(mount_uri(uri), 0);
	free(uri);
}

static void kill_9_in_mid_listing_loses_nothing(void **state ATTR_UNUSED)
{
	uint64_t before = 0, after;

	/* It is connected: its loop does not turn while files are made. */
	assert_int_equal(known_files(), 0);
	make_files(FILES);
	assert_int_equal(mount(), 0);
	begin_list(0);
	loop_timer_start(f.loop, &f.look, 20, on_look);
	run();
	loop_timer_stop(&f.look);
	if (!f.n)
		before = 1;
	stop(SIGKILL);
	start();
	after = known_files();
	assert_true(after <= FILES);
	if (before)
		assert_int_equal(after % 1000, 0); /* whole records */
	assert_int_equal(list_all(), FILES);
	assert_int_equal(known_files(), FILES);
}

TEST_MAIN(TEST_WITH(it_serves_on_its_socket_and_on_loopback),
	  TEST_WITH(over_tcp_only_holders_of_the_key_get_in),
	  TEST_WITH(a_directory_with_our_own_state_is_refused),
	  TEST_WITH(kill_9_in_mid_listing_loses_nothing))
