#include "worker_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CALL(name, req, reply) \
	call_worker(0, RPC_WORKER_METHOD(name), req, reply, sizeof(*(reply)))

/* The strings of a reply are gone by now; these are copied. */
struct explained {
	struct rpc_pending pending;
	struct explain_reply reply;
	char last_open[160];
	uint64_t blocks[8];
	int calls;
};

static void on_explained(struct rpc_pending *p, int code, const void *reply)
{
	struct explained *e = container_of(p, struct explained, pending);
	size_t i;

	assert_int_equal(code, 0);
	e->calls++;
	e->reply = *(const struct explain_reply *)reply;
	snprintf(e->last_open, sizeof(e->last_open), "%.*s",
		 (int)e->reply.last_open.len, e->reply.last_open.ptr);
	for (i = 0; i < e->reply.blocks.n && i < ARRAY_SIZE(e->blocks); i++)
		e->blocks[i] = e->reply.blocks.at[i];
}

static struct explained ask(uint64_t id, bool verify)
{
	const struct explain_request req = { .id = id, .verify = verify };
	struct explained e = { 0 };

	rpc_call(f.nodes[0].client, RPC_WORKER_METHOD(explain), &e.pending,
		 &req, on_explained);
	run(100);
	assert_int_equal(e.calls, 1);
	return e;
}

static struct explained explain(uint64_t id)
{
	return ask(id, false);
}

struct opening {
	struct rpc_pending pending;
	struct open_reply reply;
	int calls, code, fd;
};

static void on_opened(struct rpc_pending *p, int code, const void *reply)
{
	struct opening *o = container_of(p, struct opening, pending);

	o->calls++;
	o->code = code;
	o->fd = code ? -1 : p->fd;
	if (reply)
		o->reply = *(const struct open_reply *)reply;
}

static struct opening grant(uint64_t id)
{
	const struct open_request req = { .id = id, .grant = true };
	struct opening o = { .fd = -1 };

	rpc_call(f.nodes[0].client, RPC_WORKER_METHOD(open), &o.pending, &req,
		 on_opened);
	run(100);
	assert_int_equal(o.calls, 1);
	return o;
}

static bool is_granted(uint64_t id)
{
	struct store_file_state st = { 0 };

	store_file_state(f.nodes[0].store, id, &st);
	return st.granted;
}

static void release(uint64_t id)
{
	const struct release_request req = { .ids = { &id, 1 } };
	struct release_reply reply;

	assert_int_equal(CALL(release, &req, &reply), 0);
}

static void an_open_tells_length_and_completeness(void **state ATTR_UNUSED)
{
	struct open_reply reply;

	put_file(1, 100 * KIB);
	reply = open_file(1);
	assert_int_equal(reply.length, 100 * KIB);
	assert_false(reply.complete);
	assert_int_equal(fake_ufs_numbers(f.ufs)->reads, 0);
	read_file(1);
	/* The open had learned what the read needs. */
	assert_int_equal(f.files_asked, 1);
	reply = open_file(1);
	assert_int_equal(reply.length, 100 * KIB);
	assert_true(reply.complete);
	assert_false(reply.granted);
}

static void an_open_of_what_is_no_more_is_stale(void **state ATTR_UNUSED)
{
	const struct open_request req = { .id = 9 };
	struct open_reply reply;

	assert_int_equal(CALL(open, &req, &reply), -ESTALE);
	f.file_code = -ENOENT;
	assert_int_equal(CALL(open, &req, &reply), -ESTALE);
}

static void files_behind_one_that_is_opened_are_known(void **state ATTR_UNUSED)
{
	uint64_t id, old;

	f.tells_next = true;
	for (id = 1; id <= 20; id++)
		put_file(id, id * KIB);
	assert_int_equal(open_file(1).length, KIB);
	for (id = 2; id <= 17; id++) {
		assert_int_equal(open_file(id).length, id * KIB);
		assert_int_equal(read_file(id), id * KIB);
	}
	assert_int_equal(f.files_asked, 1);
	/* One that is replaced then is not served. */
	open_file(18);
	assert_int_equal(f.files_asked, 2);
	old = f.files[20].content;
	put_file(20, 20 * KIB);
	f.files[20].content = old;
	assert_int_equal(read_some(20, 0, 10), -ESTALE);
	assert_int_equal(f.suspected[20], 1);
}

/* What others have of them is asked for each. */
static void with_two_workers_only_what_is_opened_is_asked_for(
	void **state ATTR_UNUSED)
{
	f.tells_next = true;
	node_start(1);
	run(1000);
	put_file(1, KIB);
	put_file(2, KIB);
	open_file(1);
	open_file(2);
	assert_int_equal(f.files_asked, 2);
}

static void a_complete_file_is_granted(void **state ATTR_UNUSED)
{
	struct opening o;
	char buf[1000];

	put_file(1, 100 * KIB);
	o = grant(1);
	assert_int_equal(o.fd, -1);
	read_file(1);
	o = grant(1);
	assert_true(o.fd >= 0 && o.reply.granted && o.reply.complete);
	assert_int_equal(pread(o.fd, buf, sizeof(buf), 5000), sizeof(buf));
	assert_int_equal(
		fake_ufs_compare(f.files[1].content, 5000, buf, sizeof(buf)),
		sizeof(buf));
	close(o.fd);
	assert_true(is_granted(1));
	release(1);
	assert_false(is_granted(1));
}

/* Files of more than what is compared at once. */
static void after_a_restart_a_file_is_compared_and_granted(
	void **state ATTR_UNUSED)
{
	struct opening o;

	put_file(1, 300 * KIB);
	put_file(2, 2 * MIB);
	read_file(1);
	read_file(2);
	run(100);
	node_stop(0);
	node_start(0);
	o = grant(1);
	assert_true(o.fd >= 0 && o.reply.granted && o.reply.complete);
	assert_int_equal(o.reply.length, 300 * KIB);
	close(o.fd);
	assert_true(is_granted(1));
	o = grant(2); /* too long to wait for */
	assert_true(o.fd < 0 && !o.reply.granted && o.reply.complete);
	close(grant(2).fd);
	assert_true(is_granted(2));
}

static void who_does_not_wait_is_granted_nothing(void **state ATTR_UNUSED)
{
	const struct open_request req = { .id = 1, .grant = true };
	struct opening o = { .fd = -1 };

	put_file(1, 300 * KIB);
	read_file(1);
	run(100);
	node_stop(0);
	node_start(0);
	open_file(1); /* it is connected again */
	rpc_call(f.nodes[0].client, RPC_WORKER_METHOD(open), &o.pending, &req,
		 on_opened);
	rpc_cancel(&o.pending);
	run(100);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.code, -ECANCELED);
	assert_int_equal(o.fd, -1);
	assert_false(is_granted(1));
}

static uint64_t touched(void)
{
	struct store_totals t;
	uint64_t n = 0;
	enum tier i;

	store_totals(f.nodes[0].store, &t);
	for (i = TIER_FASTEST; i < N_TIERS; i++)
		n += t.tiers[i].touched;
	return n;
}

static void opens_of_what_is_held_are_wants_too(void **state ATTR_UNUSED)
{
	uint64_t id = 1, before;
	const struct release_request req = { .opened = { &id, 1 } };
	struct release_reply reply;

	put_file(1, 100 * KIB);
	read_file(1);
	close(grant(1).fd);
	before = touched();
	assert_int_equal(CALL(release, &req, &reply), 0);
	assert_int_equal(reply.released, 0);
	assert_int_equal(touched(), before + 1);
	assert_true(is_granted(1));
}

static void a_session_holds_a_file_once(void **state ATTR_UNUSED)
{
	put_file(1, 100 * KIB);
	read_file(1);
	close(grant(1).fd);
	close(grant(1).fd);
	release(1);
	assert_false(is_granted(1));
	release(1); /* which it does not hold */
}

static void what_a_lost_session_held_is_free(void **state ATTR_UNUSED)
{
	put_file(1, 100 * KIB);
	read_file(1);
	close(grant(1).fd);
	assert_true(is_granted(1));
	sim_net_cut(f.net, f.loop, f.nodes[0].loop);
	run(1000);
	assert_false(is_granted(1));
}

static void a_dropped_file_is_asked_back(void **state ATTR_UNUSED)
{
	uint64_t id = 1;
	const struct drop_request req = { .ids = { &id, 1 } };
	struct drop_reply reply;

	put_file(1, 100 * KIB);
	read_file(1);
	close(grant(1).fd);
	assert_int_equal(CALL(drop, &req, &reply), 0);
	assert_int_equal(reply.files, 1);
	assert_in_range(reply.bytes, 100 * KIB, 110 * KIB);
	assert_int_equal(f.n_let_go, 1);
	assert_int_equal(f.let_go[0], 1);
	release(1);
	assert_int_equal(read_file(1), 100 * KIB);
	assert_int_equal(fake_ufs_numbers(f.ufs)->reads, 2);
	assert_true(open_file(1).complete);
}

static void what_is_dropped_on_its_way_is_not_kept(void **state ATTR_UNUSED)
{
	uint64_t id = 1;
	const struct drop_request req = { .ids = { &id, 1 } };
	struct drop_reply reply;
	struct reading r;

	put_file(1, 100 * KIB);
	fake_ufs_hold(f.ufs, true);
	read_begin(&r, 0, 1, 0, 100 * KIB);
	run(100);
	assert_int_equal(CALL(drop, &req, &reply), 0);
	fake_ufs_hold(f.ufs, false);
	run(100);
	read_end(&r);
	assert_int_equal(r.n, 100 * KIB);
	assert_false(open_file(1).complete);
}

static void explain_tells_where_and_why(void **state ATTR_UNUSED)
{
	struct explained e;

	put_file(1, 100 * KIB);
	e = explain(1);
	assert_string_equal(e.last_open, "");
	assert_int_equal(e.reply.present, 0);

	open_file(1);
	e = explain(1);
	assert_string_equal(e.last_open,
			    "miss: never cached since the worker started");
	assert_true(e.reply.last_open_ms > 1700000000000);

	read_file(1);
	open_file(1);
	e = explain(1);
	assert_string_equal(e.last_open, "hit");
	assert_int_equal(e.reply.length, 100 * KIB);
	assert_int_equal(e.reply.present, 100 * KIB);
	assert_true(e.reply.complete && e.reply.verified);
	assert_int_equal(e.reply.blocks.n, 1);
	assert_int_equal(e.blocks[0], 100 * KIB);
}

static void an_empty_file_is_always_there(void **state ATTR_UNUSED)
{
	const struct load_request req = { .id = 1 };
	struct load_reply reply;

	put_file(1, 0);
	assert_true(open_file(1).complete);
	assert_int_equal(CALL(load, &req, &reply), 0);
	assert_true(reply.complete);
	assert_true(explain(1).reply.complete);
	assert_string_equal(explain(1).last_open, "hit");
}

static void explain_tells_of_eviction(void **state ATTR_UNUSED)
{
	uint64_t id;

	for (id = 1; id <= 10; id++) {
		put_file(id, 10 * MIB);
		read_file(id);
	}
	run(2000);
	open_file(1);
	assert_string_equal(explain(1).last_open, "miss: evicted to make room");
}

static void explain_tells_of_the_policy(void **state ATTR_UNUSED)
{
	uint64_t id;

	node_stop(0);
	f.evictor = "retain";
	node_start(0);
	for (id = 1; id <= 10; id++) {
		put_file(id, 10 * MIB);
		read_file(id);
	}
	open_file(10);
	assert_string_equal(
		explain(10).last_open,
		"miss: not admitted, what is kept is read as often");
	open_file(1);
	assert_string_equal(explain(1).last_open, "hit");
}

static void each_block_has_its_bytes(void **state ATTR_UNUSED)
{
	struct explained e;

	put_file(1, 600 * MIB);
	read_some(1, 520 * MIB, 10);
	read_some(1, 10 * MIB, 10);
	e = explain(1);
	assert_int_equal(e.reply.blocks.n, 3);
	assert_int_equal(e.blocks[0], MIB);
	assert_int_equal(e.blocks[1], 0);
	assert_int_equal(e.blocks[2], MIB);
}

static void on_report(struct rpc_pending *p ATTR_UNUSED, int code,
		      const void *reply)
{
	const struct worker_report_reply *r = reply;
	bool found = false;
	size_t i;

	assert_int_equal(code, 0);
	for (i = 0; i < r->numbers.n; i++) {
		if (r->numbers.at[i].name.len != 5 ||
		    memcmp(r->numbers.at[i].name.ptr, "files", 5) != 0)
			continue;
		assert_int_equal(r->numbers.at[i].value, 1);
		found = true;
	}
	assert_true(found);
	assert_int_equal(r->warnings.n, 0);
}

static void a_report_has_numbers(void **state ATTR_UNUSED)
{
	const struct worker_report_request req = { .all = true };
	struct rpc_pending pending = { 0 };

	put_file(1, 100 * KIB);
	read_file(1);
	rpc_call(f.nodes[0].client, RPC_WORKER_METHOD(worker_report), &pending,
		 &req, on_report);
	run(100);
}

/* Flips a bit of what is on disk of a file. */
static void damage(uint64_t id, off_t offset)
{
	char pattern[4200];
	glob_t found;
	uint8_t byte;
	int fd;

	snprintf(pattern, sizeof(pattern), "%s/*/%016llx.*", f.nodes[0].dir,
		 (unsigned long long)id);
	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	assert_int_equal(found.gl_pathc, 1);
	fd = open(found.gl_pathv[0], O_RDWR | O_CLOEXEC);
	assert_int_equal(pread(fd, &byte, 1, offset), 1);
	byte ^= 4;
	assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
	close(fd);
	globfree(&found);
}

static void what_is_on_disk_is_read_again_when_asked(void **state ATTR_UNUSED)
{
	struct explained e;

	put_file(1, 3 * MIB + 500);
	read_file(1);
	e = ask(1, true);
	assert_true(e.reply.complete);
	assert_int_equal(e.reply.present, 3 * MIB + 500);
	damage(1, 2 * MIB + 77777);
	e = ask(1, false);
	assert_true(e.reply.complete); /* nobody has looked */
	e = ask(1, true);
	assert_false(e.reply.complete);
	assert_true(e.reply.present <= 2 * MIB + 500);
	assert_int_equal(read_file(1), 3 * MIB + 500);
	assert_true(ask(1, true).reply.complete);
	assert_false(ask(9, true).reply.complete); /* not there */
}

static void many_are_read_again_a_few_at_a_time(void **state ATTR_UNUSED)
{
	const uint64_t n = 40;
	struct explained e[40];
	struct explain_request req = { .verify = true };
	uint64_t i;

	memset(e, 0, sizeof(e));
	for (i = 0; i < n; i++) {
		put_file(i + 1, 10 * KIB);
		read_file(i + 1);
	}
	damage(7, 100);
	for (i = 0; i < n; i++) {
		req.id = i + 1;
		rpc_call(f.nodes[0].client, RPC_WORKER_METHOD(explain),
			 &e[i].pending, &req, on_explained);
	}
	run(1000);
	for (i = 0; i < n; i++) {
		assert_int_equal(e[i].calls, 1);
		assert_int_equal(e[i].reply.complete, i + 1 != 7);
	}
}

static char busy_text[200];

static void on_busiest(struct rpc_pending *p ATTR_UNUSED, int code,
		       const void *reply)
{
	const struct busiest_reply *r = reply;
	size_t i, n;

	assert_int_equal(code, 0);
	n = (size_t)snprintf(busy_text, sizeof(busy_text),
			     "%d:", (int)r->opens);
	for (i = 0; i < r->files.n; i++)
		n += (size_t)snprintf(busy_text + n, sizeof(busy_text) - n,
				      " %d=%d", (int)r->files.at[i].id,
				      (int)r->files.at[i].opens);
}

static const char *busiest(uint64_t last_ms, uint32_t limit)
{
	const struct busiest_request req = { last_ms, limit };
	struct rpc_pending pending = { .fd = -1 };

	rpc_call(f.nodes[0].client, RPC_WORKER_METHOD(busiest), &pending, &req,
		 on_busiest);
	run(10);
	return busy_text;
}

static void what_is_opened_most_is_known(void **state ATTR_UNUSED)
{
	const uint64_t two = 2;
	const struct release_request again = { .opened = { &two, 1 } };
	struct release_reply reply;
	int i;

	assert_string_equal(busiest(0, 0), "0:");
	put_file(1, 10 * KIB);
	put_file(2, 10 * KIB);
	put_file(3, 10 * KIB);
	for (i = 0; i < 3; i++)
		open_file(2);
	open_file(3);
	open_file(1);
	open_file(3);
	/* Granted ones are opened without us, and told of later. */
	assert_int_equal(CALL(release, &again, &reply), 0);
	assert_string_equal(busiest(0, 0), "7: 2=4 3=2 1=1");
	assert_string_equal(busiest(0, 2), "7: 2=4 3=2");
	run(5000);
	open_file(1);
	assert_string_equal(busiest(4000, 0), "1: 1=1");
	assert_string_equal(busiest(30000, 1), "8: 2=4");
	run(61000);
	assert_string_equal(busiest(0, 0), "0:");
}

static void only_the_last_opens_are_counted(void **state ATTR_UNUSED)
{
	int i;

	put_file(1, 10 * KIB);
	put_file(2, 10 * KIB);
	for (i = 0; i < 50; i++)
		open_file(1);
	for (i = 0; i < 4090; i++)
		open_file(2);
	assert_string_equal(busiest(1000000000, 0), "4096: 2=4090 1=6");
}

TEST_MAIN(TEST_WITH(an_open_tells_length_and_completeness),
	  TEST_WITH(an_open_of_what_is_no_more_is_stale),
	  TEST_WITH(files_behind_one_that_is_opened_are_known),
	  TEST_WITH(with_two_workers_only_what_is_opened_is_asked_for),
	  TEST_WITH(a_complete_file_is_granted),
	  TEST_WITH(after_a_restart_a_file_is_compared_and_granted),
	  TEST_WITH(who_does_not_wait_is_granted_nothing),
	  TEST_WITH(opens_of_what_is_held_are_wants_too),
	  TEST_WITH(a_session_holds_a_file_once),
	  TEST_WITH(what_a_lost_session_held_is_free),
	  TEST_WITH(a_dropped_file_is_asked_back),
	  TEST_WITH(what_is_dropped_on_its_way_is_not_kept),
	  TEST_WITH(explain_tells_where_and_why),
	  TEST_WITH(what_is_opened_most_is_known),
	  TEST_WITH(only_the_last_opens_are_counted),
	  TEST_WITH(what_is_on_disk_is_read_again_when_asked),
	  TEST_WITH(many_are_read_again_a_few_at_a_time),
	  TEST_WITH(an_empty_file_is_always_there),
	  TEST_WITH(explain_tells_of_eviction),
	  TEST_WITH(explain_tells_of_the_policy),
	  TEST_WITH(each_block_has_its_bytes), TEST_WITH(a_report_has_numbers))
