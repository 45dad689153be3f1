#include "cli/sample.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* In the order of enum sample_number. */
static const char *const names[SAMPLE_NUMBERS] = {
	"acached_reads_total{source=\"local\"}",
	"acached_reads_total{source=\"peer\"}",
	"acached_reads_total{source=\"ufs\"}",
	"acached_read_bytes_total{source=\"local\"}",
	"acached_read_bytes_total{source=\"peer\"}",
	"acached_read_bytes_total{source=\"ufs\"}",
	"acached_opens_total{mode=\"local\"}",
	"acached_opens_total{mode=\"remote\"}",
	"acached_opens_total{mode=\"miss\"}",
	"acached_ufs_requests_total{status=\"2xx\"}",
	"acached_ufs_requests_total{status=\"4xx\"}",
	"acached_ufs_requests_total{status=\"5xx\"}",
	"acached_ufs_requests_total{status=\"error\"}",
	"acached_ufs_read_bytes_total",
	"acached_ufs_retries_total",
	"acached_evictions_total",
	"acached_cache_capacity_bytes",
	"acached_cache_used_bytes",
};

void sample_open(struct sample *s, struct cli *cli)
{
	*s = (struct sample){ .cli = cli };
}

void sample_close(struct sample *s)
{
	size_t i;

	processes_free(&s->processes);
	for (i = 0; i < s->n_before; i++)
		free(s->before[i].name);
	free(s->before);
}

static void take_line(struct sample_numbers *to, const char *line, size_t len)
{
	const char *space = memrchr(line, ' ', len);
	int i;

	for (i = 0; space && i < SAMPLE_NUMBERS; i++)
		if (strlen(names[i]) == (size_t)(space - line) &&
		    memcmp(names[i], line, strlen(names[i])) == 0)
			to->at[i] = strtoull(space, NULL, 10);
}

static int on_metrics(void *arg, const void *reply)
{
	const struct metrics_reply *m = reply;
	const char *at = m->text.ptr, *end = at + m->text.len, *newline;

	for (; at < end; at = newline + 1) {
		newline = memchr(at, '\n', (size_t)(end - at));
		if (!newline)
			break;
		take_line(arg, at, (size_t)(newline - at));
	}
	return 0;
}

static struct sample_process *before_of(struct sample *s, const char *name)
{
	size_t i;

	for (i = 0; i < s->n_before; i++)
		if (strcmp(s->before[i].name, name) == 0)
			return &s->before[i];
	s->before = mem_resize(s->before, s->n_before + 1, sizeof(*s->before));
	s->before[s->n_before] =
		(struct sample_process){ mem_str(name), { { 0 } }, false };
	return &s->before[s->n_before++];
}

/* A process that was started again has counted anew. */
static void add(struct sample_numbers *to, struct sample_process *before,
		const struct sample_numbers *now)
{
	const bool known = before->fresh;
	uint64_t was;
	int i;

	for (i = 0; i < SAMPLE_NUMBERS; i++) {
		was = before->last.at[i];
		if (i >= SAMPLE_COUNTERS)
			to->at[i] += now->at[i];
		else if (known)
			to->at[i] += now->at[i] - (now->at[i] < was ? 0 : was);
	}
	before->last = *now;
	before->fresh = true;
}

int sample_take(struct sample *s)
{
	const struct metrics_request req = { .all = true };
	struct process *p;
	struct sample_numbers now;
	size_t i;
	int rv;

	processes_free(&s->processes);
	rv = processes_find(s->cli, NULL, &s->processes);
	if (rv)
		return rv;
	s->readers = s->servers = (struct sample_numbers){ { 0 } };
	s->n_workers = s->n_mountpoints = s->silent = 0;
	for (i = 0; i < s->processes.n; i++) {
		p = &s->processes.at[i];
		now = (struct sample_numbers){ { 0 } };
		if (process_call(s->cli, p, RPC_PROCESS_METHOD(metrics), &req,
				 on_metrics, &now)) {
			s->silent += p->kind != PROCESS_FUSE;
			continue;
		}
		s->n_workers += p->kind == PROCESS_WORKER;
		s->n_mountpoints += p->kind == PROCESS_FUSE;
		add(p->kind == PROCESS_FUSE ? &s->readers : &s->servers,
		    before_of(s, p->name), &now);
	}
	return 0;
}
