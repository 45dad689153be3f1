/* What every server answers, whatever its role. */

#include "lib/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/rpc_pair.h"
#include "runtime/metrics.h"
#define LOG_MODULE "rpc"
#include "runtime/log.h"

/* A server without any call of its own, and the last answer. */
static struct fixture {
	struct rpc_pair pair;
	struct rpc_pending call;
	char text[8192];
	int code, done;
} f;

static int setup(void **state)
{
	const struct rpc_service service = { .name = "nobody" };

	f = (struct fixture){ 0 };
	rpc_pair_init(&f.pair, PAIR_KIND(state));
	rpc_pair_start(&f.pair, &service);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	rpc_pair_close(&f.pair);
	log_set_level(LOG_LEVEL_INFO);
	return 0;
}

static void on_metrics(struct rpc_pending *p ATTR_UNUSED, int code,
		       const void *reply)
{
	const struct metrics_reply *r = reply;

	f.code = code;
	snprintf(f.text, sizeof(f.text), "%.*s", (int)r->text.len, r->text.ptr);
	f.done++;
}

static void metrics_are_what_the_process_counts(void **state ATTR_UNUSED)
{
	const struct metrics_request req = { .all = true };
	char *text = metrics_text();

	rpc_call(f.pair.client, RPC_PROCESS_METHOD(metrics), &f.call, &req,
		 on_metrics);
	rpc_pair_run(&f.pair, &f.done, 1);
	assert_int_equal(f.code, 0);
	/* The same to the first number that this call may have changed. */
	assert_memory_equal(f.text, text, 200);
	free(text);
}

static void on_levels(struct rpc_pending *p, int code, const void *reply)
{
	const struct log_level_reply *r = reply;
	size_t i, n = 0;

	f.code = code;
	snprintf(f.text, sizeof(f.text), "%s", p->err.msg);
	for (i = 0; r && i < r->levels.n; i++)
		n += (size_t)snprintf(
			f.text + n, sizeof(f.text) - n, "%.*s=%.*s ",
			(int)r->levels.at[i].name.len, r->levels.at[i].name.ptr,
			(int)r->levels.at[i].text.len,
			r->levels.at[i].text.ptr);
	f.done++;
}

static const char *levels_after(const char *module, const char *level)
{
	const struct log_level_request req = {
		.module = { module, strlen(module) },
		.level = { level, strlen(level) },
	};

	f.done = 0;
	rpc_call(f.pair.client, RPC_PROCESS_METHOD(log_level), &f.call, &req,
		 on_levels);
	rpc_pair_run(&f.pair, &f.done, 1);
	return f.text;
}

static void levels_are_told_and_changed(void **state ATTR_UNUSED)
{
	assert_string_equal(levels_after("", ""), "=info ");
	assert_string_equal(levels_after("", "error"), "=error ");
	assert_false(log_enabled(LOG_LEVEL_WARN));
	assert_string_equal(levels_after("store", "warn"),
			    "=error store=warn ");
	assert_string_equal(levels_after("s3", "warn"),
			    "=error s3=warn store=warn ");
	assert_true(log_enabled(LOG_LEVEL_WARN));
	assert_string_equal(levels_after("", "error"), "=error ");
}

static void what_is_no_level_or_module_is_refused(void **state ATTR_UNUSED)
{
	levels_after("", "loud");
	assert_int_equal(f.code, -EINVAL);
	assert_non_null(strstr(f.text, "loud is no level: error, warn"));
	levels_after("stoer", "warn");
	assert_int_equal(f.code, -ENOENT);
	assert_non_null(strstr(f.text, "stoer: no module of that name logs"));
	assert_string_equal(levels_after("", ""), "=info ");
}

static void on_other(struct rpc_pending *p ATTR_UNUSED, int code,
		     const void *reply ATTR_UNUSED)
{
	f.code = code;
	f.done++;
}

static void other_calls_are_refused(void **state ATTR_UNUSED)
{
	const struct stat_request req = { .refresh = true };

	rpc_call(f.pair.client, RPC_MASTER_METHOD(stat), &f.call, &req,
		 on_other);
	rpc_pair_run(&f.pair, &f.done, 1);
	assert_int_equal(f.code, -EOPNOTSUPP);
}

TEST_MAIN(ON_EACH(metrics_are_what_the_process_counts),
	  ON_EACH(levels_are_told_and_changed),
	  ON_EACH(what_is_no_level_or_module_is_refused),
	  ON_EACH(other_calls_are_refused))
