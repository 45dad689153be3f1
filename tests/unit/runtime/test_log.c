#include "lib/test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/tempdir.h"

#define LOG_MODULE "test"
#include "runtime/log.h"

/* Standard error goes to a file meanwhile. */
static struct fixture {
	char *dir;
	char file[4096];
	int before;
	char text[1 << 16];
} f;

static int setup(void **state ATTR_UNUSED)
{
	f.dir = tempdir_make();
	snprintf(f.file, sizeof(f.file), "%s/log", f.dir);
	f.before = dup(STDERR_FILENO);
	return log_to_file(f.file);
}

static int teardown(void **state ATTR_UNUSED)
{
	dup2(f.before, STDERR_FILENO);
	close(f.before);
	log_configure("info", "logfmt", NULL);
	log_copy_errors(-1);
	tempdir_remove(f.dir);
	return 0;
}

static void read_log(void)
{
	const int fd = open(f.file, O_RDONLY);
	const ssize_t n = read(fd, f.text, sizeof(f.text) - 1);

	close(fd);
	f.text[n > 0 ? n : 0] = '\0';
}

/* What stands in the log, without the time in front. */
static void wrote(const char *wanted)
{
	char *at;

	read_log();
	at = strstr(f.text, "level");
	assert_non_null(at);
	assert_string_equal(at, wanted);
}

static void a_line_is_pairs(void **state ATTR_UNUSED)
{
	log_warn("block lost", "block=%d dir=%s", 81, "/ssd0");
	wrote("level=warn module=test event=\"block lost\" block=81 "
	      "dir=/ssd0\n");
	assert_memory_equal(f.text, "ts=2", 4);
}

static void values_with_blanks_are_quoted(void **state ATTR_UNUSED)
{
	log_info("read", "path=%s why=%s n=%d", "/a b c", "No such \"file\"",
		 3);
	wrote("level=info module=test event=read path=\"/a b c\" "
	      "why=\"No such \\\"file\\\"\" n=3\n");
}

static void quotes_of_the_caller_are_kept(void **state ATTR_UNUSED)
{
	log_info("read", "path=\"%s\" n=%d", "/a x=1", 3);
	wrote("level=info module=test event=read path=\"/a x=1\" n=3\n");
}

static void a_value_never_begins_a_line(void **state ATTR_UNUSED)
{
	log_info("read", "path=%s", "/a\nts=now level=error");
	wrote("level=info module=test event=read path=\"/a\\u000ats=now\" "
	      "level=error\n");
}

static void an_empty_value_is_quoted(void **state ATTR_UNUSED)
{
	log_info("read", "path=%s n=%d", "", 1);
	wrote("level=info module=test event=read path=\"\" n=1\n");
}

static void json_is_an_object_a_line(void **state ATTR_UNUSED)
{
	log_configure("info", "json", "worker");
	log_error("read failed", "path=%s bytes=%d why=\"%s\"", "/a\\b", 7,
		  "no luck");
	read_log();
	assert_memory_equal(f.text, "{\"ts\":\"2", 8);
	wrote("level\":\"error\",\"role\":\"worker\",\"module\":\"test\","
	      "\"event\":\"read failed\",\"path\":\"/a\\\\b\",\"bytes\":7,"
	      "\"why\":\"no luck\"}\n");
}

static void what_is_not_utf8_is_replaced(void **state ATTR_UNUSED)
{
	log_info("read", "path=%s", "/\xc3\xa4\xff\xe2\x82\xac/\xe2\x82");
	wrote("level=info module=test event=read path=\"/\xc3\xa4\\ufffd"
	      "\xe2\x82\xac/\\ufffd\\ufffd\"\n");
}

static void what_is_below_the_level_is_not_written(void **state ATTR_UNUSED)
{
	log_configure("warn", "logfmt", NULL);
	log_info("quiet", "n=%d", 1);
	read_log();
	assert_string_equal(f.text, "");
	log_configure("debug", "logfmt", NULL);
	log_debug("loud", "n=%d", 1);
	wrote("level=debug module=test event=loud n=1\n");
}

/* As a module that has a level of its own would write. */
static void write_as(const char *module)
{
	if (log_enabled(LOG_LEVEL_DEBUG))
		log_write(LOG_LEVEL_DEBUG, module, "asked", "n=%d", 1);
}

static void a_module_may_have_a_level_of_its_own(void **state ATTR_UNUSED)
{
	const char *module;

	assert_int_equal(log_set_module("rpc", "debug"), 0);
	write_as("store");
	write_as("rpc");
	wrote("level=debug module=rpc event=asked n=1\n");
	assert_string_equal(log_get_module(1, &module), "debug");
	assert_string_equal(module, "rpc");
	assert_null(log_get_module(2, &module));
	assert_int_equal(log_set_module("", "info"), 0);
	assert_false(log_enabled(LOG_LEVEL_DEBUG));
	assert_null(log_get_module(1, &module));
}

static void a_module_may_be_quieter_than_the_others(void **state ATTR_UNUSED)
{
	log_configure("debug", "logfmt", NULL);
	assert_int_equal(log_set_module("rpc", "error"), 0);
	write_as("rpc");
	write_as("store");
	wrote("level=debug module=store event=asked n=1\n");
}

static void the_longest_line_is_whole(void **state ATTR_UNUSED)
{
	char path[3000];
	size_t n;

	memset(path, '\n', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	log_configure("info", "json", NULL);
	log_info("read", "path=%s", path);
	read_log();
	n = strlen(f.text);
	assert_true(n > 6000);
	assert_string_equal(f.text + n - 3, "\"}\n");
}

static void the_last_error_is_known(void **state ATTR_UNUSED)
{
	char last[64], packet[64] = "";
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	log_copy_errors(pair[0]);
	log_error("disk failed", "dir=%s", "/ssd0");
	log_warn("other", "n=%d", 1);
	log_last_error(last, sizeof(last));
	assert_string_equal(last, "disk failed: dir=/ssd0");
	assert_int_equal(read(pair[1], packet, sizeof(packet)), 23);
	assert_string_equal(packet, "Edisk failed: dir=/ssd0");
	close(pair[0]);
	close(pair[1]);
}

static void a_long_file_is_begun_anew(void **state ATTR_UNUSED)
{
	char old[4200];
	struct stat st;

	snprintf(old, sizeof(old), "%s.1", f.file);
	assert_int_equal(truncate(f.file, 17 << 20), 0);
	assert_int_equal(log_to_file(f.file), 0);
	log_info("read", "n=%d", 1);
	assert_int_equal(stat(f.file, &st), 0);
	assert_true(st.st_size < 1000);
	assert_int_equal(stat(old, &st), 0);
	assert_int_equal(st.st_size, 17 << 20);
}

/* So that the file may have as many bytes more, as on a full disk. */
static void leave_room(rlim_t bytes)
{
	struct rlimit l;
	struct stat st;

	assert_int_equal(stat(f.file, &st), 0);
	getrlimit(RLIMIT_FSIZE, &l);
	l.rlim_cur = bytes == RLIM_INFINITY ? l.rlim_max
					    : (rlim_t)st.st_size + bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
}

static void what_a_full_disk_did_not_take_is_counted_afterwards(
	void **state ATTR_UNUSED)
{
	char *at;

	signal(SIGXFSZ, SIG_IGN);
	log_info("first", "n=%d", 1);
	leave_room(20);
	log_info("second", "n=%d", 2); /* cut off */
	log_info("third", "n=%d", 3);
	log_info("fourth", "n=%d", 4);
	leave_room(RLIM_INFINITY);
	log_info("fifth", "n=%d", 5);
	log_info("sixth", "n=%d", 6);
	read_log();
	assert_non_null(strstr(f.text, "event=first n=1\n"));
	assert_null(strstr(f.text, "third"));
	/* What was cut off does not join what comes after it. */
	at = strstr(f.text, "event=fifth n=5\n");
	assert_non_null(at);
	while (at > f.text && at[-1] != '\n')
		at--;
	assert_memory_equal(at, "ts=", 3);
	assert_non_null(strstr(f.text, "module=log event=\"lines were lost\" "
				       "lines=3\n"));
	assert_non_null(strstr(f.text, "event=sixth n=6\n"));
}

TEST_MAIN(TEST_WITH(a_line_is_pairs), TEST_WITH(values_with_blanks_are_quoted),
	  TEST_WITH(quotes_of_the_caller_are_kept),
	  TEST_WITH(a_value_never_begins_a_line),
	  TEST_WITH(an_empty_value_is_quoted),
	  TEST_WITH(json_is_an_object_a_line),
	  TEST_WITH(what_is_not_utf8_is_replaced),
	  TEST_WITH(what_is_below_the_level_is_not_written),
	  TEST_WITH(a_module_may_have_a_level_of_its_own),
	  TEST_WITH(a_module_may_be_quieter_than_the_others),
	  TEST_WITH(the_longest_line_is_whole),
	  TEST_WITH(the_last_error_is_known),
	  TEST_WITH(a_long_file_is_begun_anew),
	  TEST_WITH(what_a_full_disk_did_not_take_is_counted_afterwards))
