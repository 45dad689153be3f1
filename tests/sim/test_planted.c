/*
 * The simulation finds bugs that are planted in the system: functions of it are
 * replaced when this program is linked (--wrap), and it must fail soon.
 */

#include <inttypes.h>
#include <stdio.h>

#include "runtime/log.h"
#include "sim/seeds.h"
#include "sim/sim.h"

#define ENOUGH 200 /* seeds */

static enum {
	NOTHING,
	VERSIONS_MIXED, /* an object that was replaced is not noticed */
	FETCHED_TWICE,  /* who finds a fetch under way begins another */
	APPLIED_TWICE,  /* retries are not known again */
} planted;

struct file;         /* worker/state.h */
struct flight;       /* the same */
struct dedup_result; /* core/tree.h */

bool __real_ufs_version_equal(const struct ufs_version *a,
			      const struct ufs_version *b);
bool __wrap_ufs_version_equal(const struct ufs_version *a,
			      const struct ufs_version *b);
struct flight *__real_flight_find(const struct file *f, uint64_t at);
struct flight *__wrap_flight_find(const struct file *f, uint64_t at);
const struct dedup_result *__real_dedup_find(const struct namespace *ns,
					     uint64_t client,
					     uint64_t sequence);
const struct dedup_result *__wrap_dedup_find(const struct namespace *ns,
					     uint64_t client,
					     uint64_t sequence);

bool __wrap_ufs_version_equal(const struct ufs_version *a,
			      const struct ufs_version *b)
{
	return planted == VERSIONS_MIXED || __real_ufs_version_equal(a, b);
}

struct flight *__wrap_flight_find(const struct file *f, uint64_t at)
{
	return planted == FETCHED_TWICE && random_once_in(2)
		       ? NULL
		       : __real_flight_find(f, at);
}

const struct dedup_result *__wrap_dedup_find(const struct namespace *ns,
					     uint64_t client, uint64_t sequence)
{
	return planted == APPLIED_TWICE
		       ? NULL
		       : __real_dedup_find(ns, client, sequence);
}

int main(void)
{
	static const char *const names[] = {
		[NOTHING] = "without a bug nothing is found",
		[VERSIONS_MIXED] = "versions mixed",
		[FETCHED_TWICE] = "a range fetched twice at a time",
		[APPLIED_TWICE] = "a retry applied twice",
	};
	int failed = 0;
	unsigned i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	log_set_level(LOG_LEVEL_ERROR);
	printf("1..%zu\n", ARRAY_SIZE(names));
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		uint64_t bad = 0;
		bool found;

		planted = i;
		found = seeds_run(1, i ? ENOUGH : 4, false, &bad, NULL) != 0;
		if (found)
			printf("# found by seed %" PRIu64 "\n", bad);
		failed += found != (i != NOTHING);
		printf("%sok %u - %s\n", found == (i != NOTHING) ? "" : "not ",
		       i + 1, names[i]);
	}
	return failed != 0;
}
