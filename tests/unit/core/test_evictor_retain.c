/* Traces of opens, played against a cache that has room for a fixed number of
 * files of one size. */

#include "lib/test.h"

#include <stdlib.h>

#include "core/evictor.h"

enum { FILES = 5000, ROOM = FILES * 6 / 10, IDS = 6 * FILES };

static struct fixture {
	struct evictor *evictor;
	struct evict_node nodes[IDS];
	bool cached[IDS];
	size_t n_cached;
	uint64_t seed;
	unsigned order[IDS];
} f;

static void start(const char *policy)
{
	f = (struct fixture){ .seed = 88172645463325252u };
	f.evictor = evictor_find(policy)->create();
}

static int setup(void **state ATTR_UNUSED)
{
	start("retain");
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	f.evictor->ops->destroy(f.evictor);
	return 0;
}

static uint64_t next_random(void)
{
	f.seed ^= f.seed << 13;
	f.seed ^= f.seed >> 7;
	f.seed ^= f.seed << 17;
	return f.seed;
}

static void evict(struct evict_node *n)
{
	assert_true(f.cached[n->id]);
	evictor_remove(f.evictor, n);
	f.cached[n->id] = false;
	f.n_cached--;
}

/* Opens and reads one file, as store/ would; whether it was there. */
static bool read_file(unsigned id)
{
	struct evict_node *n = &f.nodes[id], *victim;

	if (f.cached[id]) {
		evictor_touch(f.evictor, n);
		return true;
	}
	evictor_missed(f.evictor, id);
	*n = (struct evict_node){ .id = id, .size = 1 };
	if (f.n_cached == ROOM) {
		victim = evictor_victim(f.evictor, n, NULL);
		if (!victim)
			return false;
		evict(victim);
	}
	evictor_insert(f.evictor, n);
	f.cached[id] = true;
	f.n_cached++;
	return false;
}

/* Percent of hits. */
static unsigned read_in_order(unsigned n)
{
	unsigned i, hits = 0;

	for (i = 0; i < n; i++)
		hits += read_file(f.order[i]);
	return hits * 100 / n;
}

static void take(unsigned from, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		f.order[i] = from + i;
}

static void shuffle(unsigned n)
{
	unsigned i, j, swap;

	for (i = n - 1; i > 0; i--) {
		j = (unsigned)(next_random() % (i + 1));
		swap = f.order[i];
		f.order[i] = f.order[j];
		f.order[j] = swap;
	}
}

static unsigned epoch(unsigned from, unsigned n)
{
	take(from, n);
	shuffle(n);
	return read_in_order(n);
}

static void shuffled_epochs_keep_what_is_there(void **state ATTR_UNUSED)
{
	unsigned i;

	assert_int_equal(epoch(0, FILES), 0);
	for (i = 0; i < 10; i++)
		assert_in_range(epoch(0, FILES), 59, 60);
}

static void lru_is_worse_on_shuffled_epochs(void **state ATTR_UNUSED)
{
	unsigned i;

	f.evictor->ops->destroy(f.evictor);
	start("lru");
	epoch(0, FILES);
	for (i = 0; i < 3; i++)
		assert_in_range(epoch(0, FILES), 10, 30);
}

static void epochs_in_the_same_order_keep_it_too(void **state ATTR_UNUSED)
{
	unsigned i;

	take(0, FILES);
	read_in_order(FILES);
	for (i = 0; i < 5; i++)
		assert_in_range(read_in_order(FILES), 59, 60);
}

static void a_small_cache_keeps_its_share(void **state ATTR_UNUSED)
{
	const unsigned n = ROOM * 5;
	unsigned i;

	epoch(0, n);
	for (i = 0; i < 4; i++)
		assert_in_range(epoch(0, n), 18, 20);
}

static void a_scan_does_no_harm(void **state ATTR_UNUSED)
{
	epoch(0, FILES);
	epoch(0, FILES);
	take(FILES, 4 * FILES);
	read_in_order(4 * FILES);
	assert_in_range(epoch(0, FILES), 59, 60);
}

static void scans_between_epochs_do_no_harm(void **state ATTR_UNUSED)
{
	unsigned i;

	epoch(0, FILES);
	for (i = 0; i < 4; i++) {
		assert_in_range(epoch(0, FILES), 59, 60);
		take(FILES + i * 2000, 2000);
		read_in_order(2000);
	}
}

static void another_data_set_takes_over(void **state ATTR_UNUSED)
{
	unsigned i;

	for (i = 0; i < 3; i++)
		epoch(0, FILES);
	/* The first epoch could be a scan; the second proves it is not. */
	epoch(FILES, FILES);
	epoch(FILES, FILES);
	epoch(FILES, FILES);
	for (i = 0; i < 3; i++)
		assert_in_range(epoch(FILES, FILES), 59, 60);
}

static void what_was_read_once_gives_way(void **state ATTR_UNUSED)
{
	epoch(0, FILES);
	epoch(FILES, FILES);
	epoch(FILES, FILES);
	epoch(FILES, FILES);
	assert_in_range(epoch(FILES, FILES), 55, 60);
}

static void files_that_left_the_set_are_replaced(void **state ATTR_UNUSED)
{
	unsigned i, hits = 0;

	for (i = 0; i < 3; i++)
		epoch(0, FILES);
	/* Half of the set is another from now on. */
	for (i = 0; i < 12; i++)
		hits = epoch(FILES / 2, FILES);
	assert_in_range(hits, 55, 60);
}

static void a_hot_file_gets_in(void **state ATTR_UNUSED)
{
	unsigned i, hits = 0;

	epoch(0, FILES);
	epoch(0, FILES);
	take(0, FILES);
	shuffle(FILES);
	for (i = 0; i < FILES; i++) {
		read_file(f.order[i]);
		if (i % 100 == 0)
			hits += read_file(FILES + i / 100 % 5);
	}
	assert_in_range(hits, 20, 50);
}

static void opening_twice_is_one_visit(void **state ATTR_UNUSED)
{
	unsigned e, i, hits;

	for (e = 0; e < 6; e++) {
		take(0, FILES);
		shuffle(FILES);
		for (hits = i = 0; i < FILES; i++) {
			hits += read_file(f.order[i]);
			read_file(f.order[i]);
			read_file(f.order[i]);
		}
		if (e)
			assert_in_range(hits * 100 / FILES, 58, 60);
	}
}

static unsigned load(unsigned from, unsigned n, uint64_t number)
{
	struct evict_node *node, *victim;
	unsigned i, in = 0;

	for (i = from; i < from + n; i++) {
		node = &f.nodes[i];
		*node = (struct evict_node){ .id = i, .load = number };
		victim = evictor_victim(f.evictor, node, NULL);
		if (!victim)
			continue;
		evict(victim);
		evictor_insert(f.evictor, node);
		f.cached[i] = true;
		f.n_cached++;
		in++;
	}
	return in;
}

static void a_load_replaces_what_was_there_before(void **state ATTR_UNUSED)
{
	epoch(0, FILES);
	epoch(0, FILES);
	assert_int_equal(load(FILES, ROOM / 2, 1), ROOM / 2);
	/* Not itself, and not what is wanted meanwhile. */
	read_file(FILES - 1);
	take(0, 100);
	read_in_order(100);
	assert_in_range(load(2 * FILES, ROOM, 1), ROOM / 2 - 110, ROOM / 2);
	assert_int_equal(load(3 * FILES, 10, 1), 0);
	assert_int_equal(load(4 * FILES, 10, 2), 10);
}

static void a_need_of_the_owner_takes_any(void **state ATTR_UNUSED)
{
	read_file(1);
	read_file(2);
	read_file(1);
	assert_ptr_equal(evictor_victim(f.evictor, NULL, NULL), &f.nodes[2]);
	assert_ptr_equal(evictor_victim(f.evictor, NULL, &f.nodes[2]),
			 &f.nodes[1]);
	assert_null(evictor_victim(f.evictor, NULL, &f.nodes[1]));
}

TEST_MAIN(TEST_WITH(shuffled_epochs_keep_what_is_there),
	  TEST_WITH(lru_is_worse_on_shuffled_epochs),
	  TEST_WITH(epochs_in_the_same_order_keep_it_too),
	  TEST_WITH(a_small_cache_keeps_its_share),
	  TEST_WITH(a_scan_does_no_harm),
	  TEST_WITH(scans_between_epochs_do_no_harm),
	  TEST_WITH(another_data_set_takes_over),
	  TEST_WITH(what_was_read_once_gives_way),
	  TEST_WITH(files_that_left_the_set_are_replaced),
	  TEST_WITH(a_hot_file_gets_in), TEST_WITH(opening_twice_is_one_visit),
	  TEST_WITH(a_load_replaces_what_was_there_before),
	  TEST_WITH(a_need_of_the_owner_takes_any))
