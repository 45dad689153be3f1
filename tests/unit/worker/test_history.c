/* History needs of a worker nothing but its clock. */

#include "lib/test.h"

#include <errno.h>

#include "worker/state.h"

static uint64_t now;

static uint64_t wall_ms(void)
{
	return now;
}

static struct worker w;

static int setup(void **state ATTR_UNUSED)
{
	w = (struct worker){ .o = { .wall_ms = wall_ms } };
	now = 1000;
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	history_close(&w.history);
	return 0;
}

static const struct remembered *get(uint64_t file)
{
	return history_get(&w.history, file);
}

static void assert_last_open(uint64_t file, const char *wanted)
{
	char said[HISTORY_TEXT];

	history_last_open(&w, file, said);
	assert_string_equal(said, wanted);
}

static void the_last_open_is_remembered(void **state ATTR_UNUSED)
{
	assert_null(get(5));
	assert_last_open(5, "");
	history_open(&w, 5, false, false);
	assert_last_open(5, "miss: never cached since the worker started");
	assert_int_equal(get(5)->open_ms, 1000);
	now = 2000;
	history_fate(&w, 5, FATE_CACHED);
	history_open(&w, 5, true, true);
	assert_last_open(5, "hit");
	assert_int_equal(get(5)->open_ms, 2000);
}

static void a_miss_has_its_reason(void **state ATTR_UNUSED)
{
	history_fate(&w, 1, FATE_NOT_ADMITTED);
	history_open(&w, 1, false, false);
	assert_last_open(1,
			 "miss: not admitted, what is kept is read as often");
	history_fate(&w, 2, FATE_EVICTED);
	history_open(&w, 2, false, false);
	assert_last_open(2, "miss: evicted to make room");
	history_open(&w, 3, false, true);
	assert_last_open(3, "miss: not complete");
}

static void what_became_of_it_later_does_not_change_the_last_open(
	void **state ATTR_UNUSED)
{
	char now_says[HISTORY_TEXT];

	history_fate(&w, 1, FATE_EVICTED);
	history_open(&w, 1, false, false);
	history_fate(&w, 1, FATE_FREED);
	assert_last_open(1, "miss: evicted to make room");
	history_state(&w, 1, now_says);
	assert_string_equal(now_says, "freed by a command");
}

static struct file make_file(uint64_t id, char *path)
{
	struct file f = { .w = &w, .id = id, .known = true, .path = path };

	return f;
}

#define ID(n, slot) ((uint64_t)(n) << 32 | (slot))

static void a_version_is_told_from_another_file_in_its_slot(
	void **state ATTR_UNUSED)
{
	struct file first = make_file(ID(1, 7), (char[]){ "a/b" });
	struct file second = make_file(ID(2, 7), (char[]){ "a/b" });
	struct file other = make_file(ID(3, 7), (char[]){ "a/c" });

	history_file(&first, FATE_CACHED, 0);
	history_open(&w, second.id, false, false);
	assert_null(get(first.id));
	/* Whose path it is is learned by the read. */
	assert_last_open(second.id,
			 "miss: never cached since the worker started");
	map_put(&w.files.by_id, second.id, &second);
	assert_last_open(second.id, "miss: changed in under-storage");
	history_file(&second, FATE_CACHED, 0);
	map_put(&w.files.by_id, other.id, &other);
	history_open(&w, other.id, false, false);
	assert_last_open(other.id,
			 "miss: never cached since the worker started");
	map_close(&w.files.by_id);
}

static void a_fetch_that_failed_says_how(void **state ATTR_UNUSED)
{
	struct file f = make_file(9, (char[]){ "x" });

	history_file(&f, FATE_FAILED, -EACCES);
	history_open(&w, 9, false, false);
	assert_last_open(9, "miss: its fetch failed: Permission denied");
}

static void as_many_as_promised(void **state ATTR_UNUSED)
{
	uint64_t i;

	for (i = 1; i <= HISTORY_MAX + 10; i++)
		history_open(&w, i, true, true);
	for (i = 1; i <= 10; i++)
		assert_null(get(i));
	for (; i <= HISTORY_MAX + 10; i++)
		assert_non_null(get(i));
	assert_int_equal(w.history.by_slot.used, HISTORY_MAX);
}

TEST_MAIN(TEST_WITH(the_last_open_is_remembered),
	  TEST_WITH(a_miss_has_its_reason),
	  TEST_WITH(what_became_of_it_later_does_not_change_the_last_open),
	  TEST_WITH(a_version_is_told_from_another_file_in_its_slot),
	  TEST_WITH(a_fetch_that_failed_says_how),
	  TEST_WITH(as_many_as_promised))
