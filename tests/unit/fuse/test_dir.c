#include "lib/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_client.h"
#include "mounted.h"

static struct mounted m;

static int setup(void **state ATTR_UNUSED)
{
	m = (struct mounted){ .ttl_ms = 1000 };
	mounted_setup(&m);
	return 0;
}

static int setup_without_ttl(void **state ATTR_UNUSED)
{
	m = (struct mounted){ .ttl_ms = 0 };
	mounted_setup(&m);
	return 0;
}

static int setup_short_ttl(void **state ATTR_UNUSED)
{
	m = (struct mounted){ .ttl_ms = 400 };
	mounted_setup(&m);
	return 0;
}

static int setup_subtree(void **state ATTR_UNUSED)
{
	m = (struct mounted){ .ttl_ms = 1000, .path = "/sub" };
	mounted_setup(&m);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	mounted_teardown(&m);
	return 0;
}

/* Reads on in "wide" and checks that nothing is missed, doubled or of another
 * order; the next file's number. */
static int read_some(DIR *d, int next, int n)
{
	const struct dirent *e;
	char name[32];

	while (n-- > 0 && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "file-%05d", next);
		assert_string_equal(e->d_name, name);
		assert_int_equal(e->d_ino, FAKE_WIDE_FIRST + next);
		assert_int_equal(e->d_type, DT_REG);
		next++;
	}
	return next;
}

static void a_wide_directory_is_listed_whole_and_in_order(
	void **state ATTR_UNUSED)
{
	DIR *d;

	if (!m.dir)
		skip();
	d = opendir(mounted_path(&m, "wide"));
	assert_non_null(d);
	assert_int_equal(read_some(d, 0, 100000), FAKE_WIDE_N);
	rewinddir(d);
	assert_int_equal(read_some(d, 0, 100000), FAKE_WIDE_N);
	closedir(d);
}

static void a_listing_goes_on_in_the_next_child(void **state ATTR_UNUSED)
{
	int next = 0, kills = 0;
	DIR *d;

	if (!m.dir)
		skip();
	d = opendir(mounted_path(&m, "wide"));
	assert_non_null(d);
	while (next < FAKE_WIDE_N) {
		next = read_some(d, next, 700);
		mounted_kill(&m);
		mounted_serve(&m);
		kills++;
	}
	assert_int_equal(next, FAKE_WIDE_N);
	assert_true(kills > 5);
	closedir(d);
}

static void telldir_finds_its_place_again(void **state ATTR_UNUSED)
{
	long place;
	DIR *d;
	int at;

	if (!m.dir)
		skip();
	d = opendir(mounted_path(&m, "wide"));
	at = read_some(d, 0, 3000);
	place = telldir(d);
	read_some(d, at, 1000);
	seekdir(d, place);
	assert_int_equal(read_some(d, at, 100000), FAKE_WIDE_N);
	closedir(d);
}

static void dot_and_dotdot_come_first(void **state ATTR_UNUSED)
{
	const struct dirent *e;
	DIR *d;

	if (!m.dir)
		skip();
	d = opendir(mounted_path(&m, "sub"));
	e = readdir(d);
	assert_string_equal(e->d_name, ".");
	assert_int_equal(e->d_ino, FAKE_SUB);
	e = readdir(d);
	assert_string_equal(e->d_name, "..");
	assert_int_equal(e->d_ino, 1);
	e = readdir(d);
	assert_string_equal(e->d_name, "0");
	closedir(d);
}

/* ls -l: each entry has its attributes, whether they came along or not. */
static void entries_have_their_attributes(void **state ATTR_UNUSED)
{
	const struct dirent *e;
	struct stat st;
	int n = 0;
	DIR *d;

	if (!m.dir)
		skip();
	d = opendir(mounted_path(&m, "sub"));
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		assert_int_equal(fstatat(dirfd(d), e->d_name, &st, 0), 0);
		assert_int_equal(st.st_ino, FAKE_SMALL + n);
		assert_int_equal(st.st_size, 10000 + n);
		n++;
	}
	assert_int_equal(n, 7);
	closedir(d);
}

static void a_subtree_is_shown_as_the_root(void **state ATTR_UNUSED)
{
	const struct dirent *e;
	struct stat st;
	int n = 0;
	DIR *d;

	if (!m.dir)
		skip();
	assert_int_equal(stat(mounted_path(&m, "4"), &st), 0);
	assert_int_equal(st.st_size, 10004);
	assert_int_equal(stat(mounted_path(&m, "big"), &st), -1);
	assert_int_equal(errno, ENOENT);
	d = opendir(m.point);
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	closedir(d);
	assert_int_equal(n, 7);
}

static void a_subtree_is_found_by_each_child(void **state ATTR_UNUSED)
{
	struct stat st;

	if (!m.dir)
		skip();
	mounted_kill(&m);
	mounted_serve(&m);
	assert_int_equal(stat(mounted_path(&m, "6"), &st), 0);
	assert_int_equal(st.st_size, 10006);
}

/* How many names the master was ever asked for, as of now. */
static long asked(void)
{
	struct statx st;

	assert_int_equal(statx(AT_FDCWD, mounted_path(&m, "asked"),
			       AT_STATX_FORCE_SYNC, STATX_SIZE, &st),
			 0);
	return (long)st.stx_size;
}

/* Whether looking up a name that the kernel does not know any more costs a
 * question, just after an answer about another name. */
static bool costs_a_question(const char *name)
{
	struct stat st;
	long before;

	usleep(1100000); /* the TTL: it is the kernel's clock */
	assert_int_equal(stat(mounted_path(&m, "asked"), &st), 0);
	before = asked();
	assert_int_equal(stat(mounted_path(&m, name), &st), 0);
	return asked() != before;
}

/* On a busy machine the answer may be too old by then. */
static void is_known(const char *name)
{
	int tries = 0;

	while (costs_a_question(name))
		assert_true(++tries < 8);
}

static void a_name_is_asked_for_again_only_after_a_change(
	void **state ATTR_UNUSED)
{
	struct stat st;

	if (!m.dir)
		skip();
	assert_true(costs_a_question("big"));
	is_known("big");
	stat(mounted_path(&m, "bump"), &st);
	assert_true(costs_a_question("big"));
	is_known("big");
}

static bool the_next_costs_a_question(int i)
{
	char name[32];
	struct stat st;
	long before;

	snprintf(name, sizeof(name), "wide/file-%05d", i);
	assert_int_equal(stat(mounted_path(&m, name), &st), 0);
	before = asked();
	snprintf(name, sizeof(name), "wide/file-%05d", i + 1);
	assert_int_equal(stat(mounted_path(&m, name), &st), 0);
	assert_int_equal(st.st_ino, FAKE_WIDE_FIRST + i + 1);
	return asked() != before;
}

/* On a busy machine the answer may be too old by then. */
static void a_name_is_told_with_the_one_before_it(void **state ATTR_UNUSED)
{
	int i = 0;

	if (!m.dir)
		skip();
	while (the_next_costs_a_question(i)) {
		i += 2;
		assert_true(i < 16);
	}
}

/* Whether the kernel, which took some entries of a page of the master's when it
 * was three quarters of a TTL old, still has one half a TTL later. */
static bool outlives_its_page(void)
{
	int fd = open(mounted_path(&m, "wide"), O_RDONLY | O_DIRECTORY);
	char bite[4096]; /* some 24 entries with attributes */
	struct stat st;
	long before;

	assert_true(fd >= 0);
	assert_true(getdents64(fd, bite, sizeof(bite)) > 0);
	/* so that the next ones come with attributes, too */
	assert_int_equal(stat(mounted_path(&m, "wide/file-00001"), &st), 0);
	usleep(300000);
	assert_true(getdents64(fd, bite, sizeof(bite)) > 0);
	close(fd);
	usleep(200000);
	assert_int_equal(stat(mounted_path(&m, "wide"), &st), 0);
	stat(mounted_path(&m, "bump"), &st); /* only the kernel may know */
	assert_int_equal(stat(mounted_path(&m, "asked"), &st), 0);
	before = asked();
	assert_int_equal(stat(mounted_path(&m, "wide/file-00030"), &st), 0);
	return asked() == before;
}

/* On a busy machine it was another page. */
static void what_an_old_page_says_ends_with_its_ttl(void **state ATTR_UNUSED)
{
	int tries = 0;

	if (!m.dir)
		skip();
	while (outlives_its_page())
		assert_true(++tries < 8);
}

#define TEST_AFTER(fn, before) \
	cmocka_unit_test_setup_teardown(fn, before, teardown)

TEST_MAIN(TEST_WITH(a_wide_directory_is_listed_whole_and_in_order),
	  TEST_AFTER(a_wide_directory_is_listed_whole_and_in_order,
		     setup_without_ttl),
	  TEST_WITH(a_listing_goes_on_in_the_next_child),
	  TEST_WITH(telldir_finds_its_place_again),
	  TEST_WITH(dot_and_dotdot_come_first),
	  TEST_WITH(entries_have_their_attributes),
	  TEST_WITH(a_name_is_asked_for_again_only_after_a_change),
	  TEST_WITH(a_name_is_told_with_the_one_before_it),
	  TEST_AFTER(what_an_old_page_says_ends_with_its_ttl, setup_short_ttl),
	  TEST_AFTER(a_subtree_is_shown_as_the_root, setup_subtree),
	  TEST_AFTER(a_subtree_is_found_by_each_child, setup_subtree))
