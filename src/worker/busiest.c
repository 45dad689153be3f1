/* Which files are opened most: counted over the last opens, when asked. */

#include <stdlib.h>

#include "base/mem.h"
#include "worker/state.h"

#define REMEMBERED 4096 /* opens */
#define REPLY_MAX  1000
#define LAST_MS    60000 /* if the caller does not say */

struct recent_open {
	uint64_t file, ms;
};

void busiest_note(struct worker *w, uint64_t file)
{
	struct busiest *b = &w->busiest;

	if (!b->ring)
		b->ring = mem_array(REMEMBERED, sizeof(*b->ring));
	b->ring[b->next++ % REMEMBERED] =
		(struct recent_open){ file, loop_now_ms(w->loop) };
}

static int by_id(const void *a, const void *b)
{
	const struct heat *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

/* The most first; of equal ones the same order each time. */
static int by_opens(const void *a, const void *b)
{
	const struct heat *x = a, *y = b;

	if (x->opens != y->opens)
		return x->opens < y->opens ? 1 : -1;
	return by_id(a, b);
}

/* The opens since `from`, one entry each; how many. */
static size_t take_recent(const struct busiest *b, uint64_t from,
			  struct heat *out)
{
	size_t n = 0, i;

	for (i = 0; b->ring && i < REMEMBERED && i < b->next; i++)
		if (b->ring[i].ms >= from)
			out[n++] = (struct heat){ b->ring[i].file, 1 };
	return n;
}

/* Entries of one file become one. */
static size_t sum_up(struct heat *at, size_t n)
{
	size_t i, last = 0;

	qsort(at, n, sizeof(*at), by_id);
	for (i = 1; i < n; i++)
		if (at[i].id == at[last].id)
			at[last].opens++;
		else
			at[++last] = at[i];
	return n ? last + 1 : 0;
}

void serve_busiest(void *role, struct rpc_call *call, const void *request)
{
	const struct busiest_request *req = request;
	struct heat *files = mem_array(REMEMBERED, sizeof(*files));
	struct busiest_reply reply = { .files = { files, 0 } };
	struct worker *w = role;
	const uint64_t now = loop_now_ms(w->loop);
	const uint64_t last = req->last_ms ? req->last_ms : LAST_MS;
	size_t n, limit;

	reply.opens =
		take_recent(&w->busiest, now > last ? now - last : 0, files);
	n = sum_up(files, reply.opens);
	qsort(files, n, sizeof(*files), by_opens);
	limit = req->limit && req->limit < REPLY_MAX ? req->limit : REPLY_MAX;
	reply.files.n = n < limit ? n : limit;
	rpc_reply(call, &reply);
	free(files);
}

void busiest_close(struct busiest *b)
{
	free(b->ring);
}
