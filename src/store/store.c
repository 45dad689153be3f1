#include "store/store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/memory.h"
#include "store/disk.h"
#include "store/index.h"

/* What moves touches two directories: first all threads end. */
static void close_dirs(struct store *s)
{
	unsigned i;

	for (i = 0; i < s->n_dirs; i++)
		if (s->dirs[i].pool)
			workpool_close(s->dirs[i].pool);
	for (i = 0; i < s->n_dirs; i++)
		mover_close(&s->dirs[i]);
	for (i = 0; i < s->n_dirs; i++)
		dir_close(&s->dirs[i]);
}

static void free_held(struct store *s)
{
	struct map_slot *slot;
	size_t at = 0;

	while ((slot = map_next(&s->held, &at)))
		free(slot->value);
	map_close(&s->held);
}

/* Else what is cached there would be killed for, not evicted. */
static int check_memory(const struct store *s, struct err *err)
{
	const uint64_t limit = memory_limit("");
	const struct dir *d, *largest = NULL;
	uint64_t sum = 0;

	for (d = s->dirs; d < s->dirs + s->n_dirs; d++) {
		if (!d->in_memory)
			continue;
		sum += d->capacity;
		if (!largest || d->capacity > largest->capacity)
			largest = d;
	}
	if (sum <= limit)
		return 0;
	return err_set(err, -EINVAL,
		       "%s: directories in memory may take %" PRIu64
		       " MiB, of %" PRIu64 " MiB that this process may use",
		       largest->path, sum >> 20, limit >> 20);
}

int store_open(struct store **out, const struct store_options *options,
	       struct err *err)
{
	const struct evictor_ops *policy = evictor_find(options->evictor);
	struct err unheard;
	struct store *s;
	unsigned i;
	int rv = 0;

	err = err ? err : &unheard;
	if (!policy)
		return err_set(err, -EINVAL, "no such eviction policy: \"%s\"",
			       options->evictor);
	s = mem_alloc(sizeof(*s) + options->n_dirs * sizeof(s->dirs[0]));
	s->loop = options->loop;
	s->block_size = options->block_size;
	if (options->cluster)
		memcpy(s->cluster, options->cluster, sizeof(s->cluster));
	s->threads = options->threads;
	s->move_rate = options->move_rate;
	s->scrub_rate = options->scrub_rate;
	s->scrub_interval_ms = options->scrub_interval_ms;
	s->failed = options->failed;
	s->owner = options->owner;
	mutex_init(&s->mutex);
	for (i = 0; i < options->n_dirs && !rv; i++, s->n_dirs++)
		rv = dir_open(&s->dirs[i], s, &options->dirs[i], policy, err);
	if (!rv)
		rv = check_memory(s, err);
	if (rv) {
		/* Leaves no mark of a clean stop where there was none. */
		s->dirs[s->n_dirs - 1].service = OUT_OF_SERVICE;
		store_close(s);
		return rv;
	}
	for (i = 0; i < s->n_dirs; i++)
		scrub_open(&s->dirs[i]);
	*out = s;
	return 0;
}

void store_close(struct store *s)
{
	mutex_lock(&s->mutex);
	s->closing = true;
	mutex_unlock(&s->mutex);
	close_dirs(s);
	free_held(s);
	map_close(&s->files);
	buffer_close(&s->changes);
	mutex_close(&s->mutex);
	free(s);
}

static void forget_all_locked(struct dir *d, struct list *gone)
{
	struct entry *e;

	while ((e = dir_next_locked(d, &d->entries)))
		dir_doom_locked(e, gone);
}

bool store_bind(struct store *s, const uint8_t cluster[16])
{
	static const uint8_t unknown[16];
	bool same, empty;
	struct list gone;
	unsigned i;

	mutex_lock(&s->mutex);
	same = memcmp(s->cluster, cluster, sizeof(s->cluster)) == 0;
	empty = !same && memcmp(s->cluster, unknown, sizeof(unknown)) != 0;
	memcpy(s->cluster, cluster, sizeof(s->cluster));
	s->binding += empty;
	mutex_unlock(&s->mutex);
	for (i = 0; !same && i < s->n_dirs; i++) {
		list_init(&gone);
		mutex_lock(&s->mutex);
		if (empty)
			forget_all_locked(&s->dirs[i], &gone);
		s->dirs[i].rewrite_wanted = true;
		mutex_unlock(&s->mutex);
		dir_remove_all(&gone);
		index_flush(&s->dirs[i]);
	}
	return empty;
}

void store_changed_locked(struct store *s, uint64_t file,
			  enum store_change what)
{
	struct change *c = buffer_add(&s->changes, sizeof(*c));

	*c = (struct change){ .file = file, .what = what };
}

uint64_t store_present(struct store *s, uint64_t file, uint64_t offset,
		       uint64_t len)
{
	uint64_t present = 0;
	struct entry *e;

	mutex_lock(&s->mutex);
	e = map_get(&s->files, file);
	if (e)
		present = entry_present(e, offset, len);
	mutex_unlock(&s->mutex);
	return present;
}

void store_touch(struct store *s, uint64_t file)
{
	mutex_lock(&s->mutex);
	tiers_touched_locked(s, file, map_get(&s->files, file));
	mutex_unlock(&s->mutex);
}

static void ungrant_locked(struct entry *e)
{
	assert(e->grants > 0);
	if (--e->grants)
		return;
	e->dir->granted_bytes -= e->used;
	e->dir->store->totals.granted--;
	e->asked = false;
	if (!e->doomed)
		return;
	map_remove(&e->dir->store->held, e->node.id);
	if (e->removed)
		dir_forget_locked(e);
}

static int grant_locked(struct entry *e)
{
	struct dir *d = e->dir;

	if (!entry_complete(e) || !e->verified || e->fills)
		return -EAGAIN;
	/* A release does not say of which copy. */
	if (map_get(&d->store->held, e->node.id))
		return -EAGAIN;
	if (!e->grants && d->granted_bytes + e->used > d->capacity / 2)
		return -EBUSY;
	if (e->grants++ == 0) {
		d->granted_bytes += e->used;
		d->store->totals.granted++;
	}
	e->asked = false;
	return 0;
}

/* The caller uses a file that could be granted if it were verified: if that
 * takes longer, it is for another time. */
static int grant_verified(struct entry *e, bool check)
{
	bool verified = read_verifies(e);
	struct dir *d = e->dir;
	struct list gone;
	int rv;

	list_init(&gone);
	mutex_lock(&d->store->mutex);
	rv = e->doomed ? -EAGAIN : grant_locked(e);
	check = check && !verified;
	if (check)
		scrub_want_locked(e);
	dir_put_locked(e, &gone);
	mutex_unlock(&d->store->mutex);
	dir_reap(d, &gone);
	if (check)
		scrub_kick(d);
	return rv;
}

static int grant(struct store *s, uint64_t file, bool check)
{
	bool unverified;
	struct entry *e;
	int rv, fd;

	mutex_lock(&s->mutex);
	e = map_get(&s->files, file);
	rv = e ? grant_locked(e) : -EAGAIN;
	unverified = e && !e->verified && entry_complete(e) && !e->fills;
	if (unverified)
		e->users++;
	mutex_unlock(&s->mutex);
	if (unverified)
		rv = grant_verified(e, check);
	if (rv)
		return rv;
	/* The grant keeps the entry. */
	fd = entry_open_file(e, O_RDONLY);
	if (fd >= 0)
		return fd;
	mutex_lock(&s->mutex);
	ungrant_locked(e);
	mutex_unlock(&s->mutex);
	return -EAGAIN; /* a read finds out why */
}

int store_grant(struct store *s, uint64_t file)
{
	return grant(s, file, true);
}

int store_try_grant(struct store *s, uint64_t file)
{
	return grant(s, file, false);
}

void store_release(struct store *s, uint64_t file)
{
	struct entry *e;

	mutex_lock(&s->mutex);
	e = map_get(&s->held, file);
	if (!e)
		e = map_get(&s->files, file);
	if (e && e->grants)
		ungrant_locked(e);
	mutex_unlock(&s->mutex);
}

void store_on_let_go(struct store *s,
		     void (*fn)(void *owner, const uint64_t *files, size_t n),
		     void *owner)
{
	mutex_lock(&s->mutex);
	s->let_go = fn;
	s->let_go_owner = owner;
	mutex_unlock(&s->mutex);
}

void store_ask_back(struct store *s, const uint64_t *files, size_t n)
{
	void (*fn)(void *owner, const uint64_t *files, size_t n);
	void *owner;

	mutex_lock(&s->mutex);
	fn = s->let_go;
	owner = s->let_go_owner;
	mutex_unlock(&s->mutex);
	if (fn)
		fn(owner, files, n);
}

uint64_t store_drop(struct store *s, uint64_t file)
{
	bool granted = false;
	uint64_t freed = 0;
	struct dir *d = NULL;
	struct list gone;
	struct entry *e;

	list_init(&gone);
	mutex_lock(&s->mutex);
	e = map_get(&s->files, file);
	if (e) {
		d = e->dir;
		freed = e->used;
		granted = e->grants > 0;
		dir_doom_locked(e, &gone);
	}
	mutex_unlock(&s->mutex);
	if (d)
		dir_reap(d, &gone);
	if (granted)
		store_ask_back(s, &file, 1);
	return freed;
}

int store_file_state(struct store *s, uint64_t file,
		     struct store_file_state *out)
{
	struct entry *e;

	mutex_lock(&s->mutex);
	e = map_get(&s->files, file);
	if (e) {
		*out = (struct store_file_state){
			.size = e->size,
			.present = e->n_present * STORE_PAGE,
			.complete = entry_complete(e),
			.verified = e->verified,
			.granted = e->grants > 0,
			.dir = e->dir->path,
			.tier = e->dir->tier,
		};
		/* The last page is short. */
		if (e->size % STORE_PAGE && entry_has(e, e->size / STORE_PAGE))
			out->present -= STORE_PAGE - e->size % STORE_PAGE;
	}
	mutex_unlock(&s->mutex);
	return e ? 0 : -ENOENT;
}

static void add_dir_locked(const struct dir *d, struct store_totals *out)
{
	struct store_tier *t = &out->tiers[d->tier];
	const uint64_t used = dir_used_locked(d);

	t->dirs++;
	t->files += d->n_entries;
	t->capacity += d->capacity;
	t->used += used;
	out->capacity += d->capacity;
	out->used += used;
	if (!d->sound)
		out->unverified += d->n_unverified;
	if (d->in_memory) {
		out->memory_capacity += d->capacity;
		out->memory_used += used;
	}
}

void store_totals(struct store *s, struct store_totals *out)
{
	unsigned i;

	mutex_lock(&s->mutex);
	*out = s->totals;
	out->files = s->files.used;
	for (i = 0; i < s->n_dirs; i++)
		if (s->dirs[i].service != OUT_OF_SERVICE)
			add_dir_locked(&s->dirs[i], out);
	mutex_unlock(&s->mutex);
}

/* Of what has changed, what a list of what there is does not tell. */
static void keep_damage_locked(struct store *s)
{
	struct change *c = (struct change *)(void *)s->changes.at;
	size_t i, n = s->changes.len / sizeof(*c), kept = 0;

	for (i = 0; i < n; i++)
		if (c[i].what == STORE_DAMAGED)
			c[kept++] = c[i];
	s->changes.len = kept * sizeof(*c);
}

/* Replaces what has changed by what there is. */
static void list_all_locked(struct store *s)
{
	struct map_slot *slot;
	struct entry *e;
	size_t at = 0;

	keep_damage_locked(s);
	while ((slot = map_next(&s->files, &at))) {
		e = slot->value;
		if (e->n_present)
			store_changed_locked(s, slot->key, STORE_ADDED);
		if (e->n_present && entry_complete(e))
			store_changed_locked(s, slot->key, STORE_COMPLETE);
	}
}

void store_take_changes(struct store *s, bool all,
			void (*fn)(void *owner, uint64_t file,
				   enum store_change change),
			void *owner)
{
	const struct change *c;
	struct buffer taken;
	size_t i;

	mutex_lock(&s->mutex);
	if (all)
		list_all_locked(s);
	taken = s->changes;
	s->changes = (struct buffer){ 0 };
	mutex_unlock(&s->mutex);
	c = (const struct change *)(void *)taken.at;
	for (i = 0; i < taken.len / sizeof(*c); i++)
		fn(owner, c[i].file, c[i].what);
	buffer_close(&taken);
}
