#include "lib/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/tempdir.h"
#include "master/arena.h"
#include "master/checkpoint.h"

#define LARGE ((size_t)64 << 20)

static struct fixture {
	char *dir;
	struct checkpoints *c;
	struct arena arena;
	struct err err;
} f;

static int setup(void **state ATTR_UNUSED)
{
	f = (struct fixture){ .dir = tempdir_make() };
	assert_int_equal(checkpoints_open(&f.c, f.dir, &f.err), 0);
	assert_int_equal(arena_map(&f.arena, LARGE, &f.err), 0);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	arena_unmap(&f.arena);
	checkpoints_close(f.c);
	tempdir_remove(f.dir);
	return 0;
}

static int take(uint64_t index, const void *image, size_t len)
{
	int rv = f.c->ops->begin(f.c, index, image, len, &f.err);

	if (rv)
		return rv;
	rv = f.c->ops->wait(f.c);
	f.c->ops->end(f.c);
	return rv;
}

static ssize_t load(uint64_t index)
{
	memset(f.arena.base, 0, 4096);
	return f.c->ops->load(f.c, index, f.arena.base, f.arena.size, &f.err);
}

/* How many files have `part` in their name. */
static int files_like(const char *part)
{
	DIR *d = opendir(f.dir);
	struct dirent *e;
	int n = 0;

	while ((e = readdir(d)))
		if (strstr(e->d_name, part))
			n++;
	closedir(d);
	return n;
}

static void an_image_comes_back(void **state ATTR_UNUSED)
{
	assert_int_equal(take(7, "the tree", 8), 0);
	assert_int_equal(load(7), 8);
	assert_memory_equal(f.arena.base, "the tree", 8);
	assert_int_equal(files_like(".part"), 0);
}

static void the_image_is_that_of_the_beginning(void **state ATTR_UNUSED)
{
	char *image = f.arena.base;

	memset(image, 'a', LARGE);
	assert_int_equal(f.c->ops->begin(f.c, 1, image, LARGE, &f.err), 0);
	memset(image, 'b', LARGE);
	assert_int_equal(f.c->ops->wait(f.c), 0);
	f.c->ops->end(f.c);
	assert_int_equal(load(1), LARGE);
	assert_int_equal(image[0], 'a');
	assert_int_equal(image[LARGE - 1], 'a');
	assert_int_equal(image[LARGE / 2], 'a');
}

static void the_two_newest_are_kept(void **state ATTR_UNUSED)
{
	uint64_t i;

	for (i = 9; i < 13; i++)
		assert_int_equal(take(i, "x", 1), 0);
	f.c->ops->trim(f.c);
	assert_int_equal(files_like("ckpt-"), 2);
	assert_int_equal(load(12), 1);
	assert_int_equal(load(11), 1);
	assert_int_equal(load(10), -ENOENT);
}

static void damage_is_seen(void **state ATTR_UNUSED)
{
	char *path;
	int fd;

	assert_int_equal(take(7, "the tree", 8), 0);
	path = mem_printf("%s/ckpt-%020d", f.dir, 7);
	fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, "X", 1, 40 + 3), 1);
	assert_int_equal(load(7), -EBADMSG);
	assert_non_null(strstr(f.err.msg, "checksum"));
	assert_int_equal(ftruncate(fd, 44), 0);
	assert_true(load(7) < 0);
	assert_int_equal(ftruncate(fd, 20), 0);
	assert_true(load(7) < 0);
	close(fd);
	free(path);
}

static void a_cancelled_one_leaves_nothing(void **state ATTR_UNUSED)
{
	memset(f.arena.base, 'a', LARGE);
	assert_int_equal(f.c->ops->begin(f.c, 1, f.arena.base, LARGE, &f.err),
			 0);
	f.c->ops->cancel(f.c);
	/* It may have been whole by then. */
	if (f.c->ops->wait(f.c))
		assert_int_equal(files_like("ckpt-"), 0);
	f.c->ops->end(f.c);
	assert_int_equal(files_like(".part"), 0);
}

/* The pid of the only child of `pid`, 0 if it has none. */
static pid_t child_of(pid_t pid)
{
	char *path = mem_printf("/proc/%d/task/%d/children", pid, pid);
	FILE *file = fopen(path, "r");
	int child = 0;

	if (file) {
		if (fscanf(file, "%d", &child) != 1)
			child = 0;
		fclose(file);
	}
	free(path);
	return child;
}

/* How many descriptors a process has; -1: it is gone. */
static int descriptors(pid_t pid)
{
	char *path = mem_printf("/proc/%d/fd", pid);
	DIR *d = opendir(path);
	struct dirent *e;
	int n = 0;

	free(path);
	if (!d)
		return -1;
	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			n++;
	closedir(d);
	return n;
}

static void the_child_keeps_nothing_open_but_its_file(void **state ATTR_UNUSED)
{
	int tries, n = 0, least = 1000;
	pid_t child;

	memset(f.arena.base, 'a', LARGE);
	for (tries = 0; tries < 100 && least > 1; tries++) {
		assert_int_equal(
			f.c->ops->begin(f.c, 1, f.arena.base, LARGE, &f.err),
			0);
		child = child_of(getpid());
		while (child && (n = descriptors(child)) > 1)
			;
		if (n > 0) /* 0: it has ended */
			least = n;
		assert_int_equal(f.c->ops->wait(f.c), 0);
		f.c->ops->end(f.c);
	}
	assert_int_equal(least, 1);
}

/* A master that takes one checkpoint after the other. */
static void checkpoint_for_ever(int said)
{
	struct checkpoints *c;
	struct arena arena;
	uint64_t index;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (checkpoints_open(&c, f.dir, NULL) || arena_map(&arena, LARGE, NULL))
		_exit(1);
	memset(arena.base, 'k', LARGE);
	for (index = 100;; index++) {
		if (c->ops->begin(c, index, arena.base, LARGE, NULL) ||
		    write(said, &index, sizeof(index)) != sizeof(index) ||
		    c->ops->wait(c))
			_exit(1);
		c->ops->end(c);
		c->ops->trim(c);
	}
}

static void a_killed_master_takes_its_checkpoint_along(void **state ATTR_UNUSED)
{
	struct checkpoints *again;
	uint64_t index = 0;
	pid_t master, writer;
	int said[2], i;

	assert_int_equal(pipe(said), 0);
	master = fork();
	if (master == 0)
		checkpoint_for_ever(said[1]);
	for (i = 0; i < 3; i++)
		assert_int_equal(read(said[0], &index, sizeof(index)),
				 sizeof(index));
	while (!(writer = child_of(master)))
		;
	kill(master, SIGKILL);
	assert_int_equal(waitpid(master, NULL, 0), master);
	/* At once, as a restarted master would. */
	assert_int_equal(checkpoints_open(&again, f.dir, &f.err), 0);
	assert_true(index >= 102);
	assert_int_equal(
		again->ops->load(again, 101, f.arena.base, LARGE, &f.err),
		LARGE);
	assert_int_equal(((char *)f.arena.base)[LARGE - 1], 'k');
	checkpoints_close(again);
	for (i = 0; i < 10000 && kill(writer, 0) == 0; i++)
		usleep(1000);
	assert_true(i < 10000); /* the child died with it */
	close(said[0]);
	close(said[1]);
}

TEST_MAIN(TEST_WITH(an_image_comes_back),
	  TEST_WITH(the_image_is_that_of_the_beginning),
	  TEST_WITH(the_two_newest_are_kept), TEST_WITH(damage_is_seen),
	  TEST_WITH(a_cancelled_one_leaves_nothing),
	  TEST_WITH(the_child_keeps_nothing_open_but_its_file),
	  TEST_WITH(a_killed_master_takes_its_checkpoint_along))
