/*
 * HTTP on one of our loops: libmicrohttpd with its own epoll descriptor
 * watched by the loop.
 *
 * A table of routes; a handler answers at once or later, on the loop.  What is
 * malformed (RFC 9112: two lengths, a length and a transfer coding, control
 * characters, ...) is refused before a handler sees it.  Bodies of requests are
 * read, up to 64 KiB, and dropped.
 *
 * Everything on the loop's thread.  SIGPIPE must be ignored by the process.
 */
#pragma once

#include <stddef.h>

#include "runtime/loop.h"

#include "base/err.h"

struct http;
struct http_call;

/* Answers with http_answer(), once: inside or later. */
typedef void (*http_serve_fn)(void *owner, struct http_call *call);

/* `path` is decoded and compared whole. */
struct http_route {
	const char *path;
	http_serve_fn serve; /* GET and HEAD; others are refused with 405 */
	void *owner;
};

/* `address` is HOST:PORT, a numeric host in brackets if it has colons; port 0:
 * the kernel's choice.  `routes` end with a path of NULL and are copied. */
int http_start(struct http **out, struct loop *loop, const char *address,
	       const struct http_route *routes, struct err *err) MUST_CHECK;

/* Where it listens, "HOST:PORT". */
const char *http_address(const struct http *h);

/* Calls that were not answered yet are dropped: http_answer() on them does
 * nothing any more, but has to come all the same. */
void http_stop(struct http *h);

/* `body` is the http's from now on, to be freed with free(). */
void http_answer(struct http_call *call, unsigned status, const char *type,
		 char *body, size_t len);
