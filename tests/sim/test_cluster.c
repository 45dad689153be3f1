/*
 * The simulation.
 *
 *   tests/sim/test_cluster             SIM_SEEDS (40) seeds, as TAP
 *   tests/sim/test_cluster --seed N    one seed, with what it logs
 *   tests/sim/test_cluster --first N --seeds M
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/log.h"
#include "sim/seeds.h"
#include "sim/sim.h"

static const char *self;

static void say(uint64_t seed)
{
	printf("# seed %" PRIu64 " failed; again: %s --seed %" PRIu64 "\n",
	       seed, self, seed);
}

static int run_all(uint64_t first, uint64_t n)
{
	uint64_t bad, sum;
	unsigned failed;
	bool same;

	printf("1..2\n");
	failed = seeds_run(first, n, true, &bad, say);
	printf("%sok 1 - %" PRIu64 " seeds from %" PRIu64 "\n",
	       failed ? "not " : "", n, first);
	sum = seeds_trace(first + 1);
	same = sum && sum == seeds_trace(first + 1);
	printf("%sok 2 - a seed repeats itself\n", same ? "" : "not ");
	return failed || !same;
}

static int run_one(uint64_t seed)
{
	cluster_run(seed);
	printf("seed %" PRIu64 ": ok, trace %016" PRIx64 "\n", seed,
	       trace_sum());
	return 0;
}

static uint64_t number(const char *s)
{
	return strtoull(s, NULL, 10);
}

int main(int argc, char **argv)
{
	const char *seeds = getenv("SIM_SEEDS");
	uint64_t first = 1, n = seeds ? number(seeds) : 40;
	int i;

	self = argv[0];
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--seed") == 0)
			return run_one(number(argv[i + 1]));
		if (strcmp(argv[i], "--first") == 0)
			first = number(argv[i + 1]);
		else if (strcmp(argv[i], "--seeds") == 0)
			n = number(argv[i + 1]);
		else
			break;
	}
	if (i < argc) {
		fprintf(stderr, "usage: %s [--seed N | --first N --seeds M]\n",
			self);
		return 2;
	}
	log_set_level(LOG_LEVEL_ERROR);
	return run_all(first, n);
}
