#include "lib/test.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fake.h"
#include "lib/sim.h"

static struct fixture {
	struct fake fake;
	struct client_read read;
	struct client_open open;
	uint8_t buf[FAKE_CONTENT + 100];
	int done, opened, code;
	ssize_t n;
} f;

static int setup(void **state ATTR_UNUSED)
{
	memset(&f, 0, sizeof(f));
	fake_init(&f.fake);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	fake_close(&f.fake);
	return 0;
}

static void on_read(struct client_read *read, ssize_t n)
{
	assert_ptr_equal(read, &f.read);
	f.n = n;
	f.done++;
}

static void start_read(uint64_t id, uint64_t offset, size_t len)
{
	memset(f.buf, 0xee, sizeof(f.buf));
	f.done = 0;
	f.read = (struct client_read){
		.id = id,
		.length = UINT64_MAX,
		.offset = offset,
		.buf = f.buf,
		.len = len,
	};
	client_read(f.fake.client, &f.read, on_read);
	assert_int_equal(f.done, 0);
}

/* Reads, and looks at every byte. */
static void read_and_compare(uint64_t id, uint64_t offset, size_t len,
			     size_t want)
{
	size_t i;

	start_read(id, offset, len);
	fake_run(&f.fake, 2000);
	assert_int_equal(f.done, 1);
	assert_int_equal(f.n, want);
	assert_memory_equal(f.buf, f.fake.content + offset, want);
	for (i = want; i < sizeof(f.buf); i++)
		assert_int_equal(f.buf[i], 0xee);
}

static void on_open(struct client_open *open, int code)
{
	assert_ptr_equal(open, &f.open);
	f.code = code;
	f.opened++;
}

static int open_id(uint64_t id)
{
	f.opened = 0;
	f.open.id = id;
	client_open(f.fake.client, &f.open, on_open);
	assert_int_equal(f.opened, 0);
	fake_run(&f.fake, 100);
	assert_int_equal(f.opened, 1);
	return f.code;
}

static void bytes_come_from_a_worker(void **state ATTR_UNUSED)
{
	read_and_compare(5, 10, 100, 100);
	assert_int_equal(f.fake.worker[0].reads, 1);
	read_and_compare(5, 4000, 10, 10);
	assert_int_equal(f.fake.set_asked, 1);
}

static void a_long_read_is_cut_at_blocks(void **state ATTR_UNUSED)
{
	f.fake.n_workers = 3;
	read_and_compare(5, 100, 10 * FAKE_BLOCK - 100, 10 * FAKE_BLOCK - 100);
	assert_int_equal(fake_reads(&f.fake), 10);
	assert_true(f.fake.worker[0].reads > 0);
	assert_true(f.fake.worker[1].reads > 0);
	assert_true(f.fake.worker[2].reads > 0);
}

static void it_is_short_only_at_the_end(void **state ATTR_UNUSED)
{
	read_and_compare(5, FAKE_CONTENT - 7, 50, 7);
	read_and_compare(5, 0, FAKE_CONTENT + 100, FAKE_CONTENT);
	read_and_compare(5, FAKE_CONTENT, 50, 0);
	read_and_compare(5, 0, 0, 0);
}

static void what_lies_beyond_a_known_length_is_not_asked_for(
	void **state ATTR_UNUSED)
{
	f.read = (struct client_read){
		.id = 5, .length = 100, .offset = 100, .buf = f.buf, .len = 10
	};
	client_read(f.fake.client, &f.read, on_read);
	fake_run(&f.fake, 0);
	assert_int_equal(f.done, 1);
	assert_int_equal(f.n, 0);
	assert_int_equal(fake_reads(&f.fake), 0);
}

static void a_changed_file_says_so(void **state ATTR_UNUSED)
{
	start_read(FAKE_GONE, 0, 10);
	fake_run(&f.fake, 100);
	assert_int_equal(f.n, ERR_CHANGED);
	assert_string_equal(f.read.err.msg, "changed meanwhile");
	assert_int_equal(fake_reads(&f.fake), 1);
}

static void a_new_epoch_is_learned(void **state ATTR_UNUSED)
{
	read_and_compare(5, 0, 10, 10);
	f.fake.epoch = 2;
	read_and_compare(5, 10, 10, 10);
	assert_int_equal(f.fake.set_asked, 2);
	assert_int_equal(fake_reads(&f.fake), 3);
}

static void who_refuses_an_old_epoch_tells_the_new_set(void **state ATTR_UNUSED)
{
	read_and_compare(5, 0, 10, 10);
	fake_stop(&f.fake.master[0]);
	fake_stop(&f.fake.master[1]);
	f.fake.epoch = 2;
	f.fake.n_workers = 3;
	f.fake.workers_know = true;
	read_and_compare(5, 0, 10 * FAKE_BLOCK, 10 * FAKE_BLOCK);
	assert_true(f.fake.worker[1].reads > 0);
	assert_true(f.fake.worker[2].reads > 0);
	assert_int_equal(f.fake.set_asked, 1);
}

static void a_worker_that_restarts_is_waited_for(void **state ATTR_UNUSED)
{
	read_and_compare(5, 0, 10, 10);
	fake_stop(&f.fake.worker[0]);
	start_read(5, 4, 10);
	fake_run(&f.fake, 3000);
	assert_int_equal(f.done, 0);
	fake_start(&f.fake.worker[0]);
	fake_run(&f.fake, 1000);
	assert_int_equal(f.done, 1);
	assert_int_equal(f.n, 10);
	assert_memory_equal(f.buf, f.fake.content + 4, 10);
}

/* What is known of the workers is enough for that. */
static void it_comes_back_while_no_master_is_there(void **state ATTR_UNUSED)
{
	read_and_compare(5, 0, 10, 10);
	fake_stop(&f.fake.master[0]);
	fake_stop(&f.fake.master[1]);
	fake_stop(&f.fake.worker[0]);
	start_read(5, 4, 10);
	fake_run(&f.fake, 3000);
	fake_start(&f.fake.worker[0]);
	fake_run(&f.fake, 1000);
	assert_int_equal(f.done, 1);
	assert_int_equal(f.n, 10);
}

static void a_worker_that_stays_away_ends_the_wait(void **state ATTR_UNUSED)
{
	read_and_compare(5, 0, 10, 10);
	fake_stop(&f.fake.worker[0]);
	start_read(5, 4, 10);
	fake_run(&f.fake, 29000);
	assert_int_equal(f.done, 0);
	fake_run(&f.fake, 1100);
	assert_int_equal(f.done, 1);
	assert_int_equal(f.n, -ETIMEDOUT);
	assert_non_null(strstr(f.read.err.msg,
			       "waited 30000 ms for a worker: unix:/w0"));
}

/* Others would fetch what it has. */
static void a_home_that_is_back_in_a_second_is_waited_for(
	void **state ATTR_UNUSED)
{
	unsigned i, home = 3;

	f.fake.n_workers = 3;
	read_and_compare(5, 0, 10, 10);
	for (i = 0; i < 3; i++)
		if (f.fake.worker[i].reads)
			home = i;
	sim_net_cut(f.fake.net, f.fake.loop, f.fake.worker[home].loop);
	read_and_compare(5, 4, 10, 10);
	fake_stop(&f.fake.worker[home]);
	start_read(5, 8, 10);
	fake_run(&f.fake, 500);
	fake_start(&f.fake.worker[home]);
	fake_run(&f.fake, 1000);
	assert_int_equal(f.done, 1);
	assert_int_equal(f.fake.worker[home].reads, fake_reads(&f.fake));
	f.fake.epoch = 2;
	read_and_compare(5, 12, 10, 10);
	assert_int_equal(f.fake.worker[home].reads, fake_reads(&f.fake));
}

/* Of file 5, among three workers that are known. */
static struct fake_node *find_home(void)
{
	unsigned i;

	f.fake.n_workers = 3;
	read_and_compare(5, 0, 10, 10);
	for (i = 0; i < 3; i++)
		if (f.fake.worker[i].reads)
			return &f.fake.worker[i];
	fail();
	return NULL;
}

static void part(struct fake_node *n, bool parted)
{
	sim_net_part(f.fake.net, f.fake.loop, n->loop, parted);
}

static void without_the_home_the_next_one_serves(void **state ATTR_UNUSED)
{
	struct fake_node *home = find_home();
	unsigned i;

	fake_stop(home);
	read_and_compare(5, 4, 10, 10);
	assert_int_equal(home->reads, 1);
	for (i = 0; i < 3; i++)
		if (f.fake.worker[i].reads && &f.fake.worker[i] != home)
			assert_int_equal(f.fake.worker[i].instead_of, home->id);
	/* From now on at once. */
	start_read(5, 8, 10);
	fake_run(&f.fake, 10);
	assert_int_equal(f.done, 1);
	/* Until it is back. */
	fake_start(home);
	fake_run(&f.fake, 1000);
	read_and_compare(5, 12, 10, 10);
	assert_int_equal(home->reads, 2);
	assert_int_equal(home->instead_of, 0);
}

static void a_home_that_says_nothing_costs_a_second_once(
	void **state ATTR_UNUSED)
{
	struct fake_node *home = find_home();
	int i;

	part(home, true);
	start_read(5, 4, 10);
	fake_run(&f.fake, 850);
	assert_int_equal(f.done, 0);
	fake_run(&f.fake, 450);
	assert_int_equal(f.done, 1);
	assert_int_equal(f.n, 10);
	assert_memory_equal(f.buf, f.fake.content + 4, 10);
	for (i = 0; i < 10; i++) {
		fake_run(&f.fake, 3000);
		start_read(5, 8, 10);
		fake_run(&f.fake, 10);
		assert_int_equal(f.done, 1);
	}
	part(home, false);
	fake_run(&f.fake, 1000);
	i = home->reads;
	read_and_compare(5, 12, 10, 10);
	assert_int_equal(home->reads, i + 1);
}

/* It fetches, perhaps, and another would do so again. */
static void a_home_that_takes_its_time_is_waited_for(void **state ATTR_UNUSED)
{
	struct fake_node *home = find_home();

	home->hold = true;
	start_read(5, 4, 10);
	fake_run(&f.fake, 25000);
	assert_int_equal(f.done, 0);
	assert_int_equal(home->reads, fake_reads(&f.fake));
	client_read_cancel(&f.read);
	fake_run(&f.fake, 100);
	assert_int_equal(f.done, 1);
}

static void one_that_is_alone_and_says_nothing_is_waited_for(
	void **state ATTR_UNUSED)
{
	read_and_compare(5, 0, 10, 10);
	part(&f.fake.worker[0], true);
	start_read(5, 4, 10);
	fake_run(&f.fake, 8000);
	assert_int_equal(f.done, 0);
	part(&f.fake.worker[0], false);
	fake_run(&f.fake, 1000);
	assert_int_equal(f.done, 1);
	assert_int_equal(f.n, 10);
}

static void an_open_waits_for_a_silent_home_no_longer(void **state ATTR_UNUSED)
{
	struct fake_node *home = find_home();

	part(home, true);
	f.opened = 0;
	f.open.id = 5;
	client_open(f.fake.client, &f.open, on_open);
	fake_run(&f.fake, 1300);
	assert_int_equal(f.opened, 1);
	assert_int_equal(f.code, 0);
	assert_int_equal(open_id(5), 0); /* of the next one, at once */
}

static void a_cut_in_mid_read_is_repaired(void **state ATTR_UNUSED)
{
	const struct sim_net_faults faults = { 1, 20, 100000 };
	int i;

	sim_net_set(f.fake.net, &faults);
	for (i = 0; i < 100; i++)
		read_and_compare(5, (uint64_t)i * 300, 5000, 5000);
	assert_true(fake_reads(&f.fake) > 100 * 2);
}

static void a_read_can_be_cancelled(void **state ATTR_UNUSED)
{
	f.fake.worker[0].hold = true;
	start_read(5, 0, 10);
	fake_run(&f.fake, 100);
	client_read_cancel(&f.read);
	assert_int_equal(f.done, 0);
	fake_run(&f.fake, 20);
	assert_int_equal(f.done, 1);
	assert_int_equal(f.n, -ECANCELED);
	assert_int_equal(f.fake.worker[0].cancelled, 1);
}

static void a_granted_file_is_read_without_the_worker(void **state ATTR_UNUSED)
{
	assert_int_equal(open_id(FAKE_GRANTED), 0);
	assert_int_equal(f.open.length, FAKE_CONTENT);
	read_and_compare(FAKE_GRANTED, 5000, 20000, 20000);
	read_and_compare(FAKE_GRANTED, FAKE_CONTENT - 7, 50, 7);
	assert_int_equal(fake_reads(&f.fake), 0);
	assert_int_equal(open_id(FAKE_GRANTED), 0);
	assert_int_equal(f.fake.worker[0].opens, 1);
}

static void opens_without_the_worker_are_told_later(void **state ATTR_UNUSED)
{
	const struct fake_node *w = &f.fake.worker[0];

	assert_false(client_grant_open(f.fake.client, FAKE_GRANTED));
	assert_int_equal(open_id(FAKE_GRANTED), 0);
	fake_run(&f.fake, 3000);
	assert_int_equal(w->opened_again, 0);
	assert_int_equal(open_id(FAKE_GRANTED), 0);
	assert_true(client_grant_open(f.fake.client, FAKE_GRANTED));
	assert_true(client_grant_open(f.fake.client, FAKE_GRANTED));
	fake_run(&f.fake, 1100);
	assert_int_equal(w->opened_again, 1);
	assert_true(client_grant_open(f.fake.client, FAKE_GRANTED));
	fake_run(&f.fake, 5000);
	assert_int_equal(w->opened_again, 2);
	assert_int_equal(w->released, 0);
	assert_int_equal(w->opens, 1);
}

/* The bytes that its file has lost are not an end of it. */
static void a_granted_file_that_is_cut_is_read_from_the_worker(
	void **state ATTR_UNUSED)
{
	open_id(FAKE_GRANTED);
	assert_int_equal(ftruncate(f.fake.file, 5000), 0);
	f.read = (struct client_read){
		.id = FAKE_GRANTED,
		.length = FAKE_CONTENT,
		.offset = 4000,
		.buf = f.buf,
		.len = 20000,
	};
	client_read(f.fake.client, &f.read, on_read);
	fake_run(&f.fake, 2000);
	assert_int_equal(f.done, 1);
	assert_int_equal(f.n, 20000);
	assert_memory_equal(f.buf, f.fake.content + 4000, 20000);
	assert_true(fake_reads(&f.fake) > 0);
}

static void an_open_without_a_grant_is_still_told(void **state ATTR_UNUSED)
{
	assert_int_equal(open_id(5), 0);
	assert_int_equal(f.fake.worker[0].opens, 1);
	assert_null(client_grant_get(f.fake.client, 5));
	assert_int_equal(open_id(FAKE_GONE), -ESTALE);
}

static void an_open_does_not_fail_for_want_of_a_worker(void **state ATTR_UNUSED)
{
	fake_stop(&f.fake.worker[0]);
	assert_int_equal(open_id(5), 0);
	f.fake.n_workers = 0;
	fake_run(&f.fake, 100);
	assert_int_equal(open_id(5), 0);
}

static void an_idle_grant_is_let_go_when_asked(void **state ATTR_UNUSED)
{
	open_id(FAKE_GRANTED);
	fake_let_go(&f.fake.worker[0]);
	fake_run(&f.fake, 50);
	assert_int_equal(f.fake.worker[0].released, 1);
	assert_null(client_grant_get(f.fake.client, FAKE_GRANTED));
	fake_let_go(&f.fake.worker[0]); /* of what we do not hold */
	fake_run(&f.fake, 50);
	assert_int_equal(f.fake.worker[0].released, 2);
}

static void a_grant_in_use_is_let_go_after_use(void **state ATTR_UNUSED)
{
	struct client_grant *g;
	char byte;

	open_id(FAKE_GRANTED);
	g = client_grant_get(f.fake.client, FAKE_GRANTED);
	assert_non_null(g);
	fake_let_go(&f.fake.worker[0]);
	fake_run(&f.fake, 1000);
	assert_int_equal(f.fake.worker[0].released, 0);
	assert_null(client_grant_get(f.fake.client, FAKE_GRANTED));
	assert_int_equal(pread(client_grant_fd(g), &byte, 1, 9), 1);
	assert_int_equal((uint8_t)byte, f.fake.content[9]);
	client_grant_put(g);
	fake_run(&f.fake, 200);
	assert_int_equal(f.fake.worker[0].released, 1);
}

static void a_lost_worker_takes_its_grants_along(void **state ATTR_UNUSED)
{
	struct client_grant *g;
	char byte;

	open_id(FAKE_GRANTED);
	g = client_grant_get(f.fake.client, FAKE_GRANTED);
	fake_stop(&f.fake.worker[0]);
	fake_run(&f.fake, 100);
	assert_null(client_grant_get(f.fake.client, FAKE_GRANTED));
	assert_int_equal(pread(client_grant_fd(g), &byte, 1, 9), 1);
	assert_int_equal((uint8_t)byte, f.fake.content[9]);
	client_grant_put(g);
	fake_start(&f.fake.worker[0]);
	open_id(FAKE_GRANTED);
	assert_int_equal(f.fake.worker[0].opens, 2);
}

/* The other address is local too, so that it needs no key, but no better. */
static void a_second_address_serves_until_the_first_does(
	void **state ATTR_UNUSED)
{
	struct fake_node *n = &f.fake.worker[0];

	fake_stop(n);
	n->second = "unix:/w0b";
	n->first_is_away = true;
	fake_start(n);
	start_read(5, 0, 10);
	fake_run(&f.fake, 15000);
	assert_int_equal(f.done, 1);
	assert_int_equal(f.n, 10);
	fake_stop(n);
	n->first_is_away = false;
	fake_start(n);
	read_and_compare(5, 0, 10, 10);
	fake_run(&f.fake, 31000);
	fake_stop(n);
	n->second = NULL;
	fake_start(n); /* at the first one only */
	start_read(5, 0, 10);
	fake_run(&f.fake, 3000);
	assert_int_equal(f.done, 1);
	assert_int_equal(f.n, 10);
}

static void closing_cancels_reads(void **state ATTR_UNUSED)
{
	f.fake.worker[0].hold = true;
	start_read(5, 0, 10);
	fake_run(&f.fake, 100);
	client_close(f.fake.client);
	f.fake.client = NULL;
	fake_run(&f.fake, 0);
	assert_int_equal(f.done, 1);
	assert_int_equal(f.n, -ECANCELED);
}

TEST_MAIN(TEST_WITH(bytes_come_from_a_worker),
	  TEST_WITH(a_long_read_is_cut_at_blocks),
	  TEST_WITH(it_is_short_only_at_the_end),
	  TEST_WITH(what_lies_beyond_a_known_length_is_not_asked_for),
	  TEST_WITH(a_changed_file_says_so), TEST_WITH(a_new_epoch_is_learned),
	  TEST_WITH(who_refuses_an_old_epoch_tells_the_new_set),
	  TEST_WITH(a_worker_that_restarts_is_waited_for),
	  TEST_WITH(it_comes_back_while_no_master_is_there),
	  TEST_WITH(a_worker_that_stays_away_ends_the_wait),
	  TEST_WITH(a_home_that_is_back_in_a_second_is_waited_for),
	  TEST_WITH(without_the_home_the_next_one_serves),
	  TEST_WITH(a_home_that_says_nothing_costs_a_second_once),
	  TEST_WITH(a_home_that_takes_its_time_is_waited_for),
	  TEST_WITH(one_that_is_alone_and_says_nothing_is_waited_for),
	  TEST_WITH(an_open_waits_for_a_silent_home_no_longer),
	  TEST_WITH(a_cut_in_mid_read_is_repaired),
	  TEST_WITH(a_read_can_be_cancelled),
	  TEST_WITH(a_granted_file_is_read_without_the_worker),
	  TEST_WITH(opens_without_the_worker_are_told_later),
	  TEST_WITH(a_granted_file_that_is_cut_is_read_from_the_worker),
	  TEST_WITH(an_open_without_a_grant_is_still_told),
	  TEST_WITH(an_open_does_not_fail_for_want_of_a_worker),
	  TEST_WITH(an_idle_grant_is_let_go_when_asked),
	  TEST_WITH(a_grant_in_use_is_let_go_after_use),
	  TEST_WITH(a_lost_worker_takes_its_grants_along),
	  TEST_WITH(a_second_address_serves_until_the_first_does),
	  TEST_WITH(closing_cancels_reads))
