#include "lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/rpc_pair.h"
#include "lib/sim.h"
#include "lib/tempdir.h"
#include "rpc/method.h"

#define BIG (3u << 20)

/* A worker that answers as the id of the request says. */
enum {
	ID_FAIL = 1000,
	ID_HOLD, /* not before answer_held() */
	ID_FD,
	ID_TOO_MUCH, /* more bytes than were asked for */
};

static struct fixture {
	struct rpc_pair pair;
	uint8_t *content;
	int file;

	int opens, cancels, sent, lost, drained;
	struct rpc_call *held[8];
	int n_held;
	struct rpc_session *session;

	struct rpc_pending call;
	uint8_t *got;
	int done, code;
	uint64_t length;
	size_t progress;
	int notices;
	uint64_t let_go;
	int client_lost;
} f;

static void on_sent(void *owner ATTR_UNUSED)
{
	f.sent++;
}

static void on_cancel(void *owner ATTR_UNUSED)
{
	f.cancels++;
}

static void serve_open(void *role ATTR_UNUSED, struct rpc_call *call,
		       const void *request)
{
	const struct open_request *req = request;
	const struct open_reply reply = { .length = req->id * 2 };
	int fd;

	f.opens++;
	f.session = rpc_call_session(call);
	switch (req->id) {
	case ID_FAIL:
		rpc_fail(call, ERR_CHANGED, "id %d is another by now", ID_FAIL);
		break;
	case ID_HOLD:
		rpc_call_on_cancel(call, on_cancel, NULL);
		f.held[f.n_held++] = call;
		break;
	case ID_FD:
		fd = dup(f.file);
		rpc_reply_fd(call, &reply, fd);
		close(fd); /* it has its own */
		break;
	default:
		rpc_reply(call, &reply);
	}
}

static void answer_held(void)
{
	const struct open_reply reply = { .length = 1 };

	while (f.n_held > 0)
		rpc_reply(f.held[--f.n_held], &reply);
}

static void serve_read(void *role ATTR_UNUSED, struct rpc_call *call,
		       const void *request)
{
	const struct read_request *req = request;
	const struct read_reply reply = { .source = 2 };

	f.session = rpc_call_session(call);
	if (req->id == ID_FD)
		rpc_reply_file(call, &reply, f.file, req->offset, req->len,
			       on_sent, NULL);
	else
		rpc_reply_data(call, &reply, f.content + req->offset,
			       req->len + (req->id == ID_TOO_MUCH), on_sent,
			       NULL);
}

/* Answers with many ids: more than fit in a frame if asked for that. */
static void serve_explain(void *role ATTR_UNUSED, struct rpc_call *call,
			  const void *request)
{
	const struct explain_request *req = request;
	uint64_t *ids = calloc((size_t)req->id, sizeof(*ids));
	struct explain_reply reply = { .blocks = { ids, (size_t)req->id } };
	size_t i;

	for (i = 0; i < req->id; i++)
		ids[i] = UINT64_MAX - i;
	rpc_reply(call, &reply);
	free(ids);
}

static const rpc_handler handlers[] = {
	[WORKER_CALL_open] = serve_open,
	[WORKER_CALL_read] = serve_read,
	[WORKER_CALL_explain] = serve_explain,
};

static void on_session_lost(void *role, struct rpc_session *s)
{
	assert_ptr_equal(role, &f);
	assert_ptr_equal(s, f.session);
	f.lost++;
}

static void on_notice(void *owner, unsigned number, const void *notice)
{
	const struct let_go_notice *let_go = notice;

	assert_ptr_equal(owner, &f);
	assert_int_equal(number, WORKER_NOTICE_let_go);
	assert_int_equal(let_go->ids.n, 1);
	f.let_go = let_go->ids.at[0];
	f.notices++;
}

static void on_client_lost(void *owner ATTR_UNUSED)
{
	f.client_lost++;
}

static int setup(void **state)
{
	struct rpc_service service = {
		.name = "worker",
		.methods = rpc_worker_methods,
		.handlers = handlers,
		.n_methods = ARRAY_SIZE(handlers),
		.role = &f,
		.lost = on_session_lost,
	};
	size_t i;
	char *path;

	f = (struct fixture){ 0 };
	rpc_pair_init(&f.pair, PAIR_KIND(state));
	rpc_pair_start(&f.pair, &service);
	rpc_client_on_notice(f.pair.client, on_notice, &f);
	rpc_client_on_lost(f.pair.client, on_client_lost, &f);
	f.content = malloc(BIG + 1);
	f.got = calloc(1, BIG);
	for (i = 0; i < BIG + 1; i++)
		f.content[i] = (uint8_t)(i * 31 + (i >> 9));
	assert_true(asprintf(&path, "%s/file", f.pair.dir) > 0);
	f.file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(f.file, f.content, BIG), BIG);
	free(path);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	answer_held();
	rpc_pair_close(&f.pair);
	close(f.file);
	free(f.content);
	free(f.got);
	return 0;
}

static void on_open(struct rpc_pending *p, int code, const void *reply)
{
	const struct open_reply *r = reply;

	assert_ptr_equal(p, &f.call);
	assert_true(code ? !r : r != NULL);
	f.code = code;
	f.length = r ? r->length : 0;
	f.done++;
}

static void open_id(uint64_t id)
{
	const struct open_request req = { .id = id };

	f.done = 0;
	rpc_call(f.pair.client, RPC_WORKER_METHOD(open), &f.call, &req,
		 on_open);
	assert_int_equal(f.done, 0);
}

static int open_and_wait(uint64_t id)
{
	open_id(id);
	rpc_pair_run(&f.pair, &f.done, 1);
	return f.code;
}

static void on_read(struct rpc_pending *p, int code, const void *reply)
{
	const struct read_reply *r = reply;

	assert_ptr_equal(p, &f.call);
	if (!code)
		assert_int_equal(r->source, 2);
	f.code = code;
	f.done++;
}

static void on_progress(struct rpc_pending *p, size_t got)
{
	assert_true(got > f.progress && got <= p->data_len);
	assert_memory_equal(f.got, f.content, got);
	f.progress = got;
}

static void read_bytes(uint64_t id, uint64_t offset, uint32_t len)
{
	const struct read_request req = { .id = id,
					  .offset = offset,
					  .len = len };

	f.done = 0;
	f.call.data = f.got;
	f.call.data_len = len;
	rpc_call(f.pair.client, RPC_WORKER_METHOD(read), &f.call, &req,
		 on_read);
	rpc_pair_run(&f.pair, &f.done, 1);
}

static void a_call_is_answered(void **state ATTR_UNUSED)
{
	assert_int_equal(open_and_wait(21), 0);
	assert_int_equal(f.length, 42);
	assert_int_equal(open_and_wait(4), 0);
	assert_int_equal(f.length, 8);
}

static int answered;

static void on_one_of_many(struct rpc_pending *p, int code, const void *reply)
{
	const struct open_reply *r = reply;

	assert_int_equal(code, 0);
	assert_int_equal(r->length, p->deadline_ms * 2);
	answered++;
}

/* More than a connection may have in flight, too. */
static void calls_in_flight_get_each_their_own_answer(void **state ATTR_UNUSED)
{
	const int n = 900;
	struct rpc_pending *calls = calloc((size_t)n, sizeof(*calls));
	struct open_request req;
	int i;

	answered = 0;
	for (i = 0; i < n; i++) {
		req = (struct open_request){ .id = (uint64_t)i };
		rpc_call(f.pair.client, RPC_WORKER_METHOD(open), &calls[i],
			 &req, on_one_of_many);
		calls[i].deadline_ms = (uint64_t)i; /* just to know it by */
	}
	rpc_pair_run(&f.pair, &answered, n);
	free(calls);
}

static void an_error_comes_with_its_code_and_sentence(void **state ATTR_UNUSED)
{
	assert_int_equal(open_and_wait(ID_FAIL), ERR_CHANGED);
	assert_string_equal(f.call.err.msg, "id 1000 is another by now");
	assert_int_equal(f.call.err.code, ERR_CHANGED);
}

static void a_call_that_nobody_serves_is_refused(void **state ATTR_UNUSED)
{
	const struct drop_request req = { .ids = { NULL, 0 } };

	rpc_call(f.pair.client, RPC_WORKER_METHOD(drop), &f.call, &req,
		 on_open);
	rpc_pair_run(&f.pair, &f.done, 1);
	assert_int_equal(f.code, -EOPNOTSUPP);
	assert_string_equal(f.call.err.msg, "the worker has no call 5");
}

static void raw_bytes_land_in_the_callers_buffer(void **state ATTR_UNUSED)
{
	f.call.progress = on_progress;
	read_bytes(1, 0, BIG);
	assert_int_equal(f.code, 0);
	assert_int_equal(f.call.data_got, BIG);
	assert_int_equal(f.progress, BIG);
	assert_memory_equal(f.got, f.content, BIG);
	rpc_pair_run(&f.pair, &f.sent, 1);
	f.call.progress = NULL;
	read_bytes(1, 77, 13);
	assert_memory_equal(f.got, f.content + 77, 13);
	read_bytes(1, 77, 0);
	assert_int_equal(f.call.data_got, 0);
	rpc_pair_run(&f.pair, &f.sent, 3);
}

static void a_files_bytes_come_without_a_copy(void **state ATTR_UNUSED)
{
	f.call.progress = NULL;
	read_bytes(ID_FD, 4097, BIG - 4097);
	assert_int_equal(f.code, 0);
	assert_int_equal(f.call.data_got, BIG - 4097);
	assert_memory_equal(f.got, f.content + 4097, BIG - 4097);
	rpc_pair_run(&f.pair, &f.sent, 1);
}

static void a_file_that_is_too_short_cuts_the_connection(
	void **state ATTR_UNUSED)
{
	read_bytes(ID_FD, BIG - 10, 11);
	assert_int_equal(f.code, -ECONNRESET);
	assert_int_equal(open_and_wait(21), 0);
}

static void more_bytes_than_there_is_room_for_fail_the_call(
	void **state ATTR_UNUSED)
{
	f.got[1000] = 1;
	read_bytes(ID_TOO_MUCH, 0, 1000);
	assert_int_equal(f.code, -EMSGSIZE);
	assert_int_equal(f.got[1000], 1);
	assert_int_equal(open_and_wait(21), 0);
	assert_int_equal(f.client_lost, 0);
}

static void on_explain(struct rpc_pending *p ATTR_UNUSED, int code,
		       const void *reply)
{
	const struct explain_reply *r = reply;
	size_t i;

	f.code = code;
	f.length = code ? 0 : r->blocks.n;
	for (i = 0; i < f.length; i++)
		assert_true(r->blocks.at[i] == UINT64_MAX - i);
	f.done++;
}

static void explain(uint64_t id)
{
	const struct explain_request req = { .id = id };

	f.done = 0;
	rpc_call(f.pair.client, RPC_WORKER_METHOD(explain), &f.call, &req,
		 on_explain);
	rpc_pair_run(&f.pair, &f.done, 1);
}

static void a_reply_may_be_long_but_not_too_long(void **state ATTR_UNUSED)
{
	explain(100000);
	assert_int_equal(f.code, 0);
	assert_int_equal(f.length, 100000);
	explain(120000); /* over 1 MiB */
	assert_int_equal(f.code, -EMSGSIZE);
	explain(3);
	assert_int_equal(f.length, 3);
}

static void a_descriptor_comes_along(void **state)
{
	char byte;

	if (PAIR_KIND(state) == PAIR_TCP)
		return;
	assert_int_equal(open_and_wait(ID_FD), 0);
	assert_true(f.call.fd >= 0 && f.call.fd != f.file);
	assert_int_equal(pread(f.call.fd, &byte, 1, 5), 1);
	assert_int_equal((uint8_t)byte, f.content[5]);
	close(f.call.fd);
	assert_int_equal(open_and_wait(3), 0);
	assert_int_equal(f.call.fd, -1);
}

static void who_cancels_is_called_back_and_the_server_told(
	void **state ATTR_UNUSED)
{
	open_id(ID_HOLD);
	rpc_pair_run(&f.pair, &f.n_held, 1);
	rpc_cancel(&f.call);
	assert_int_equal(f.done, 0);
	rpc_cancel(&f.call);
	rpc_pair_run(&f.pair, &f.done, 1);
	assert_int_equal(f.code, -ECANCELED);
	rpc_pair_run(&f.pair, &f.cancels, 1);
	answer_held();
	assert_int_equal(open_and_wait(21), 0);
	assert_int_equal(f.length, 42);
}

static void a_call_not_yet_sent_can_be_cancelled(void **state ATTR_UNUSED)
{
	open_id(21);
	rpc_cancel(&f.call);
	rpc_pair_run(&f.pair, &f.done, 1);
	assert_int_equal(f.code, -ECANCELED);
	assert_int_equal(open_and_wait(4), 0);
	assert_int_equal(f.opens, 1);
}

static void a_deadline_ends_a_call_at_both_ends(void **state ATTR_UNUSED)
{
	assert_int_equal(open_and_wait(1), 0);
	f.call.deadline_ms = loop_now_ms(f.pair.client_loop) + 30;
	assert_int_equal(open_and_wait(ID_HOLD), -ETIMEDOUT);
	assert_true(loop_now_ms(f.pair.client_loop) >= f.call.deadline_ms);
	assert_non_null(strstr(f.call.err.msg, "open: no answer in time"));
	rpc_pair_run(&f.pair, &f.cancels, 1);
}

static void without_a_server_a_call_fails(void **state ATTR_UNUSED)
{
	rpc_server_close(f.pair.server);
	f.pair.server = NULL;
	rpc_pair_settle(&f.pair);
	open_and_wait(1);
	assert_true(f.code == -ECONNREFUSED || f.code == -ENOENT);
	assert_non_null(strstr(f.call.err.msg, f.pair.address));
	assert_int_equal(f.client_lost, 0);
}

static void a_cut_connection_fails_its_calls_at_once(void **state ATTR_UNUSED)
{
	open_id(ID_HOLD);
	rpc_pair_run(&f.pair, &f.n_held, 1);
	rpc_server_close(f.pair.server);
	f.pair.server = NULL;
	rpc_pair_run(&f.pair, &f.done, 1);
	assert_int_equal(f.code, -ECONNRESET);
	assert_int_equal(f.client_lost, 1);
}

static void closing_the_client_cancels_its_calls(void **state ATTR_UNUSED)
{
	open_id(ID_HOLD);
	rpc_pair_run(&f.pair, &f.n_held, 1);
	rpc_client_close(f.pair.client);
	f.pair.client = NULL;
	assert_int_equal(f.done, 0);
	rpc_pair_run(&f.pair, &f.done, 1);
	assert_int_equal(f.code, -ECANCELED);
	rpc_pair_run(&f.pair, &f.cancels, 1);
	assert_int_equal(f.lost, 0); /* its call is not answered yet */
	answer_held();
	rpc_pair_run(&f.pair, &f.lost, 1);
	assert_int_equal(f.client_lost, 0);
}

static struct listener *listener;
static int accepted;

static void on_accepted(void *owner ATTR_UNUSED, struct connection *c,
			const struct peer *peer ATTR_UNUSED)
{
	accepted++;
	f.pair.server_loop->transport->ops->close(c);
}

/* In the server's place: counts who still comes. */
static void count_connections(void)
{
	struct transport *t = f.pair.server_loop->transport;
	struct err err;

	if (f.pair.server)
		rpc_server_close(f.pair.server);
	f.pair.server = NULL;
	accepted = 0;
	assert_int_equal(t->ops->listen(t, f.pair.address, on_accepted, NULL,
					&listener, NULL, &err),
			 0);
}

static void nobody_has_come(void)
{
	struct transport *t = f.pair.server_loop->transport;

	if (f.pair.net)
		sim_run(f.pair.client_loop, 20000);
	rpc_pair_settle(&f.pair);
	assert_int_equal(accepted, 0);
	t->ops->unlisten(t, listener);
}

static void close_client(void)
{
	if (f.pair.client)
		rpc_client_close(f.pair.client);
	f.pair.client = NULL;
}

static void on_end_close(struct rpc_pending *p ATTR_UNUSED, int code,
			 const void *reply ATTR_UNUSED)
{
	assert_true(code < 0);
	close_client();
	f.done++;
}

static void on_lost_close(void *owner ATTR_UNUSED)
{
	f.client_lost++;
	close_client();
}

/* Its connection is cut, and who is told of it closes the client. */
static void check_closing_when_cut(int lost)
{
	const struct open_request req = { .id = ID_HOLD };
	struct rpc_pending p[3] = { 0 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(p); i++)
		rpc_call(f.pair.client, RPC_WORKER_METHOD(open), &p[i], &req,
			 on_end_close);
	rpc_pair_run(&f.pair, &f.n_held, ARRAY_SIZE(p));
	count_connections();
	rpc_pair_run(&f.pair, &f.done, ARRAY_SIZE(p));
	assert_null(f.pair.client);
	assert_int_equal(f.client_lost, lost);
	answer_held();
	nobody_has_come();
}

static void a_client_may_be_closed_by_its_last_calls(void **state ATTR_UNUSED)
{
	check_closing_when_cut(1);
}

static void a_client_may_be_closed_when_it_is_lost(void **state ATTR_UNUSED)
{
	rpc_client_on_lost(f.pair.client, on_lost_close, NULL);
	check_closing_when_cut(1);
}

static void a_client_may_be_closed_while_it_connects(void **state ATTR_UNUSED)
{
	count_connections();
	open_id(1);
	close_client();
	assert_int_equal(f.done, 0);
	rpc_pair_run(&f.pair, &f.done, 1);
	assert_int_equal(f.code, -ECANCELED);
	rpc_pair_settle(&f.pair);
	assert_true(accepted <= 1); /* that one */
	accepted = 0;
	nobody_has_come();
	assert_int_equal(f.client_lost, 0);
}

static void on_watch_close(void *owner ATTR_UNUSED, bool away)
{
	assert_true(away);
	f.notices++;
	close_client();
}

static void who_is_away_may_be_closed(void **state ATTR_UNUSED)
{
	count_connections();
	rpc_client_watch(f.pair.client, on_watch_close, NULL);
	rpc_client_doubt(f.pair.client);
	assert_int_equal(f.notices, 1);
	nobody_has_come();
}

static void a_notice_reaches_the_client(void **state ATTR_UNUSED)
{
	const uint64_t id = 77;
	const struct let_go_notice notice = { .ids = { &id, 1 } };
	msgpack_sbuffer buf;
	msgpack_packer packer;

	assert_int_equal(open_and_wait(1), 0);
	msgpack_sbuffer_init(&buf);
	msgpack_packer_init(&packer, &buf, msgpack_sbuffer_write);
	let_go_notice_encode(&notice, &packer);
	rpc_notify(f.session, WORKER_NOTICE_let_go, buf.data, buf.size);
	msgpack_sbuffer_destroy(&buf);
	rpc_pair_run(&f.pair, &f.notices, 1);
	assert_int_equal(f.let_go, 77);
}

static void on_drained(void *owner)
{
	assert_ptr_equal(owner, &f);
	f.drained++;
}

static void draining_waits_for_calls_and_takes_no_more(void **state ATTR_UNUSED)
{
	struct rpc_pending held = { 0 };
	const struct open_request req = { .id = ID_HOLD };

	f.done = 0;
	rpc_call(f.pair.client, RPC_WORKER_METHOD(open), &held, &req,
		 on_explain);
	rpc_pair_run(&f.pair, &f.n_held, 1);
	rpc_server_drain(f.pair.server, on_drained, &f);
	assert_int_equal(open_and_wait(1), -ESHUTDOWN);
	assert_int_equal(f.drained, 0);
	rpc_cancel(&held);
	rpc_pair_run(&f.pair, &f.cancels, 1);
	answer_held();
	rpc_pair_run(&f.pair, &f.drained, 1);
}

static void an_idle_server_is_drained_at_once(void **state ATTR_UNUSED)
{
	rpc_server_drain(f.pair.server, on_drained, &f);
	assert_int_equal(f.drained, 0);
	rpc_pair_run(&f.pair, &f.drained, 1);
}

TEST_MAIN(ON_EACH(a_call_is_answered),
	  ON_EACH(calls_in_flight_get_each_their_own_answer),
	  ON_EACH(an_error_comes_with_its_code_and_sentence),
	  ON_EACH(a_call_that_nobody_serves_is_refused),
	  ON_EACH(raw_bytes_land_in_the_callers_buffer),
	  ON_EACH(a_files_bytes_come_without_a_copy),
	  ON_EACH(a_file_that_is_too_short_cuts_the_connection),
	  ON_EACH(more_bytes_than_there_is_room_for_fail_the_call),
	  ON_EACH(a_reply_may_be_long_but_not_too_long),
	  ON_EACH(a_descriptor_comes_along),
	  ON_EACH(who_cancels_is_called_back_and_the_server_told),
	  ON_EACH(a_call_not_yet_sent_can_be_cancelled),
	  ON_EACH(a_deadline_ends_a_call_at_both_ends),
	  ON_EACH(without_a_server_a_call_fails),
	  ON_EACH(a_cut_connection_fails_its_calls_at_once),
	  ON_EACH(closing_the_client_cancels_its_calls),
	  ON_EACH(a_client_may_be_closed_by_its_last_calls),
	  ON_EACH(a_client_may_be_closed_when_it_is_lost),
	  ON_EACH(a_client_may_be_closed_while_it_connects),
	  ON_EACH(who_is_away_may_be_closed),
	  ON_EACH(a_notice_reaches_the_client),
	  ON_EACH(draining_waits_for_calls_and_takes_no_more),
	  ON_EACH(an_idle_server_is_drained_at_once))
