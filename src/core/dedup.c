/* Results of the last commands of the last clients, for their retries. */

#include "core/tree.h"

static uint32_t *bucket_of(const struct namespace *ns, uint64_t client)
{
	const uint64_t h = client * 0x9e3779b97f4a7c15;

	return &ns->image->client_bucket[h >> 32 & (BUCKETS - 1)];
}

static uint32_t find_client(const struct namespace *ns, uint64_t client)
{
	const struct dedup_client *c;
	uint32_t ref;

	for (ref = *bucket_of(ns, client); ref; ref = c->next) {
		c = at_ref(ns, ref);
		if (c->client == client)
			return ref;
	}
	return 0;
}

const struct dedup_result *dedup_find(const struct namespace *ns,
				      uint64_t client, uint64_t sequence)
{
	uint32_t ref = find_client(ns, client), i, n;
	const struct dedup_client *c;

	if (!ref)
		return NULL;
	c = at_ref(ns, ref);
	n = c->n < DEDUP_RESULTS ? c->n : DEDUP_RESULTS;
	for (i = 0; i < n; i++)
		if (c->ring[i].sequence == sequence)
			return &c->ring[i];
	return NULL;
}

/* Takes a client out of the order of use. */
static void unlink_client(struct namespace *ns, struct dedup_client *c)
{
	struct image *im = ns->image;

	if (c->older)
		((struct dedup_client *)at_ref(ns, c->older))->newer = c->newer;
	else
		im->oldest_client = c->newer;
	if (c->newer)
		((struct dedup_client *)at_ref(ns, c->newer))->older = c->older;
	else
		im->newest_client = c->older;
}

static void link_newest(struct namespace *ns, uint32_t ref)
{
	struct image *im = ns->image;
	struct dedup_client *c = at_ref(ns, ref);

	c->newer = 0;
	c->older = im->newest_client;
	if (c->older)
		((struct dedup_client *)at_ref(ns, c->older))->newer = ref;
	else
		im->oldest_client = ref;
	im->newest_client = ref;
}

static void forget_oldest(struct namespace *ns)
{
	const uint32_t ref = ns->image->oldest_client;
	struct dedup_client *c = at_ref(ns, ref), *other;
	uint32_t *at;

	unlink_client(ns, c);
	for (at = bucket_of(ns, c->client); *at != ref; at = &other->next)
		other = at_ref(ns, *at);
	*at = c->next;
	arena_free(&ns->arena, ref, sizeof(*c));
	ns->image->n_clients--;
}

static uint32_t new_client(struct namespace *ns, uint64_t client)
{
	struct dedup_client *c;
	uint32_t ref, *bucket = bucket_of(ns, client);

	if (ns->image->n_clients == DEDUP_CLIENTS)
		forget_oldest(ns);
	ref = arena_alloc(&ns->arena, sizeof(*c));
	c = at_ref(ns, ref);
	c->client = client;
	c->next = *bucket;
	*bucket = ref;
	link_newest(ns, ref);
	ns->image->n_clients++;
	return ref;
}

void dedup_remember(struct namespace *ns, uint64_t client, uint64_t sequence,
		    const struct namespace_result *res)
{
	uint32_t ref = find_client(ns, client);
	struct dedup_client *c;

	if (!ref)
		ref = new_client(ns, client);
	c = at_ref(ns, ref);
	unlink_client(ns, c);
	link_newest(ns, ref);
	c->ring[c->n % DEDUP_RESULTS] = (struct dedup_result){
		.sequence = sequence,
		.id = res->id,
		.code = res->code,
		.updated = res->updated,
	};
	if (++c->n == 2 * DEDUP_RESULTS) /* stays full, never wraps */
		c->n = DEDUP_RESULTS;
}
