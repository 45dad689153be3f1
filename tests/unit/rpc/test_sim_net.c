/* The simulated transport keeps its promises, or simulations prove nothing. */

#include "lib/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sim.h"
#include "lib/sim_net.h"

#define MAX_PIECES 4096

/* One end of a connection: what came, and in which pieces when. */
struct side {
	struct connection *connection;
	struct loop *loop;
	uint8_t got[1 << 16], room[1 << 16];
	size_t n;
	uint64_t at_ms[MAX_PIECES];
	size_t len[MAX_PIECES];
	int pieces, closed, code;
	uint64_t closed_ms;
};

static struct fixture {
	struct loop *a, *b;
	struct sim_net *net;
	struct listener *listener;
	struct side client, server;
	int accepted, sent;
	char bound[300];
} f;

static void begin(uint64_t seed)
{
	memset(&f, 0, sizeof(f));
	f.a = sim_new();
	f.b = sim_new_beside(f.a);
	f.net = sim_net_new(seed);
	sim_net_join(f.net, f.a);
	sim_net_join(f.net, f.b);
	f.client.loop = f.a;
	f.server.loop = f.b;
}

static void end(void)
{
	if (f.listener)
		f.b->transport->ops->unlisten(f.b->transport, f.listener);
	sim_net_leave(f.net, f.a);
	sim_net_leave(f.net, f.b);
	sim_net_free(f.net);
	sim_free(f.a);
	sim_free(f.b);
}

static int setup(void **state ATTR_UNUSED)
{
	begin(1);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	end();
	return 0;
}

static void *side_room(void *owner, size_t *len)
{
	struct side *s = owner;

	*len = sizeof(s->room);
	return s->room;
}

static void side_received(void *owner, size_t len, int fd)
{
	struct side *s = owner;

	assert_int_equal(fd, -1);
	memcpy(s->got + s->n, s->room, len);
	s->n += len;
	s->at_ms[s->pieces] = loop_now_ms(s->loop);
	s->len[s->pieces++] = len;
}

static void side_closed(void *owner, int code)
{
	struct side *s = owner;

	s->closed++;
	s->code = code;
	s->closed_ms = loop_now_ms(s->loop);
}

static const struct connection_events events = {
	.room = side_room,
	.received = side_received,
	.closed = side_closed,
};

static void on_accepted(void *owner ATTR_UNUSED, struct connection *c,
			const struct peer *peer ATTR_UNUSED)
{
	f.server.connection = c;
	f.b->transport->ops->start(c, &events, &f.server);
	f.accepted++;
}

static void listen_on(const char *address)
{
	struct transport *t = f.b->transport;

	assert_int_equal(t->ops->listen(t, address, on_accepted, NULL,
					&f.listener, f.bound, NULL),
			 0);
}

static void connect_to(const char *address)
{
	struct transport *t = f.a->transport;

	f.client.connection = t->ops->connect(t, address);
	t->ops->start(f.client.connection, &events, &f.client);
}

static void meet(void)
{
	listen_on("host:0");
	connect_to(f.bound);
	sim_run(f.a, 100);
	assert_int_equal(f.accepted, 1);
}

static void on_sent(struct connection_write *w, int code ATTR_UNUSED)
{
	f.sent++;
	free(w);
}

static void say(const void *bytes, size_t len)
{
	struct connection_write *w = calloc(1, sizeof(*w));

	w->buf = bytes;
	w->len = len;
	w->file = w->pass_fd = -1;
	w->sent = on_sent;
	f.a->transport->ops->write(f.client.connection, w);
}

static uint8_t text[60000];

/* A conversation with all kinds of trouble but cuts. */
static void talk(void)
{
	const struct sim_net_faults faults = { 2, 30, 0 };
	size_t i;

	for (i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 11 + (i >> 8));
	sim_net_set(f.net, &faults);
	meet();
	for (i = 0; i < sizeof(text); i += 600) {
		say(text + i, 600);
		if (i % 5 == 0)
			sim_run(f.a, 7);
	}
	sim_run(f.a, 1000);
}

static void bytes_come_whole_and_in_order(void **state ATTR_UNUSED)
{
	int i;

	talk();
	assert_int_equal(f.server.n, sizeof(text));
	assert_memory_equal(f.server.got, text, sizeof(text));
	assert_int_equal(f.sent, 100);
	assert_true(f.server.pieces > 110); /* some are torn */
	for (i = 1; i < f.server.pieces; i++)
		assert_true(f.server.at_ms[i] >= f.server.at_ms[i - 1]);
}

static void the_same_seed_gives_the_same_run(void **state ATTR_UNUSED)
{
	static struct side first;

	talk();
	first = f.server;
	end();
	begin(1);
	talk();
	assert_int_equal(f.server.pieces, first.pieces);
	assert_memory_equal(f.server.at_ms, first.at_ms, sizeof(first.at_ms));
	assert_memory_equal(f.server.len, first.len, sizeof(first.len));
	end();
	begin(2);
	talk();
	assert_memory_not_equal(f.server.len, first.len, sizeof(first.len));
}

static void nobody_listening_refuses(void **state ATTR_UNUSED)
{
	connect_to("host:1");
	assert_int_equal(f.client.closed, 0);
	sim_run(f.a, 10);
	assert_int_equal(f.client.closed, 1);
	assert_int_equal(f.client.code, -ECONNREFUSED);
}

static void what_is_parted_waits(void **state ATTR_UNUSED)
{
	meet();
	sim_net_part(f.net, f.a, f.b, true);
	say("hello", 5);
	sim_run(f.a, 60000);
	assert_int_equal(f.server.n, 0);
	assert_int_equal(f.server.closed + f.client.closed, 0);
	sim_net_part(f.net, f.a, f.b, false);
	sim_run(f.a, 10);
	assert_int_equal(f.server.n, 5);
}

static void a_connect_waits_for_the_parted_too(void **state ATTR_UNUSED)
{
	listen_on("host:0");
	sim_net_part(f.net, f.a, f.b, true);
	connect_to(f.bound);
	say("early", 5);
	sim_run(f.a, 60000);
	assert_int_equal(f.accepted, 0);
	sim_net_part(f.net, f.a, f.b, false);
	sim_run(f.a, 10);
	assert_int_equal(f.accepted, 1);
	assert_int_equal(f.server.n, 5);
}

static void a_cut_reaches_both_ends(void **state ATTR_UNUSED)
{
	meet();
	sim_net_cut(f.net, f.a, f.b);
	assert_int_equal(f.client.closed + f.server.closed, 0);
	sim_run(f.a, 10);
	assert_int_equal(f.client.closed, 1);
	assert_int_equal(f.server.closed, 1);
	assert_int_equal(f.client.code, -ECONNRESET);
	assert_int_equal(f.server.code, -ECONNRESET);
	connect_to(f.bound);
	sim_run(f.a, 10);
	assert_int_equal(f.accepted, 2);
}

static void bad_luck_cuts_some_writes(void **state ATTR_UNUSED)
{
	const struct sim_net_faults faults = { 1, 1, 200000 };
	int i, cuts = 0;

	listen_on("host:0");
	sim_net_set(f.net, &faults);
	for (i = 0; i < 200; i++) {
		f.client.closed = 0;
		f.server.pieces = 0;
		f.server.n = 0;
		connect_to(f.bound);
		sim_run(f.a, 5);
		say("x", 1);
		sim_run(f.a, 5);
		cuts += f.client.closed;
		if (!f.client.closed)
			f.a->transport->ops->close(f.client.connection);
		sim_run(f.a, 5);
	}
	assert_in_range(cuts, 20, 60);
}

static void who_crashed_is_gone_for_all(void **state ATTR_UNUSED)
{
	meet();
	sim_net_crash(f.net, f.b);
	say("are you there", 13);
	sim_run(f.a, 10);
	assert_int_equal(f.server.n, 0);
	assert_int_equal(f.client.closed, 1);
	assert_int_equal(f.client.code, -ECONNRESET);
	connect_to(f.bound);
	sim_run(f.a, 10);
	assert_int_equal(f.client.closed, 2);
	assert_int_equal(f.client.code, -ECONNREFUSED);
}

static void loops_on_one_clock_run_in_the_order_of_time(
	void **state ATTR_UNUSED)
{
	meet();
	say("x", 1);
	sim_run(f.b, 5); /* either loop stands for both */
	assert_int_equal(f.server.n, 1);
	assert_int_equal(loop_now_ms(f.a), loop_now_ms(f.b));
}

TEST_MAIN(TEST_WITH(bytes_come_whole_and_in_order),
	  TEST_WITH(the_same_seed_gives_the_same_run),
	  TEST_WITH(nobody_listening_refuses), TEST_WITH(what_is_parted_waits),
	  TEST_WITH(a_connect_waits_for_the_parted_too),
	  TEST_WITH(a_cut_reaches_both_ends),
	  TEST_WITH(bad_luck_cuts_some_writes),
	  TEST_WITH(who_crashed_is_gone_for_all),
	  TEST_WITH(loops_on_one_clock_run_in_the_order_of_time))
