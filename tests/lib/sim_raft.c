#include "lib/sim_raft.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define KEPT       2
#define IMAGES_MAX 64 /* crashes leave some behind */

struct image {
	uint64_t index;
	void *data;
	size_t len;
};

struct sim_disk {
	struct checkpoints checkpoints;
	raft_term term;
	raft_id vote;
	raft_index first; /* of entries[0] */
	struct raft_entry *entries;
	size_t n, room;
	struct raft_snapshot *snapshot;  /* of one buffer */
	struct image images[IMAGES_MAX]; /* oldest first */
	unsigned n_images;
	uint64_t delay_ms;
	unsigned failing;
};

struct sim_io {
	struct raft_io io;
	struct sim_disk *disk;
	struct loop *loop;
	struct timer tick;
	unsigned every_ms;
	raft_io_tick_cb ticked;
	raft_io_close_cb closed;
	struct task closing;
	bool is_closing, crashed;
	struct list writes;
	uint64_t random;
};

/* A write under way. */
struct sim_write {
	struct timer timer;
	struct list link;
	struct sim_io *io;
	struct raft_io_append *append;
	raft_io_append_cb appended;
	const struct raft_entry *entries;
	unsigned n;
	struct raft_io_snapshot_put *put;
	raft_io_snapshot_put_cb done;
	const struct raft_snapshot *snapshot;
	unsigned trailing;
};

static struct sim_io *to_sim(const struct raft_io *io)
{
	return io->impl;
}

/* The disk. */

static void copy_configuration(struct raft_configuration *to,
			       const struct raft_configuration *from)
{
	unsigned i;

	raft_configuration_init(to);
	for (i = 0; i < from->n; i++)
		assert(raft_configuration_add(to, from->servers[i].id,
					      from->servers[i].address,
					      from->servers[i].role) == 0);
}

static struct raft_snapshot *copy_snapshot(const struct raft_snapshot *from)
{
	struct raft_snapshot *s = raft_malloc(sizeof(*s));

	*s = *from;
	copy_configuration(&s->configuration, &from->configuration);
	s->bufs = raft_malloc(sizeof(*s->bufs));
	s->n_bufs = 1;
	s->bufs[0].len = from->bufs[0].len;
	s->bufs[0].base = raft_malloc(s->bufs[0].len);
	memcpy(s->bufs[0].base, from->bufs[0].base, s->bufs[0].len);
	return s;
}

static void free_snapshot(struct raft_snapshot *s)
{
	if (!s)
		return;
	raft_configuration_close(&s->configuration);
	raft_free(s->bufs[0].base);
	raft_free(s->bufs);
	raft_free(s);
}

static struct raft_entry copy_entry(const struct raft_entry *from)
{
	struct raft_entry e = *from;

	e.batch = NULL;
	e.buf.base = raft_malloc(e.buf.len ? e.buf.len : 1);
	memcpy(e.buf.base, from->buf.base, e.buf.len);
	return e;
}

static void disk_append(struct sim_disk *d, const struct raft_entry *entry)
{
	if (d->n == d->room) {
		d->room = d->room ? 2 * d->room : 64;
		d->entries =
			mem_resize(d->entries, d->room, sizeof(*d->entries));
	}
	d->entries[d->n++] = copy_entry(entry);
}

/* Removes what comes before `index`. */
static void disk_cut(struct sim_disk *d, raft_index index)
{
	size_t i, n;

	if (index <= d->first)
		return;
	n = index - d->first < d->n ? (size_t)(index - d->first) : d->n;
	for (i = 0; i < n; i++)
		raft_free(d->entries[i].buf.base);
	memmove(d->entries, d->entries + n, (d->n - n) * sizeof(*d->entries));
	d->n -= n;
	d->first = index;
}

/* raft_io. */

static int io_init(struct raft_io *io ATTR_UNUSED, raft_id id ATTR_UNUSED,
		   const char *address ATTR_UNUSED)
{
	return 0;
}

static void write_free(struct sim_write *w)
{
	loop_timer_stop(&w->timer);
	list_remove(&w->link);
	free(w);
}

static void on_close(struct task *t)
{
	struct sim_io *s = container_of(t, struct sim_io, closing);
	struct sim_write *w;
	struct list *link;

	while ((link = list_pop_front(&s->writes))) {
		w = list_entry(link, struct sim_write, link);
		loop_timer_stop(&w->timer);
		if (w->append)
			w->appended(w->append, RAFT_CANCELED);
		else
			w->done(w->put, RAFT_CANCELED);
		free(w);
	}
	s->closed(&s->io);
}

static void io_close(struct raft_io *io, raft_io_close_cb cb)
{
	struct sim_io *s = to_sim(io);

	s->closed = cb;
	s->is_closing = true;
	loop_timer_stop(&s->tick);
	loop_post(s->loop, &s->closing, on_close);
}

static int io_load(struct raft_io *io, raft_term *term, raft_id *voted_for,
		   struct raft_snapshot **snapshot, raft_index *start_index,
		   struct raft_entry *entries[], size_t *n_entries)
{
	struct sim_disk *d = to_sim(io)->disk;
	size_t i;

	*term = d->term;
	*voted_for = d->vote;
	*snapshot = d->snapshot ? copy_snapshot(d->snapshot) : NULL;
	*start_index = d->first;
	*n_entries = d->n;
	*entries = d->n ? raft_malloc(d->n * sizeof(**entries)) : NULL;
	for (i = 0; i < d->n; i++)
		(*entries)[i] = copy_entry(&d->entries[i]);
	return 0;
}

static void on_tick(struct timer *t)
{
	struct sim_io *s = container_of(t, struct sim_io, tick);

	loop_timer_start(s->loop, &s->tick, s->every_ms, on_tick);
	s->ticked(&s->io);
}

static int io_start(struct raft_io *io, unsigned msecs, raft_io_tick_cb tick,
		    raft_io_recv_cb recv ATTR_UNUSED)
{
	struct sim_io *s = to_sim(io);

	s->every_ms = msecs;
	s->ticked = tick;
	loop_timer_start(s->loop, &s->tick, msecs, on_tick);
	return 0;
}

static int io_bootstrap(struct raft_io *io,
			const struct raft_configuration *conf)
{
	struct sim_disk *d = to_sim(io)->disk;
	struct raft_entry e = { .term = 1, .type = RAFT_CHANGE };
	int rv;

	if (d->term)
		return RAFT_CANTBOOTSTRAP;
	rv = raft_configuration_encode(conf, &e.buf);
	if (rv)
		return rv;
	d->term = 1;
	disk_append(d, &e);
	raft_free(e.buf.base);
	return 0;
}

static int io_recover(struct raft_io *io ATTR_UNUSED,
		      const struct raft_configuration *conf ATTR_UNUSED)
{
	return RAFT_INVALID;
}

static int io_set_term(struct raft_io *io, raft_term term)
{
	struct sim_disk *d = to_sim(io)->disk;

	if (to_sim(io)->crashed)
		return 0;
	d->term = term;
	d->vote = 0;
	return 0;
}

static int io_set_vote(struct raft_io *io, raft_id id)
{
	if (!to_sim(io)->crashed)
		to_sim(io)->disk->vote = id;
	return 0;
}

static int io_send(struct raft_io *io ATTR_UNUSED,
		   struct raft_io_send *req ATTR_UNUSED,
		   const struct raft_message *message ATTR_UNUSED,
		   raft_io_send_cb cb ATTR_UNUSED)
{
	return RAFT_NOCONNECTION;
}

static struct sim_write *write_new(struct sim_io *s, timer_fn fire)
{
	struct sim_write *w = mem_alloc(sizeof(*w));

	w->io = s;
	list_push_back(&s->writes, &w->link);
	list_init(&w->timer.link);
	if (!s->crashed)
		loop_timer_start(s->loop, &w->timer, s->disk->delay_ms, fire);
	return w;
}

static void on_appended(struct timer *t)
{
	struct sim_write *w = container_of(t, struct sim_write, timer);
	struct raft_io_append *append = w->append;
	raft_io_append_cb cb = w->appended;
	unsigned i;

	for (i = 0; i < w->n; i++)
		disk_append(w->io->disk, &w->entries[i]);
	write_free(w);
	cb(append, 0);
}

static int io_append(struct raft_io *io, struct raft_io_append *req,
		     const struct raft_entry entries[], unsigned n,
		     raft_io_append_cb cb)
{
	struct sim_write *w;

	if (to_sim(io)->is_closing)
		return RAFT_CANCELED;
	w = write_new(to_sim(io), on_appended);
	w->append = req;
	w->appended = cb;
	w->entries = entries;
	w->n = n;
	return 0;
}

static int io_truncate(struct raft_io *io, raft_index index)
{
	struct sim_disk *d = to_sim(io)->disk;

	if (to_sim(io)->crashed)
		return 0;
	while (d->n && d->first + d->n > index)
		raft_free(d->entries[--d->n].buf.base);
	return 0;
}

static void on_snapshot(struct timer *t)
{
	struct sim_write *w = container_of(t, struct sim_write, timer);
	struct sim_disk *d = w->io->disk;
	struct raft_io_snapshot_put *put = w->put;
	raft_io_snapshot_put_cb cb = w->done;

	free_snapshot(d->snapshot);
	d->snapshot = copy_snapshot(w->snapshot);
	if (d->snapshot->index > w->trailing)
		disk_cut(d, d->snapshot->index - w->trailing + 1);
	write_free(w);
	cb(put, 0);
}

static int io_snapshot_put(struct raft_io *io, unsigned trailing,
			   struct raft_io_snapshot_put *req,
			   const struct raft_snapshot *snapshot,
			   raft_io_snapshot_put_cb cb)
{
	struct sim_write *w;

	if (to_sim(io)->is_closing)
		return RAFT_CANCELED;
	w = write_new(to_sim(io), on_snapshot);
	w->put = req;
	w->done = cb;
	w->snapshot = snapshot;
	w->trailing = trailing;
	return 0;
}

static int io_snapshot_get(struct raft_io *io ATTR_UNUSED,
			   struct raft_io_snapshot_get *req ATTR_UNUSED,
			   raft_io_snapshot_get_cb cb ATTR_UNUSED)
{
	return RAFT_NOTFOUND;
}

static raft_time io_time(struct raft_io *io)
{
	return loop_now_ms(to_sim(io)->loop);
}

static int io_random(struct raft_io *io, int min, int max)
{
	struct sim_io *s = to_sim(io);

	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return min + (int)(s->random % (uint64_t)((int64_t)max - min + 1));
}

struct raft_io *sim_raft_open(struct sim_disk *d, struct loop *l, uint64_t seed)
{
	struct sim_io *s = mem_alloc(sizeof(*s));

	s->disk = d;
	s->loop = l;
	s->random = seed | 1;
	list_init(&s->writes);
	list_init(&s->tick.link);
	s->io = (struct raft_io){
		.version = 2,
		.capacity = 0xffff,
		.impl = s,
		.init = io_init,
		.close = io_close,
		.load = io_load,
		.start = io_start,
		.bootstrap = io_bootstrap,
		.recover = io_recover,
		.set_term = io_set_term,
		.set_vote = io_set_vote,
		.send = io_send,
		.append = io_append,
		.truncate = io_truncate,
		.snapshot_put = io_snapshot_put,
		.snapshot_get = io_snapshot_get,
		.time = io_time,
		.random = io_random,
	};
	return &s->io;
}

void sim_raft_crash(struct raft_io *io)
{
	struct sim_io *s = to_sim(io);
	struct list *link;

	s->crashed = true;
	for (link = s->writes.next; link != &s->writes; link = link->next)
		loop_timer_stop(
			&list_entry(link, struct sim_write, link)->timer);
}

void sim_raft_free(struct raft_io *io)
{
	struct sim_io *s = to_sim(io);
	struct list *link;

	while ((link = list_pop_front(&s->writes)))
		free(list_entry(link, struct sim_write, link));
	free(s);
}

/* Checkpoints. */

static struct sim_disk *of_checkpoints(struct checkpoints *c)
{
	return container_of(c, struct sim_disk, checkpoints);
}

static int mem_begin(struct checkpoints *c, uint64_t index, const void *image,
		     size_t len, struct err *err ATTR_UNUSED)
{
	struct sim_disk *d = of_checkpoints(c);
	struct image *i;

	assert(d->n_images < IMAGES_MAX);
	i = &d->images[d->n_images++];
	i->index = index;
	i->len = len;
	i->data = mem_copy(image, len);
	return 0;
}

static int mem_wait(struct checkpoints *c)
{
	struct sim_disk *d = of_checkpoints(c);

	if (!d->failing)
		return 0;
	d->failing--;
	free(d->images[--d->n_images].data);
	return -ENOSPC;
}

static void mem_nothing(struct checkpoints *c ATTR_UNUSED)
{
}

static void mem_trim(struct checkpoints *c)
{
	struct sim_disk *d = of_checkpoints(c);

	while (d->n_images > KEPT) {
		free(d->images[0].data);
		memmove(d->images, d->images + 1,
			--d->n_images * sizeof(*d->images));
	}
}

static ssize_t mem_load(struct checkpoints *c, uint64_t index, void *arena,
			size_t size, struct err *err)
{
	struct sim_disk *d = of_checkpoints(c);
	unsigned i;

	for (i = d->n_images; i-- > 0;) {
		if (d->images[i].index != index)
			continue;
		assert(d->images[i].len <= size);
		memcpy(arena, d->images[i].data, d->images[i].len);
		return (ssize_t)d->images[i].len;
	}
	return err_set(err, -ENOENT, "no such checkpoint");
}

static const struct checkpoint_ops mem_ops = {
	.begin = mem_begin,
	.wait = mem_wait,
	.end = mem_nothing,
	.cancel = mem_nothing,
	.trim = mem_trim,
	.load = mem_load,
};

struct checkpoints *sim_disk_checkpoints(struct sim_disk *d)
{
	return &d->checkpoints;
}

struct sim_disk *sim_disk_new(void)
{
	struct sim_disk *d = mem_alloc(sizeof(*d));

	d->checkpoints.ops = &mem_ops;
	d->first = 1;
	return d;
}

void sim_disk_free(struct sim_disk *d)
{
	free_snapshot(d->snapshot);
	disk_cut(d, d->first + d->n);
	free(d->entries);
	while (d->n_images)
		free(d->images[--d->n_images].data);
	free(d);
}

void sim_disk_delay(struct sim_disk *d, uint64_t ms)
{
	d->delay_ms = ms;
}

void sim_disk_fail_checkpoints(struct sim_disk *d, unsigned n)
{
	d->failing = n;
}

bool sim_disk_empty(const struct sim_disk *d)
{
	return d->term == 0;
}

size_t sim_disk_entries(const struct sim_disk *d)
{
	return d->n;
}

uint64_t sim_disk_next(const struct sim_disk *d)
{
	return d->first + d->n;
}

void sim_disk_append(struct sim_disk *d, const void *data, size_t len)
{
	const struct raft_entry e = {
		.term = d->term,
		.type = RAFT_COMMAND,
		.buf = { .base = (void *)(uintptr_t)data, .len = len },
	};

	disk_append(d, &e);
}
