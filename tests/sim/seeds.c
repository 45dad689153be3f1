#include "sim/seeds.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/tempdir.h"
#include "sim/sim.h"

#define AT_ONCE      2
#define SEED_SECONDS 120 /* of real time, then it hangs */

/* `dir` is for its files: one that fails leaves some behind. */
static pid_t begin(uint64_t seed, const char *dir, int sum_fd, bool quiet)
{
	uint64_t sum;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		abort();
	if (pid)
		return pid;
	if (quiet && (!freopen("/dev/null", "w", stdout) ||
		      !freopen("/dev/null", "w", stderr)))
		abort();
	setenv("TMPDIR", dir, 1);
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

unsigned seeds_run(uint64_t first, uint64_t n, bool all, uint64_t *bad,
		   void (*say)(uint64_t seed))
{
	uint64_t seeds[AT_ONCE] = { 0 }, next = first, end = first + n;
	pid_t pids[AT_ONCE] = { 0 }, pid;
	char *dirs[AT_ONCE];
	unsigned failed = 0, running = 0, i;
	int status;

	while (running || next < end) {
		for (i = 0; i < AT_ONCE && next < end; i++) {
			if (pids[i])
				continue;
			seeds[i] = next++;
			dirs[i] = tempdir_make();
			pids[i] = begin(seeds[i], dirs[i], -1, !say);
			running++;
		}
		pid = wait(&status);
		for (i = 0; i < AT_ONCE && pids[i] != pid;)
			i++;
		if (i == AT_ONCE)
			abort();
		pids[i] = 0;
		tempdir_remove(dirs[i]);
		running--;
		if (ended_well(status))
			continue;
		if (say)
			say(seeds[i]);
		if (!failed++ || seeds[i] < *bad)
			*bad = seeds[i];
		if (!all)
			end = next;
	}
	return failed;
}

uint64_t seeds_trace(uint64_t seed)
{
	char *dir = tempdir_make();
	uint64_t sum = 0;
	int status, fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		abort();
	pid = begin(seed, dir, fds[1], false);
	if (waitpid(pid, &status, 0) != pid)
		abort();
	close(fds[1]);
	if (!ended_well(status) || read(fds[0], &sum, sizeof(sum)) < 0)
		sum = 0;
	close(fds[0]);
	tempdir_remove(dir);
	return sum;
}
