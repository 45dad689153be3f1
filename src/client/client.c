#include "client/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/secret.h"

static void copy_masters(struct client *c, const char *const *addresses)
{
	unsigned i, n = 0;

	while (addresses[n])
		n++;
	assert(n > 0);
	c->n_masters = n;
	c->masters = mem_array(n, sizeof(*c->masters));
	for (i = 0; i < n; i++)
		c->masters[i].address = mem_str(addresses[i]);
}

struct client *client_new(struct loop *loop, const struct client_options *o)
{
	struct client *c = mem_alloc(sizeof(*c));
	char host[256] = "localhost";

	gethostname(host, sizeof(host) - 1);
	c->loop = loop;
	c->identity = o->identity;
	c->host = mem_str(o->host ? o->host : host);
	c->wait_ms = o->wait_ms ? o->wait_ms : CLIENT_WAIT_MS;
	while (!c->id) /* 0 is the master's own */
		secret_random(&c->id, sizeof(c->id));
	copy_masters(c, o->masters);
	c->refs = 1;
	list_init(&c->calls);
	list_init(&c->reads);
	list_init(&c->workers);
	map_init(&c->by_id);
	list_init(&c->waiting);
	c->block_size = CLIENT_BLOCK;
	c->disk = o->disk;
	c->max_grants = o->disk ? o->max_grants : 0;
	map_init(&c->grants);
	list_init(&c->lru);
	list_init(&c->sweep.link);
	list_init(&c->opened);
	list_init(&c->tell.link);
	return c;
}

void client_put(struct client *c)
{
	unsigned i;

	if (--c->refs > 0)
		return;
	for (i = 0; i < c->n_masters; i++)
		free(c->masters[i].address);
	map_close(&c->grants);
	map_close(&c->by_id);
	free(c->masters);
	free(c->live);
	free(c->host);
	free(c);
}

void client_close(struct client *c)
{
	unsigned i;

	c->closed = true;
	calls_cancel(c);
	reads_cancel(c);
	for (i = 0; i < c->n_masters; i++)
		if (c->masters[i].rpc)
			rpc_client_close(c->masters[i].rpc);
	client_grants_close(c);
	client_workers_close(c);
	client_put(c);
}

struct origin client_origin(struct client *c)
{
	return (struct origin){ .client = c->id, .sequence = ++c->sequence };
}
