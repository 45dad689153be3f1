#include "rpc/out.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define MAX_FREE 128

void out_pool_init(struct out_pool *pool, void (*idle)(struct out_pool *pool))
{
	*pool = (struct out_pool){ .idle = idle };
	list_init(&pool->free);
}

void out_pool_close(struct out_pool *pool)
{
	struct list *link;

	assert(pool->busy == 0);
	while ((link = list_pop_front(&pool->free)))
		free(list_entry(link, struct out, write.link));
}

/* Room for `len` more bytes. */
static uint8_t *out_room(struct out *o, size_t len)
{
	size_t size = o->size;

	while (o->len + len > size)
		size *= 2;
	if (size != o->size) {
		if (o->buf == o->small)
			o->buf = memcpy(mem_resize(NULL, size, 1), o->small,
					o->len);
		else
			o->buf = mem_resize(o->buf, size, 1);
		o->size = size;
	}
	return o->buf + o->len;
}

static int out_append(void *data, const char *bytes, size_t len)
{
	struct out *o = data;

	if (len)
		memcpy(out_room(o, len), bytes, len);
	o->len += len;
	return 0;
}

static void on_sent(struct connection_write *w, int code ATTR_UNUSED)
{
	struct out *o = container_of(w, struct out, write);
	void (*sent)(void *owner) = o->sent;
	void *owner = o->owner;

	out_free(o);
	if (sent)
		sent(owner);
}

struct out *out_new(struct out_pool *pool, const struct envelope *e,
		    msgpack_packer *body)
{
	struct list *link = list_pop_front(&pool->free);
	struct out *o;

	if (link) {
		o = list_entry(link, struct out, write.link);
		pool->n_free--;
	} else {
		o = mem_alloc(sizeof(*o));
		list_init(&o->write.link);
	}
	pool->busy++;
	o->pool = pool;
	o->id = e->id;
	o->buf = o->small;
	o->size = sizeof(o->small);
	o->sent = NULL;
	o->write.buf2 = NULL;
	o->write.len2 = 0;
	o->write.file = o->write.pass_fd = -1;
	o->write.file_len = 0;
	o->write.sent = on_sent;
	o->len = FRAME_LENGTHS + envelope_put(e, o->buf + FRAME_LENGTHS);
	msgpack_packer_init(body, o, out_append);
	return o;
}

int out_finish(struct out *o, size_t payload)
{
	size_t header = o->len - FRAME_LENGTHS;

	if (header > FRAME_HEADER_MAX || payload > UINT32_MAX)
		return -EMSGSIZE;
	frame_put_lengths(o->buf, header, payload);
	o->write.buf = o->buf;
	o->write.len = o->len;
	return 0;
}

void out_free(struct out *o)
{
	struct out_pool *pool = o->pool;

	if (o->buf != o->small)
		free(o->buf);
	if (pool->n_free < MAX_FREE) {
		pool->n_free++;
		list_push_back(&pool->free, &o->write.link);
	} else {
		free(o);
	}
	if (--pool->busy == 0 && pool->idle)
		pool->idle(pool);
}

static void on_drop(struct task *t)
{
	on_sent(&container_of(t, struct out, task)->write, -ECANCELED);
}

void out_drop(struct out *o, struct loop *loop)
{
	if (o->sent)
		loop_post(loop, &o->task, on_drop);
	else
		out_free(o);
}
