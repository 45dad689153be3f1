/* The calls that are not about bytes. */

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/metrics.h"
#include "worker/state.h"

/* ---- release ---- */

static void serve_release(void *role, struct rpc_call *call,
			  const void *request)
{
	const struct release_request *req = request;
	struct release_reply reply = { 0 };
	struct worker *w = role;
	size_t i;

	for (i = 0; i < req->ids.n; i++)
		reply.released += grant_release(role, rpc_call_session(call),
						req->ids.at[i]);
	for (i = 0; i < req->opened.n; i++) {
		store_touch(w->store, req->opened.at[i]);
		busiest_note(w, req->opened.at[i]);
	}
	rpc_reply(call, &reply);
}

/* ---- drop, explain, report ---- */

static void serve_drop(void *role, struct rpc_call *call, const void *request)
{
	const struct drop_request *req = request;
	struct drop_reply reply = { 0 };
	struct worker *w = role;
	uint64_t freed;
	size_t i;

	for (i = 0; i < req->ids.n; i++) {
		freed = store_drop(w->store, req->ids.at[i]);
		reply.files += freed > 0;
		reply.bytes += freed;
		if (freed)
			history_fate(w, req->ids.at[i], FATE_FREED);
		file_drop(w, req->ids.at[i]);
	}
	rpc_reply(call, &reply);
}

static uint64_t bytes_in(struct worker *w, uint64_t file, uint64_t at,
			 uint64_t end)
{
	uint64_t sum = 0, n;

	while (at < end) {
		n = store_present(w->store, file, at, end - at);
		sum += n;
		at += n ? n : STORE_PAGE;
	}
	return sum;
}

/* The bytes of each block that are here; the caller frees them. */
static schema_u64_array list_blocks(struct worker *w, uint64_t file,
				    uint64_t size)
{
	uint64_t block = w->control.block_size, at, end, *bytes;
	size_t n = 0;

	if (!block)
		block = size ? size : 1;
	bytes = mem_array(size / block + 1, sizeof(*bytes));
	for (at = 0; at < size; at = end) {
		end = size - at < block ? size : at + block;
		bytes[n++] = bytes_in(w, file, at, end);
	}
	return (schema_u64_array){ bytes, n };
}

static schema_str str_of(const char *s)
{
	return (schema_str){ s, strlen(s) };
}

void explain(struct worker *w, struct rpc_call *call, uint64_t id)
{
	const struct remembered *r = history_get(&w->history, id);
	char open[HISTORY_TEXT], why[HISTORY_TEXT];
	struct store_file_state st = { .dir = "" };
	struct explain_reply reply = { 0 };

	/* An empty file has nothing to cache. */
	if (store_file_state(w->store, id, &st))
		st.complete = st.verified = file_is_empty(w, id);
	reply.length = st.size;
	reply.present = st.present;
	reply.complete = st.complete;
	reply.verified = st.verified;
	reply.granted = st.granted;
	reply.tier = str_of(st.dir[0] ? tier_name(st.tier) : "");
	reply.dir = str_of(st.dir);
	reply.blocks = list_blocks(w, id, st.size);
	history_last_open(w, id, open);
	reply.last_open = str_of(open);
	reply.last_open_ms = r ? r->open_ms : 0;
	reply.home = control_keeps(w, (struct block_id){ .file = id }, 0);
	history_state(w, id, why);
	if (!st.complete)
		reply.why = str_of(why);
	rpc_reply(call, &reply);
	free((uint64_t *)(uintptr_t)reply.blocks.at);
}

static void serve_explain(void *role, struct rpc_call *call,
			  const void *request)
{
	const struct explain_request *req = request;

	if (req->verify)
		verify(role, call, req->id);
	else
		explain(role, call, req->id);
}

static void serve_worker_report(void *role, struct rpc_call *call,
				const void *request ATTR_UNUSED)
{
	struct worker *w = role;
	struct tier_numbers tiers;
	struct store_totals t;

	store_totals(w->store, &t);
	tiers_numbers(&t, &tiers);
	const struct named_number own[] = {
		{ str_of("capacity"), t.capacity },
		{ str_of("used"), t.used },
		{ str_of("files"), t.files },
		{ str_of("granted"), t.granted },
		{ str_of("unverified"), t.unverified },
		{ str_of("damaged"), t.corrupt },
		{ str_of("evictions"), t.evictions },
		{ str_of("evicted bytes"), t.evicted_bytes },
		{ str_of("not admitted"), t.not_admitted },
		{ str_of("bytes being fetched"), w->flights.shares.bytes },
		{ str_of("directories out of service"), t.dirs_failed },
		{ str_of("memory of cached files"), t.memory_used },
	};
	struct named_number numbers[ARRAY_SIZE(own) + ARRAY_SIZE(tiers.at)];
	const schema_str warning =
		str_of("a directory is full or out of service: see the log");
	struct worker_report_reply reply = {
		.numbers = { numbers, ARRAY_SIZE(own) + tiers.n },
	};

	memcpy(numbers, own, sizeof(own));
	memcpy(numbers + ARRAY_SIZE(own), tiers.at,
	       tiers.n * sizeof(tiers.at[0]));
	if (t.dirs_failed) {
		reply.warnings.at = &warning;
		reply.warnings.n = 1;
	}
	rpc_reply(call, &reply);
}

static void serve_scrub(void *role, struct rpc_call *call, const void *request)
{
	const struct scrub_request *req = request;
	struct store_scrub_state st;
	struct worker *w = role;

	if (req->start)
		store_scrub(w->store, req->rate);
	store_scrub_state(w->store, &st);
	const struct scrub_reply reply = {
		.running = st.running,
		.passes = st.passes,
		.files = st.files,
		.bytes = st.bytes,
		.damaged = st.damaged,
		.to_do = st.to_do,
	};
	rpc_reply(call, &reply);
}

const rpc_handler worker_handlers[] = {
	[WORKER_CALL_open] = serve_open,
	[WORKER_CALL_read] = serve_read,
	[WORKER_CALL_release] = serve_release,
	[WORKER_CALL_load] = serve_load,
	[WORKER_CALL_drop] = serve_drop,
	[WORKER_CALL_explain] = serve_explain,
	[WORKER_CALL_worker_report] = serve_worker_report,
	[WORKER_CALL_busiest] = serve_busiest,
	[WORKER_CALL_scrub] = serve_scrub,
	[WORKER_CALL_known_set] = serve_known_set,
	[WORKER_CALL_fsck_store] = serve_fsck_store,
};
const unsigned worker_n_handlers = ARRAY_SIZE(worker_handlers);
