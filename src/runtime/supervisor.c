#include "runtime/supervisor.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/process.h"

#define LOG_MODULE "supervisor"
#include "runtime/log.h"

#define READY_MS       60000
#define DRAIN_MS       10000
#define SETTLED_MS     1000 /* a child that served so long starts afresh */
#define FIRST_PAUSE_MS 50
#define LAST_PAUSE_MS  800
#define MAX_FAILURES   6     /* starts in a row that did not become ready */
#define MAX_DEATHS     60    /* of a ready child ... */
#define DEATHS_MS      60000 /* ... in such a time */
#define UNMOUNT_MS     2000  /* to notice by itself that it is over */

enum state {
	WAITING, /* to be started at start_ms */
	STARTING,
	READY,
	OVER, /* and not wanted any more */
};

struct child {
	const struct supervised *spec;
	enum state state;
	pid_t pid; /* 0: none */
	int ctl;   /* -1: none */
	int words; /* standard error of a command; -1 */
	uint64_t start_ms, started_ms, ready_ms;
	uint64_t kill_ms; /* when SIGKILL is due; 0: not */
	bool killed;      /* by that */
	bool asked;       /* to end */
	uint64_t down_ms; /* when it ceased to be ready */
	unsigned starts, failures, deaths, pause_ms;
	uint64_t deaths_since_ms;
	char *addresses; /* NULL: was never ready */
	char reason[512];
};

struct supervisor {
	const struct supervisor_options *o;
	struct child children[SUPERVISOR_CHILDREN];
	int signals, mounts;
	bool announced;
	bool stopping;
	int stop_at; /* index of the child that is being ended */
	struct err *err;
	int rv;
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static bool is_command(const struct child *c)
{
	return c->spec->command;
}

static struct child *end_of(struct supervisor *s)
{
	return s->children + s->o->n;
}

/* From here on children are ended, the last first. */
static void stop(struct supervisor *s)
{
	if (s->stopping)
		return;
	s->stopping = true;
	process_notify("STOPPING=1");
	s->stop_at = (int)s->o->n - 1;
}

/* The first reason counts: later ones are its consequences. */
static void give_up(struct supervisor *s, struct child *c, const char *how)
{
	if (s->rv == 0) {
		s->rv = err_set(s->err, -ECHILD, "%s %s%s%s", c->spec->name,
				how, c->reason[0] ? ": " : "", c->reason);
		log_error("gave up", "child=%s how=%s", c->spec->name, how);
	}
	stop(s);
}

static void kill_child(struct child *c, int signal)
{
	if (c->pid > 0)
		kill(c->pid, signal);
}

static void ask_to_end(struct child *c)
{
	const unsigned ms = c->spec->drain_ms;

	kill_child(c, is_command(c) ? SIGKILL : SIGTERM);
	c->kill_ms = now_ms() + (ms ? ms : DRAIN_MS);
}

/* argv with --starts=N, to be freed with its last word. */
static char **argv_of(const struct child *c, char **starts)
{
	char **argv;
	size_t n = 0;

	while (c->spec->argv[n])
		n++;
	argv = mem_array(n + 2, sizeof(*argv));
	memcpy(argv, c->spec->argv, n * sizeof(*argv));
	*starts = mem_printf("--starts=%u", c->starts);
	if (is_command(c))
		return argv;
	memmove(argv + 2, argv + 1, (n - 1) * sizeof(*argv));
	argv[1] = *starts;
	return argv;
}

static int start_process(struct supervisor *s, struct child *c)
{
	struct spawn how = { .program = s->o->program,
			     .n_fds = c->spec->n_fds + 1,
			     .out_fd = STDERR_FILENO,
			     .err_fd = -1 };
	char **argv, *starts;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	if (is_command(c)) {
		c->words = memfd_create("words", MFD_CLOEXEC);
		how.err_fd = how.out_fd = c->words;
	}
	how.fds[0] = pair[1];
	memcpy(how.fds + 1, c->spec->fds, sizeof(c->spec->fds));
	argv = argv_of(c, &starts);
	how.argv = argv;
	c->pid = spawn(&how);
	free(argv);
	free(starts);
	close(pair[1]);
	c->ctl = pair[0];
	return c->pid < 0 ? c->pid : 0;
}

/* When a child that is not ready has had its time. */
static uint64_t ready_by(const struct child *c)
{
	const unsigned ms = c->spec->ready_ms;

	return (c->addresses ? c->down_ms : c->started_ms) +
	       (ms ? ms : READY_MS);
}

static void start(struct supervisor *s, struct child *c)
{
	int rv;

	c->reason[0] = '\0';
	c->killed = false;
	c->state = STARTING;
	c->started_ms = now_ms();
	c->kill_ms = ready_by(c);
	rv = start_process(s, c);
	if (rv) {
		c->pid = 0;
		give_up(s, c, "cannot be started");
		return;
	}
	c->starts++;
	log_debug("child started", "child=%s pid=%d", c->spec->name,
		  (int)c->pid);
}

static bool may_start(struct supervisor *s, const struct child *c)
{
	const struct child *other;

	if (c->state != WAITING || now_ms() < c->start_ms)
		return false;
	for (other = s->children; other < end_of(s); other++)
		if (c->starts == 0 && c->spec->after &&
		    strcmp(other->spec->name, c->spec->after) == 0)
			return other->state == READY;
	return true;
}

static void start_due(struct supervisor *s)
{
	struct child *c;

	for (c = s->children; c < end_of(s) && !s->stopping; c++)
		if (may_start(s, c))
			start(s, c);
}

/* "ready", once, when everybody is. */
static void announce(struct supervisor *s)
{
	char *all = mem_str(""), *more;
	struct child *c;

	for (c = s->children; c < end_of(s); c++) {
		if (c->state != (is_command(c) ? OVER : READY))
			break;
		if (is_command(c))
			continue;
		more = mem_printf("%s%s%s", all, *all ? " " : "", c->addresses);
		free(all);
		all = more;
	}
	if (c == end_of(s)) {
		s->announced = true;
		s->o->ready(s->o->owner, all);
	}
	free(all);
}

static void on_ready(struct child *c, const char *addresses)
{
	c->state = READY;
	c->ready_ms = now_ms();
	c->kill_ms = 0;
	c->failures = 0;
	if (c->starts > 1)
		log_info("child ready again", "child=%s pid=%d starts=%u",
			 c->spec->name, (int)c->pid, c->starts);
	free(c->addresses);
	c->addresses = mem_str(addresses);
}

static void set_reason(struct child *c, const char *why)
{
	snprintf(c->reason, sizeof(c->reason), "%.500s", why);
}

static void read_ctl(struct child *c)
{
	char packet[1024];
	ssize_t n;

	while (c->ctl >= 0) {
		n = recv(c->ctl, packet, sizeof(packet) - 1, MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) { /* its end; its status comes by SIGCHLD */
			close(c->ctl);
			c->ctl = -1;
			return;
		}
		packet[n] = '\0';
		if (packet[0] == 'R' && c->state == STARTING)
			on_ready(c, packet + 1);
		else if (packet[0] == 'E')
			set_reason(c, packet + 1);
	}
}

/* What a command wrote goes where ours goes; its last line is the reason. */
static void read_words(struct child *c)
{
	char text[4096], *line, *save;
	ssize_t n;

	if (c->words < 0)
		return;
	n = pread(c->words, text, sizeof(text) - 1, 0);
	close(c->words);
	c->words = -1;
	text[n > 0 ? n : 0] = '\0';
	for (line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		set_reason(c, line);
}

static void describe(const struct child *c, int status, char *out, size_t size)
{
	if (c->killed)
		snprintf(out, size, "was not ready in time");
	else if (WIFSIGNALED(status))
		snprintf(out, size, "was killed by signal %d",
			 WTERMSIG(status));
	else
		snprintf(out, size, "ended with status %d",
			 WEXITSTATUS(status));
}

/* How long to wait before the next start; grows while it does not settle. */
static unsigned next_pause(struct child *c, bool settled)
{
	const unsigned pause = settled ? 0 : c->pause_ms;

	if (settled)
		c->pause_ms = FIRST_PAUSE_MS;
	else if (c->pause_ms < LAST_PAUSE_MS)
		c->pause_ms *= 2;
	return pause;
}

static bool too_many_deaths(struct child *c)
{
	const uint64_t now = now_ms();

	if (now - c->deaths_since_ms > DEATHS_MS) {
		c->deaths_since_ms = now;
		c->deaths = 0;
	}
	return ++c->deaths > MAX_DEATHS;
}

/* Whether to give up a child that is not ready. */
static bool failed_enough(struct child *c, int status)
{
	if (!c->addresses && (WIFEXITED(status) || c->killed))
		return true;
	return ++c->failures >= MAX_FAILURES || now_ms() >= ready_by(c);
}

/* A role that should have lived on. */
static void on_death(struct supervisor *s, struct child *c, int status)
{
	const bool was_ready = c->state == READY;
	const bool settled = was_ready && now_ms() - c->ready_ms >= SETTLED_MS;
	char how[64];

	describe(c, status, how, sizeof(how));
	log_warn("child died", "child=%s how=\"%s\" last_error=\"%s\"",
		 c->spec->name, how, c->reason);
	if (was_ready)
		c->down_ms = now_ms();
	c->state = WAITING;
	c->start_ms = now_ms() + next_pause(c, settled);
	if (was_ready && too_many_deaths(c))
		give_up(s, c, "dies too often");
	else if (!was_ready && failed_enough(c, status))
		give_up(s, c, how);
}

static bool nothing_left(struct supervisor *s)
{
	struct child *c;

	for (c = s->children; c < end_of(s); c++)
		if (c->state != OVER)
			return false;
	return true;
}

/* The role is not needed any more. */
static void on_over(struct supervisor *s, struct child *c)
{
	log_info("role ended", "child=%s", c->spec->name);
	c->state = OVER;
	s->o->ending(s->o->owner);
	if (nothing_left(s))
		stop(s);
}

static void on_command_end(struct supervisor *s, struct child *c, int status)
{
	char how[64];

	read_words(c);
	c->state = OVER;
	describe(c, status, how, sizeof(how));
	if (status != 0)
		give_up(s, c, how);
}

static bool is_over(struct supervisor *s, const struct child *c)
{
	return c->spec->can_be_over && s->o->is_over(s->o->owner);
}

static void on_end(struct supervisor *s, struct child *c, int status)
{
	read_ctl(c);
	if (c->ctl >= 0)
		close(c->ctl);
	c->ctl = -1;
	c->pid = 0;
	c->kill_ms = 0;
	if (c->state == OVER || s->stopping)
		c->state = OVER;
	else if (is_command(c))
		on_command_end(s, c, status);
	else if (is_over(s, c))
		on_over(s, c);
	else
		on_death(s, c, status);
}

static void reap(struct supervisor *s)
{
	struct child *c;
	int status;

	for (c = s->children; c < end_of(s); c++)
		if (c->pid > 0 && waitpid(c->pid, &status, WNOHANG) == c->pid)
			on_end(s, c, status);
}

static void on_signals(struct supervisor *s)
{
	struct signalfd_siginfo info;
	struct child *c;

	while (read(s->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			continue;
		if (!s->stopping) {
			log_info("ending", "signal=%u", info.ssi_signo);
			stop(s);
			continue;
		}
		/* Asked again: no more patience. */
		for (c = s->children; c < end_of(s); c++)
			kill_child(c, SIGKILL);
	}
	reap(s);
}

/* The mounts of this machine have changed. */
static void on_mounts(struct supervisor *s)
{
	struct child *c;

	for (c = s->children; c < end_of(s); c++)
		if (is_over(s, c) && !c->kill_ms && c->pid > 0)
			c->kill_ms = now_ms() + UNMOUNT_MS;
		else if (is_over(s, c) && c->state == WAITING)
			on_over(s, c);
}

static void begin_to_end(struct supervisor *s, struct child *c)
{
	if (c->asked)
		return;
	c->asked = true;
	if (c->spec->can_be_over && c->state != OVER)
		s->o->ending(s->o->owner);
	c->state = OVER;
	if (c->pid > 0)
		ask_to_end(c);
}

/* Ends one after the other, the last first; false when all are gone. */
static bool still_ending(struct supervisor *s)
{
	struct child *c;

	for (; s->stop_at >= 0; s->stop_at--) {
		c = &s->children[s->stop_at];
		begin_to_end(s, c);
		if (c->pid > 0)
			return true;
	}
	return false;
}

static void kill_due(struct supervisor *s)
{
	const uint64_t now = now_ms();
	struct child *c;

	for (c = s->children; c < end_of(s); c++) {
		if (c->pid <= 0 || !c->kill_ms || now < c->kill_ms)
			continue;
		log_warn("child killed", "child=%s pid=%d state=%s",
			 c->spec->name, (int)c->pid,
			 c->state == STARTING ? "starting" : "ending");
		c->killed = c->state == STARTING;
		c->kill_ms = 0;
		kill_child(c, SIGKILL);
	}
}

/* Until the next start or kill. */
static int timeout(struct supervisor *s)
{
	const uint64_t now = now_ms();
	uint64_t until = now + 3600000, at;
	struct child *c;

	for (c = s->children; c < end_of(s); c++) {
		at = until;
		if (c->pid > 0 && c->kill_ms)
			at = c->kill_ms;
		else if (c->state == WAITING && c->start_ms > now)
			at = c->start_ms;
		if (at < until)
			until = at;
	}
	return until <= now ? 0 : (int)(until - now);
}

static void turn(struct supervisor *s)
{
	struct pollfd p[2 + SUPERVISOR_CHILDREN];
	unsigned i;

	p[0] = (struct pollfd){ .fd = s->signals, .events = POLLIN };
	p[1] = (struct pollfd){ .fd = s->mounts, .events = POLLPRI };
	for (i = 0; i < s->o->n; i++)
		p[2 + i] = (struct pollfd){ .fd = s->children[i].ctl,
					    .events = POLLIN };
	if (poll(p, 2 + s->o->n, timeout(s)) < 0)
		return;
	for (i = 0; i < s->o->n; i++)
		if (p[2 + i].revents)
			read_ctl(&s->children[i]);
	if (p[0].revents)
		on_signals(s);
	if (p[1].revents && !s->stopping)
		on_mounts(s);
	kill_due(s);
}

static void run(struct supervisor *s)
{
	while (!s->stopping) {
		start_due(s);
		if (!s->announced && !s->stopping)
			announce(s);
		if (!s->stopping)
			turn(s);
	}
	while (still_ending(s))
		turn(s);
}

static int open_signals(sigset_t *before)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, before);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

int supervisor_run(const struct supervisor_options *o, struct err *err)
{
	struct supervisor s = { .o = o, .err = err };
	sigset_t before;
	unsigned i;

	assert(o->n <= SUPERVISOR_CHILDREN);
	s.signals = open_signals(&before);
	if (s.signals < 0)
		return err_set(err, s.signals, "signalfd: %s",
			       err_text(s.signals));
	s.mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	for (i = 0; i < o->n; i++)
		s.children[i] = (struct child){ .spec = &o->children[i],
						.ctl = -1,
						.words = -1,
						.pause_ms = FIRST_PAUSE_MS };
	run(&s);
	for (i = 0; i < o->n; i++) {
		free(s.children[i].addresses);
		if (s.children[i].ctl >= 0)
			close(s.children[i].ctl);
		if (s.children[i].words >= 0)
			close(s.children[i].words);
	}
	if (s.mounts >= 0)
		close(s.mounts);
	close(s.signals);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return s.rv;
}
