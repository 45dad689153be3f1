#include "lib/sim_net.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

struct sim_net {
	uint64_t random;
	struct sim_net_faults faults;
	struct list nodes, listeners;
	unsigned n_nodes;
	unsigned last_port;
};

struct node {
	struct transport transport;
	struct sim_net *net;
	struct loop *loop;
	struct list link;
	struct list connections;
	unsigned id;
	uint64_t parted; /* a bit for each id */
	bool crashed;
};

struct listener {
	struct list link;
	struct node *node;
	char *address;
	void (*accepted)(void *owner, struct connection *c,
			 const struct peer *peer);
	void *owner;
};

/* What travels. */
struct chunk {
	struct list link;
	uint64_t at_ms;
	bool cut; /* the end of the connection, no bytes */
	int fd;
	size_t len, done;
	uint8_t bytes[];
};

struct connection {
	struct list link;
	struct node *node;
	struct connection *other; /* NULL: gone, or not yet there */
	const struct connection_events *events;
	void *owner;
	char *address; /* what is connected to, until it is */
	bool local, paused, ended;
	int code;
	struct list arriving; /* chunks */
	uint64_t last_ms;     /* when the latest of them comes */
	struct timer timer;
	bool timer_runs;
	struct list sent; /* writes whose `sent` is due */
	struct task task; /* delivers them, or the end */
	bool task_posted;
};

static struct node *to_node(struct transport *t)
{
	return container_of(t, struct node, transport);
}

static uint64_t draw(struct sim_net *net)
{
	uint64_t z = net->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint64_t delay(struct sim_net *net)
{
	const struct sim_net_faults *f = &net->faults;

	return f->min_ms + draw(net) % (f->max_ms - f->min_ms + 1);
}

static bool is_parted(const struct node *a, const struct node *b)
{
	return (a->parted >> b->id & 1) != 0;
}

/* ---- arriving ---- */

static void on_timer(struct timer *t);

static void start_timer(struct connection *c, uint64_t at_ms)
{
	uint64_t now = loop_now_ms(c->node->loop);

	if (c->timer_runs)
		loop_timer_stop(&c->timer);
	c->timer_runs = true;
	loop_timer_start(c->node->loop, &c->timer,
			 at_ms > now ? at_ms - now : 0, on_timer);
}

/* Looks at what has arrived when it is time. */
static void expect(struct connection *c)
{
	if (!c->ended && !list_empty(&c->arriving) && c->events && !c->paused)
		start_timer(c, list_entry(c->arriving.next, struct chunk, link)
				       ->at_ms);
}

static void push(struct connection *to, struct chunk *chunk)
{
	struct sim_net *net = to->node->net;

	chunk->at_ms = loop_now_ms(to->node->loop) + delay(net);
	if (chunk->at_ms < to->last_ms)
		chunk->at_ms = to->last_ms;
	to->last_ms = chunk->at_ms;
	list_push_back(&to->arriving, &chunk->link);
	if (!to->timer_runs)
		expect(to);
}

static void chunk_free(struct chunk *chunk)
{
	list_remove(&chunk->link);
	if (chunk->fd >= 0)
		close(chunk->fd);
	free(chunk);
}

static struct chunk *chunk_new(size_t len)
{
	struct chunk *chunk = mem_alloc(sizeof(*chunk) + len);

	list_init(&chunk->link);
	chunk->fd = -1;
	chunk->len = len;
	return chunk;
}

static void push_cut(struct connection *to)
{
	struct chunk *chunk = chunk_new(0);

	chunk->cut = true;
	push(to, chunk);
}

static void on_task(struct task *t);

static void post_task(struct connection *c)
{
	if (!c->task_posted)
		loop_post(c->node->loop, &c->task, on_task);
	c->task_posted = true;
}

/* The end of this side, soon; the other side is told by who calls. */
static void end(struct connection *c, int code)
{
	if (c->ended)
		return;
	c->ended = true;
	c->code = code;
	if (c->timer_runs)
		loop_timer_stop(&c->timer);
	if (c->other)
		c->other->other = NULL;
	c->other = NULL;
	post_task(c);
}

/* One piece of a chunk; false if there is no room for it. */
static bool hand_over(struct connection *c, struct chunk *chunk)
{
	struct sim_net *net = c->node->net;
	size_t n = chunk->len - chunk->done, room;
	void *to = c->events->room(c->owner, &room);
	int fd = chunk->fd;

	if (!to) {
		c->paused = true;
		return false;
	}
	if (draw(net) % 4 == 0)
		n = 1 + (size_t)draw(net) % n;
	if (n > room)
		n = room;
	memcpy(to, chunk->bytes + chunk->done, n);
	chunk->done += n;
	chunk->fd = -1;
	c->events->received(c->owner, n, fd);
	return true;
}

static void arrive(struct connection *c)
{
	struct chunk *chunk;

	while (!c->ended && !c->paused && !list_empty(&c->arriving)) {
		chunk = list_entry(c->arriving.next, struct chunk, link);
		if (chunk->at_ms > loop_now_ms(c->node->loop) ||
		    (c->other && is_parted(c->node, c->other->node)))
			break;
		if (chunk->cut) {
			end(c, -ECONNRESET);
			return;
		}
		if (!hand_over(c, chunk))
			return;
		if (chunk->done == chunk->len)
			chunk_free(chunk);
	}
	if (!c->other || !is_parted(c->node, c->other->node))
		expect(c);
}

/* ---- connecting ---- */

static struct connection *connection_new(struct node *node, bool local)
{
	struct connection *c = mem_alloc(sizeof(*c));

	c->node = node;
	c->local = local;
	list_init(&c->arriving);
	list_init(&c->sent);
	list_init(&c->timer.link);
	list_push_back(&node->connections, &c->link);
	return c;
}

static struct listener *find(struct sim_net *net, const char *address)
{
	struct listener *l;
	struct list *at;

	for (at = net->listeners.next; at != &net->listeners; at = at->next) {
		l = list_entry(at, struct listener, link);
		if (strcmp(l->address, address) == 0)
			return l;
	}
	return NULL;
}

/* The connect has arrived where somebody listens, or not. */
static void connect_arrives(struct connection *c)
{
	struct listener *l = find(c->node->net, c->address);
	struct peer peer = { .local = c->local };
	struct connection *other;
	struct chunk *chunk;
	struct list *link;

	if (l && is_parted(c->node, l->node))
		return; /* until they are together again */
	free(c->address);
	c->address = NULL;
	if (!l || l->node->crashed || c->node->crashed) {
		end(c, -ECONNREFUSED);
		return;
	}
	if (peer.local)
		peer.uid = geteuid();
	snprintf(peer.address, sizeof(peer.address), "loop %u", c->node->id);
	other = connection_new(l->node, c->local);
	other->other = c;
	c->other = other;
	/* What was written meanwhile. */
	while ((link = list_pop_front(&c->arriving))) {
		chunk = list_entry(link, struct chunk, link);
		push(other, chunk);
	}
	l->accepted(l->owner, other, &peer);
}

static void on_timer(struct timer *t)
{
	struct connection *c = container_of(t, struct connection, timer);

	c->timer_runs = false;
	if (c->address)
		connect_arrives(c);
	else
		arrive(c);
}

/* ---- the transport ---- */

static int net_listen(struct transport *t, const char *address,
		      void (*accepted)(void *owner, struct connection *c,
				       const struct peer *peer),
		      void *owner, struct listener **out, char *bound,
		      struct err *err)
{
	struct node *node = to_node(t);
	struct listener *l;
	size_t len = strlen(address);
	char *at;

	if (strncmp(address, "unix:", 5) != 0 && len > 2 &&
	    strcmp(address + len - 2, ":0") == 0)
		at = mem_printf("%.*s%u", (int)len - 1, address,
				++node->net->last_port);
	else
		at = mem_str(address);
	if (find(node->net, at)) {
		free(at);
		return err_set(err, -EADDRINUSE, "listen on %s: in use",
			       address);
	}
	l = mem_alloc(sizeof(*l));
	l->node = node;
	l->address = at;
	l->accepted = accepted;
	l->owner = owner;
	list_push_back(&node->net->listeners, &l->link);
	if (bound)
		snprintf(bound, 300, "%s", at);
	*out = l;
	return 0;
}

static void net_unlisten(struct transport *t ATTR_UNUSED, struct listener *l)
{
	list_remove(&l->link);
	free(l->address);
	free(l);
}

static struct connection *net_connect(struct transport *t, const char *address)
{
	struct node *node = to_node(t);
	struct connection *c;

	c = connection_new(node, strncmp(address, "unix:", 5) == 0);
	c->address = mem_str(address);
	start_timer(c, loop_now_ms(node->loop) + delay(node->net));
	return c;
}

static void net_start(struct connection *c,
		      const struct connection_events *events, void *owner)
{
	c->events = events;
	c->owner = owner;
	if (!c->address)
		expect(c);
}

static size_t read_file(const struct connection_write *w, uint8_t *to)
{
	size_t done = 0;
	ssize_t n;

	while (w->file >= 0 && done < w->file_len) {
		n = pread(w->file, to + done, w->file_len - done,
			  (off_t)(w->file_offset + done));
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

/* A copy of what the write carries; NULL: its file is too short. */
static struct chunk *copy(const struct connection_write *w)
{
	struct chunk *chunk = chunk_new(w->len + w->len2 + w->file_len);
	uint8_t *p = chunk->bytes;

	if (w->len)
		memcpy(p, w->buf, w->len);
	if (w->len2)
		memcpy(p + w->len, w->buf2, w->len2);
	if (read_file(w, p + w->len + w->len2) < w->file_len) {
		chunk_free(chunk);
		return NULL;
	}
	if (w->pass_fd >= 0)
		chunk->fd = fcntl(w->pass_fd, F_DUPFD_CLOEXEC, 0);
	return chunk;
}

static void net_write(struct connection *c, struct connection_write *w)
{
	struct sim_net *net = c->node->net;
	struct chunk *chunk;

	list_push_back(&c->sent, &w->link);
	if (c->ended || !c->other || !is_parted(c->node, c->other->node))
		post_task(c);
	if (c->ended)
		return;
	chunk = copy(w);
	if (!chunk || draw(net) % 1000000 < net->faults.cut_per_million) {
		if (chunk)
			chunk_free(chunk);
		if (c->other)
			push_cut(c->other);
		end(c, -ECONNRESET);
	} else if (c->other) {
		push(c->other, chunk);
	} else { /* it waits here until it is connected */
		list_push_back(&c->arriving, &chunk->link);
	}
}

static void net_resume(struct connection *c)
{
	c->paused = false;
	if (!c->address)
		expect(c);
}

static void net_close(struct connection *c)
{
	if (!c->ended && c->other)
		push_cut(c->other);
	end(c, -ECANCELED);
}

static void on_task(struct task *t)
{
	struct connection *c = container_of(t, struct connection, task);
	struct connection_write *w;
	struct list *link;
	bool ended = c->ended;

	c->task_posted = false;
	while ((link = list_pop_front(&c->sent))) {
		w = list_entry(link, struct connection_write, link);
		w->sent(w, ended ? c->code : 0);
	}
	if (!c->ended)
		return;
	if (c->task_posted) /* ended or written meanwhile: it comes again */
		return;
	if (c->events)
		c->events->closed(c->owner, c->code);
	while (!list_empty(&c->arriving))
		chunk_free(list_entry(c->arriving.next, struct chunk, link));
	list_remove(&c->link);
	free(c->address);
	free(c);
}

static const struct transport_ops net_ops = {
	.listen = net_listen,
	.unlisten = net_unlisten,
	.connect = net_connect,
	.start = net_start,
	.write = net_write,
	.resume = net_resume,
	.close = net_close,
};

/* ---- the net ---- */

struct sim_net *sim_net_new(uint64_t seed)
{
	struct sim_net *net = mem_alloc(sizeof(*net));

	net->random = seed;
	net->faults.min_ms = net->faults.max_ms = 1;
	net->last_port = 1024;
	list_init(&net->nodes);
	list_init(&net->listeners);
	return net;
}

void sim_net_free(struct sim_net *net)
{
	assert(list_empty(&net->nodes) && list_empty(&net->listeners));
	free(net);
}

void sim_net_set(struct sim_net *net, const struct sim_net_faults *faults)
{
	assert(faults->min_ms <= faults->max_ms);
	net->faults = *faults;
}

void sim_net_join(struct sim_net *net, struct loop *l)
{
	struct node *node = mem_alloc(sizeof(*node));

	node->transport.ops = &net_ops;
	node->net = net;
	node->loop = l;
	node->id = net->n_nodes++ % 64;
	list_init(&node->connections);
	list_push_back(&net->nodes, &node->link);
	l->transport = &node->transport;
}

static void drop_listeners(struct node *node)
{
	struct list *at = node->net->listeners.next, *next;

	for (; at != &node->net->listeners; at = next) {
		next = at->next;
		if (list_entry(at, struct listener, link)->node == node)
			list_remove(at); /* freed by unlisten */
	}
}

void sim_net_leave(struct sim_net *net ATTR_UNUSED, struct loop *l)
{
	struct node *node = to_node(l->transport);
	struct list *at;

	do {
		at = node->connections.next;
		for (; at != &node->connections; at = at->next)
			net_close(list_entry(at, struct connection, link));
	} while (loop_turn(l));
	assert(list_empty(&node->connections));
	list_remove(&node->link);
	l->transport = NULL;
	free(node);
}

/* `b` NULL: with anybody. */
static void cut(struct node *a, struct node *b)
{
	struct connection *c;
	struct list *at;

	at = a->connections.next;
	for (; at != &a->connections; at = at->next) {
		c = list_entry(at, struct connection, link);
		if (!c->other || (b && c->other->node != b))
			continue;
		push_cut(c->other);
		end(c, -ECONNRESET);
	}
}

void sim_net_cut(struct sim_net *net ATTR_UNUSED, struct loop *a,
		 struct loop *b)
{
	cut(to_node(a->transport), to_node(b->transport));
}

/* What waited for the other side goes on. */
static void go_on(struct node *node)
{
	struct connection *c;
	struct list *at;

	at = node->connections.next;
	for (; at != &node->connections; at = at->next) {
		c = list_entry(at, struct connection, link);
		if (!list_empty(&c->sent))
			post_task(c);
		if (c->ended || c->timer_runs)
			continue;
		if (c->address)
			start_timer(c, 0);
		else
			expect(c);
	}
}

void sim_net_part(struct sim_net *net ATTR_UNUSED, struct loop *a,
		  struct loop *b, bool parted)
{
	struct node *one = to_node(a->transport);
	struct node *two = to_node(b->transport);
	uint64_t bit_one = UINT64_C(1) << one->id;
	uint64_t bit_two = UINT64_C(1) << two->id;

	if (parted) {
		one->parted |= bit_two;
		two->parted |= bit_one;
		return;
	}
	one->parted &= ~bit_two;
	two->parted &= ~bit_one;
	go_on(one);
	go_on(two);
}

void sim_net_crash(struct sim_net *net ATTR_UNUSED, struct loop *l)
{
	struct node *node = to_node(l->transport);
	struct connection *c;
	struct list *at;

	node->crashed = true;
	drop_listeners(node);
	cut(node, NULL);
	at = node->connections.next;
	for (; at != &node->connections; at = at->next) {
		c = list_entry(at, struct connection, link);
		end(c, -ECONNRESET);
	}
}
