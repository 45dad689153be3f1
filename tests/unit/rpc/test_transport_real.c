#include "lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/tempdir.h"
#include "rpc/socket.h"
#include "rpc/transport.h"
#include "runtime/loop_uv.h"

#define BULK (5u << 20)

/* One end of a connection, and what it got. */
struct side {
	struct connection *connection;
	uint8_t *got;
	size_t n, size;
	int fd, fds, closed, code, stop_at;
	bool full; /* gives no room */
};

static struct fixture {
	struct loop *loop;
	struct transport *t;
	char *dir;
	char bound[SOCKET_BOUND_LEN];
	struct listener *listener;
	struct side client, server;
	struct peer peer;
	int accepted, sent, turns;
	struct timer tick;
	struct err err;
} f;

static int setup(void **state ATTR_UNUSED)
{
	memset(&f, 0, sizeof(f));
	f.loop = loop_uv_new();
	transport_real_init(f.loop);
	f.t = f.loop->transport;
	f.dir = tempdir_make();
	f.client.fd = f.server.fd = -1;
	f.client.size = f.server.size = BULK;
	f.client.got = malloc(BULK);
	f.server.got = malloc(BULK);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	transport_real_close(f.loop);
	loop_uv_free(f.loop);
	free(f.client.got);
	free(f.server.got);
	tempdir_remove(f.dir);
	return 0;
}

static void *side_room(void *owner, size_t *len)
{
	struct side *s = owner;

	*len = s->size - s->n;
	return s->full || !*len ? NULL : s->got + s->n;
}

static void side_received(void *owner, size_t len, int fd)
{
	struct side *s = owner;

	s->n += len;
	if (fd >= 0) {
		s->fd = fd;
		s->fds++;
	}
}

static void side_closed(void *owner, int code)
{
	struct side *s = owner;

	s->closed++;
	s->code = code;
}

static const struct connection_events events = {
	.room = side_room,
	.received = side_received,
	.closed = side_closed,
};

static void on_accepted(void *owner, struct connection *c,
			const struct peer *peer)
{
	assert_ptr_equal(owner, &f);
	f.peer = *peer;
	f.server.connection = c;
	f.t->ops->start(c, &events, &f.server);
	f.accepted++;
}

static int listen_on(const char *address)
{
	return f.t->ops->listen(f.t, address, on_accepted, &f, &f.listener,
				f.bound, &f.err);
}

static void connect_to(const char *address)
{
	f.client.connection = f.t->ops->connect(f.t, address);
	f.t->ops->start(f.client.connection, &events, &f.client);
}

/* It may fire before the loop waits, which must not wait then. */
static void on_tick(struct timer *t ATTR_UNUSED)
{
	loop_uv_stop(f.loop);
}

static void turn(void)
{
	assert_true(f.turns++ < 20000);
	loop_timer_start(f.loop, &f.tick, 1, on_tick);
	loop_uv_run_once(f.loop);
	loop_timer_stop(&f.tick);
}

static void run_until(const int *count, int n)
{
	while (*count != n)
		turn();
}

static void meet(const char *address)
{
	assert_int_equal(listen_on(address), 0);
	connect_to(f.bound);
	run_until(&f.accepted, 1);
}

static void on_sent(struct connection_write *w ATTR_UNUSED, int code)
{
	assert_int_equal(code, 0);
	f.sent++;
}

static struct connection_write write_of(const void *buf, size_t len)
{
	return (struct connection_write){ .buf = buf,
					  .len = len,
					  .file = -1,
					  .pass_fd = -1,
					  .sent = on_sent };
}

/* Bytes from memory, memory again and a file, more than a socket takes. */
static void send_bulk(const char *address)
{
	const size_t third = BULK / 3;
	struct connection_write w, tail;
	uint8_t *bytes = malloc(BULK);
	char path[4096];
	size_t i;
	int fd;

	for (i = 0; i < BULK; i++)
		bytes[i] = (uint8_t)(i * 13 + (i >> 10));
	snprintf(path, sizeof(path), "%s/bulk", f.dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, bytes, BULK), BULK);

	meet(address);
	w = write_of(bytes, third);
	w.buf2 = bytes + third;
	w.len2 = third;
	w.file = fd;
	w.file_offset = 2 * third;
	w.file_len = BULK - 2 * third - 1;
	tail = write_of(bytes + BULK - 1, 1);
	f.t->ops->write(f.client.connection, &w);
	f.t->ops->write(f.client.connection, &tail);
	assert_int_equal(f.sent, 0);
	while (f.server.n < BULK)
		turn();
	assert_memory_equal(f.server.got, bytes, BULK);
	run_until(&f.sent, 2);
	close(fd);
	free(bytes);
}

static void bulk_goes_over_tcp(void **state ATTR_UNUSED)
{
	send_bulk("127.0.0.1:0");
	assert_false(f.peer.local);
	assert_memory_equal(f.peer.address, "127.0.0.1:", 10);
}

static void bulk_goes_over_a_unix_socket(void **state ATTR_UNUSED)
{
	char address[4096];

	snprintf(address, sizeof(address), "unix:%s/s", f.dir);
	send_bulk(address);
	assert_true(f.peer.local);
	assert_int_equal(f.peer.uid, geteuid());
	assert_int_equal(f.peer.pid, getpid());
}

static void a_host_name_is_looked_up(void **state ATTR_UNUSED)
{
	char *port, address[64];

	assert_int_equal(listen_on("127.0.0.1:0"), 0);
	port = strrchr(f.bound, ':');
	snprintf(address, sizeof(address), "localhost%s", port);
	connect_to(address);
	run_until(&f.accepted, 1);
}

static void a_port_of_zero_is_chosen_by_the_kernel(void **state ATTR_UNUSED)
{
	assert_int_equal(listen_on("127.0.0.1:0"), 0);
	assert_memory_equal(f.bound, "127.0.0.1:", 10);
	assert_true(atoi(f.bound + 10) > 0);
	assert_int_equal(listen_on("[::1]:0") == 0 || f.err.code < 0, 1);
}

static void what_is_no_address_is_refused(void **state ATTR_UNUSED)
{
	assert_int_equal(listen_on("nonsense"), -EINVAL);
	assert_string_equal(f.err.msg, "listen on nonsense: \"nonsense\" is "
				       "neither HOST:PORT nor unix:PATH");
	connect_to("nonsense");
	assert_int_equal(f.client.closed, 0);
	run_until(&f.client.closed, 1);
	assert_int_equal(f.client.code, -EINVAL);
}

static void nobody_there_is_told_later(void **state ATTR_UNUSED)
{
	char address[4096];

	assert_int_equal(listen_on("127.0.0.1:0"), 0);
	f.t->ops->unlisten(f.t, f.listener);
	connect_to(f.bound);
	assert_int_equal(f.client.closed, 0);
	run_until(&f.client.closed, 1);
	assert_int_equal(f.client.code, -ECONNREFUSED);
	snprintf(address, sizeof(address), "unix:%s/none", f.dir);
	connect_to(address);
	assert_int_equal(f.client.closed, 1);
	run_until(&f.client.closed, 2);
	assert_int_equal(f.client.code, -ENOENT);
}

/* A path of some 250 bytes. */
static void long_path(char *address, size_t size)
{
	int i;

	snprintf(address, size, "unix:%s", f.dir);
	for (i = 0; i < 4; i++) {
		snprintf(address + strlen(address), size - strlen(address),
			 "/%050d", i);
		assert_int_equal(mkdir(address + 5, 0700), 0);
	}
	snprintf(address + strlen(address), size - strlen(address), "/socket");
	assert_true(strlen(address) > 200);
}

static void a_long_path_is_no_problem(void **state ATTR_UNUSED)
{
	char address[4096];

	long_path(address, sizeof(address));
	meet(address);
	assert_string_equal(f.bound, address);
	f.t->ops->unlisten(f.t, f.listener);
	assert_int_equal(access(address + 5, F_OK), -1);
}

/* Leaves a socket file that nobody listens on. */
static void leave_stale(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(to.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	close(fd);
	assert_int_equal(access(path, F_OK), 0);
}

static void a_stale_socket_file_is_replaced(void **state ATTR_UNUSED)
{
	char address[100];

	snprintf(address, sizeof(address), "unix:%s/s", f.dir);
	leave_stale(address + 5);
	meet(address);
}

static void one_that_somebody_listens_on_is_not(void **state ATTR_UNUSED)
{
	char address[100];

	snprintf(address, sizeof(address), "unix:%s/s", f.dir);
	assert_int_equal(listen_on(address), 0);
	assert_int_equal(listen_on(address), -EADDRINUSE);
	connect_to(address);
	run_until(&f.accepted, 2); /* the second look for a listener is one */
}

static void a_file_that_is_no_socket_stays(void **state ATTR_UNUSED)
{
	char address[100];

	tempdir_file(f.dir, "s", "precious");
	snprintf(address, sizeof(address), "unix:%s/s", f.dir);
	assert_int_equal(listen_on(address), -EADDRINUSE);
	assert_int_equal(access(address + 5, F_OK), 0);
}

static void a_descriptor_goes_with_its_bytes(void **state ATTR_UNUSED)
{
	struct connection_write before, with, after;
	char address[100], path[200], byte;
	int fd;

	snprintf(path, sizeof(path), "%s",
		 tempdir_file(f.dir, "file", "hello"));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(address, sizeof(address), "unix:%s/s", f.dir);
	meet(address);
	before = write_of("one", 3);
	with = write_of("two", 3);
	with.pass_fd = fd;
	after = write_of("three", 5);
	f.t->ops->write(f.client.connection, &before);
	f.t->ops->write(f.client.connection, &with);
	f.t->ops->write(f.client.connection, &after);
	while (f.server.n < 11)
		turn();
	assert_memory_equal(f.server.got, "onetwothree", 11);
	assert_int_equal(f.server.fds, 1);
	assert_true(f.server.fd != fd);
	assert_int_equal(pread(f.server.fd, &byte, 1, 1), 1);
	assert_int_equal(byte, 'e');
	assert_true(fcntl(f.server.fd, F_GETFD) & FD_CLOEXEC);
	close(f.server.fd);
	close(fd);
}

static void who_has_no_room_is_not_read_from(void **state ATTR_UNUSED)
{
	struct connection_write w = write_of("later", 5);
	int i;

	f.server.full = true;
	meet("127.0.0.1:0");
	f.t->ops->write(f.client.connection, &w);
	for (i = 0; i < 10; i++)
		turn();
	assert_int_equal(f.server.n, 0);
	f.server.full = false;
	f.t->ops->resume(f.server.connection);
	while (f.server.n < 5)
		turn();
}

static void the_other_end_closing_is_told(void **state ATTR_UNUSED)
{
	struct connection_write w = write_of("last words", 10);

	meet("127.0.0.1:0");
	f.t->ops->write(f.client.connection, &w);
	f.t->ops->close(f.client.connection);
	assert_int_equal(f.client.closed, 0);
	run_until(&f.server.closed, 1);
	assert_int_equal(f.server.code, -ECONNRESET);
	assert_memory_equal(f.server.got, "last words", 10);
	assert_int_equal(f.server.n, 10);
	assert_int_equal(f.client.closed, 1);
	assert_int_equal(f.client.code, -ECANCELED);
	assert_int_equal(f.sent, 1);
}

TEST_MAIN(TEST_WITH(bulk_goes_over_tcp),
	  TEST_WITH(bulk_goes_over_a_unix_socket),
	  TEST_WITH(a_host_name_is_looked_up),
	  TEST_WITH(a_port_of_zero_is_chosen_by_the_kernel),
	  TEST_WITH(what_is_no_address_is_refused),
	  TEST_WITH(nobody_there_is_told_later),
	  TEST_WITH(a_long_path_is_no_problem),
	  TEST_WITH(a_stale_socket_file_is_replaced),
	  TEST_WITH(one_that_somebody_listens_on_is_not),
	  TEST_WITH(a_file_that_is_no_socket_stays),
	  TEST_WITH(a_descriptor_goes_with_its_bytes),
	  TEST_WITH(who_has_no_room_is_not_read_from),
	  TEST_WITH(the_other_end_closing_is_told))
