/*
 * What every role shows over HTTP: /metrics (runtime/metrics.h, Prometheus
 * text) and /healthz.
 */
#pragma once

#include "http/http.h"

/* 0: serves.  Else the sentence says what is wrong, for a monitor. */
typedef int (*http_health_fn)(void *owner, struct err *err);

/* Embed it in the role.  Set `health` and `owner` first: /healthz is 200 "ok",
 * or 503 with the sentence.  NULL: a loop that answers is healthy. */
struct http_admin {
	http_health_fn health;
	void *owner;

	struct http *http; /* NULL: not configured */
};

/* `address` is that of http_start(); "" or NULL: does not listen. */
int http_admin_start(struct http_admin *a, struct loop *loop,
		     const char *address, struct err *err) MUST_CHECK;
void http_admin_stop(struct http_admin *a);
