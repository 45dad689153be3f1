/* Files move between tiers on disk threads while they are read, filled, lent
 * and dropped: bytes are right, and the thread sanitizer looks on. */

#include "tiers_fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/sim.h"
#include "runtime/loop_uv.h"

enum { FILES = 64, IN_FLIGHT = 16, STEPS = 1500 };

struct slot {
	struct store_req req;
	bool reads;
	char buf[2 << 20];
};

static struct {
	struct slot slots[IN_FLIGHT];
	int lent[FILES]; /* descriptors */
	unsigned steps, busy;
	uint64_t seed, hits;
} t;

static uint64_t random_below(uint64_t n)
{
	t.seed ^= t.seed << 13;
	t.seed ^= t.seed >> 7;
	t.seed ^= t.seed << 17;
	return t.seed % n;
}

/* Some have several pages. */
static uint64_t size_of(uint64_t file)
{
	return file % 16 == 0 ? MIB + 100 * KIB + file : 1000 + file * 2500;
}

static void next(struct slot *s);

static void is_right(uint64_t file, uint64_t offset, const char *buf, size_t n)
{
	char *want = mem_alloc(n);

	pattern(file, offset, want, n);
	assert_memory_equal(buf, want, n);
	free(want);
}

static void on_done(struct store_req *req, ssize_t n)
{
	struct slot *s = container_of(req, struct slot, req);

	if (s->reads && n > 0) {
		is_right(req->file, req->offset, s->buf, (size_t)n);
		t.hits++;
	} else if (s->reads) {
		assert_int_equal(n, -ENOENT);
	} else {
		if (n != (ssize_t)req->len && n != ERR_NOT_ADMITTED &&
		    n != -ENOSPC)
			fail_msg("fill: %d", (int)n);
	}
	next(s);
}

static void give_back(uint64_t file)
{
	if (t.lent[file] < 0)
		return;
	close(t.lent[file]);
	t.lent[file] = -1;
	store_release(f.store, file);
}

static void read_lent(uint64_t file)
{
	size_t size = size_of(file);
	char *buf;

	if (t.lent[file] < 0)
		return;
	buf = mem_alloc(size);
	assert_int_equal(pread(t.lent[file], buf, size, 0), size);
	is_right(file, 0, buf, size);
	free(buf);
}

/* What comes between. */
static void meddle(uint64_t file)
{
	/* Some are hotter than others, for a while. */
	store_touch(f.store, (t.steps / 200 * 9 + random_below(8)) % FILES);
	read_lent(file);
	switch (random_below(16)) {
	case 0:
		store_drop(f.store, file);
		break;
	case 1:
	case 2:
		if (t.lent[file] < 0)
			t.lent[file] = store_grant(f.store, file);
		break;
	case 3:
	case 4:
		give_back(file);
		break;
	}
}

static void next(struct slot *s)
{
	uint64_t file = random_below(FILES), size = size_of(file);

	if (t.steps == STEPS) {
		if (--t.busy == 0)
			loop_uv_stop(f.loop);
		return;
	}
	t.steps++;
	meddle(file);
	s->reads = random_below(4) != 0;
	s->req = (struct store_req){
		.loop = f.loop,
		.file = file,
		.file_size = size,
		.buf = s->buf,
		.len = size,
	};
	if (s->reads) {
		store_read(f.store, &s->req, on_done);
		return;
	}
	pattern(file, 0, s->buf, s->req.len);
	store_fill(f.store, &s->req, on_done);
}

static void on_last(struct task *task ATTR_UNUSED)
{
	loop_uv_stop(f.loop);
}

static void close_store(void)
{
	struct task last;

	store_close(f.store);
	f.store = NULL;
	loop_post(f.loop, &last, on_last);
	loop_uv_run(f.loop);
}

static void play(const char *evictor, uint64_t seed)
{
	struct store_totals all;
	uint64_t i;

	memset(&t, 0, sizeof(t));
	t.seed = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	memset(t.lent, -1, sizeof(t.lent));
	tiers_setup(NULL);
	sim_free(f.loop);
	f.loop = loop_uv_new();
	f.threads = 3;
	tf.capacity[TIER_MEMORY] = 2 * MIB;
	tf.capacity[TIER_SSD] = 3 * MIB;
	tf.capacity[TIER_HDD] = 5 * MIB;
	tf.evictor = evictor;
	tiers_start();
	store_on_let_go(f.store, NULL, NULL); /* comes on any thread */
	for (; t.busy < IN_FLIGHT; t.busy++)
		next(&t.slots[t.busy]);
	loop_uv_run(f.loop);
	for (i = 0; i < FILES; i++)
		give_back(i);
	all = totals();
	assert_true(t.hits > STEPS / 4);
	assert_int_equal(all.granted, 0);
	assert_int_equal(all.corrupt, 0);
	print_message("%s: %d up to memory, %d down, %d evicted\n", evictor,
		      (int)all.tiers[TIER_MEMORY].promoted,
		      (int)all.tiers[TIER_MEMORY].demoted, (int)all.evictions);
	/* How many depends on the threads. */
	assert_true(all.tiers[TIER_MEMORY].promoted +
			    all.tiers[TIER_MEMORY].demoted >
		    5);
}

/* All that is left can be read, and lies there once.  What is taken is looked
 * at when nothing moves: a walk over a directory sees no one moment. */
static void finish(void)
{
	uint64_t i;

	close_store();
	tiers_start();
	assert_int_equal(totals().unverified, 0);
	tiers_are_within();
	assert_int_equal(copies_of(UINT64_MAX), totals().files);
	tiers_are_within();
	t.steps = STEPS;
	for (i = 0; i < FILES; i++) {
		if (tier_of(i) == TIER_AUTO)
			continue;
		t.slots[0].reads = true;
		t.slots[0].req = (struct store_req){
			.loop = f.loop,
			.file = i,
			.file_size = size_of(i),
			.buf = t.slots[0].buf,
			.len = size_of(i),
		};
		t.busy = 1;
		t.hits = 0;
		store_read(f.store, &t.slots[0].req, on_done);
		loop_uv_run(f.loop);
		assert_int_equal(t.hits, 1);
	}
	close_store();
	loop_uv_free(f.loop);
	f.threads = 0;
	f.loop = sim_new();
	tiers_teardown(NULL);
}

static void many_at_once_with_lru(void **state ATTR_UNUSED)
{
	play("lru", 1);
	finish();
}

static void many_at_once_with_retain(void **state ATTR_UNUSED)
{
	play("retain", 2);
	finish();
}

TEST_MAIN(TEST(many_at_once_with_lru), TEST(many_at_once_with_retain))
