#include "client/internal.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "runtime/io.h"
#include "runtime/metrics.h"

/* What one call to one worker reads. */
struct piece {
	struct client_call call;
	struct read_state *state;
	uint64_t offset;
	uint32_t len, asked;
	size_t got;
};

/* A read in flight: from a granted file, or in pieces from workers. */
struct read_state {
	struct client_read *read;
	struct client *client;
	struct client_grant *grant;
	struct task task;
	struct list link; /* in c->reads while a pool thread reads */
	bool cancelled;

	unsigned left; /* pieces */
	int code;      /* the first failure */
	unsigned n;
	struct piece pieces[];
};

static void finish(struct read_state *s, ssize_t n)
{
	struct client_read *read = s->read;
	struct client *c = s->client;

	read->state = NULL;
	free(s);
	read->done(read, n);
	client_put(c);
}

static struct read_state *state_new(struct client_read *read, unsigned n)
{
	struct read_state *s = mem_alloc(sizeof(*s) + n * sizeof(s->pieces[0]));

	s->read = read;
	s->client = read->client;
	s->client->refs++;
	s->n = s->left = n;
	list_init(&s->link);
	read->state = s;
	return s;
}

/* ---- from workers ---- */

/* Up to the first piece that is short. */
static ssize_t total(const struct read_state *s)
{
	size_t sum = 0;
	unsigned i;

	for (i = 0; i < s->n; i++) {
		sum += s->pieces[i].got;
		if (s->pieces[i].got < s->pieces[i].len)
			break;
	}
	return (ssize_t)sum;
}

/* How much of `len` bytes one call may ask for: not across blocks. */
static uint32_t piece_len(const struct client *c, uint64_t offset, size_t len)
{
	uint64_t max = c->block_size - offset % c->block_size;

	if (max > CLIENT_READ_MAX)
		max = CLIENT_READ_MAX;
	return (uint32_t)(len < max ? len : max);
}

static unsigned count_pieces(const struct client *c, uint64_t offset,
			     size_t len)
{
	unsigned n = 0;
	uint32_t one;

	for (; len > 0; len -= one, offset += one, n++)
		one = piece_len(c, offset, len);
	return n;
}

/* The first read of all is cut before the size of a block is known; so it is
 * cut again here. */
static void prepare_piece(struct client_call *call)
{
	struct piece *p = container_of(call, struct piece, call);
	struct client_read *read = p->state->read;
	struct read_request req = {
		.id = read->id,
		.offset = call->offset,
		.epoch = call->epoch,
		.instead_of = call->instead_of,
	};

	p->asked = piece_len(call->client, call->offset, p->len - p->got);
	req.len = p->asked;
	call->pending.data = (char *)read->buf + (call->offset - read->offset);
	call->pending.data_len = p->asked;
	call_encode(call, &req);
	if (req.instead_of)
		metric_add(METRIC_hops, 1);
}

static void on_piece(struct client_call *call, int code, const void *reply);

/* Asks for what the piece still lacks. */
static void start_piece(struct piece *p)
{
	struct client_call *call = &p->call;

	call->target = CLIENT_HOME;
	call->file = p->state->read->id;
	call->offset = p->offset + p->got;
	call->prepare = prepare_piece;
	call_start(p->state->client, call, RPC_WORKER_METHOD(read), NULL,
		   on_piece);
}

/* READ_REPLY's source: local, peer, under-storage. */
static void count_source(const struct read_reply *reply, size_t bytes)
{
	static const enum metric reads[] = { METRIC_reads_local,
					     METRIC_reads_peer,
					     METRIC_reads_ufs };
	static const enum metric read_bytes[] = { METRIC_bytes_local,
						  METRIC_bytes_peer,
						  METRIC_bytes_ufs };

	if (reply->source >= ARRAY_SIZE(reads))
		return;
	metric_add(reads[reply->source], 1);
	metric_add(read_bytes[reply->source], bytes);
}

static void on_piece(struct client_call *call, int code, const void *reply)
{
	struct piece *p = container_of(call, struct piece, call);
	struct read_state *s = p->state;

	if (!code) {
		p->got += call->pending.data_got;
		count_source(reply, call->pending.data_got);
		if (call->pending.data_got == p->asked && p->got < p->len &&
		    !s->cancelled) {
			start_piece(p);
			return;
		}
	}
	if (code && !s->code) {
		s->code = code;
		s->read->err = call->err;
	}
	if (--s->left > 0)
		return;
	if (!s->code && s->cancelled)
		s->code = err_set(&s->read->err, -ECANCELED, "%s",
				  err_text(-ECANCELED));
	finish(s, s->code ? s->code : total(s));
}

static void read_remote(struct client *c, struct client_read *read, size_t len)
{
	unsigned i, n = count_pieces(c, read->offset, len);
	struct read_state *s = state_new(read, n);
	uint64_t offset = read->offset;

	for (i = 0; i < n; i++) {
		s->pieces[i].state = s;
		s->pieces[i].offset = offset;
		s->pieces[i].len = piece_len(c, offset, len);
		offset += s->pieces[i].len;
		len -= s->pieces[i].len;
	}
	for (i = 0; i < n; i++)
		start_piece(&s->pieces[i]);
}

/* ---- from a granted file ---- */

/* What is left of the file from the read's offset, if that is known. */
static size_t clip(const struct client_read *read)
{
	uint64_t left =
		read->length > read->offset ? read->length - read->offset : 0;

	return read->len < left ? read->len : (size_t)left;
}

/* On a disk thread.  A file that ends before its length is damaged. */
static ssize_t granted_work(struct task *t)
{
	struct read_state *s = container_of(t, struct read_state, task);
	const struct client_read *read = s->read;
	size_t len = clip(read);
	ssize_t n = io_read_at(client_grant_fd(s->grant), read->buf, len,
			       (off_t)read->offset);

	if (n >= 0 && (size_t)n < len && read->length != UINT64_MAX)
		return -EIO;
	return n;
}

static void on_granted(struct task *t)
{
	struct read_state *s = container_of(t, struct read_state, task);
	struct client_read *read = s->read;
	struct client *c = s->client;

	list_remove(&s->link);
	client_grant_put(s->grant);
	if (s->cancelled || c->closed) {
		finish(s, err_set(&read->err, -ECANCELED, "%s",
				  err_text(-ECANCELED)));
	} else if (t->status < 0) { /* perhaps the worker knows better */
		read_remote(c, read, clip(read));
		free(s);
		client_put(c);
	} else {
		finish(s, t->status);
	}
}

/* ---- both ---- */

static void on_nothing(struct task *t)
{
	finish(container_of(t, struct read_state, task), 0);
}

void client_read(struct client *c, struct client_read *read,
		 client_read_fn done)
{
	struct client_grant *grant;
	struct read_state *s;

	read->client = c;
	read->done = done;
	read->err.code = 0;
	read->err.msg[0] = '\0';
	if (clip(read) == 0) {
		s = state_new(read, 0);
		loop_post(c->loop, &s->task, on_nothing);
		return;
	}
	grant = c->disk ? client_grant_get(c, read->id) : NULL;
	if (!grant) {
		read_remote(c, read, clip(read));
		return;
	}
	s = state_new(read, 0);
	s->grant = grant;
	list_push_back(&c->reads, &s->link);
	workpool_submit(c->disk, c->loop, &s->task, granted_work, on_granted);
}

void client_read_cancel(struct client_read *read)
{
	struct read_state *s = read->state;
	unsigned i;

	if (!s)
		return;
	s->cancelled = true;
	if (s->grant)
		workpool_cancel(s->client->disk, &s->task);
	for (i = 0; i < s->n; i++)
		client_cancel(&s->pieces[i].call);
}

void reads_cancel(struct client *c)
{
	struct list *at = c->reads.next;

	for (; at != &c->reads; at = at->next)
		client_read_cancel(
			list_entry(at, struct read_state, link)->read);
}
