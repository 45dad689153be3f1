#include "lib/test.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "lib/sim.h"
#include "lib/sim_raft.h"
#include "master/arena.h"
#include "master/entry.h"
#include "master/journal.h"

#define ARENA ((size_t)64 << 20)

/* A master that has nothing but its journal; the disk outlives it. */
static struct fixture {
	struct sim_disk *disk;
	struct loop *loop;
	struct workpool *pool;
	struct arena arena;
	struct raft_io *io;
	struct journal *journal;
	uint64_t checkpoint_bytes;
	bool ready, broken, closed;
	int code;
	struct err err;
	uint64_t applied;
} f;

static uint64_t wall_ms(void *owner ATTR_UNUSED)
{
	return 1000000 + loop_now_ms(f.loop);
}

static void on_ready(void *owner ATTR_UNUSED, int code, const struct err *err)
{
	f.ready = true;
	f.code = code;
	f.err = *err;
}

static void on_applied(void *owner ATTR_UNUSED,
		       const struct journal_record *record ATTR_UNUSED,
		       const struct namespace_result *res ATTR_UNUSED)
{
	f.applied++;
}

static void on_broken(void *owner ATTR_UNUSED, const struct err *err)
{
	f.broken = true;
	f.err = *err;
}

static void start(void)
{
	struct journal_options o = {
		.wall_ms = wall_ms,
		.uuid = "the cluster's id",
		.block_size = 1 << 28,
		.ready = on_ready,
		.applied = on_applied,
		.broken = on_broken,
	};

	f.ready = f.broken = f.closed = false;
	f.applied = 0;
	f.loop = sim_new();
	assert_int_equal(arena_map(&f.arena, ARENA, NULL), 0);
	assert_int_equal(workpool_new(&f.pool, "ckpt", 0), 0);
	f.io = sim_raft_open(f.disk, f.loop, 1);
	o.loop = f.loop;
	o.pool = f.pool;
	o.io = f.io;
	o.member = 7;
	o.empty = sim_disk_empty(f.disk);
	o.checkpoints = sim_disk_checkpoints(f.disk);
	o.arena = &f.arena;
	o.checkpoint_bytes = f.checkpoint_bytes;
	f.journal = journal_start(&o);
	sim_run(f.loop, 5000);
}

static void on_closed(void *owner ATTR_UNUSED)
{
	f.closed = true;
}

static void stop(void)
{
	journal_close(f.journal, on_closed, NULL);
	sim_run(f.loop, 100);
	assert_true(f.closed);
	sim_raft_free(f.io);
	workpool_close(f.pool);
	arena_unmap(&f.arena);
	sim_free(f.loop);
}

static int setup(void **state ATTR_UNUSED)
{
	f = (struct fixture){ .disk = sim_disk_new() };
	start();
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	stop();
	sim_disk_free(f.disk);
	return 0;
}

static void restart(void)
{
	stop();
	start();
	assert_true(f.ready);
	assert_int_equal(f.code, 0);
}

struct command {
	struct journal_req req;
	int calls, code;
	uint64_t id;
};

static void on_done(struct journal_req *req, const struct namespace_result *res)
{
	struct command *c = container_of(req, struct command, req);

	c->calls++;
	c->code = res->code;
	c->id = res->id;
}

static schema_str str(const char *s)
{
	return (schema_str){ s, strlen(s) };
}

static void mount_as(struct command *c, const char *path, uint64_t client,
		     uint64_t sequence)
{
	struct journal_record r = { .type = JOURNAL_mount };

	*c = (struct command){ 0 };
	r.stamp.client = client;
	r.stamp.sequence = sequence;
	r.mount.path = str(path);
	r.mount.uri = str("file:///data");
	journal_submit(f.journal, &r, &c->req, on_done);
}

static void mount(struct command *c, const char *path)
{
	mount_as(c, path, 0, 0);
}

static uint64_t digest(void)
{
	return namespace_digest(journal_namespace(f.journal));
}

static void a_new_cluster_has_its_uuid_and_block_size(void **state ATTR_UNUSED)
{
	struct namespace_totals t;

	assert_true(f.ready);
	assert_int_equal(f.code, 0);
	namespace_totals(journal_namespace(f.journal), &t);
	assert_memory_equal(t.uuid, "the cluster's id", 16);
	assert_int_equal(t.block_size, 1 << 28);
}

static void a_command_calls_back_once_when_it_is_committed(
	void **state ATTR_UNUSED)
{
	struct command c;

	sim_disk_delay(f.disk, 10);
	mount(&c, "/a");
	assert_int_equal(c.calls, 0);
	sim_run(f.loop, 9);
	assert_int_equal(c.calls, 0);
	sim_run(f.loop, 100);
	assert_int_equal(c.calls, 1);
	assert_int_equal(c.code, 0);
	assert_int_not_equal(c.id, 0);
}

static void what_arrives_while_one_entry_is_in_flight_shares_the_next(
	void **state ATTR_UNUSED)
{
	struct journal_numbers before, after;
	struct command c[20];
	char path[8];
	int i;

	sim_disk_delay(f.disk, 10);
	journal_numbers(f.journal, &before);
	mount(&c[0], "/first");
	sim_run(f.loop, 5);
	for (i = 1; i < 20; i++) {
		snprintf(path, sizeof(path), "/%d", i);
		mount(&c[i], path);
	}
	sim_run(f.loop, 200);
	for (i = 0; i < 20; i++) {
		assert_int_equal(c[i].calls, 1);
		assert_int_equal(c[i].code, 0);
	}
	journal_numbers(f.journal, &after);
	assert_int_equal(after.entries - before.entries, 2);
	assert_int_equal(after.records - before.records, 20);
}

static void each_command_of_a_group_has_its_own_result(void **state ATTR_UNUSED)
{
	struct command good, bad, also;

	mount(&good, "/a");
	mount(&bad, "not absolute");
	mount(&also, "/b");
	sim_run(f.loop, 100);
	assert_int_equal(good.code, 0);
	assert_int_not_equal(bad.code, 0);
	assert_int_equal(also.code, 0);
	assert_int_not_equal(good.id, also.id);
}

static void a_restart_gives_the_same_tree(void **state ATTR_UNUSED)
{
	struct command c;
	uint64_t before;

	mount(&c, "/a");
	sim_run(f.loop, 100);
	before = digest();
	restart();
	assert_int_equal(digest(), before);
}

static void a_retry_after_a_restart_is_applied_once(void **state ATTR_UNUSED)
{
	struct command first, again;
	struct namespace_totals t;

	mount_as(&first, "/a", 5, 1);
	sim_run(f.loop, 100);
	restart();
	mount_as(&again, "/a", 5, 1);
	sim_run(f.loop, 100);
	assert_int_equal(again.code, first.code);
	assert_int_equal(again.id, first.id);
	namespace_totals(journal_namespace(f.journal), &t);
	assert_int_equal(t.mounts, 1);
}

static void checkpoints_bound_the_log(void **state ATTR_UNUSED)
{
	struct journal_numbers n;
	struct command c[200];
	uint64_t before;
	char path[16];
	int i;

	stop();
	f.checkpoint_bytes = 2000;
	start();
	for (i = 0; i < 200; i++) {
		snprintf(path, sizeof(path), "/%d", i);
		mount(&c[i], path);
		sim_run(f.loop, 100);
		assert_int_equal(c[i].code, 0);
	}
	journal_numbers(f.journal, &n);
	assert_true(n.checkpoints > 3);
	assert_true(n.bytes < 4000);
	assert_true(sim_disk_entries(f.disk) < 60);
	before = digest();
	restart();
	assert_int_equal(digest(), before);
	assert_true(f.applied < 60); /* the rest came by the image */
}

static void a_failed_checkpoint_keeps_the_log_and_is_tried_again(
	void **state ATTR_UNUSED)
{
	struct journal_numbers n;
	struct command c;
	uint64_t before;

	sim_disk_fail_checkpoints(f.disk, 1);
	journal_checkpoint(f.journal);
	sim_run(f.loop, 500);
	journal_numbers(f.journal, &n);
	assert_int_equal(n.checkpoint_failures, 1);
	assert_int_equal(n.checkpoints, 0);
	mount(&c, "/a");
	sim_run(f.loop, 2000);
	journal_checkpoint(f.journal);
	sim_run(f.loop, 500);
	journal_numbers(f.journal, &n);
	assert_int_equal(n.checkpoints, 1);
	before = digest();
	restart();
	assert_int_equal(digest(), before);
}

static void closing_fails_what_is_not_committed(void **state ATTR_UNUSED)
{
	struct command flying, waiting;

	sim_disk_delay(f.disk, 1000);
	mount(&flying, "/a");
	sim_run(f.loop, 1);
	mount(&waiting, "/b");
	stop();
	assert_int_equal(flying.calls, 1);
	assert_int_equal(flying.code, -ECANCELED);
	assert_int_equal(waiting.calls, 1);
	assert_int_equal(waiting.code, -ECANCELED);
	sim_disk_delay(f.disk, 0);
	start();
}

static void an_unknown_record_stops_the_master(void **state ATTR_UNUSED)
{
	const struct journal_record r = { .type = JOURNAL_unmount,
					  .unmount.path = { "/", 1 } };
	struct namespace_totals t;
	struct entry e;
	uint8_t *bytes;
	size_t len;

	namespace_totals(journal_namespace(f.journal), &t);
	entry_init(&e);
	entry_add(&e, &r);
	e.payload.data[5] = 0x7e;
	len = entry_size(&e);
	bytes = mem_alloc(len);
	stop();
	entry_write(&e, t.uuid, sim_disk_next(f.disk), bytes);
	sim_disk_append(f.disk, bytes, len);
	start();
	assert_true(f.broken);
	assert_false(f.ready);
	assert_non_null(strstr(f.err.msg, "type"));
	entry_close(&e);
	free(bytes);
}

static void an_entry_of_another_cluster_stops_the_master(
	void **state ATTR_UNUSED)
{
	const struct journal_record r = { .type = JOURNAL_unmount,
					  .unmount.path = { "/", 1 } };
	uint8_t bytes[128];
	struct entry e;
	size_t len;

	entry_init(&e);
	entry_add(&e, &r);
	len = entry_size(&e);
	stop();
	entry_write(&e, (const uint8_t *)"some other one's",
		    sim_disk_next(f.disk), bytes);
	sim_disk_append(f.disk, bytes, len);
	start();
	assert_true(f.broken);
	assert_non_null(strstr(f.err.msg, "another cluster"));
	entry_close(&e);
}

/* A good entry, written for a later place or with this bit flipped, stops the
 * master, and it says so. */
static void is_refused(uint64_t shift, size_t flipped, const char *sentence)
{
	const struct journal_record r = { .type = JOURNAL_unmount,
					  .unmount.path = { "/", 1 } };
	struct namespace_totals t;
	uint8_t bytes[128];
	struct entry e;

	namespace_totals(journal_namespace(f.journal), &t);
	entry_init(&e);
	entry_add(&e, &r);
	stop();
	entry_write(&e, t.uuid, sim_disk_next(f.disk) + shift, bytes);
	bytes[flipped / 8] ^= (uint8_t)(1 << flipped % 8);
	sim_disk_append(f.disk, bytes, entry_size(&e));
	start();
	assert_true(f.broken);
	assert_false(f.ready);
	assert_non_null(strstr(f.err.msg, sentence));
	entry_close(&e);
}

static void an_entry_in_anothers_place_stops_the_master(
	void **state ATTR_UNUSED)
{
	is_refused(7, 127 * 8, "some are missing");
}

static void a_damaged_entry_stops_the_master(void **state ATTR_UNUSED)
{
	is_refused(0, ENTRY_HEADER * 8 + 50, "wrong checksum");
}

static void recent_entries_can_be_read_again(void **state ATTR_UNUSED)
{
	struct journal_record record;
	struct entry_reader reader;
	msgpack_zone *zone = msgpack_zone_new(1024);
	uint64_t index = 0;
	struct command c;
	const void *buf;
	size_t len;

	mount(&c, "/a");
	sim_run(f.loop, 100);
	buf = journal_recent(f.journal, 0, &index, &len);
	assert_non_null(buf);
	assert_int_equal(entry_open(&reader, buf, len, NULL), 0);
	assert_int_equal(entry_next(&reader, &record, zone, NULL), 1);
	assert_int_equal(record.type, JOURNAL_cluster);
	buf = journal_recent(f.journal, index, &index, &len);
	assert_non_null(buf);
	assert_int_equal(entry_open(&reader, buf, len, NULL), 0);
	assert_int_equal(entry_next(&reader, &record, zone, NULL), 1);
	assert_int_equal(record.type, JOURNAL_mount);
	assert_null(journal_recent(f.journal, index, &index, &len));
	msgpack_zone_free(zone);
}

TEST_MAIN(TEST_WITH(a_new_cluster_has_its_uuid_and_block_size),
	  TEST_WITH(a_command_calls_back_once_when_it_is_committed),
	  TEST_WITH(what_arrives_while_one_entry_is_in_flight_shares_the_next),
	  TEST_WITH(each_command_of_a_group_has_its_own_result),
	  TEST_WITH(a_restart_gives_the_same_tree),
	  TEST_WITH(a_retry_after_a_restart_is_applied_once),
	  TEST_WITH(checkpoints_bound_the_log),
	  TEST_WITH(a_failed_checkpoint_keeps_the_log_and_is_tried_again),
	  TEST_WITH(closing_fails_what_is_not_committed),
	  TEST_WITH(an_unknown_record_stops_the_master),
	  TEST_WITH(an_entry_of_another_cluster_stops_the_master),
	  TEST_WITH(an_entry_in_anothers_place_stops_the_master),
	  TEST_WITH(a_damaged_entry_stops_the_master),
	  TEST_WITH(recent_entries_can_be_read_again))
