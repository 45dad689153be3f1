#include "http/http.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "http/strict.h"
#include "runtime/watch.h"

enum {
	BACKLOG = 64,
	CONNECTIONS = 64,
	MEMORY = 32 << 10, /* a connection; more costs rate, libraries.md */
	TIMEOUT_S = 30,
	BODY_MAX = 64 << 10,
};

struct http {
	struct loop *loop;
	struct MHD_Daemon *daemon;
	struct watch *watch;
	struct timer timer;
	struct list waiting; /* calls whose connection is suspended */
	struct http_route *routes;
	char address[80];
	bool running; /* inside MHD_run() */
};

/*
 * One request.  Lives until it was answered and libmicrohttpd has done with it,
 * whichever is later.
 */
struct http_call {
	struct http *http;
	struct MHD_Connection *conn; /* NULL: MHD has done with it */
	struct list link;
	const struct http_route *route;
	unsigned refuse; /* a status, if no handler may see it */
	const char *why;
	size_t body_len;
	bool served;    /* the handler has been called */
	bool suspended; /* ours: suspending twice corrupts MHD's lists */
	bool answered;

	unsigned status;
	const char *type;
	char *body;
	size_t len;
};

static void run(struct http *h);

static void on_timer(struct timer *t)
{
	run(container_of(t, struct http, timer));
}

/* After each MHD_run(): its next timeout is known only now. */
static void run(struct http *h)
{
	MHD_UNSIGNED_LONG_LONG ms;

	h->running = true;
	MHD_run(h->daemon);
	h->running = false;
	loop_timer_stop(&h->timer);
	if (MHD_get_timeout(h->daemon, &ms) == MHD_YES)
		loop_timer_start(h->loop, &h->timer, ms, on_timer);
}

static void on_ready(void *owner, int fd ATTR_UNUSED,
		     unsigned events ATTR_UNUSED)
{
	run(owner);
}

static enum MHD_Result send_response(struct MHD_Connection *conn,
				     unsigned status, const char *type,
				     struct MHD_Response *response, bool last)
{
	enum MHD_Result rv;

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, "Content-Type", type);
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(response, "Cache-Control", "no-store");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, "Allow", "GET, HEAD");
	if (last)
		MHD_add_response_header(response, "Connection", "close");
	rv = MHD_queue_response(conn, status, response);
	MHD_destroy_response(response);
	return rv;
}

/* After a request that was refused nothing on the connection is trusted. */
static enum MHD_Result send_refusal(struct http_call *call)
{
	return send_response(call->conn, call->refuse, "text/plain",
			     MHD_create_response_from_buffer(
				     strlen(call->why), (void *)call->why,
				     MHD_RESPMEM_PERSISTENT),
			     true);
}

static enum MHD_Result send_answer(struct http_call *call)
{
	char *body = call->body;

	call->body = NULL;
	return send_response(call->conn, call->status, call->type,
			     MHD_create_response_from_buffer(
				     call->len, body, MHD_RESPMEM_MUST_FREE),
			     false);
}

static const struct http_route *find(const struct http *h, const char *path)
{
	const struct http_route *r;

	for (r = h->routes; r->path; r++)
		if (strcmp(r->path, path) == 0)
			return r;
	return NULL;
}

static struct http_call *call_new(struct http *h, struct MHD_Connection *conn,
				  const char *path, const char *method)
{
	struct http_call *call = mem_alloc(sizeof(*call));

	call->http = h;
	call->conn = conn;
	list_init(&call->link);
	call->refuse = http_strict_refusal(conn, &call->why);
	if (call->refuse)
		return call;
	call->route = find(h, path);
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
		call->refuse = MHD_HTTP_METHOD_NOT_ALLOWED;
		call->why = "only GET and HEAD\n";
	} else if (!call->route) {
		call->refuse = MHD_HTTP_NOT_FOUND;
		call->why = "no such page\n";
	}
	return call;
}

/* Reads a body to its end, so that the answer is not lost to a reset; but not
 * an endless one: closes. */
static enum MHD_Result take_body(struct http_call *call, size_t *len)
{
	call->body_len += *len;
	*len = 0;
	return call->body_len <= BODY_MAX ? MHD_YES : MHD_NO;
}

static void serve(struct http_call *call)
{
	call->served = true;
	call->route->serve(call->route->owner, call);
	if (call->answered || call->suspended)
		return;
	call->suspended = true;
	list_push_back(&call->http->waiting, &call->link);
	MHD_suspend_connection(call->conn);
}

static enum MHD_Result on_request(void *owner, struct MHD_Connection *conn,
				  const char *url, const char *method,
				  const char *version ATTR_UNUSED,
				  const char *data ATTR_UNUSED, size_t *len,
				  void **state)
{
	struct http_call *call = *state;

	if (!call) {
		*state = call = call_new(owner, conn, url, method);
		if (call->refuse == MHD_HTTP_BAD_REQUEST ||
		    call->refuse == MHD_HTTP_NOT_IMPLEMENTED)
			return send_refusal(call);
		return MHD_YES;
	}
	if (call->suspended) /* called all the same: take nothing */
		return MHD_YES;
	if (*len)
		return take_body(call, len);
	if (call->refuse)
		return send_refusal(call);
	if (!call->served)
		serve(call);
	return call->answered ? send_answer(call) : MHD_YES;
}

static void free_if_over(struct http_call *call)
{
	bool owed = call->served && !call->answered;

	if (call->conn || owed)
		return;
	free(call->body);
	free(call);
}

static void on_completed(void *owner ATTR_UNUSED,
			 struct MHD_Connection *conn ATTR_UNUSED, void **state,
			 enum MHD_RequestTerminationCode code ATTR_UNUSED)
{
	struct http_call *call = *state;

	if (!call)
		return;
	*state = NULL;
	call->conn = NULL;
	list_remove(&call->link);
	free_if_over(call);
}

void http_answer(struct http_call *call, unsigned status, const char *type,
		 char *body, size_t len)
{
	assert(call->served && !call->answered);
	call->answered = true;
	call->status = status;
	call->type = type;
	call->body = body;
	call->len = len;
	if (!call->conn) {
		free_if_over(call);
		return;
	}
	if (!call->suspended)
		return; /* on_request() sends it */
	call->suspended = false;
	list_remove(&call->link);
	MHD_resume_connection(call->conn);
	/* That wakes nobody. */
	loop_timer_stop(&call->http->timer);
	loop_timer_start(call->http->loop, &call->http->timer, 0, on_timer);
}

/* "HOST:PORT", "[HOST]:PORT": a listening socket, or a negative code. */
static int listen_on(const char *address, struct err *err)
{
	const struct addrinfo hints = {
		.ai_flags = AI_NUMERICSERV | AI_PASSIVE,
		.ai_socktype = SOCK_STREAM,
	};
	const char *colon = strrchr(address, ':');
	struct addrinfo *ai;
	char *host;
	int fd, rv, one = 1;

	if (!colon || colon == address)
		return err_set(err, -EINVAL, "\"%s\" is not HOST:PORT",
			       address);
	if (address[0] == '[' && colon[-1] == ']')
		host = mem_strn(address + 1, (size_t)(colon - address) - 2);
	else
		host = mem_strn(address, (size_t)(colon - address));
	rv = getaddrinfo(host, colon + 1, &hints, &ai);
	free(host);
	if (rv)
		return err_set(err, -EINVAL, "%s: %s", address,
			       gai_strerror(rv));
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
		    0);
	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) || listen(fd, BACKLOG)) {
		rv = err_set(err, -errno, "listen on %s: %m", address);
		if (fd >= 0)
			close(fd);
		fd = rv;
	}
	freeaddrinfo(ai);
	return fd;
}

static void note_address(struct http *h, int fd)
{
	struct sockaddr_storage sa = { 0 };
	socklen_t len = sizeof(sa);
	char host[INET6_ADDRSTRLEN] = "?", port[8] = "0";
	bool v6;

	getsockname(fd, (struct sockaddr *)&sa, &len);
	getnameinfo((struct sockaddr *)&sa, len, host, sizeof(host), port,
		    sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
	v6 = strchr(host, ':') != NULL;
	snprintf(h->address, sizeof(h->address), "%s%s%s:%s", v6 ? "[" : "",
		 host, v6 ? "]" : "", port);
}

static void copy_routes(struct http *h, const struct http_route *routes)
{
	size_t n = 0;

	while (routes[n].path)
		n++;
	h->routes = mem_copy(routes, (n + 1) * sizeof(*routes));
}

int http_start(struct http **out, struct loop *loop, const char *address,
	       const struct http_route *routes, struct err *err)
{
	const union MHD_DaemonInfo *info;
	struct http *h;
	int fd = listen_on(address, err);

	if (fd < 0)
		return fd;
	h = mem_alloc(sizeof(*h));
	h->loop = loop;
	list_init(&h->waiting);
	list_init(&h->timer.link);
	note_address(h, fd);
	copy_routes(h, routes);
	h->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
		on_request, h, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)MEMORY, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)TIMEOUT_S, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
		NULL, MHD_OPTION_END);
	if (!h->daemon) {
		close(fd);
		free(h->routes);
		free(h);
		return err_set(err, -EIO, "%s: libmicrohttpd did not start",
			       address);
	}
	info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	h->watch = watch_new(loop, info->epoll_fd, on_ready, h);
	watch_set(h->watch, WATCH_READ);
	*out = h;
	return 0;
}

const char *http_address(const struct http *h)
{
	return h->address;
}

/* MHD refuses to stop while connections are suspended: resume them first. */
void http_stop(struct http *h)
{
	struct http_call *call;
	struct list *link;

	assert(!h->running);
	while ((link = list_pop_front(&h->waiting))) {
		call = list_entry(link, struct http_call, link);
		call->suspended = false;
		MHD_resume_connection(call->conn);
	}
	watch_free(h->watch);
	loop_timer_stop(&h->timer);
	MHD_stop_daemon(h->daemon); /* closes the socket too */
	free(h->routes);
	free(h);
}
