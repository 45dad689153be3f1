#include "fake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/sim.h"
#include "lib/tempdir.h"

/* ---- the master ---- */

static bool refused(struct fake_node *n, struct rpc_call *call)
{
	n->calls++;
	if (n->not_leader)
		rpc_fail(call, ERR_NOT_LEADER, "ask another");
	return n->not_leader;
}

static void on_cancel(void *owner)
{
	((struct fake_node *)owner)->cancelled++;
}

static void serve_mount(void *role, struct rpc_call *call, const void *request)
{
	const struct mount_request *req = request;
	const struct mount_reply reply = { .id = 1 };
	struct fake_node *n = role;

	n->sequence[n->mounts++] = req->origin.sequence;
	if (n->hold) {
		n->held = call;
		rpc_call_on_cancel(call, on_cancel, n);
		return;
	}
	if (!refused(n, call))
		rpc_reply(call, &reply);
}

static void serve_getattr(void *role, struct rpc_call *call,
			  const void *request)
{
	const struct getattr_request *req = request;
	const struct getattr_reply reply = { .attr = { .id = req->id } };

	if (refused(role, call))
		return;
	if (req->id == FAKE_GONE)
		rpc_fail(call, -ESTALE, "that version is no more");
	else
		rpc_reply(call, &reply);
}

static schema_str str_of(const char *s)
{
	return (schema_str){ s, s ? strlen(s) : 0 };
}

struct set {
	struct worker_info info[3];
	schema_str addresses[3][2];
	struct workers_reply reply;
};

static void make_set(struct fake *f, struct set *s)
{
	unsigned i;

	*s = (struct set){ 0 };
	s->reply.epoch = f->epoch;
	s->reply.workers.at = s->info;
	s->reply.workers.n = f->n_workers;
	s->reply.block_size = FAKE_BLOCK;
	for (i = 0; i < f->n_workers; i++) {
		s->addresses[i][0] = str_of(f->worker[i].address);
		s->addresses[i][1] = str_of(f->worker[i].second);
		s->info[i].id = f->worker[i].id;
		s->info[i].addresses.at = s->addresses[i];
		s->info[i].addresses.n = f->worker[i].second ? 2 : 1;
		s->info[i].host = (schema_str){ "here", 4 };
		s->info[i].capacity = 1000;
		s->info[i].live = true;
	}
}

static void serve_workers(void *role, struct rpc_call *call,
			  const void *request ATTR_UNUSED)
{
	struct fake_node *n = role;
	struct set set;

	n->fake->set_asked++;
	make_set(n->fake, &set);
	if (!refused(n, call))
		rpc_reply(call, &set.reply);
}

static void serve_known_set(void *role, struct rpc_call *call,
			    const void *request ATTR_UNUSED)
{
	struct fake_node *n = role;
	struct known_set_reply reply;
	struct set set;

	if (!n->fake->workers_know) {
		rpc_fail(call, ERR_NO_WORKER, "not known");
		return;
	}
	make_set(n->fake, &set);
	reply.epoch = set.reply.epoch;
	reply.workers = set.reply.workers;
	reply.block_size = set.reply.block_size;
	rpc_reply(call, &reply);
}

static const rpc_handler master_handlers[] = {
	[MASTER_CALL_getattr] = serve_getattr,
	[MASTER_CALL_mount] = serve_mount,
	[MASTER_CALL_workers] = serve_workers,
};

/* ---- workers ---- */

static void serve_open(void *role, struct rpc_call *call, const void *request)
{
	const struct open_request *req = request;
	struct open_reply reply = { .length = FAKE_CONTENT };
	struct fake_node *n = role;

	n->opens++;
	n->session = rpc_call_session(call);
	if (req->id == FAKE_GONE) {
		rpc_fail(call, -ESTALE, "that version is no more");
	} else if (req->id == FAKE_GRANTED && req->grant) {
		reply.granted = true;
		rpc_reply_fd(call, &reply, n->fake->file);
	} else {
		rpc_reply(call, &reply);
	}
}

static void serve_read(void *role, struct rpc_call *call, const void *request)
{
	const struct read_request *req = request;
	const struct read_reply reply = { 0 };
	struct fake_node *n = role;
	struct fake *f = n->fake;
	size_t len = 0;

	n->reads++;
	n->instead_of = req->instead_of;
	if (req->epoch != f->epoch) {
		rpc_fail(call, ERR_WRONG_EPOCH, "it is another");
		return;
	}
	if (req->id == FAKE_GONE) {
		rpc_fail(call, ERR_CHANGED, "changed meanwhile");
		return;
	}
	if (n->hold) {
		n->held = call;
		rpc_call_on_cancel(call, on_cancel, n);
		return;
	}
	if (req->offset < FAKE_CONTENT)
		len = FAKE_CONTENT - (size_t)req->offset;
	rpc_reply_data(call, &reply, f->content + req->offset,
		       len < req->len ? len : req->len, NULL, NULL);
}

static void serve_release(void *role, struct rpc_call *call,
			  const void *request)
{
	const struct release_request *req = request;
	const struct release_reply reply = { .released = (uint32_t)req->ids.n };
	struct fake_node *n = role;

	n->released += (int)req->ids.n;
	n->opened_again += (int)req->opened.n;
	rpc_reply(call, &reply);
}

static const rpc_handler worker_handlers[] = {
	[WORKER_CALL_open] = serve_open,
	[WORKER_CALL_read] = serve_read,
	[WORKER_CALL_release] = serve_release,
	[WORKER_CALL_known_set] = serve_known_set,
};

static void on_lost(void *role, struct rpc_session *s)
{
	struct fake_node *n = role;

	n->lost++;
	if (n->session == s)
		n->session = NULL;
}

/* ---- all of them ---- */

void fake_start(struct fake_node *n)
{
	bool master = n->id == 0;
	const struct rpc_service service = {
		.name = master ? "master" : "worker",
		.methods = master ? rpc_master_methods : rpc_worker_methods,
		.handlers = master ? master_handlers : worker_handlers,
		.n_methods = (unsigned)(master ? ARRAY_SIZE(master_handlers)
					       : ARRAY_SIZE(worker_handlers)),
		.role = n,
		.lost = on_lost,
	};
	const struct rpc_identity me = {
		.role = master ? RPC_MASTER : RPC_WORKER,
	};

	n->server = rpc_server_new(n->loop, &service, &me);
	if (!n->first_is_away &&
	    rpc_server_listen(n->server, n->address, NULL, NULL))
		abort();
	if (n->second && rpc_server_listen(n->server, n->second, NULL, NULL))
		abort();
}

void fake_stop(struct fake_node *n)
{
	if (n->server)
		rpc_server_close(n->server);
	n->server = NULL;
	if (n->held)
		rpc_fail(n->held, -EIO, "going");
	n->held = NULL;
}

void fake_let_go(struct fake_node *worker)
{
	const uint64_t id = FAKE_GRANTED;
	const struct let_go_notice notice = { .ids = { &id, 1 } };
	msgpack_sbuffer buf;
	msgpack_packer packer;

	msgpack_sbuffer_init(&buf);
	msgpack_packer_init(&packer, &buf, msgpack_sbuffer_write);
	let_go_notice_encode(&notice, &packer);
	rpc_notify(worker->session, WORKER_NOTICE_let_go, buf.data, buf.size);
	msgpack_sbuffer_destroy(&buf);
}

static void init_node(struct fake *f, struct fake_node *n, uint32_t id,
		      const char *address)
{
	n->fake = f;
	n->id = id;
	n->address = address;
	n->loop = sim_new_beside(f->loop);
	sim_net_join(f->net, n->loop);
	fake_start(n);
}

static void free_node(struct fake_node *n)
{
	fake_stop(n);
	sim_run(n->loop, 100);
	sim_net_leave(n->fake->net, n->loop);
	sim_free(n->loop);
}

void fake_init(struct fake *f)
{
	static const char *const masters[] = { "unix:/m0", "unix:/m1", NULL };
	struct client_options o = {
		.masters = masters,
		.identity = { .role = RPC_FUSE },
		.max_grants = 2,
		.host = "here",
	};
	char path[4096];
	size_t i;

	*f = (struct fake){ .epoch = 1, .n_workers = 1 };
	f->loop = sim_new();
	f->net = sim_net_new(3);
	sim_net_join(f->net, f->loop);
	init_node(f, &f->master[0], 0, "unix:/m0");
	init_node(f, &f->master[1], 0, "unix:/m1");
	init_node(f, &f->worker[0], 1, "unix:/w0");
	init_node(f, &f->worker[1], 2, "unix:/w1");
	init_node(f, &f->worker[2], 3, "unix:/w2");
	for (i = 0; i < FAKE_CONTENT; i++)
		f->content[i] = (uint8_t)(i * 7 + i / 251);
	f->dir = tempdir_make();
	snprintf(path, sizeof(path), "%s/granted", f->dir);
	f->file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (write(f->file, f->content, FAKE_CONTENT) != FAKE_CONTENT)
		abort();
	if (workpool_new(&f->disk, "disk", 0))
		abort();
	o.disk = f->disk;
	f->client = client_new(f->loop, &o);
}

void fake_close(struct fake *f)
{
	unsigned i;

	if (f->client)
		client_close(f->client);
	sim_run(f->loop, 100);
	for (i = 0; i < 2; i++)
		free_node(&f->master[i]);
	for (i = 0; i < 3; i++)
		free_node(&f->worker[i]);
	sim_net_leave(f->net, f->loop);
	sim_net_free(f->net);
	workpool_close(f->disk);
	sim_free(f->loop);
	close(f->file);
	tempdir_remove(f->dir);
}

void fake_run(struct fake *f, uint64_t ms)
{
	sim_run(f->loop, ms);
}

int fake_reads(const struct fake *f)
{
	return f->worker[0].reads + f->worker[1].reads + f->worker[2].reads;
}
