#include "lib/test.h"

#include <sys/socket.h>
#include <unistd.h>

#include "runtime/loop_uv.h"
#include "runtime/watch.h"

static struct fixture {
	struct loop *loop;
	int fd[2];
	struct watch *watch;
	unsigned events;
	int calls;
	bool free_inside;
	struct task task;
} f;

static int setup(void **state ATTR_UNUSED)
{
	f = (struct fixture){ 0 };
	f.loop = loop_uv_new();
	return socketpair(AF_UNIX, SOCK_STREAM, 0, f.fd);
}

static int teardown(void **state ATTR_UNUSED)
{
	if (f.watch)
		watch_free(f.watch);
	close(f.fd[0]);
	close(f.fd[1]);
	loop_uv_free(f.loop);
	return 0;
}

static void on_ready(void *owner, int fd, unsigned events)
{
	assert_ptr_equal(owner, &f);
	assert_int_equal(fd, f.fd[0]);
	f.events |= events;
	f.calls++;
	if (f.free_inside) {
		watch_free(f.watch);
		f.watch = NULL;
	}
	loop_uv_stop(f.loop);
}

static void watch_it(unsigned events)
{
	f.watch = watch_new(f.loop, f.fd[0], on_ready, &f);
	watch_set(f.watch, events);
}

static void on_stop(struct task *t ATTR_UNUSED)
{
	loop_uv_stop(f.loop);
}

/* Runs until it is ready, or for one turn if it is not. */
static void run_one_turn(void)
{
	loop_post(f.loop, &f.task, on_stop);
	loop_uv_run(f.loop);
}

static void it_says_when_there_is_something_to_read(void **state ATTR_UNUSED)
{
	watch_it(WATCH_READ);
	run_one_turn();
	assert_int_equal(f.calls, 0);
	assert_int_equal(write(f.fd[1], "x", 1), 1);
	loop_uv_run(f.loop);
	assert_int_equal(f.events, WATCH_READ);
}

static void it_says_when_there_is_room_to_write(void **state ATTR_UNUSED)
{
	watch_it(WATCH_WRITE);
	loop_uv_run(f.loop);
	assert_int_equal(f.events, WATCH_WRITE);
}

static void it_is_quiet_when_nothing_is_asked_for(void **state ATTR_UNUSED)
{
	assert_int_equal(write(f.fd[1], "x", 1), 1);
	watch_it(WATCH_READ);
	watch_set(f.watch, 0);
	run_one_turn();
	assert_int_equal(f.calls, 0);
	watch_set(f.watch, WATCH_READ);
	loop_uv_run(f.loop);
	assert_int_equal(f.calls, 1);
}

static void the_other_end_going_is_something_to_read(void **state ATTR_UNUSED)
{
	watch_it(WATCH_READ);
	shutdown(f.fd[1], SHUT_RDWR);
	loop_uv_run(f.loop);
	assert_true(f.events & (WATCH_READ | WATCH_ERROR));
}

static void it_may_be_freed_inside_its_call(void **state ATTR_UNUSED)
{
	f.free_inside = true;
	assert_int_equal(write(f.fd[1], "x", 1), 1);
	watch_it(WATCH_READ | WATCH_WRITE);
	loop_uv_run(f.loop);
	run_one_turn();
	assert_int_equal(f.calls, 1);
}

TEST_MAIN(TEST_WITH(it_says_when_there_is_something_to_read),
	  TEST_WITH(it_says_when_there_is_room_to_write),
	  TEST_WITH(it_is_quiet_when_nothing_is_asked_for),
	  TEST_WITH(the_other_end_going_is_something_to_read),
	  TEST_WITH(it_may_be_freed_inside_its_call))
