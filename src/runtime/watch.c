#include "runtime/watch.h"

#include <assert.h>
#include <stdlib.h>
#include <uv.h>

#include "base/mem.h"
#include "runtime/loop_uv.h"

struct watch {
	uv_poll_t poll;
	int fd;
	unsigned events; /* what is watched for */
	watch_fn ready;
	void *owner;
};

struct watch *watch_new(struct loop *l, int fd, watch_fn ready, void *owner)
{
	struct watch *w = mem_alloc(sizeof(*w));

	w->fd = fd;
	w->ready = ready;
	w->owner = owner;
	if (uv_poll_init(loop_uv(l), &w->poll, fd))
		abort(); /* not a descriptor that can be watched, or twice */
	return w;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct watch *w = container_of(poll, struct watch, poll);
	unsigned got = 0;

	if (status < 0) { /* libuv has stopped it */
		w->events = 0;
		got = WATCH_ERROR;
	}
	if (events & UV_READABLE)
		got |= WATCH_READ;
	if (events & UV_WRITABLE)
		got |= WATCH_WRITE;
	w->ready(w->owner, w->fd, got);
}

void watch_set(struct watch *w, unsigned events)
{
	int uv = 0;

	if (events == w->events)
		return;
	w->events = events;
	if (events & WATCH_READ)
		uv |= UV_READABLE;
	if (events & WATCH_WRITE)
		uv |= UV_WRITABLE;
	if (uv ? uv_poll_start(&w->poll, uv, on_poll) : uv_poll_stop(&w->poll))
		assert(!"a descriptor is watched by its owner");
}

static void on_closed(uv_handle_t *handle)
{
	free(container_of((uv_poll_t *)handle, struct watch, poll));
}

void watch_free(struct watch *w)
{
	uv_close((uv_handle_t *)&w->poll, on_closed);
}

struct turn_end {
	uv_prepare_t before; /* the loop waits */
	uv_check_t after;    /* what it waited for has run; it may end now */
	void (*flush)(void *owner);
	void *owner;
	int open;
};

static void on_prepare(uv_prepare_t *handle)
{
	struct turn_end *t = container_of(handle, struct turn_end, before);

	t->flush(t->owner);
}

static void on_check(uv_check_t *handle)
{
	struct turn_end *t = container_of(handle, struct turn_end, after);

	t->flush(t->owner);
}

struct turn_end *turn_end_new(struct loop *l, void (*flush)(void *owner),
			      void *owner)
{
	struct turn_end *t = mem_alloc(sizeof(*t));

	t->flush = flush;
	t->owner = owner;
	t->open = 2;
	uv_prepare_init(loop_uv(l), &t->before);
	uv_check_init(loop_uv(l), &t->after);
	uv_prepare_start(&t->before, on_prepare);
	uv_check_start(&t->after, on_check);
	t->before.data = t->after.data = t;
	return t;
}

static void on_turn_end_closed(uv_handle_t *handle)
{
	struct turn_end *t = handle->data;

	if (--t->open == 0)
		free(t);
}

void turn_end_free(struct turn_end *t)
{
	uv_close((uv_handle_t *)&t->before, on_turn_end_closed);
	uv_close((uv_handle_t *)&t->after, on_turn_end_closed);
}
