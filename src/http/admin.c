#include "http/admin.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/metrics.h"

static void serve_metrics(void *owner ATTR_UNUSED, struct http_call *call)
{
	char *text = metrics_text();

	http_answer(call, 200, "text/plain; version=0.0.4; charset=utf-8", text,
		    strlen(text));
}

static void serve_health(void *owner, struct http_call *call)
{
	struct http_admin *a = owner;
	struct err err = { 0 };
	bool bad = a->health && a->health(a->owner, &err);
	char *text = bad ? mem_printf("%s\n", err.msg) : mem_str("ok\n");

	http_answer(call, bad ? 503 : 200, "text/plain; charset=utf-8", text,
		    strlen(text));
}

int http_admin_start(struct http_admin *a, struct loop *loop,
		     const char *address, struct err *err)
{
	const struct http_route routes[] = {
		{ "/metrics", serve_metrics, a },
		{ "/healthz", serve_health, a },
		{ NULL, NULL, NULL },
	};

	a->http = NULL;
	if (!address || !*address)
		return 0;
	return http_start(&a->http, loop, address, routes, err);
}

void http_admin_stop(struct http_admin *a)
{
	if (a->http)
		http_stop(a->http);
	a->http = NULL;
}
