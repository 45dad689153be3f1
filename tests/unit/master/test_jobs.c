#include "jobs_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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

TEST_MAIN(TEST_WITH(load_caches_all_and_checks_it),
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
