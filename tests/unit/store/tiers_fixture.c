#include "tiers_fixture.h"

#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/sim.h"
#include "lib/tempdir.h"

struct tiers_fixture tf;

static char *make_dir(enum tier t)
{
	const char *was = getenv("TMPDIR");
	char *tmp = was ? mem_str(was) : NULL, *dir;

	if (t == TIER_MEMORY && access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 1);
	dir = tempdir_make();
	if (tmp)
		setenv("TMPDIR", tmp, 1);
	else
		unsetenv("TMPDIR");
	free(tmp);
	return dir;
}

int tiers_setup(void **state ATTR_UNUSED)
{
	enum tier t;

	f = (struct fixture){ .evictor = "lru" };
	tf = (struct tiers_fixture){
		.capacity = { 0, 4 * MIB, 8 * MIB, 64 * MIB },
		.evictor = "lru",
	};
	f.loop = sim_new();
	for (t = TIER_FASTEST; t < N_TIERS; t++) {
		tf.parents[t] = make_dir(t);
		tf.dirs[t] = mem_printf("%s/cache", tf.parents[t]);
	}
	return 0;
}

int tiers_teardown(void **state ATTR_UNUSED)
{
	enum tier t;

	if (f.store)
		store_stop();
	for (t = TIER_FASTEST; t < N_TIERS; t++) {
		free(tf.dirs[t]);
		tempdir_remove(tf.parents[t]);
	}
	sim_free(f.loop);
	return 0;
}

static void on_let_go(void *owner ATTR_UNUSED, const uint64_t *files, size_t n)
{
	size_t i;

	for (i = 0; i < n && f.n_let_go < ARRAY_SIZE(f.let_go); i++)
		f.let_go[f.n_let_go++] = files[i];
}

void tiers_start(void)
{
	struct store_dir dirs[N_TIERS];
	struct store_options options = {
		.dirs = dirs,
		.block_size = 256 * MIB,
		.evictor = tf.evictor,
		.move_rate = tf.move_rate,
		.threads = f.threads,
		.loop = f.loop,
	};
	struct err err = { 0 };
	enum tier t;

	for (t = TIER_FASTEST; t < N_TIERS; t++)
		if (tf.capacity[t])
			dirs[options.n_dirs++] = (struct store_dir){
				.path = tf.dirs[t],
				.capacity = tf.capacity[t],
				.tier = t,
			};
	if (store_open(&f.store, &options, &err) != 0)
		fail_msg("%s", err.msg);
	store_on_let_go(f.store, on_let_go, NULL);
}

static void copy_aside(const char *dir)
{
	char command[1024];

	snprintf(command, sizeof(command), "cp -a --sparse=always %s %s.now",
		 dir, dir);
	assert_int_equal(system(command), 0);
}

static void put_back(const char *dir)
{
	char command[1024];

	snprintf(command, sizeof(command), "rm -r %s && mv %s.now %s", dir, dir,
		 dir);
	assert_int_equal(system(command), 0);
}

void tiers_crash(void)
{
	enum tier t;

	for (t = TIER_FASTEST; t < N_TIERS; t++)
		if (tf.capacity[t])
			copy_aside(tf.dirs[t]);
	store_stop();
	for (t = TIER_FASTEST; t < N_TIERS; t++)
		if (tf.capacity[t])
			put_back(tf.dirs[t]);
}

enum tier tier_of(uint64_t file)
{
	struct store_file_state st;

	return store_file_state(f.store, file, &st) ? TIER_AUTO : st.tier;
}

struct store_totals totals(void)
{
	struct store_totals t;

	store_totals(f.store, &t);
	return t;
}

static char wanted[32];
static unsigned found;
static uint64_t usage;

static int match(const char *path, const struct stat *st, int type,
		 struct FTW *ftw)
{
	const char *name = path + ftw->base;

	usage += (uint64_t)st->st_blocks * 512;
	found += type == FTW_F && strncmp(name, wanted, strlen(wanted)) == 0 &&
		 strlen(name) == 25;
	return 0;
}

static void walk(enum tier t)
{
	found = 0;
	usage = 0;
	nftw(tf.dirs[t], match, 8, FTW_PHYS);
}

unsigned copies_of(uint64_t file)
{
	unsigned n = 0;
	enum tier t;

	wanted[0] = '\0';
	if (file != UINT64_MAX)
		snprintf(wanted, sizeof(wanted), "%016" PRIx64 ".", file);
	for (t = TIER_FASTEST; t < N_TIERS; t++) {
		walk(t);
		n += found;
	}
	return n;
}

void tiers_are_within(void)
{
	struct store_totals all = totals();
	enum tier t;

	for (t = TIER_FASTEST; t < N_TIERS; t++) {
		if (!tf.capacity[t])
			continue;
		walk(t);
		assert_true(usage <= tf.capacity[t]);
		assert_true(usage <= all.tiers[t].used);
		assert_true(all.tiers[t].used <= tf.capacity[t]);
	}
}
