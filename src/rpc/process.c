/* What every process answers, whatever its role. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "rpc/serving.h"
#include "runtime/metrics.h"

#define LOG_MODULE "rpc"
#include "runtime/log.h"

static schema_str str_of(const char *s)
{
	return (schema_str){ s, strlen(s) };
}

static void serve_metrics(void *role ATTR_UNUSED, struct rpc_call *call,
			  const void *request ATTR_UNUSED)
{
	char *text = metrics_text();
	const struct metrics_reply reply = { str_of(text) };

	rpc_reply(call, &reply);
	free(text);
}

static int change_level(struct rpc_call *call,
			const struct log_level_request *req)
{
	char *module = mem_strn(req->module.ptr, req->module.len);
	char *level = mem_strn(req->level.ptr, req->level.len);
	int rv = log_set_module(module, level);

	if (rv)
		rpc_fail(call, rv,
			 rv == -ENOENT ? "%s: no module of that name logs"
				       : "%s: %s is no level: error, warn, "
					 "info, debug",
			 module, level);
	else
		log_info("the log level was changed", "of=%s to=%s",
			 *module ? module : "all", level);
	free(module);
	free(level);
	return rv;
}

static void serve_log_level(void *role ATTR_UNUSED, struct rpc_call *call,
			    const void *request)
{
	const struct log_level_request *req = request;
	struct named_text levels[LOG_MODULES_MAX + 1];
	struct log_level_reply reply = { { levels, 0 } };
	const char *module, *level;
	unsigned i;

	if (req->level.len && change_level(call, req))
		return;
	for (i = 0; (level = log_get_module(i, &module)); i++)
		levels[reply.levels.n++] =
			(struct named_text){ str_of(module), str_of(level) };
	rpc_reply(call, &reply);
}

const rpc_handler process_handlers[] = {
	[PROCESS_CALL_metrics - PROCESS_CALLS_FROM] = serve_metrics,
	[PROCESS_CALL_log_level - PROCESS_CALLS_FROM] = serve_log_level,
};
