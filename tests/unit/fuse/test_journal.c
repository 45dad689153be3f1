#include "lib/test.h"

#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/journal.h"

static struct fixture {
	struct journal *j;
	unsigned replayed;
	uint64_t sum;
} f;

static int setup(void **state ATTR_UNUSED)
{
	f = (struct fixture){ .j = calloc(1, sizeof(*f.j)) };
	return f.j ? 0 : -1;
}

static int teardown(void **state ATTR_UNUSED)
{
	free(f.j);
	return 0;
}

static void keep(uint64_t unique, size_t len)
{
	char request[600] = { 0 };
	struct fuse_in_header *head = (void *)request;

	head->unique = unique;
	head->len = (uint32_t)len;
	memset(request + sizeof(*head), (int)unique, len - sizeof(*head));
	journal_keep(f.j, request, len);
}

static void on_replay(void *owner, void *request, size_t len)
{
	const struct fuse_in_header *head = request;

	assert_ptr_equal(owner, &f);
	assert_int_equal(len, head->len);
	assert_int_equal(((uint8_t *)request)[len - 1], (uint8_t)head->unique);
	f.replayed++;
	f.sum += head->unique;
	journal_forget(f.j, head->unique);
}

static void replay(void)
{
	f.replayed = 0;
	f.sum = 0;
	journal_replay(f.j, on_replay, &f);
}

static void what_was_not_answered_comes_again_once(void **state ATTR_UNUSED)
{
	keep(2, 48);
	keep(4, 504);
	keep(6, 100);
	journal_forget(f.j, 4);
	replay();
	assert_int_equal(f.replayed, 2);
	assert_int_equal(f.sum, 8);
	replay();
	assert_int_equal(f.replayed, 0);
}

/* An old request that hangs keeps its slot; its place's next user moves on. */
static void a_place_in_use_is_gone_round(void **state ATTR_UNUSED)
{
	const uint64_t lap = 2 * JOURNAL_SLOTS;
	uint64_t i;

	for (i = 0; i < 64; i++)
		keep(10 + i * lap, 48);
	replay();
	assert_int_equal(f.replayed, 64);
	assert_int_equal(f.sum, 64 * 10 + lap * 64 * 63 / 2);
}

static void a_thousand_that_hang_do_not_crowd_others_out(
	void **state ATTR_UNUSED)
{
	const uint64_t lap = 2 * JOURNAL_SLOTS;
	uint64_t i;

	for (i = 0; i < 1024; i++)
		keep(2 + 2 * i, 48);
	keep(2 + lap, 48);
	keep(4 + lap, 48);
	journal_forget(f.j, 2 + lap);
	replay();
	assert_int_equal(f.replayed, 1025);
	assert_int_equal(f.sum, 1024 * 1025 + 4 + lap);
}

static void only_the_last_read_may_be_missing(void **state ATTR_UNUSED)
{
	char request[48] = { 0 };
	struct fuse_in_header *head = (void *)request;

	keep(20, 48);
	journal_forget(f.j, 20);
	head->len = sizeof(request);
	head->unique = 20; /* was read, kept, answered */
	journal_keep_if_new(f.j, request, sizeof(request));
	replay();
	assert_int_equal(f.replayed, 0);
	head->unique = 22; /* was read */
	request[47] = 22;
	journal_keep_if_new(f.j, request, sizeof(request));
	replay();
	assert_int_equal(f.replayed, 1);
}

TEST_MAIN(TEST_WITH(what_was_not_answered_comes_again_once),
	  TEST_WITH(a_place_in_use_is_gone_round),
	  TEST_WITH(a_thousand_that_hang_do_not_crowd_others_out),
	  TEST_WITH(only_the_last_read_may_be_missing))
