/* Jobs and the ids of workers. */

#include <errno.h>
#include <string.h>

#include "core/tree.h"

#define KIND_LIMIT  64
#define STATE_LIMIT 32
#define PATH_LIMIT  4096
#define ERROR_LIMIT 512          /* a longer one is cut */
#define PATHS_LIMIT (512U << 10) /* bytes of all paths of a job */
#define MAX_RUNNING 1024
#define KEEP_ENDED  256

static size_t text_size(const struct job *j)
{
	return (size_t)j->kind_len + j->path_len + j->state_len + j->error_len;
}

static unsigned char *put(unsigned char *to, const void *from, size_t len)
{
	if (len)
		memcpy(to, from, len);
	return to + len;
}

/* No more than the limit, nor a part of a character. */
static size_t cut(schema_str s)
{
	size_t len = s.len;

	if (len <= ERROR_LIMIT)
		return len;
	for (len = ERROR_LIMIT; len && (s.ptr[len] & 0xc0) == 0x80;)
		len--;
	return len;
}

static void set_text(struct namespace *ns, struct job *j, schema_str kind,
		     schema_bytes path, schema_str state, schema_str error)
{
	const uint32_t old = j->text;
	const size_t old_size = text_size(j);
	unsigned char *to;

	j->kind_len = (uint32_t)kind.len;
	j->path_len = (uint32_t)path.len;
	j->state_len = (uint32_t)state.len;
	j->error_len = (uint32_t)cut(error);
	j->text = arena_alloc(&ns->arena, text_size(j));
	to = at_ref(ns, j->text);
	to = put(to, kind.ptr, kind.len);
	to = put(to, path.ptr, path.len);
	to = put(to, state.ptr, state.len);
	put(to, error.ptr, j->error_len);
	arena_free(&ns->arena, old, old_size);
}

static void view_job(const struct namespace *ns, const struct job *j,
		     struct job_info *out)
{
	const char *text = at_ref(ns, j->text);

	*out = (struct job_info){
		.id = j->id,
		.kind = { text, j->kind_len },
		.path = { text + j->kind_len, j->path_len },
		.state = { text + j->kind_len + j->path_len, j->state_len },
		.files_done = j->files_done,
		.files = j->files,
		.bytes_done = j->bytes_done,
		.bytes = j->bytes,
		.failed = j->failed,
		.started_ms = j->started_ms,
		.ended_ms = j->ended_ms,
		.error = { text + j->kind_len + j->path_len + j->state_len,
			   j->error_len },
		.recursive = j->recursive,
		.verify = j->verify,
	};
}

static struct job *find_job(const struct namespace *ns, uint64_t id)
{
	struct job *j;
	uint32_t ref;

	for (ref = ns->image->jobs; ref; ref = j->next) {
		j = at_ref(ns, ref);
		if (j->id == id)
			return j;
	}
	return NULL;
}

uint32_t namespace_job_paths(const struct namespace *ns, uint64_t job)
{
	const struct job *j = find_job(ns, job);

	return j ? j->n_paths : 0;
}

int namespace_job_path(const struct namespace *ns, uint64_t job,
		       uint32_t *place, schema_bytes *out)
{
	const struct job *j = find_job(ns, job);
	const unsigned char *at;
	uint32_t len;

	if (!j || *place >= j->paths_size)
		return -ENOENT;
	at = (const unsigned char *)at_ref(ns, j->paths) + *place;
	memcpy(&len, at, sizeof(len));
	*out = (schema_bytes){ at + sizeof(len), len };
	*place += (uint32_t)sizeof(len) + len;
	return 0;
}

/* What all paths take; -EINVAL. */
static ssize_t paths_size(const schema_bytes_array *paths)
{
	size_t size = 0, i;

	for (i = 0; i < paths->n; i++) {
		if (paths->at[i].len == 0 || paths->at[i].len > PATH_LIMIT)
			return -EINVAL;
		size += sizeof(uint32_t) + paths->at[i].len;
		if (size > PATHS_LIMIT)
			return -EINVAL;
	}
	return (ssize_t)size;
}

static void set_paths(struct namespace *ns, struct job *j,
		      const schema_bytes_array *paths, size_t size)
{
	unsigned char *to;
	uint32_t len;
	size_t i;

	if (!size)
		return;
	j->n_paths = (uint32_t)paths->n;
	j->paths_size = (uint32_t)size;
	j->paths = arena_alloc(&ns->arena, size);
	to = at_ref(ns, j->paths);
	for (i = 0; i < paths->n; i++) {
		len = (uint32_t)paths->at[i].len;
		to = put(to, &len, sizeof(len));
		to = put(to, paths->at[i].ptr, len);
	}
}

static void drop_paths(struct namespace *ns, struct job *j)
{
	arena_free(&ns->arena, j->paths, j->paths_size);
	j->paths = j->paths_size = j->n_paths = 0;
}

int namespace_next_job(const struct namespace *ns, uint64_t after,
		       struct job_info *out)
{
	const struct job *j;
	uint32_t ref;

	for (ref = ns->image->jobs; ref; ref = j->next) {
		j = at_ref(ns, ref);
		if (j->id > after) {
			view_job(ns, j, out);
			return 0;
		}
	}
	return -ENOENT;
}

int job_apply(struct namespace *ns, const struct job_record *r,
	      uint64_t time_ms, struct namespace_result *res)
{
	const ssize_t paths = paths_size(&r->paths);
	uint32_t ref, *at;
	struct job *j;

	if (r->kind.len == 0 || r->kind.len > KIND_LIMIT || r->path.len == 0 ||
	    r->path.len > PATH_LIMIT || paths < 0)
		return -EINVAL;
	if (ns->image->n_running >= MAX_RUNNING)
		return -EBUSY;
	if (!tree_has_room(ns, 16384 + 2 * (size_t)paths, 0))
		return -ENOSPC;
	for (at = &ns->image->jobs; *at;)
		at = &((struct job *)at_ref(ns, *at))->next;
	*at = ref = arena_alloc(&ns->arena, sizeof(*j));
	j = at_ref(ns, ref);
	j->id = res->id = ++ns->image->last_job;
	j->started_ms = time_ms;
	j->recursive = r->recursive;
	j->verify = r->verify;
	set_paths(ns, j, &r->paths, (size_t)paths);
	set_text(ns, j, r->kind, r->path, (schema_str){ "running", 7 },
		 (schema_str){ NULL, 0 });
	ns->image->n_running++;
	return 0;
}

/* Forgets the one that ended first. */
static void forget_ended(struct namespace *ns)
{
	uint32_t *at, *oldest = NULL, ref;
	uint64_t order = UINT64_MAX;
	struct job *j;

	for (at = &ns->image->jobs; *at; at = &j->next) {
		j = at_ref(ns, *at);
		if (j->end_order && j->end_order < order) {
			order = j->end_order;
			oldest = at;
		}
	}
	assert(oldest);
	ref = *oldest;
	j = at_ref(ns, ref);
	*oldest = j->next;
	arena_free(&ns->arena, j->text, text_size(j));
	arena_free(&ns->arena, ref, sizeof(*j));
	ns->image->n_ended--;
}

int job_end_apply(struct namespace *ns, const struct job_end_record *r,
		  uint64_t time_ms, struct namespace_result *res)
{
	struct job_info was;
	struct job *j = find_job(ns, r->job);

	if (!j)
		return -ENOENT;
	if (j->end_order)
		return -EALREADY;
	if (r->state.len == 0 || r->state.len > STATE_LIMIT)
		return -EINVAL;
	if (!tree_has_room(ns, 16384, 0))
		return -ENOSPC;
	drop_paths(ns, j);
	view_job(ns, j, &was);
	set_text(ns, j, was.kind, was.path, r->state, r->error);
	j->files_done = r->files_done;
	j->files = r->files;
	j->bytes_done = r->bytes_done;
	j->bytes = r->bytes;
	j->failed = r->failed;
	j->ended_ms = time_ms;
	j->end_order = ++ns->image->last_end;
	res->id = j->id;
	ns->image->n_running--;
	if (++ns->image->n_ended > KEEP_ENDED)
		forget_ended(ns);
	return 0;
}

uint32_t namespace_worker(const struct namespace *ns, schema_bytes uuid)
{
	const struct worker *w;
	uint32_t ref;

	for (ref = ns->image->workers; ref; ref = w->next) {
		w = at_ref(ns, ref);
		if (uuid.len == sizeof(w->uuid) &&
		    memcmp(w->uuid, uuid.ptr, uuid.len) == 0)
			return w->id;
	}
	return 0;
}

int worker_apply(struct namespace *ns, const struct worker_record *r,
		 struct namespace_result *res)
{
	struct worker *w;
	uint32_t ref;

	if (r->uuid.len != sizeof(w->uuid))
		return -EINVAL;
	res->id = namespace_worker(ns, r->uuid);
	if (res->id)
		return 0;
	if (!tree_has_room(ns, 4096, 0))
		return -ENOSPC;
	ref = arena_alloc(&ns->arena, sizeof(*w));
	w = at_ref(ns, ref);
	w->id = ++ns->image->last_worker;
	memcpy(w->uuid, r->uuid.ptr, r->uuid.len);
	w->next = ns->image->workers;
	ns->image->workers = ref;
	res->id = w->id;
	return 0;
}
