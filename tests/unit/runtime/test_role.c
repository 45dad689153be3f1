#include "lib/test.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/tempdir.h"
#include "runtime/log.h"
#include "runtime/role.h"

static struct fixture {
	char *dir;
	int ends[2];
	struct role_env env;
} f;

static int setup(void **state ATTR_UNUSED)
{
	f = (struct fixture){ .dir = tempdir_make() };
	f.env.dir = f.dir;
	log_configure("error", "logfmt", NULL);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, f.ends) < 0)
		return -1;
	f.env.ctl_fd = f.ends[0];
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	close(f.ends[0]);
	close(f.ends[1]);
	tempdir_remove(f.dir);
	return 0;
}

static void the_supervisor_hears_that_it_serves(void **state ATTR_UNUSED)
{
	char packet[64] = "";

	role_ready(&f.env, "worker=unix:/s worker=127.0.0.1:7");
	assert_true(recv(f.ends[1], packet, sizeof(packet) - 1, 0) > 0);
	assert_string_equal(packet, "Rworker=unix:/s worker=127.0.0.1:7");
}

static void addresses_are_kept_a_line_each(void **state ATTR_UNUSED)
{
	char path[4200], text[128];
	size_t n;
	FILE *file;

	tempdir_file(f.dir, "address", "old=1\nand much longer than before\n");
	role_ready(&f.env, "worker=unix:/s worker=127.0.0.1:7");
	snprintf(path, sizeof(path), "%s/address", f.dir);
	file = fopen(path, "r");
	assert_non_null(file);
	n = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[n] = '\0';
	assert_string_equal(text, "worker=unix:/s\nworker=127.0.0.1:7\n");
}

/* A full disk must not keep it from serving. */
static void it_serves_where_nothing_can_be_kept(void **state ATTR_UNUSED)
{
	char packet[64] = "";

	f.env.dir = "/nonexistent";
	role_ready(&f.env, "a=b");
	assert_int_equal(recv(f.ends[1], packet, sizeof(packet) - 1, 0), 4);
	assert_string_equal(packet, "Ra=b");
}

TEST_MAIN(TEST_WITH(the_supervisor_hears_that_it_serves),
	  TEST_WITH(addresses_are_kept_a_line_each),
	  TEST_WITH(it_serves_where_nothing_can_be_kept))
