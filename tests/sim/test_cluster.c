/*
 * Runs seeds of the simulation, each in a process of its own.
 *
 *   tests/sim/test_cluster             the first SIM_SEEDS (40) seeds, TAP
 *   tests/sim/test_cluster --seed N    one seed, what it logs and says shown
 *   tests/sim/test_cluster --first N --seeds M
 */

#include "sim/sim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/log.h"

#define AT_ONCE      2
#define SEED_SECONDS 120 /* of real time, then it hangs */

static const char *self;

static pid_t begin(uint64_t seed, int sum_fd)
{
	uint64_t sum;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid)
		return pid;
	alarm(SEED_SECONDS);
	cluster_run(seed);
	sum = trace_sum();
	if (sum_fd >= 0 && write(sum_fd, &sum, sizeof(sum)) != sizeof(sum))
		abort();
	exit(0);
}

static bool ended_well(int status)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool run_one(uint64_t seed, uint64_t *sum)
{
	int status, fds[2];
	pid_t pid;

	if (pipe(fds))
		abort();
	pid = begin(seed, fds[1]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort();
	close(fds[1]);
	*sum = 0;
	if (read(fds[0], sum, sizeof(*sum)) < 0)
		abort();
	close(fds[0]);
	return ended_well(status);
}

/* How many of these seeds failed; the first of them. */
static unsigned run_many(uint64_t first, uint64_t n, uint64_t *bad)
{
	uint64_t seeds[AT_ONCE] = { 0 }, next = first;
	pid_t pids[AT_ONCE] = { 0 }, pid;
	unsigned failed = 0, running = 0, i;
	int status;

	while (running || next < first + n) {
		for (i = 0; i < AT_ONCE && next < first + n; i++) {
			if (pids[i])
				continue;
			seeds[i] = next++;
			pids[i] = begin(seeds[i], -1);
			if (pids[i] < 0)
				abort();
			running++;
		}
		pid = wait(&status);
		for (i = 0; i < AT_ONCE && pids[i] != pid;)
			i++;
		if (i == AT_ONCE)
			abort();
		pids[i] = 0;
		running--;
		if (ended_well(status))
			continue;
		printf("# seed %" PRIu64 " failed; again: %s --seed %" PRIu64
		       "\n",
		       seeds[i], self, seeds[i]);
		if (!failed++ || seeds[i] < *bad)
			*bad = seeds[i];
	}
	return failed;
}

static int run_all(uint64_t first, uint64_t n)
{
	uint64_t bad = 0, once, twice;
	unsigned failed;
	bool same;

	printf("1..2\n");
	failed = run_many(first, n, &bad);
	printf("%sok 1 - %" PRIu64 " seeds from %" PRIu64 "\n",
	       failed ? "not " : "", n, first);
	same = run_one(first + 1, &once) && run_one(first + 1, &twice) &&
	       once == twice;
	printf("%sok 2 - a seed repeats itself\n", same ? "" : "not ");
	return failed || !same;
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
		if (strcmp(argv[i], "--seed") == 0) {
			cluster_run(number(argv[i + 1]));
			printf("seed %s: ok, trace %016" PRIx64 "\n",
			       argv[i + 1], trace_sum());
			return 0;
		}
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
