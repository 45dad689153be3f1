/*
 * Who holds which descriptor.
 *
 * A session holds a file or not, however often it opened it; what it holds ends
 * with a release or with the session.
 */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "worker/state.h"

struct held {
	struct rpc_session *session;
	struct map files; /* id -> this */
};

/* Ids that the store wants back, on their way to the loop. */
struct let_go {
	struct worker *w;
	struct task task;
	size_t n;
	uint64_t ids[];
};

static uint64_t key_of(const struct rpc_session *s)
{
	return (uint64_t)(uintptr_t)s;
}

int grant_take(struct worker *w, struct rpc_session *s, uint64_t file,
	       bool check)
{
	struct held *h = map_get(&w->grants.sessions, key_of(s));
	int fd = check ? store_grant(w->store, file)
		       : store_try_grant(w->store, file);

	if (fd < 0)
		return fd;
	if (!h) {
		h = mem_alloc(sizeof(*h));
		h->session = s;
		map_put(&w->grants.sessions, key_of(s), h);
	}
	if (map_put(&h->files, file, h))
		store_release(w->store, file);
	return fd;
}

bool grant_release(struct worker *w, struct rpc_session *s, uint64_t file)
{
	struct held *h = map_get(&w->grants.sessions, key_of(s));

	if (!h || !map_remove(&h->files, file))
		return false;
	store_release(w->store, file);
	return true;
}

static void free_held(struct worker *w, struct held *h)
{
	struct map_slot *slot;
	size_t at = 0;

	while ((slot = map_next(&h->files, &at)))
		store_release(w->store, slot->key);
	map_close(&h->files);
	free(h);
}

void grants_lost(struct worker *w, struct rpc_session *s)
{
	struct held *h = map_remove(&w->grants.sessions, key_of(s));

	if (h)
		free_held(w, h);
}

static void notify(struct held *h, const uint64_t *ids, size_t n)
{
	const struct let_go_notice notice = { .ids = { ids, n } };
	msgpack_sbuffer buf;
	msgpack_packer pk;

	msgpack_sbuffer_init(&buf);
	msgpack_packer_init(&pk, &buf, msgpack_sbuffer_write);
	let_go_notice_encode(&notice, &pk);
	rpc_notify(h->session, WORKER_NOTICE_let_go, buf.data, buf.size);
	msgpack_sbuffer_destroy(&buf);
}

static void ask(struct held *h, const struct let_go *l)
{
	uint64_t *ids = mem_array(l->n, sizeof(*ids));
	size_t i, n = 0;

	for (i = 0; i < l->n; i++)
		if (map_get(&h->files, l->ids[i]))
			ids[n++] = l->ids[i];
	if (n)
		notify(h, ids, n);
	free(ids);
}

static void on_let_go(struct task *t)
{
	struct let_go *l = container_of(t, struct let_go, task);
	struct worker *w = l->w;
	struct map_slot *slot;
	size_t at = 0;

	while ((slot = map_next(&w->grants.sessions, &at)))
		ask(slot->value, l);
	free(l);
}

void grants_let_go(void *owner, const uint64_t *files, size_t n)
{
	struct worker *w = owner;
	struct let_go *l = mem_alloc(sizeof(*l) + n * sizeof(*files));

	l->w = w;
	l->n = n;
	memcpy(l->ids, files, n * sizeof(*files));
	loop_post(w->loop, &l->task, on_let_go);
}

void grants_close(struct worker *w)
{
	struct map_slot *slot;
	size_t at = 0;

	while ((slot = map_next(&w->grants.sessions, &at)))
		free_held(w, slot->value);
	map_close(&w->grants.sessions);
}
