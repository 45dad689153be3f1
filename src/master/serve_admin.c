/* For operators: report, journal dump, leader. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "master/dump.h"
#include "master/entry.h"
#include "master/raft_files.h"
#include "master/state.h"

#define DUMP_LIMIT 1000 /* lines a reply */

static void hex(char out[33], const uint8_t bytes[16])
{
	int i;

	for (i = 0; i < 16; i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static unsigned fill_numbers(struct master *m, const struct namespace_totals *t,
			     struct named_number *out)
{
	uint64_t skipped = skipped_total(&m->loader.skipped,
					 journal_namespace(m->journal));
	struct journal_numbers j;
	unsigned n = 0;

	journal_numbers(m->journal, &j);
#define NUMBER(name, value) \
	out[n++] = (struct named_number){ str_of(name), value }
	NUMBER("inodes", t->inodes);
	NUMBER("files", t->files);
	NUMBER("directories", t->directories);
	NUMBER("mounts", t->mounts);
	NUMBER("commands_applied", t->applied);
	NUMBER("journal_index", j.index);
	NUMBER("journal_entries", j.entries);
	NUMBER("journal_records", j.records);
	NUMBER("journal_bytes_since_checkpoint", j.bytes);
	NUMBER("journal_bytes_waiting", j.waiting);
	NUMBER("checkpoints", j.checkpoints);
	NUMBER("checkpoint_failures", j.checkpoint_failures);
	NUMBER("ufs_listings", m->loader.n_lists);
	NUMBER("ufs_stats", m->loader.n_stats);
	NUMBER("ufs_names_skipped", skipped);
	NUMBER("files_with_holders", m->workers.holders.by_file.used);
	NUMBER("workers_live", m->workers.n_live);
#undef NUMBER
	return n;
}

void serve_report(void *role, struct rpc_call *call,
		  const void *request ATTR_UNUSED)
{
	struct named_number numbers[32];
	struct report_reply reply = { 0 };
	schema_str addresses[LISTEN_MAX], warnings[4], *strings;
	struct worker_info *workers;
	struct namespace_totals t;
	struct master *m = role;
	char uuid[33];
	unsigned i;

	namespace_totals(journal_namespace(m->journal), &t);
	hex(uuid, t.uuid);
	for (i = 0; i < m->n_addresses; i++)
		addresses[i] = str_of(m->addresses[i]);
	workers = describe_workers(&m->workers, &strings);
	reply.cluster = str_of(uuid);
	reply.version = str_of(PACKAGE_VERSION);
	reply.uptime_ms = loop_now_ms(m->o.loop) - m->started_ms;
	reply.role = str_of("leader");
	reply.addresses.at = addresses;
	reply.addresses.n = m->n_addresses;
	reply.block_size = t.block_size;
	reply.epoch = m->workers.epoch;
	reply.workers.at = workers;
	reply.workers.n = m->workers.n;
	reply.numbers.at = numbers;
	reply.numbers.n = fill_numbers(m, &t, numbers);
	reply.warnings.at = warnings;
	if (m->block_size_warning)
		warnings[reply.warnings.n++] = str_of(m->block_size_warning);
	if (skipped_total(&m->loader.skipped, journal_namespace(m->journal)))
		warnings[reply.warnings.n++] = str_of(
			"names of under-storage are not shown "
			"(ufs_names_skipped); the log says which and why");
	if (m->workers.n_live == 0)
		warnings[reply.warnings.n++] = str_of("no worker is live");
	rpc_reply(call, &reply);
	free(strings);
	free(workers);
}

/* journal dump */

struct lines {
	schema_str at[DUMP_LIMIT];
	size_t n, bytes;
};

static bool is_full(const struct lines *l)
{
	return l->n == DUMP_LIMIT || l->bytes > REPLY_BYTES;
}

static void add_line(struct lines *l, char *line)
{
	l->at[l->n++] = str_of(line);
	l->bytes += strlen(line);
}

/* The records of an entry; what does not fit is counted. */
static void dump_entry(struct lines *l, uint64_t index, const void *buf,
		       size_t len)
{
	struct journal_record record;
	struct entry_reader r;
	msgpack_zone *zone = msgpack_zone_new(8192);
	char line[96];

	if (!zone)
		abort();
	if (entry_open(&r, buf, len, NULL) == 0) {
		while (l->n < DUMP_LIMIT - 1 && l->bytes < REPLY_BYTES &&
		       entry_next(&r, &record, zone, NULL) > 0)
			add_line(l, dump_record(index, &record));
		if (r.n) {
			snprintf(line, sizeof(line),
				 "{\"index\":%llu,\"left_out\":%u}",
				 (unsigned long long)index, r.n);
			add_line(l, mem_str(line));
		}
	}
	msgpack_zone_free(zone);
}

static size_t limit_of(const struct journal_dump_request *req)
{
	return req->limit ? req->limit : DUMP_LIMIT;
}

static void reply_lines(struct rpc_call *call, struct lines *l,
			struct journal_dump_reply *reply)
{
	size_t i;

	reply->records.at = l->at;
	reply->records.n = l->n;
	rpc_reply(call, reply);
	for (i = 0; i < l->n; i++)
		free((char *)(uintptr_t)l->at[i].ptr);
	free(l);
}

/* What is in memory. */
static void dump_recent(struct master *m, struct rpc_call *call, uint64_t after,
			size_t limit)
{
	struct journal_dump_reply reply = { .last = after };
	struct lines *l = mem_alloc(sizeof(*l));
	const void *buf;
	uint64_t index;
	size_t len;

	while (!is_full(l) && l->n < limit &&
	       (buf = journal_recent(m->journal, reply.last, &index, &len))) {
		if (l->n && l->bytes + len > REPLY_BYTES)
			break;
		dump_entry(l, index, buf, len);
		reply.last = index;
	}
	reply.more = journal_recent(m->journal, reply.last, &index, &len);
	reply_lines(call, l, &reply);
}

/* What is only on disk: entries after `after` and before `before`. */
struct dump_op {
	struct master *m;
	struct rpc_call *call;
	uint64_t after, before;
	size_t limit;
	struct journal_dump_reply reply;
	struct lines *lines;
	struct task task;
};

/* On a pool thread. */
static bool on_entry(void *owner, const void *entry, size_t len)
{
	struct dump_op *op = owner;
	struct lines *l = op->lines;
	struct entry_reader r;

	if (entry_open(&r, entry, len, NULL) || r.index >= op->before)
		return false;
	if (r.index <= op->after)
		return true;
	if (is_full(l) || l->n >= op->limit ||
	    (l->n && l->bytes + len > REPLY_BYTES))
		return false;
	dump_entry(l, r.index, entry, len);
	op->reply.last = r.index;
	return true;
}

static ssize_t read_disk(struct task *t)
{
	struct dump_op *op = container_of(t, struct dump_op, task);

	return raft_files_read(op->m->o.raft_dir, on_entry, op, NULL);
}

static void on_disk_read(struct task *t)
{
	struct dump_op *op = container_of(t, struct dump_op, task);

	op->m->asking--;
	op->reply.more = true; /* what is in memory comes next */
	if (op->lines->n) {
		reply_lines(op->call, op->lines, &op->reply);
	} else {
		free(op->lines);
		dump_recent(op->m, op->call, op->after, op->limit);
	}
	free(op);
}

void serve_journal_dump(void *role, struct rpc_call *call, const void *request)
{
	const struct journal_dump_request *req = request;
	struct master *m = role;
	struct dump_op *op;
	uint64_t oldest;
	size_t len;

	if (!m->o.raft_dir || !journal_recent(m->journal, 0, &oldest, &len) ||
	    req->after + 1 >= oldest) {
		dump_recent(m, call, req->after, limit_of(req));
		return;
	}
	op = mem_alloc(sizeof(*op));
	op->m = m;
	op->call = call;
	op->after = req->after;
	op->before = oldest;
	op->limit = limit_of(req);
	op->reply.last = req->after;
	op->lines = mem_alloc(sizeof(*op->lines));
	m->asking++;
	workpool_submit(m->o.pool, m->o.loop, &op->task, read_disk,
			on_disk_read);
}

void serve_leader(void *role, struct rpc_call *call,
		  const void *request ATTR_UNUSED)
{
	struct master *m = role;
	const struct leader_reply reply = { str_of(m->addresses[0]) };

	rpc_reply(call, &reply);
}
