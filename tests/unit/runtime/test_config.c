#include "lib/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/tempdir.h"
#include "runtime/config.h"

/* A configuration from a file, the environment and --set. */
static struct fixture {
	char *dir;
	const char *file;
	struct config c;
	struct err err;
} f;

static int setup(void **state ATTR_UNUSED)
{
	f = (struct fixture){ .dir = tempdir_make() };
	f.file = tempdir_file(f.dir, "acached.conf", "");
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	unsetenv("ACACHED_WORKER_CAPACITY");
	unsetenv("ACACHED_WORKER_CAPACTY");
	unsetenv("ACACHED_MASTER");
	config_close(&f.c);
	tempdir_remove(f.dir);
	return 0;
}

static void write_file(const char *text)
{
	f.file = tempdir_file(f.dir, "acached.conf", text);
}

/* Loads with up to two --set. */
static int load(const char *set, const char *more)
{
	const char *const sets[] = { set, more, NULL };

	config_close(&f.c);
	f.err = (struct err){ 0 };
	return config_load(&f.c, f.file, sets, &f.err);
}

static void loads(void)
{
	if (load(NULL, NULL) != 0)
		fail_msg("%s", f.err.msg);
}

static void says(const char *words)
{
	if (!strstr(f.err.msg, words))
		fail_msg("\"%s\" is not in \"%s\"", words, f.err.msg);
}

/* What is in the file is refused with these words. */
static void refuses(const char *text, const char *words)
{
	write_file(text);
	assert_int_equal(load(NULL, NULL), -EINVAL);
	says(words);
}

static void refuses_set(const char *set, const char *words)
{
	assert_int_equal(load(set, NULL), -EINVAL);
	says(words);
}

static void nothing_given_is_every_default(void **state ATTR_UNUSED)
{
	loads();
	assert_string_equal(f.c.state_dir, "");
	assert_int_equal(f.c.worker_capacity.percent, 50);
	assert_int_equal(f.c.master_negative_ttl, 5000);
	assert_int_equal(f.c.fuse_attr_ttl, 1000);
	assert_int_equal(f.c.block_size.bytes, 256 << 20);
	assert_string_equal(f.c.worker_evictor, "retain");
	assert_string_equal(f.c.log_level, "info");
	assert_null(f.c.master_listen[0]);
	assert_int_equal(f.c.worker_dirs.n, 0);
	assert_string_equal(f.c.sources[CONFIG_AT_log_level].where, "default");
}

static void keys_may_be_nested_dotted_or_both(void **state ATTR_UNUSED)
{
	write_file("worker:\n  capacity: 3G\n  evictor: lru\n"
		   "log.level: debug\nmaster:\n  negative-ttl: 2m\n");
	loads();
	assert_int_equal(f.c.worker_capacity.bytes, 3ULL << 30);
	assert_int_equal(f.c.worker_capacity.percent, 0);
	assert_string_equal(f.c.worker_evictor, "lru");
	assert_string_equal(f.c.log_level, "debug");
	assert_int_equal(f.c.master_negative_ttl, 120000);
}

static void an_empty_file_is_a_file(void **state ATTR_UNUSED)
{
	write_file("# nothing\n\n");
	loads();
	write_file("---\n");
	loads();
}

static void the_later_source_wins(void **state ATTR_UNUSED)
{
	write_file("worker.capacity: 1G\n");
	loads();
	assert_int_equal(f.c.worker_capacity.bytes, 1ULL << 30);
	setenv("ACACHED_WORKER_CAPACITY", "2G", 1);
	loads();
	assert_int_equal(f.c.worker_capacity.bytes, 2ULL << 30);
	assert_string_equal(f.c.sources[CONFIG_AT_worker_capacity].where,
			    "ACACHED_WORKER_CAPACITY");
	assert_int_equal(load("worker.capacity=3G", "worker.capacity=4G"), 0);
	assert_int_equal(f.c.worker_capacity.bytes, 4ULL << 30);
	assert_string_equal(f.c.sources[CONFIG_AT_worker_capacity].text, "4G");
}

static void sizes_are_binary(void **state ATTR_UNUSED)
{
	static const struct {
		const char *set;
		uint64_t bytes;
		unsigned percent;
	} good[] = { { "worker.capacity=4096", 4096, 0 },
		     { "worker.capacity=1K", 1024, 0 },
		     { "worker.capacity=7m", 7 << 20, 0 },
		     { "worker.capacity=2T", 2ULL << 40, 0 },
		     { "worker.capacity=80%", 0, 80 } };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(load(good[i].set, NULL), 0);
		assert_int_equal(f.c.worker_capacity.bytes, good[i].bytes);
		assert_int_equal(f.c.worker_capacity.percent, good[i].percent);
	}
	refuses_set("worker.capacity=12X", "\"12X\" is not accepted; give a "
					   "size in K, M, G, T, or %");
	refuses_set("worker.capacity=", "give a size");
	refuses_set("worker.capacity=-1G", "give a size");
	refuses_set("worker.capacity=1GB", "give a size");
	refuses_set("worker.capacity=0", "no room at all");
	refuses_set("worker.capacity=101%", "more than the disk");
	refuses_set("worker.capacity=99999999T", "too large");
	refuses_set("worker.capacity=99999999999999999999", "give a size");
}

static void times_have_a_unit(void **state ATTR_UNUSED)
{
	assert_int_equal(load("fuse.attr-ttl=250ms", NULL), 0);
	assert_int_equal(f.c.fuse_attr_ttl, 250);
	assert_int_equal(load("fuse.attr-ttl=1h", NULL), 0);
	assert_int_equal(f.c.fuse_attr_ttl, 3600000);
	assert_int_equal(load("fuse.attr-ttl=0", NULL), 0);
	assert_int_equal(f.c.fuse_attr_ttl, 0);
	refuses_set("fuse.attr-ttl=5", "has no unit; give a time");
	refuses_set("fuse.attr-ttl=5 s", "give a time");
	refuses_set("fuse.attr-ttl=soon", "give a time");
	refuses_set("fuse.attr-ttl=99999999999999999d", "give a time");
}

static void blocks_are_powers_of_two(void **state ATTR_UNUSED)
{
	assert_int_equal(load("block.size=4G", NULL), 0);
	assert_int_equal(f.c.block_size.bytes, 1ULL << 32);
	refuses_set("block.size=100M", "not a power of two; give 1M to 4G");
	refuses_set("block.size=512K", "1M to 4G");
	refuses_set("block.size=8G", "1M to 4G");
	refuses_set("block.size=50%", "1M to 4G");
}

static void lists_are_commas_or_yaml(void **state ATTR_UNUSED)
{
	write_file("master.addresses: [10.0.0.1:7000, 'unix:/run/m']\n");
	loads();
	assert_string_equal(f.c.master_addresses[0], "10.0.0.1:7000");
	assert_string_equal(f.c.master_addresses[1], "unix:/run/m");
	assert_null(f.c.master_addresses[2]);
	assert_int_equal(load("master.addresses=a:1 , [::1]:2", NULL), 0);
	assert_string_equal(f.c.master_addresses[0], "a:1");
	assert_string_equal(f.c.master_addresses[1], "[::1]:2");
	assert_null(f.c.master_addresses[2]);
}

static void addresses_have_a_host_and_a_port(void **state ATTR_UNUSED)
{
	static const char *const bad[] = { "7000",     ":7000",   "host:",
					   "h:70000",  "::1:5",   "[]:5",
					   "a:1,,b:2", "unix:/a", "h:1x" };
	char set[64];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(set, sizeof(set), "master.listen=%s", bad[i]);
		refuses_set(set, "give HOST:PORT");
	}
	refuses_set("master.addresses=unix:relative", "unix:/PATH");
}

static void each_directory_has_its_room(void **state ATTR_UNUSED)
{
	write_file("worker:\n  dirs:\n    - path: /ssd0/\n"
		   "      capacity: 500G\n    - /ssd 1=50%\n");
	loads();
	assert_int_equal(f.c.worker_dirs.n, 2);
	assert_string_equal(f.c.worker_dirs.at[0].path, "/ssd0");
	assert_int_equal(f.c.worker_dirs.at[0].capacity.bytes, 500ULL << 30);
	assert_string_equal(f.c.worker_dirs.at[1].path, "/ssd 1");
	assert_int_equal(f.c.worker_dirs.at[1].capacity.percent, 50);
	assert_int_equal(load("worker.dirs=/a=1G,/b=2G", NULL), 0);
	assert_int_equal(f.c.worker_dirs.n, 2);
	assert_string_equal(f.c.worker_dirs.at[1].path, "/b");
	assert_null(f.c.worker_dirs.at[0].tier);
	refuses_set("worker.dirs=/a", "has no size");
	refuses_set("worker.dirs=a=1G", "give /PATH=SIZE");
	refuses_set("worker.dirs=/a=1G,/a/b=1G", "one inside another");
	refuses_set("worker.dirs=/a=1G,/a/=1G", "a directory twice");
	refuses("worker.dirs:\n  - path: /a\n    size: 1G\n",
		"acached.conf:2: worker.dirs: a list here");
	refuses("worker.dirs:\n  - '/a,b=1G'\n", "without commas");
}

static void a_directory_may_say_its_tier(void **state ATTR_UNUSED)
{
	write_file("worker:\n  dirs:\n    - path: /ssd0\n"
		   "      tier: hdd\n      capacity: 50%\n    - /a:b=1G\n");
	loads();
	assert_string_equal(f.c.worker_dirs.at[0].path, "/ssd0");
	assert_string_equal(f.c.worker_dirs.at[0].tier, "hdd");
	assert_int_equal(f.c.worker_dirs.at[0].capacity.percent, 50);
	assert_string_equal(f.c.worker_dirs.at[1].path, "/a:b");
	assert_null(f.c.worker_dirs.at[1].tier);
	assert_int_equal(load("worker.dirs=/m=1G:memory,/s=2G:ssd", NULL), 0);
	assert_int_equal(f.c.worker_dirs.at[0].capacity.bytes, 1ULL << 30);
	assert_string_equal(f.c.worker_dirs.at[0].tier, "memory");
	assert_string_equal(f.c.worker_dirs.at[1].tier, "ssd");
	refuses_set("worker.dirs=/a=1G:tape", "not memory, ssd or hdd");
	refuses_set("worker.dirs=/a=1G:", "not memory, ssd or hdd");
	refuses_set("worker.dirs=/a=:ssd", "give /PATH=SIZE");
}

static void a_rate_is_in_bytes(void **state ATTR_UNUSED)
{
	assert_int_equal(load("worker.move-rate=3M", NULL), 0);
	assert_int_equal(f.c.worker_move_rate, 3ULL << 20);
	refuses_set("worker.move-rate=50%", "bytes a second");
	refuses_set("worker.move-rate=0", "no room");
}

static void an_unknown_key_is_refused_with_its_line(void **state ATTR_UNUSED)
{
	refuses("\nworker:\n  capacty: 1G\n",
		"acached.conf:3: worker.capacty is not a key; worker.capacity "
		"is one");
	refuses("turbo: on\n", "acached.conf:1: turbo is not a key; acached "
			       "admin config --explain");
	refuses("worker:\n  many:\n    - 1\n", "worker.many is not a key");
	write_file("");
	refuses_set("log.levle=info", "--set: log.levle is not a key; "
				      "log.level is one");
	refuses_set("log.level", "give KEY=VALUE");
	setenv("ACACHED_WORKER_CAPACTY", "1G", 1);
	assert_int_equal(load(NULL, NULL), -EINVAL);
	says("ACACHED_WORKER_CAPACTY in the environment");
}

static void other_variables_are_left_alone(void **state ATTR_UNUSED)
{
	setenv("ACACHED_MASTER", "unix:/run/m", 1);
	loads();
}

static void a_bad_value_is_refused_with_its_line(void **state ATTR_UNUSED)
{
	refuses("log:\n  level: loud\n",
		"acached.conf:2: log.level: \"loud\" is not accepted; give "
		"error, warn, info, debug");
	refuses("state.dir: here\n", "give a path that starts with /");
	refuses("log.level:\n  a: b\n", "log.level: this is no map");
	refuses("log.level: info\nlog:\n  level: info\n",
		"acached.conf:3: log.level is given twice (also ");
}

static void what_is_not_yaml_is_refused_with_its_line(void **state ATTR_UNUSED)
{
	refuses("a: 1\n]\n", "acached.conf:2: ");
	refuses("- a\n", "acached.conf:1: a map of keys is wanted here");
	refuses("a: &x\n  b: *x\n", "too many maps");
	f.file = "/no/such/file";
	assert_int_equal(load(NULL, NULL), -ENOENT);
	says("/no/such/file: No such file");
}

static void beyond_loopback_a_key_is_needed(void **state ATTR_UNUSED)
{
	static const char *const near[] = { "127.0.0.1:0", "localhost:7000",
					    "[::1]:7000", "127.9.9.9:1" };
	static const char *const far[] = { "0.0.0.0:0", "127.evil.org:1",
					   "[::]:1", "worker7:1" };
	char set[64];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(near); i++) {
		snprintf(set, sizeof(set), "worker.listen=%s", near[i]);
		assert_int_equal(load(set, NULL), 0);
	}
	for (i = 0; i < ARRAY_SIZE(far); i++) {
		snprintf(set, sizeof(set), "worker.listen=%s", far[i]);
		refuses_set(set, "--set: worker.listen: an address beyond "
				 "loopback needs cluster.key-file");
		assert_int_equal(load(set, "cluster.key-file=/etc/k"), 0);
	}
	refuses_set("master.http=0.0.0.0:9000", "beyond loopback");
	refuses_set("master.listen=127.0.0.1:1,0.0.0.0:1", "beyond loopback");
}

static void impossible_combinations_are_refused(void **state ATTR_UNUSED)
{
	assert_int_equal(load("worker.dirs=/a=1G", "worker.capacity=1G"),
			 -EINVAL);
	says("--set: worker.capacity: with worker.dirs each directory has");
	assert_int_equal(
		load("master.http=127.0.0.1:90", "worker.http=127.0.0.1:90"),
		-EINVAL);
	says("worker.http: this address has another use");
	assert_int_equal(
		load("master.http=127.0.0.1:0", "worker.http=127.0.0.1:0"), 0);
}

TEST_MAIN(TEST_WITH(nothing_given_is_every_default),
	  TEST_WITH(keys_may_be_nested_dotted_or_both),
	  TEST_WITH(an_empty_file_is_a_file), TEST_WITH(the_later_source_wins),
	  TEST_WITH(sizes_are_binary), TEST_WITH(times_have_a_unit),
	  TEST_WITH(blocks_are_powers_of_two),
	  TEST_WITH(lists_are_commas_or_yaml),
	  TEST_WITH(addresses_have_a_host_and_a_port),
	  TEST_WITH(each_directory_has_its_room),
	  TEST_WITH(a_directory_may_say_its_tier),
	  TEST_WITH(a_rate_is_in_bytes),
	  TEST_WITH(an_unknown_key_is_refused_with_its_line),
	  TEST_WITH(other_variables_are_left_alone),
	  TEST_WITH(a_bad_value_is_refused_with_its_line),
	  TEST_WITH(what_is_not_yaml_is_refused_with_its_line),
	  TEST_WITH(beyond_loopback_a_key_is_needed),
	  TEST_WITH(impossible_combinations_are_refused))
