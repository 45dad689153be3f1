#include "lib/test.h"

#include <stdio.h>

#include "fuse/wait.h"

static bool ended_by(const char *thread, const char *process,
		     const char *blocked, const char *ignored)
{
	char status[400];

	snprintf(status, sizeof(status),
		 "Name:\tcat\nThreads:\t1\nSigQ:\t0/7\nSigPnd:\t%s\n"
		 "ShdPnd:\t%s\nSigBlk:\t%s\nSigIgn:\t%s\nSigCgt:\t0\n",
		 thread, process, blocked, ignored);
	return wait_is_ended_by(status);
}

static void a_program_that_ends_has_sigkill_pending(void **state ATTR_UNUSED)
{
	assert_true(ended_by("0000000000000100", "0", "0", "0"));
	assert_true(ended_by("0000000000000100", "0000000000000002", "0", "0"));
}

static void sigint_for_the_process_ends_it(void **state ATTR_UNUSED)
{
	assert_true(ended_by("0", "0000000000000002", "0", "0"));
	assert_false(ended_by("0", "0000000000000002", "2", "0"));
	assert_false(ended_by("0", "0000000000000002", "0", "2"));
}

static void sigchld_and_the_like_do_not(void **state ATTR_UNUSED)
{
	assert_false(ended_by("0", "0000000000010000", "0", "0")); /* CHLD */
	assert_false(ended_by("0000000000400000", "0", "0", "0")); /* URG */
	assert_false(ended_by("0", "0000000004000000", "0", "0")); /* PROF */
	assert_false(ended_by("0", "0", "0", "0"));
	assert_true(ended_by("0", "0000000000012000", "0", "0")); /* ALRM too */
}

TEST_MAIN(TEST(a_program_that_ends_has_sigkill_pending),
	  TEST(sigint_for_the_process_ends_it),
	  TEST(sigchld_and_the_like_do_not))
