/*
 * A child for test_supervisor: does as its second word says, under the name
 * that is its first.  --starts=N stands before both.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/supervisor.h"

static const char *name, *deed;
static int starts = -1;

static void say(const char *packet)
{
	if (send(SUPERVISOR_CTL_FD, packet, strlen(packet), 0) < 0)
		exit(9);
}

/* A line to the file that was given as descriptor 4. */
static void note(const char *what)
{
	dprintf(SUPERVISOR_CTL_FD + 1, "%s %s %d\n", name, what, starts);
}

static void serve(void)
{
	char packet[64];
	sigset_t term;
	int sig;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	snprintf(packet, sizeof(packet), "R%s=here", name);
	note("serves"); /* before whoever waits for us may */
	say(packet);
	sigwait(&term, &sig);
	note("ends");
}

static int act(void)
{
	if (strcmp(deed, "crash") == 0 && starts < 3)
		abort();
	if (strcmp(deed, "crash-always") == 0)
		abort();
	if (strcmp(deed, "refuse") == 0) {
		say("Eno room: dir=/ssd0");
		return 7;
	}
	if (strcmp(deed, "say-and-fail") == 0) {
		fputs("mounting...\nno such bucket\n", stderr);
		return 1;
	}
	if (strcmp(deed, "hang") == 0)
		pause();
	if (strcmp(deed, "die-twice") == 0 && starts < 2) {
		say("Rsoon=gone");
		note("serves");
		abort();
	}
	if (strcmp(deed, "die-twice") == 0)
		kill(getppid(), SIGTERM);
	if (strcmp(deed, "do") == 0)
		note("done");
	else
		serve();
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 3 && sscanf(argv[1], "--starts=%d", &starts) == 1)
		argv++;
	name = argv[1];
	deed = argv[2];
	return act();
}
