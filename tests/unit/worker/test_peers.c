/* Two workers: what one asks the other for. */

#include "worker_fixture.h"

/* Two workers: who is not the home asks the home, and keeps nothing. */
static void the_home_is_asked_before_under_storage(void **state ATTR_UNUSED)
{
	struct reading r;
	unsigned i, asked = 0;

	node_start(1);
	for (i = 0; i < 20; i++) {
		put_file(i, 100 * KIB);
		read_begin(&r, 1, i, 0, 100 * KIB);
		run(1000);
		read_end(&r);
		assert_int_equal(r.n, 100 * KIB);
		read_begin(&r, 0, i, 0, 100 * KIB);
		run(1000);
		read_end(&r);
		assert_int_equal(r.n, 100 * KIB);
		asked += r.source == 1;
		/* At one of the two, never at both. */
		assert_int_equal(in_store(i) + store_present(f.nodes[1].store,
							     i, 0, 100 * KIB),
				 100 * KIB);
	}
	assert_in_range(asked, 3, 17);
}

static void what_the_home_before_has_is_not_fetched(void **state ATTR_UNUSED)
{
	struct reading r;
	unsigned i, moved = 0;

	for (i = 0; i < 20; i++) {
		put_file(i, 100 * KIB);
		read_file(i);
	}
	assert_int_equal(numbers()->reads, 20);
	node_start(1);
	/* The second knows no epoch before its first: tell it of one. */
	f.epoch++;
	run(3000);
	for (i = 0; i < 20; i++) {
		read_begin(&r, 1, i, 0, 100 * KIB);
		run(1000);
		read_end(&r);
		assert_int_equal(r.n, 100 * KIB);
		moved += r.source == 1;
	}
	assert_true(moved > 0);
}

/* The one before is not asked for ever: the master knows by then. */
static void who_holds_it_by_the_masters_word_is_asked(void **state ATTR_UNUSED)
{
	struct reading r;
	unsigned i;

	for (i = 0; i < 20; i++) {
		put_file(i, 100 * KIB);
		read_file(i);
	}
	node_start(1);
	run(70000);
	for (i = 0; i < 20; i++) {
		f.holders[i] = i < 10;
		read_begin(&r, 1, i, 0, 100 * KIB);
		run(100);
		read_end(&r);
		assert_int_equal(r.n, 100 * KIB);
		if (i < 10)
			assert_int_equal(r.source, 1);
	}
	assert_in_range(numbers()->reads, 21, 28);
}

/* A new set is asked about once more. */
static void a_file_that_is_known_has_its_holders_of_each_set(
	void **state ATTR_UNUSED)
{
	struct reading r;

	node_start(1);
	put_file(1, 9 * MIB);
	read_begin(&r, 1, 1, 0, 10);
	run(1000);
	read_end(&r);
	f.files_asked = 0;
	read_begin(&r, 1, 1, 5 * MIB, 10);
	run(1000);
	read_end(&r);
	assert_int_equal(f.files_asked, 0);
	f.epoch++;
	run(3000);
	read_begin(&r, 1, 1, 8 * MIB, 10);
	run(1000);
	read_end(&r);
	assert_in_range(f.files_asked, 1, 2);
}

static void a_peer_that_says_nothing_costs_a_second_once(
	void **state ATTR_UNUSED)
{
	struct reading r;
	unsigned i, waited = 0;

	node_start(1);
	sim_net_part(f.net, f.nodes[0].loop, f.nodes[1].loop, true);
	for (i = 0; i < 20; i++) {
		put_file(i, 100 * KIB);
		read_begin(&r, 0, i, 0, 100 * KIB);
		run(100);
		if (!r.calls) {
			waited++;
			run(1200);
		}
		read_end(&r);
		assert_int_equal(r.n, 100 * KIB);
	}
	assert_int_equal(waited, 1);
	sim_net_part(f.net, f.nodes[0].loop, f.nodes[1].loop, false);
}

/* Files whose home is node 1, of which nothing is cached. */
static void files_at_home(uint64_t *ids, unsigned n)
{
	struct reading r;
	uint64_t id;

	for (id = 1; n; id++) {
		put_file(id, 100 * KIB);
		read_begin(&r, 1, id, 0, 100 * KIB);
		run(100);
		read_end(&r);
		if (store_drop(f.nodes[1].store, id))
			ids[--n] = id;
	}
}

/* It answers pings: what else it was asked for is waited for. */
static void a_peer_that_takes_long_for_a_file_is_not_away(
	void **state ATTR_UNUSED)
{
	struct fake_ufs_faults faults = { .min_ms = 7000, .max_ms = 7000 };
	struct reading here[2], home[2];
	uint64_t ids[2], reads;
	unsigned i;

	node_start(1);
	f.epoch++;
	run(3000); /* both know the set */
	files_at_home(ids, 2);
	reads = numbers()->reads;
	fake_ufs_set(f.ufs, &faults);
	for (i = 0; i < 2; i++) {
		read_begin(&home[i], 1, ids[i], 0, 100 * KIB);
		run(10);
		read_begin(&here[i], 0, ids[i], 0, 100 * KIB);
		run(4000);
		faults.min_ms = faults.max_ms = 3000;
		fake_ufs_set(f.ufs, &faults);
	}
	/* The first took too long for us: then it was fetched here too. */
	run(10000);
	for (i = 0; i < 2; i++) {
		read_end(&home[i]);
		read_end(&here[i]);
		assert_int_equal(here[i].n, 100 * KIB);
		assert_int_equal(here[i].source, i == 0 ? 2 : 1);
	}
	assert_int_equal(numbers()->reads, reads + 3);
}

/* And does not ask whom it stands in for. */
static void who_stands_in_keeps_what_it_fetches(void **state ATTR_UNUSED)
{
	struct reading r;
	unsigned i, home;

	node_start(1);
	for (i = 0; i < 20; i++) {
		put_file(i, 100 * KIB);
		read_begin(&r, 0, i, 0, 100 * KIB);
		run(100);
		read_end(&r);
		home = store_present(f.nodes[0].store, i, 0, 1) ? 0 : 1;
		instead_of = home + 1;
		read_begin(&r, !home, i, 0, 100 * KIB);
		instead_of = 0;
		run(100);
		read_end(&r);
		assert_int_equal(r.n, 100 * KIB);
		if (home == 1) /* its answer is still at hand */
			continue;
		assert_int_equal(r.source, 2);
		assert_true(store_present(f.nodes[1].store, i, 0, 1) > 0);
	}
}

/* An under-storage whose files have all just changed. */
static struct ufs_ops unsettled_ops;
static const struct ufs_ops *settled_ops;
static ufs_done_fn unsettled_done;

static void on_unsettled(struct ufs_req *req, ssize_t n)
{
	req->stat.unsettled = true;
	unsettled_done(req, n);
}

static void unsettled_read(struct ufs *u, struct ufs_req *req, ufs_done_fn done)
{
	unsettled_done = done;
	settled_ops->read(u, req, on_unsettled);
}

static int unsettled_open(struct ufs **out, const struct ufs_env *env,
			  const char *uri, struct err *err)
{
	int rv = fake_ufs_open(out, env, uri, err);

	if (rv)
		return rv;
	settled_ops = (*out)->ops;
	unsettled_ops = *settled_ops;
	unsettled_ops.read = unsettled_read;
	(*out)->ops = &unsettled_ops;
	return 0;
}

static void what_is_unsettled_is_not_given_to_a_peer_to_cache(
	void **state ATTR_UNUSED)
{
	struct reading r[20];
	unsigned i;

	node_stop(0);
	f.open_ufs = unsettled_open;
	node_start(0);
	for (i = 0; i < 20; i++) {
		put_file(i, 100 * KIB);
		read_begin(&r[i], 0, i, 0, 100 * KIB);
	}
	run(100);
	node_start(1);
	f.epoch++;
	run(3000);
	for (i = 0; i < 20; i++) {
		read_end(&r[i]);
		read_begin(&r[i], 1, i, 0, 100 * KIB);
	}
	run(1000);
	for (i = 0; i < 20; i++) {
		read_end(&r[i]);
		assert_int_equal(r[i].n, 100 * KIB);
		assert_int_equal(r[i].source, 2);
		assert_int_equal(store_present(f.nodes[1].store, i, 0, 1), 0);
	}
}

static void a_home_that_is_gone_is_no_obstacle(void **state ATTR_UNUSED)
{
	struct reading r;
	unsigned i;

	node_start(1);
	node_stop(1); /* and the master has not noticed */
	f.live[1] = true;
	for (i = 0; i < 10; i++) {
		put_file(i, 100 * KIB);
		read_begin(&r, 0, i, 0, 100 * KIB);
		run(10000);
		read_end(&r);
		assert_int_equal(r.n, 100 * KIB);
	}
}

TEST_MAIN(TEST_WITH(the_home_is_asked_before_under_storage),
	  TEST_WITH(what_the_home_before_has_is_not_fetched),
	  TEST_WITH(who_holds_it_by_the_masters_word_is_asked),
	  TEST_WITH(a_file_that_is_known_has_its_holders_of_each_set),
	  TEST_WITH(a_peer_that_says_nothing_costs_a_second_once),
	  TEST_WITH(a_peer_that_takes_long_for_a_file_is_not_away),
	  TEST_WITH(who_stands_in_keeps_what_it_fetches),
	  TEST_WITH(what_is_unsettled_is_not_given_to_a_peer_to_cache),
	  TEST_WITH(a_home_that_is_gone_is_no_obstacle))
