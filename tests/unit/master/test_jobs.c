/* Workers and jobs, by a simulated master and workers that only say so. */
#include "lib/test.h"

#include <errno.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"
#include "lib/fake_ufs.h"
#include "lib/sim.h"
#include "lib/sim_master.h"
#include "master/jobs.h"
#include "rpc/client.h"
#include "rpc/method.h"
#include "rpc/server.h"

#define URI       "fake://bucket"
#define WORKERS   2
#define FILES     300
#define SECOND_MS 1000

/* Answers as a worker would, and keeps account. */
struct fake_worker {
	struct loop *loop;
	char address[32];
	struct rpc_identity me;
	struct rpc_server *server;
	struct rpc_client *master;
	struct rpc_pending pending;
	uint32_t id;
	bool register_again;
	struct map has; /* files */
	uint64_t loads, drops;
	int failing; /* loads that shall fail */
	int parts;   /* loads that shall be of a part only */
	int damaged; /* files that prove to be, when read again */
	uint64_t verified;
	bool incomplete; /* explain says so */
	bool hold;       /* loads are not answered */
	struct rpc_call *held[2 * JOBS_PARALLEL];
	unsigned n_held;
	unsigned most_held;
};

static struct fixture {
	struct loop *loop;
	struct sim_net *net;
	struct sim_master master;
	struct rpc_identity me;
	struct rpc_client *client;
	struct fake_ufs *bucket;
	struct fake_worker workers[WORKERS];
	uint64_t sequence;

	struct rpc_pending pending;
	int calls, code;
	uint64_t id, epoch, n_live;
	uint64_t files, done, failed, bytes;
	char state[16], error[256];
} f;

static uint8_t key[32] = "the key of the simulated cluster";

static void on_any(struct rpc_pending *p ATTR_UNUSED, int code,
		   const void *reply ATTR_UNUSED)
{
	f.calls++;
	f.code = code;
}

/* The worker's side. */

static void serve_load(void *role, struct rpc_call *call, const void *request)
{
	const struct load_request *req = request;
	struct load_reply reply = { .complete = true };
	struct fake_worker *w = role;

	w->loads++;
	if (w->parts > 0) {
		w->parts--;
		reply.complete = false;
	}
	if (w->failing > 0) {
		w->failing--;
		rpc_fail(call, -EIO, "as told");
	} else if (w->hold) {
		w->held[w->n_held++] = call;
		if (w->n_held > w->most_held)
			w->most_held = w->n_held;
	} else {
		map_put(&w->has, req->id, w);
		rpc_reply(call, &reply);
	}
}

static void serve_drop(void *role, struct rpc_call *call, const void *request)
{
	const struct drop_request *req = request;
	struct drop_reply reply = { 0 };
	struct fake_worker *w = role;
	size_t i;

	for (i = 0; i < req->ids.n; i++)
		if (map_remove(&w->has, req->ids.at[i]))
			reply.files++;
	reply.bytes = reply.files * 10;
	w->drops += req->ids.n;
	rpc_reply(call, &reply);
}

static void serve_explain(void *role, struct rpc_call *call,
			  const void *request)
{
	const struct explain_request *req = request;
	struct fake_worker *w = role;

	w->verified += req->verify;
	if (req->verify && w->damaged > 0) {
		w->damaged--;
		map_remove(&w->has, req->id);
	}
	const struct explain_reply reply = {
		.complete = !w->incomplete && map_get(&w->has, req->id),
	};

	rpc_reply(call, &reply);
}

static const rpc_handler handlers[] = {
	[WORKER_CALL_load] = serve_load,
	[WORKER_CALL_drop] = serve_drop,
	[WORKER_CALL_explain] = serve_explain,
};

static void worker_open(struct fake_worker *w, int n)
{
	struct rpc_service service = {
		.name = "worker",
		.methods = rpc_worker_methods,
		.handlers = handlers,
		.n_methods = ARRAY_SIZE(handlers),
		.role = w,
	};
	struct err err;

	w->loop = sim_new_beside(f.loop);
	sim_net_join(f.net, w->loop);
	map_init(&w->has);
	w->me = (struct rpc_identity){ .role = RPC_WORKER, .key = key };
	snprintf(w->address, sizeof(w->address), "worker%d:1", n);
	w->server = rpc_server_new(w->loop, &service, &w->me);
	assert_int_equal(rpc_server_listen(w->server, w->address, NULL, &err),
			 0);
	w->master = rpc_client_new(w->loop, SIM_MASTER_TCP, &w->me);
}

static void worker_close(struct fake_worker *w)
{
	rpc_client_close(w->master);
	rpc_server_close(w->server);
	sim_run(f.loop, 10);
	sim_net_leave(f.net, w->loop);
	sim_free(w->loop);
	map_close(&w->has);
}

static void begin(struct rpc_pending *p)
{
	*p = (struct rpc_pending){ .fd = -1 };
	f.calls = 0;
	f.code = 1;
}

static int await(void)
{
	int i;

	for (i = 0; i < 60000 && !f.calls; i++)
		sim_run(f.loop, 1);
	assert_int_equal(f.calls, 1);
	return f.code;
}

static void on_register(struct rpc_pending *p, int code, const void *reply)
{
	const struct register_worker_reply *r = reply;

	if (!code) {
		f.id = r->id;
		f.epoch = r->epoch;
	}
	on_any(p, code, reply);
}

static int register_as(struct rpc_client *client, const char *address,
		       int number)
{
	const schema_str addresses[] = { { address, strlen(address) } };
	uint8_t uuid[16] = { (uint8_t)(number + 1) };
	const struct register_worker_request req = {
		.uuid = { uuid, sizeof(uuid) },
		.addresses = { addresses, 1 },
		.host = { "elsewhere", 9 },
		.capacity = 1 << 30,
	};

	begin(&f.pending);
	rpc_call(client, RPC_MASTER_METHOD(register_worker), &f.pending, &req,
		 on_register);
	return await();
}

static void worker_register(int n)
{
	struct fake_worker *w = &f.workers[n];

	assert_int_equal(register_as(w->master, w->address, n), 0);
	w->id = (uint32_t)f.id;
}

static void on_heartbeat(struct rpc_pending *p, int code, const void *reply)
{
	const struct heartbeat_reply *r = reply;
	struct fake_worker *w = container_of(p, struct fake_worker, pending);

	if (!code)
		w->register_again = r->register_again;
	on_any(p, code, reply);
}

static int heartbeat(int n, const uint64_t *added, size_t n_added)
{
	struct fake_worker *w = &f.workers[n];
	const struct heartbeat_request req = {
		.worker = w->id,
		.capacity = 1 << 30,
		.added = { added, n_added },
	};

	begin(&w->pending);
	rpc_call(w->master, RPC_MASTER_METHOD(heartbeat), &w->pending, &req,
		 on_heartbeat);
	return await();
}

/* The client's side. */

static schema_str str(const char *s)
{
	return (schema_str){ s, strlen(s) };
}

static schema_bytes bytes(const char *s)
{
	return (schema_bytes){ s, strlen(s) };
}

static void mount(void)
{
	const struct mount_request req = {
		.origin = { 9, ++f.sequence },
		.path = str("/data"),
		.uri = str(URI),
	};

	begin(&f.pending);
	rpc_call(f.client, RPC_MASTER_METHOD(mount), &f.pending, &req, on_any);
	assert_int_equal(await(), 0);
}

static void on_workers(struct rpc_pending *p, int code, const void *reply)
{
	const struct workers_reply *r = reply;
	size_t i;

	f.n_live = 0;
	if (!code) {
		f.epoch = r->epoch;
		for (i = 0; i < r->workers.n; i++)
			f.n_live += r->workers.at[i].live;
	}
	on_any(p, code, reply);
}

static uint64_t live_workers(void)
{
	const struct workers_request req = { 0 };

	begin(&f.pending);
	rpc_call(f.client, RPC_MASTER_METHOD(workers), &f.pending, &req,
		 on_workers);
	assert_int_equal(await(), 0);
	return f.n_live;
}

static void on_stat(struct rpc_pending *p, int code, const void *reply)
{
	const struct stat_reply *r = reply;

	if (!code) {
		f.id = r->attr.id;
		f.files = r->holders.n;
	}
	on_any(p, code, reply);
}

/* Its id; f.files: how many hold it. */
static uint64_t stat_path(const char *path, bool refresh)
{
	const struct stat_request req = { bytes(path), refresh };

	begin(&f.pending);
	rpc_call(f.client, RPC_MASTER_METHOD(stat), &f.pending, &req, on_stat);
	assert_int_equal(await(), 0);
	return f.id;
}

static void on_submit(struct rpc_pending *p, int code, const void *reply)
{
	if (!code)
		f.id = ((const struct submit_job_reply *)reply)->id;
	on_any(p, code, reply);
}

static uint64_t submit(const char *kind, const char *path, bool recursive)
{
	const struct submit_job_request req = {
		.origin = { 9, ++f.sequence },
		.kind = str(kind),
		.path = bytes(path),
		.recursive = recursive,
	};

	begin(&f.pending);
	rpc_call(f.client, RPC_MASTER_METHOD(submit_job), &f.pending, &req,
		 on_submit);
	assert_int_equal(await(), 0);
	return f.id;
}

/* A load of these paths, NULL-terminated. */
static uint64_t submit_paths(const char *const *paths, bool verify)
{
	schema_bytes list[1000];
	struct submit_job_request req = {
		.origin = { 9, ++f.sequence },
		.kind = str("load"),
		.path = bytes("a list"),
		.paths = { list, 0 },
		.verify = verify,
	};

	for (; *paths; paths++)
		list[req.paths.n++] = bytes(*paths);
	begin(&f.pending);
	rpc_call(f.client, RPC_MASTER_METHOD(submit_job), &f.pending, &req,
		 on_submit);
	assert_int_equal(await(), 0);
	return f.id;
}

static void on_jobs(struct rpc_pending *p, int code, const void *reply)
{
	const struct jobs_reply *r = reply;
	const struct job_info *j;

	if (!code) {
		assert_int_equal(r->jobs.n, 1);
		j = &r->jobs.at[0];
		snprintf(f.state, sizeof(f.state), "%.*s", (int)j->state.len,
			 j->state.ptr);
		snprintf(f.error, sizeof(f.error), "%.*s", (int)j->error.len,
			 j->error.ptr);
		f.files = j->files;
		f.done = j->files_done;
		f.failed = j->failed;
		f.bytes = j->bytes_done;
	}
	on_any(p, code, reply);
}

static void look_at(uint64_t job)
{
	const struct jobs_request req = { job };

	begin(&f.pending);
	rpc_call(f.client, RPC_MASTER_METHOD(jobs), &f.pending, &req, on_jobs);
	assert_int_equal(await(), 0);
}

/* Until it does not run any more. */
static void wait_for(uint64_t job)
{
	int i;

	for (i = 0; i < 100; i++) {
		look_at(job);
		if (strcmp(f.state, "running") != 0)
			return;
		heartbeat(0, NULL, 0);
		heartbeat(1, NULL, 0);
		sim_run(f.loop, SECOND_MS);
	}
	fail_msg("the job still runs");
}

static int setup(void **state ATTR_UNUSED)
{
	char name[32];
	int i;

	f = (struct fixture){ 0 };
	f.loop = sim_new();
	f.net = sim_net_new(1);
	sim_net_join(f.net, f.loop);
	f.bucket = fake_ufs_new(URI, 1);
	for (i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "%d/%d/f", i % 3, i);
		fake_ufs_put(f.bucket, name, 10);
	}
	f.master.net = f.net;
	f.master.near = f.loop;
	f.master.key = key;
	sim_master_init(&f.master);
	sim_master_start(&f.master);
	sim_run(f.loop, 2000);
	f.me = (struct rpc_identity){ .role = RPC_CLIENT, .key = key };
	f.client = rpc_client_new(f.loop, SIM_MASTER_TCP, &f.me);
	for (i = 0; i < WORKERS; i++)
		worker_open(&f.workers[i], i);
	mount();
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	int i;

	rpc_client_close(f.client);
	sim_run(f.loop, 100);
	sim_master_stop(&f.master);
	sim_master_close(&f.master);
	for (i = 0; i < WORKERS; i++)
		worker_close(&f.workers[i]);
	fake_ufs_free(f.bucket);
	sim_net_leave(f.net, f.loop);
	sim_net_free(f.net);
	sim_free(f.loop);
	return 0;
}

static void a_worker_keeps_its_id_over_restarts(void **state ATTR_UNUSED)
{
	uint32_t first;

	worker_register(0);
	worker_register(1);
	first = f.workers[0].id;
	assert_int_not_equal(first, f.workers[1].id);
	assert_int_equal(live_workers(), 2);
	sim_master_stop(&f.master);
	sim_master_start(&f.master);
	sim_run(f.loop, 2000);
	assert_int_equal(live_workers(), 0);
	heartbeat(0, NULL, 0);
	assert_true(f.workers[0].register_again);
	worker_register(1);
	worker_register(0);
	assert_int_equal(f.workers[0].id, first);
}

static void only_workers_with_the_key_may_register(void **state ATTR_UNUSED)
{
	assert_int_equal(register_as(f.client, "x:1", 5), -EACCES);
	assert_int_equal(live_workers(), 0);
}

static void a_silent_worker_is_dead_and_the_epoch_grows(
	void **state ATTR_UNUSED)
{
	uint64_t epoch;
	int i;

	worker_register(0);
	worker_register(1);
	assert_int_equal(live_workers(), 2);
	epoch = f.epoch;
	for (i = 0; i < 12; i++) {
		sim_run(f.loop, SECOND_MS);
		assert_int_equal(heartbeat(0, NULL, 0), 0);
	}
	assert_int_equal(live_workers(), 1);
	assert_true(f.epoch > epoch);
	heartbeat(1, NULL, 0);
	assert_true(f.workers[1].register_again);
}

/* Beside other calls, which are counted. */
static void on_set(struct rpc_pending *p ATTR_UNUSED, int code,
		   const void *reply)
{
	const struct workers_reply *r = reply;

	assert_int_equal(code, 0);
	f.n_live = r->workers.n;
}

static void after_a_restart_nobody_gets_a_part_of_the_set(
	void **state ATTR_UNUSED)
{
	const struct workers_request req = { 0 };
	struct rpc_pending p = { .fd = -1 };

	worker_register(0);
	worker_register(1);
	sim_master_crash(&f.master);
	sim_master_start(&f.master);
	sim_run(f.loop, SECOND_MS);
	f.n_live = 99;
	rpc_call(f.client, RPC_MASTER_METHOD(workers), &p, &req, on_set);
	sim_run(f.loop, 100);
	worker_register(0);
	sim_run(f.loop, 100);
	assert_int_equal(f.n_live, 99);
	worker_register(1);
	sim_run(f.loop, 100);
	assert_int_equal(f.n_live, 2);
	assert_int_equal(live_workers(), 2);
}

static void after_a_restart_a_lost_worker_is_not_waited_for_long(
	void **state ATTR_UNUSED)
{
	const struct workers_request req = { 0 };
	struct rpc_pending p = { .fd = -1 };

	worker_register(0);
	worker_register(1);
	sim_master_stop(&f.master);
	sim_master_start(&f.master);
	sim_run(f.loop, SECOND_MS);
	worker_register(0);
	f.calls = 0;
	rpc_call(f.client, RPC_MASTER_METHOD(workers), &p, &req, on_workers);
	sim_run(f.loop, 3000);
	assert_int_equal(f.calls, 1);
	assert_int_equal(f.n_live, 1);
}

static void holders_are_what_workers_report(void **state ATTR_UNUSED)
{
	uint64_t id = stat_path("/data/0/0/f", false);

	assert_int_equal(f.files, 0);
	worker_register(0);
	worker_register(1);
	heartbeat(0, &id, 1);
	heartbeat(1, &id, 1);
	stat_path("/data/0/0/f", false);
	assert_int_equal(f.files, 2);
	worker_register(1); /* begins its report anew */
	stat_path("/data/0/0/f", false);
	assert_int_equal(f.files, 1);
}

static void a_version_that_is_no_more_is_dropped(void **state ATTR_UNUSED)
{
	uint64_t id = stat_path("/data/0/0/f", false);

	worker_register(0);
	heartbeat(0, &id, 1);
	map_put(&f.workers[0].has, id, &f);
	fake_ufs_put(f.bucket, "0/0/f", 20);
	assert_int_not_equal(stat_path("/data/0/0/f", true), id);
	sim_run(f.loop, 100);
	assert_int_equal(f.workers[0].drops, 1);
	assert_null(map_get(&f.workers[0].has, id));
	/* Reported later all the same: dropped again. */
	heartbeat(0, &id, 1);
	sim_run(f.loop, 100);
	assert_int_equal(f.workers[0].drops, 2);
}

static void load_caches_all_and_checks_it(void **state ATTR_UNUSED)
{
	uint64_t job;

	worker_register(0);
	worker_register(1);
	job = submit("load", "/data", false);
	wait_for(job);
	assert_string_equal(f.state, "done");
	assert_int_equal(f.files, FILES);
	assert_int_equal(f.done, FILES);
	assert_int_equal(f.bytes, 10 * FILES);
	assert_int_equal(f.failed, 0);
	assert_int_equal(f.workers[0].has.used + f.workers[1].has.used, FILES);
	/* Both have their share. */
	assert_in_range(f.workers[0].has.used, FILES / 4, 3 * FILES / 4);
}

static void load_of_one_file_loads_that(void **state ATTR_UNUSED)
{
	worker_register(0);
	wait_for(submit("load", "/data/1/1/f", false));
	assert_string_equal(f.state, "done");
	assert_int_equal(f.files, 1);
	assert_int_equal(f.workers[0].loads, 1);
}

static void a_list_of_paths_is_one_job(void **state ATTR_UNUSED)
{
	const char *const paths[] = { "/data/1/1/f", "/data/0", "/data/2/5",
				      "/data/1/4", NULL };

	worker_register(0);
	worker_register(1);
	wait_for(submit_paths(paths, false));
	assert_string_equal(f.state, "done");
	assert_int_equal(f.files, 103);
	assert_int_equal(f.done, 103);
	assert_int_equal(f.workers[0].has.used + f.workers[1].has.used, 103);
}

static void what_is_there_of_a_list_is_loaded(void **state ATTR_UNUSED)
{
	const char *const paths[] = { "/data/none", "/data/1/1/f",
				      "/data/1/none", "/data/1/4", NULL };
	const char *const nothing[] = { "/x", "/y", NULL };

	worker_register(0);
	wait_for(submit_paths(paths, false));
	assert_string_equal(f.state, "failed");
	assert_int_equal(f.done, 2);
	assert_int_equal(f.failed, 2);
	assert_non_null(strstr(f.error, "none: No such file"));
	wait_for(submit_paths(nothing, false));
	assert_string_equal(f.state, "failed");
	assert_int_equal(f.failed, 2);
	assert_int_equal(f.files, 0);
}

static void a_long_list_goes_on_after_a_crash(void **state ATTR_UNUSED)
{
	static char text[FILES][32];
	const char *paths[FILES + 1] = { NULL };
	uint64_t job;
	int i;

	for (i = 0; i < FILES; i++) {
		snprintf(text[i], sizeof(text[i]), "/data/%d/%d/f", i % 3, i);
		paths[i] = text[i];
	}
	worker_register(0);
	job = submit_paths(paths, false);
	sim_run(f.loop, 1);
	sim_master_crash(&f.master);
	sim_master_start(&f.master);
	sim_run(f.loop, 2000);
	worker_register(0);
	wait_for(job);
	assert_string_equal(f.state, "done");
	assert_int_equal(f.done, FILES);
	assert_int_equal(f.workers[0].has.used, FILES);
}

static void what_proves_damaged_is_loaded_again(void **state ATTR_UNUSED)
{
	const char *const paths[] = { "/data", NULL };

	worker_register(0);
	wait_for(submit_paths(paths, false));
	assert_int_equal(f.workers[0].verified, 0);
	f.workers[0].damaged = 3;
	wait_for(submit_paths(paths, true));
	assert_string_equal(f.state, "done");
	assert_int_equal(f.workers[0].verified, FILES + 3);
	assert_int_equal(f.workers[0].loads, 2 * FILES + 3);
	assert_int_equal(f.workers[0].has.used, FILES);
}

static void a_load_that_fails_for_a_while_is_tried_again(
	void **state ATTR_UNUSED)
{
	worker_register(0);
	f.workers[0].failing = 20;
	wait_for(submit("load", "/data", false));
	assert_string_equal(f.state, "done");
	assert_int_equal(f.workers[0].loads, FILES + 20);
}

static void a_job_waits_for_a_worker_that_is_away(void **state ATTR_UNUSED)
{
	uint64_t job = submit("load", "/data/0", false);

	sim_run(f.loop, 10 * SECOND_MS);
	look_at(job);
	assert_string_equal(f.state, "running");
	worker_register(0);
	wait_for(job);
	assert_string_equal(f.state, "done");
}

static void without_any_worker_a_job_fails_in_the_end(void **state ATTR_UNUSED)
{
	uint64_t job = submit("load", "/data/0", false);

	sim_run(f.loop, 100 * SECOND_MS);
	look_at(job);
	assert_string_equal(f.state, "failed");
	assert_int_equal(f.failed, FILES / 3);
}

static void a_file_cached_in_part_is_tried_again(void **state ATTR_UNUSED)
{
	worker_register(0);
	f.workers[0].parts = 2;
	wait_for(submit("load", "/data/1/1/f", false));
	assert_string_equal(f.state, "done");
	assert_int_equal(f.workers[0].loads, 3);
	f.workers[0].parts = 1000;
	wait_for(submit("load", "/data/1/1/f", false));
	assert_string_equal(f.state, "failed");
	assert_non_null(strstr(f.error, "does not keep"));
}

static void a_load_that_cannot_be_done_fails_and_says_why(
	void **state ATTR_UNUSED)
{
	worker_register(0);
	f.workers[0].failing = 1000000;
	wait_for(submit("load", "/data/0", false));
	assert_string_equal(f.state, "failed");
	assert_int_equal(f.failed, FILES / 3);
	assert_non_null(strstr(f.error, "as told"));
}

static void what_is_not_complete_in_the_end_is_seen(void **state ATTR_UNUSED)
{
	worker_register(0);
	f.workers[0].incomplete = true;
	wait_for(submit("load", "/data", false));
	assert_string_equal(f.state, "failed");
	assert_int_equal(f.failed, FILES);
	assert_non_null(strstr(f.error, "not cached any more"));
}

static void a_job_submitted_again_after_a_crash_is_the_same(
	void **state ATTR_UNUSED)
{
	uint64_t job;

	worker_register(0);
	job = submit("load", "/data/0", false);
	wait_for(job);
	sim_master_crash(&f.master);
	sim_master_start(&f.master);
	sim_run(f.loop, 2000);
	f.sequence--; /* the client did not hear the answer */
	assert_int_equal(submit("load", "/data/0", false), job);
	look_at(job);
	assert_string_equal(f.state, "done");
	assert_int_equal(submit("load", "/data/0", false), job + 1);
}

static void a_path_that_is_not_there_fails_the_job(void **state ATTR_UNUSED)
{
	wait_for(submit("load", "/data/nosuch", false));
	assert_string_equal(f.state, "failed");
}

static void a_bounded_number_is_loaded_at_a_time(void **state ATTR_UNUSED)
{
	const struct load_reply reply = { .complete = true };
	struct fake_worker *w = &f.workers[0];
	uint64_t job;

	worker_register(0);
	w->hold = true;
	job = submit("load", "/data", false);
	sim_run(f.loop, SECOND_MS);
	assert_int_equal(w->n_held, JOBS_PARALLEL);
	look_at(job);
	assert_string_equal(f.state, "running");
	assert_int_equal(f.files, FILES);
	assert_int_equal(f.done, 0);
	w->hold = false;
	while (w->n_held)
		rpc_reply(w->held[--w->n_held], &reply);
	wait_for(job);
	assert_int_equal(f.done, FILES);
	assert_int_equal(w->most_held, JOBS_PARALLEL);
}

static void a_cancelled_job_ends_when_nothing_is_under_way(
	void **state ATTR_UNUSED)
{
	const struct load_reply reply = { .complete = true };
	struct fake_worker *w = &f.workers[0];
	struct cancel_job_request req = { .origin = { 9, ++f.sequence } };

	worker_register(0);
	w->hold = true;
	req.id = submit("load", "/data", false);
	sim_run(f.loop, SECOND_MS);
	begin(&f.pending);
	rpc_call(f.client, RPC_MASTER_METHOD(cancel_job), &f.pending, &req,
		 on_any);
	assert_int_equal(await(), 0);
	while (w->n_held)
		rpc_reply(w->held[--w->n_held], &reply);
	wait_for(req.id);
	assert_string_equal(f.state, "cancelled");
	assert_int_equal(w->loads, JOBS_PARALLEL);
}

static void a_job_goes_on_after_the_master_has_crashed(void **state ATTR_UNUSED)
{
	uint64_t job;
	int i;

	worker_register(0);
	f.workers[0].hold = true;
	job = submit("load", "/data", false);
	sim_run(f.loop, SECOND_MS);
	sim_master_crash(&f.master);
	for (i = 0; f.workers[0].n_held; i++)
		rpc_fail(f.workers[0].held[--f.workers[0].n_held], -EIO,
			 "nobody hears it");
	f.workers[0].hold = false;
	sim_master_start(&f.master);
	sim_run(f.loop, 2000);
	worker_register(0);
	wait_for(job);
	assert_string_equal(f.state, "done");
	assert_int_equal(f.done, FILES);
}

static void load_metadata_lists_a_tree_again(void **state ATTR_UNUSED)
{
	struct namespace_totals t;

	wait_for(submit("loadMetadata", "/data", true));
	assert_string_equal(f.state, "done");
	assert_int_equal(f.files, FILES);
	assert_int_equal(f.done, FILES);
	namespace_totals(master_namespace(f.master.master), &t);
	assert_int_equal(t.files, FILES);
	fake_ufs_put(f.bucket, "0/0/new", 1);
	wait_for(submit("loadMetadata", "/data", false));
	namespace_totals(master_namespace(f.master.master), &t);
	assert_int_equal(t.files, FILES);
	wait_for(submit("loadMetadata", "/data", true));
	namespace_totals(master_namespace(f.master.master), &t);
	assert_int_equal(t.files, FILES + 1);
}

static void many_directories_are_listed_at_once_and_once_each(
	void **state ATTR_UNUSED)
{
	const struct fake_ufs_faults slow = { .min_ms = 50, .max_ms = 50 };
	uint64_t job, lists;

	fake_ufs_set(f.bucket, &slow);
	lists = fake_ufs_numbers(f.bucket)->lists;
	job = submit("loadMetadata", "/data", true);
	/* The root, 3 below it, and FILES below those: at most 16 at once. */
	sim_run(f.loop, 50 * (2 + FILES / 10));
	look_at(job);
	assert_string_equal(f.state, "done");
	assert_int_equal(fake_ufs_numbers(f.bucket)->lists - lists,
			 1 + 3 + FILES);
	/* Known or not, each is asked for again. */
	lists = fake_ufs_numbers(f.bucket)->lists;
	wait_for(submit("loadMetadata", "/data", true));
	assert_int_equal(fake_ufs_numbers(f.bucket)->lists - lists,
			 1 + 3 + FILES);
}

static void a_directory_that_cannot_be_listed_fails_the_job(
	void **state ATTR_UNUSED)
{
	fake_ufs_fail(f.bucket, 20, 1, -EIO);
	wait_for(submit("loadMetadata", "/data", true));
	assert_string_equal(f.state, "failed");
	assert_int_equal(f.failed, 1);
}

static void on_free(struct rpc_pending *p, int code, const void *reply)
{
	if (!code) {
		f.files = ((const struct free_reply *)reply)->files;
		f.bytes = ((const struct free_reply *)reply)->bytes;
	}
	on_any(p, code, reply);
}

static void free_drops_what_is_cached_below_a_path(void **state ATTR_UNUSED)
{
	const struct free_request req = { bytes("/data/0") };
	uint64_t ids[2], other;
	int i;

	ids[0] = stat_path("/data/0/0/f", false);
	ids[1] = stat_path("/data/0/3/f", false);
	other = stat_path("/data/1/1/f", false);
	for (i = 0; i < 2; i++) {
		worker_register(i);
		heartbeat(i, &ids[i], 1);
		heartbeat(i, &other, 1);
		map_put(&f.workers[i].has, ids[i], &f);
		map_put(&f.workers[i].has, other, &f);
	}
	begin(&f.pending);
	rpc_call(f.client, RPC_MASTER_METHOD(free), &f.pending, &req, on_free);
	assert_int_equal(await(), 0);
	assert_int_equal(f.files, 2);
	assert_int_equal(f.bytes, 20);
	assert_int_equal(f.workers[0].has.used, 1);
	assert_int_equal(f.workers[1].has.used, 1);
}

TEST_MAIN(TEST_WITH(a_worker_keeps_its_id_over_restarts),
	  TEST_WITH(only_workers_with_the_key_may_register),
	  TEST_WITH(a_silent_worker_is_dead_and_the_epoch_grows),
	  TEST_WITH(after_a_restart_nobody_gets_a_part_of_the_set),
	  TEST_WITH(after_a_restart_a_lost_worker_is_not_waited_for_long),
	  TEST_WITH(holders_are_what_workers_report),
	  TEST_WITH(a_version_that_is_no_more_is_dropped),
	  TEST_WITH(load_caches_all_and_checks_it),
	  TEST_WITH(load_of_one_file_loads_that),
	  TEST_WITH(a_list_of_paths_is_one_job),
	  TEST_WITH(what_is_there_of_a_list_is_loaded),
	  TEST_WITH(a_long_list_goes_on_after_a_crash),
	  TEST_WITH(what_proves_damaged_is_loaded_again),
	  TEST_WITH(a_load_that_fails_for_a_while_is_tried_again),
	  TEST_WITH(a_job_waits_for_a_worker_that_is_away),
	  TEST_WITH(without_any_worker_a_job_fails_in_the_end),
	  TEST_WITH(a_file_cached_in_part_is_tried_again),
	  TEST_WITH(a_load_that_cannot_be_done_fails_and_says_why),
	  TEST_WITH(what_is_not_complete_in_the_end_is_seen),
	  TEST_WITH(a_job_submitted_again_after_a_crash_is_the_same),
	  TEST_WITH(a_path_that_is_not_there_fails_the_job),
	  TEST_WITH(a_bounded_number_is_loaded_at_a_time),
	  TEST_WITH(a_cancelled_job_ends_when_nothing_is_under_way),
	  TEST_WITH(a_job_goes_on_after_the_master_has_crashed),
	  TEST_WITH(load_metadata_lists_a_tree_again),
	  TEST_WITH(many_directories_are_listed_at_once_and_once_each),
	  TEST_WITH(a_directory_that_cannot_be_listed_fails_the_job),
	  TEST_WITH(free_drops_what_is_cached_below_a_path))
