#include "sim/sim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "lib/sim.h"

/* A walk over the tree as a client sees it. */
struct walk {
	struct cluster *cluster;
	bool refresh, read;
	unsigned files;
	char dir[64]; /* being listed */

	/* one page, copied: the reply does not live on */
	struct entry {
		char name[64], version[64];
		struct attr attr;
	} entries[MAX_PATHS + 16];
	size_t n;
	bool more;
	uint64_t id, after;
};

static void on_page(void *owner, const void *reply)
{
	const struct list_reply *r = reply;
	struct walk *w = owner;
	const struct dirent *d;
	struct entry *e;
	size_t i;

	for (i = 0; i < r->entries.n; i++) {
		d = &r->entries.at[i];
		if (w->n == ARRAY_SIZE(w->entries))
			fail("/data/%s has too many entries", w->dir);
		e = &w->entries[w->n++];
		snprintf(e->name, sizeof(e->name), "%.*s", (int)d->name.len,
			 (const char *)d->name.ptr);
		e->attr = d->attr;
		memcpy(e->version, d->attr.version.ptr, d->attr.version.len);
		e->attr.version.ptr = e->version;
		w->after = d->attr.id;
	}
	w->more = r->more;
	w->id = r->id;
}

static void list(struct walk *w)
{
	struct list_request r = { .limit = 7, .refresh = w->refresh };
	char path[80];
	int rv;

	snprintf(path, sizeof(path), "/data/%s", w->dir);
	w->n = 0;
	w->id = w->after = 0;
	do {
		r.path = (schema_bytes){ path, strlen(path) };
		r.id = w->id;
		r.after = w->after;
		rv = actor_call(&w->cluster->actors[0], RPC_MASTER_METHOD(list),
				&r, on_page, w);
		if (rv)
			fail("at the end: list of %s: code %d", path, rv);
		r.refresh = false;
	} while (w->more);
}

static void check_file(struct walk *w, const char *path,
		       const struct attr *attr)
{
	struct model *m = &w->cluster->model;
	const struct version *v = model_version(m, path, attr);
	uint64_t content = fake_ufs_content(m->storage, path, NULL);

	if (v->content != content)
		fail("at the end %s has version %" PRIu64 ", not %" PRIu64,
		     path, v->content, content);
	w->files++;
	if (w->read)
		actor_check_file(&w->cluster->actors[w->files % N_CLIENTS],
				 path, attr);
}

static void walk(const struct walk *from, const char *dir, unsigned *files)
{
	struct walk *w = mem_alloc(sizeof(*w));
	char path[80];
	size_t i;

	w->cluster = from->cluster;
	w->refresh = from->refresh;
	w->read = from->read;
	w->files = *files;
	snprintf(w->dir, sizeof(w->dir), "%s", dir);
	list(w);
	for (i = 0; i < w->n; i++) {
		snprintf(path, sizeof(path), "%s%s%s", dir, *dir ? "/" : "",
			 w->entries[i].name);
		if (S_ISDIR(w->entries[i].attr.mode))
			walk(w, path, &w->files);
		else
			check_file(w, path, &w->entries[i].attr);
	}
	*files = w->files;
	free(w);
}

/* As many files as the model has, each of them right, so the same ones. */
static void check_tree(struct cluster *c, bool refresh, bool read)
{
	struct walk *w = mem_alloc(sizeof(*w));
	const struct model *m = &c->model;
	unsigned i, files = 0, want = 0;

	w->cluster = c;
	w->refresh = refresh;
	w->read = read;
	walk(w, "", &files);
	free(w);
	for (i = 0; i < m->n_paths; i++)
		want += fake_ufs_content(m->storage, m->paths[i], NULL) != 0;
	if (files != want)
		fail("at the end there are %u files, not %u", files, want);
}

/* New clients, which know the workers as they are by now: who has an old set
 * may read from an old home, and fetch again when it learns of the new one. */
static void renew_clients(struct cluster *c)
{
	unsigned i;

	for (i = 0; i < N_CLIENTS; i++) {
		actor_close(&c->actors[i]);
		actor_start(&c->actors[i]);
	}
}

/* What was fetched is not fetched again, not even after a crash of all. */
static void check_warm(struct cluster *c, const char *when)
{
	const struct fake_ufs_numbers *n = fake_ufs_numbers(c->model.storage);
	const uint64_t reads = n->reads;

	check_tree(c, false, true);
	if (n->reads != reads)
		fail("%s %" PRIu64 " GETs for what is cached", when,
		     n->reads - reads);
}

static void crash_all(struct cluster *c)
{
	unsigned i;

	sim_master_crash(&c->master);
	for (i = 0; i < N_WORKERS; i++)
		sim_worker_crash(&c->workers[i]);
	sim_run(c->near, 1000);
	for (i = 0; i < N_WORKERS; i++)
		sim_worker_start(&c->workers[i]);
	sim_master_start(&c->master);
	sim_run(c->near, 20000);
}

void final_check(struct cluster *c)
{
	struct sim_master *m = &c->master;
	uint64_t digest;

	renew_clients(c);
	check_tree(c, true, true);
	if (c->roomy)
		check_warm(c, "at the end");
	namespace_check(master_namespace(m->master));
	digest = namespace_digest(master_namespace(m->master));
	crash_all(c);
	if (!m->ready)
		fail("the master does not come back: %s", m->err.msg);
	if (namespace_digest(master_namespace(m->master)) != digest)
		fail("the tree is another one after a crash");
	if (c->roomy)
		check_warm(c, "after a crash of all");
	else
		check_tree(c, false, true);
}
