/*
 * Random commands, applied to the namespace and to a model of it that is slow
 * and obvious: nodes in one array, found by looking at all of them.
 *
 * After every command the code and the stale ids are those of the model; now
 * and then the whole tree is compared, checked, written as an image and opened
 * again.  A second namespace gets the same commands, is never reopened, and has
 * the same digest.  SEED and STEPS in the environment choose another run.
 */

#include "lib/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/tree.h"

#define NODES 4096
#define STALE 4096

struct node {
	bool used, dir;
	int parent;
	char name[16];
	int mount; /* id; 0: none */
	bool mount_point, made;
	char version[8], target[8];
	uint32_t mode, uid;
	uint64_t length, mtime_ns, complete_ms, id;

	bool sweeping;      /* directories: between first and last */
	bool seen;          /* in its parent's sweep */
	struct node *rival; /* a file of its name, found in that sweep */
};

static struct node nodes[NODES]; /* the root is 0 */
static int top = 1;              /* above the highest ever used */
static struct tree a, b;
static uint64_t stale[STALE], seed;
static unsigned n_stale, last_mount;

static uint32_t rnd(uint32_t n)
{
	seed = seed * 6364136223846793005 + 1442695040888963407;
	return (uint32_t)(seed >> 33) % n;
}

static int m_child(int dir, const char *name)
{
	int i;

	for (i = 1; i < top; i++)
		if (nodes[i].used && nodes[i].parent == dir &&
		    strcmp(nodes[i].name, name) == 0)
			return i;
	return 0;
}

static bool m_empty(int dir)
{
	int i;

	for (i = 1; i < top; i++)
		if (nodes[i].used && nodes[i].parent == dir)
			return false;
	return true;
}

static bool m_leads_to_mount(int n)
{
	int i;

	if (nodes[n].mount_point)
		return true;
	for (i = 1; i < top; i++)
		if (nodes[i].used && nodes[i].parent == n && nodes[i].dir &&
		    m_leads_to_mount(i))
			return true;
	return false;
}

static int m_add(int dir, const char *name, bool is_dir)
{
	int i;

	for (i = 1; nodes[i].used; i++)
		assert_true(i + 1 < NODES);
	if (i >= top)
		top = i + 1;
	nodes[i] = (struct node){ .used = true,
				  .dir = is_dir,
				  .parent = dir,
				  .mount = nodes[dir].mount };
	strcpy(nodes[i].name, name);
	return i;
}

static void m_stale(int n)
{
	if (nodes[n].dir)
		return;
	assert_true(n_stale < STALE);
	stale[n_stale++] = nodes[n].id;
}

static void m_drop_rival(int n)
{
	free(nodes[n].rival);
	nodes[n].rival = NULL;
}

/* All below, but mount points and what leads to them. */
static void m_clear(int dir)
{
	int i;

	for (i = 1; i < top; i++) {
		if (!nodes[i].used || nodes[i].parent != dir ||
		    nodes[i].mount_point)
			continue;
		if (nodes[i].dir)
			m_clear(i);
		if (nodes[i].dir && m_leads_to_mount(i))
			continue;
		m_stale(i);
		m_drop_rival(i);
		nodes[i].used = false;
	}
}

static void m_remove(int n)
{
	m_clear(n);
	if (m_leads_to_mount(n))
		return;
	m_stale(n);
	m_drop_rival(n);
	nodes[n].used = false;
}

static void m_set(struct node *n, const struct found *f)
{
	n->mode = f->mode;
	n->uid = f->uid;
	n->mtime_ns = f->mtime_ns;
	if (n->dir)
		return;
	n->length = f->length;
	snprintf(n->version, 8, "%.*s", (int)f->version.len,
		 (const char *)f->version.ptr);
	snprintf(n->target, 8, "%.*s",
		 S_ISLNK(f->mode) ? (int)f->target.len : 0,
		 (const char *)f->target.ptr);
}

static bool m_is(const char *s, schema_bytes is)
{
	return strlen(s) == is.len && (!is.len || !memcmp(s, is.ptr, is.len));
}

static bool m_same(const struct node *n, const struct found *f)
{
	return (n->mode & S_IFMT) == (f->mode & S_IFMT) &&
	       n->length == f->length && m_is(n->version, f->version) &&
	       (!S_ISLNK(f->mode) || m_is(n->target, f->target));
}

static bool m_has_dir(const struct learn_record *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->found.n; i++)
		if (S_ISDIR(r->found.at[i].mode) &&
		    m_is(name, r->found.at[i].name))
			return true;
	return false;
}

static void m_keep_rival(int n, const struct found *f)
{
	m_drop_rival(n);
	nodes[n].rival = calloc(1, sizeof(*nodes[n].rival));
	assert_non_null(nodes[n].rival);
	nodes[n].rival->used = true;
	nodes[n].rival->parent = nodes[n].parent;
	strcpy(nodes[n].rival->name, nodes[n].name);
	m_set(nodes[n].rival, f);
}

static void m_learn_one(int dir, const struct learn_record *r,
			const struct found *f)
{
	char name[16];
	int n;

	snprintf(name, sizeof(name), "%.*s", (int)f->name.len,
		 (const char *)f->name.ptr);
	n = m_child(dir, name);
	if (n && nodes[n].dir && !S_ISDIR(f->mode)) {
		if (m_leads_to_mount(n))
			return;
		if (nodes[dir].sweeping && nodes[n].seen)
			return;
		if (nodes[dir].sweeping) {
			m_keep_rival(n, f);
			return;
		}
		if (m_has_dir(r, name))
			return;
	}
	if (n && nodes[n].dir && S_ISDIR(f->mode)) {
		if (!nodes[n].mount_point) {
			nodes[n].made = false;
			m_drop_rival(n);
			m_set(&nodes[n], f);
		}
		nodes[n].seen = true;
		return;
	}
	if (n && !nodes[n].dir && !S_ISDIR(f->mode)) {
		if (!m_same(&nodes[n], f)) {
			m_stale(n);
			nodes[n].id = 0; /* to be seen */
		}
		m_set(&nodes[n], f);
		nodes[n].seen = true;
		return;
	}
	if (n)
		m_remove(n);
	n = m_add(dir, name, S_ISDIR(f->mode));
	m_set(&nodes[n], f);
	nodes[n].seen = nodes[dir].sweeping;
}

static void m_end_sweep(int dir)
{
	struct node rival;
	int i, n;

	for (i = 1; i < top; i++) {
		if (!nodes[i].used || nodes[i].parent != dir || nodes[i].seen ||
		    nodes[i].mount_point)
			continue;
		if (!nodes[i].rival || m_leads_to_mount(i)) {
			m_remove(i);
			continue;
		}
		rival = *nodes[i].rival;
		m_remove(i);
		n = m_add(dir, rival.name, false);
		rival.seen = true;
		rival.mount = nodes[dir].mount;
		nodes[n] = rival;
	}
	nodes[dir].sweeping = false;
}

static int m_learn(int dir, const struct learn_record *r, uint64_t now_ms)
{
	size_t i;
	int n;

	if (!nodes[dir].used)
		return -ESTALE;
	if (!nodes[dir].dir)
		return -ENOTDIR;
	if (!nodes[dir].mount || (r->last && !r->first && !nodes[dir].sweeping))
		return -EINVAL;
	if (r->first) {
		nodes[dir].sweeping = true;
		for (n = 1; n < top; n++)
			if (nodes[n].used && nodes[n].parent == dir) {
				nodes[n].seen = false;
				m_drop_rival(n);
			}
	}
	for (i = 0; i < r->found.n; i++)
		m_learn_one(dir, r, &r->found.at[i]);
	if (r->last) {
		m_end_sweep(dir);
		nodes[dir].complete_ms = now_ms;
	}
	return 0;
}

static int m_forget(int dir, const struct forget_record *r)
{
	char name[16];
	size_t i;
	int n;

	if (!nodes[dir].used)
		return -ESTALE;
	if (!nodes[dir].dir)
		return -ENOTDIR;
	if (!nodes[dir].mount)
		return -EINVAL;
	for (i = 0; i < r->names.n; i++) {
		snprintf(name, sizeof(name), "%.*s", (int)r->names.at[i].len,
			 (const char *)r->names.at[i].ptr);
		n = m_child(dir, name);
		if (n && !nodes[n].mount_point)
			m_remove(n);
	}
	return 0;
}

static void m_made(int n, uint64_t now_ms)
{
	nodes[n].mode = S_IFDIR | 0755;
	nodes[n].mtime_ns = now_ms * 1000000;
	nodes[n].uid = 0;
	nodes[n].made = true;
}

/* Here the uri is the path's own, so it is the same one again, or "other". */
static int m_mount(const char *path, bool other, uint64_t now_ms)
{
	char copy[64], *name, *save;
	int n = 0, next, made = 0;

	strcpy(copy, path);
	for (name = strtok_r(copy, "/", &save); name;
	     name = strtok_r(NULL, "/", &save)) {
		if (!nodes[n].dir)
			return -ENOTDIR;
		next = m_child(n, name);
		if (!next) {
			next = m_add(n, name, true);
			m_made(next, now_ms);
			made++;
		}
		n = next;
	}
	if (!made) {
		if (nodes[n].mount_point && !other) {
			nodes[n].uid = 0;
			nodes[n].mode = S_IFDIR | 0755;
			return 0;
		}
		if (nodes[n].mount_point)
			return -EBUSY;
		if (!nodes[n].dir || nodes[n].mount)
			return -EEXIST;
		if (!m_empty(n))
			return -ENOTEMPTY;
		m_made(n, now_ms);
	}
	nodes[n].mount = (int)++last_mount;
	nodes[n].mount_point = true;
	return 0;
}

static int m_find(const char *path, int *found)
{
	char copy[64], *name, *save;
	int n = 0;

	strcpy(copy, path);
	for (name = strtok_r(copy, "/", &save); name;
	     name = strtok_r(NULL, "/", &save)) {
		if (!nodes[n].dir)
			return -ENOTDIR;
		n = m_child(n, name);
		if (!n)
			return -ENOENT;
	}
	*found = n;
	return 0;
}

static int m_unmount(const char *path)
{
	int n, i, up, rv = m_find(path, &n);

	if (rv)
		return rv;
	if (!nodes[n].mount_point)
		return -EINVAL;
	for (i = 1; i < top; i++)
		if (nodes[i].used && nodes[i].parent == n && nodes[i].dir &&
		    i != n && m_leads_to_mount(i))
			return -EBUSY;
	m_clear(n);
	nodes[n].mount = 0;
	nodes[n].mount_point = nodes[n].made = nodes[n].sweeping = false;
	nodes[n].complete_ms = 0;
	nodes[n].mode = S_IFDIR | 0755;
	nodes[n].uid = 0;
	if (n == 0)
		return 0;
	do {
		up = nodes[n].parent;
		m_remove(n);
		n = up;
	} while (n && nodes[n].made && m_empty(n) && !nodes[n].mount_point);
	nodes[n].complete_ms = 0;
	return 0;
}

/* The tree is the model's; ids that the model could not know are taken. */
static void compare_node(int n, uint64_t id, unsigned *count)
{
	const struct node *m = &nodes[n];
	struct inode_view v, w;
	uint64_t after = 0;
	char name[16];
	int child, rv;

	assert_int_equal(namespace_get(a.ns, id, &v), 0);
	++*count;
	if (!m->id)
		nodes[n].id = id;
	assert_int_equal(m->id, id);
	assert_int_equal(v.mode, m->mode);
	assert_int_equal(v.uid, m->uid);
	assert_int_equal(v.mtime_ns, m->mtime_ns);
	assert_int_equal(v.length, m->length);
	assert_int_equal(v.mount, m->mount);
	assert_int_equal(v.is_mount_point, m->mount_point);
	assert_int_equal(v.complete_ms, m->complete_ms);
	assert_int_equal(v.version.len, strlen(m->version));
	assert_memory_equal(v.version.ptr, m->version, v.version.len);
	assert_int_equal(v.target.len, strlen(m->target));
	if (!m->dir)
		return;
	while ((rv = namespace_next(a.ns, id, after, &w)) == 0) {
		snprintf(name, sizeof(name), "%.*s", (int)w.name.len,
			 (const char *)w.name.ptr);
		child = m_child(n, name);
		assert_int_not_equal(child, 0);
		assert_int_equal(w.parent, id);
		compare_node(child, w.id, count);
		after = w.id;
	}
	assert_int_equal(rv, -ENOENT);
}

static void compare(void)
{
	struct namespace_totals totals;
	unsigned count = 0, used = 0;
	int i;

	compare_node(0, NAMESPACE_ROOT, &count);
	for (i = 0; i < top; i++)
		used += nodes[i].used;
	assert_int_equal(count, used);
	namespace_totals(a.ns, &totals);
	assert_int_equal(totals.inodes, used);
	assert_int_equal(namespace_digest(a.ns), namespace_digest(b.ns));
}

/* The ids that appeared with the last command, parents first. */
static void take_ids(void)
{
	struct inode_view v;
	bool again = true;
	int i;

	while (again) {
		again = false;
		for (i = 1; i < top; i++) {
			if (!nodes[i].used || nodes[i].id)
				continue;
			again = true;
			if (!nodes[nodes[i].parent].id)
				continue;
			assert_int_equal(
				namespace_child(a.ns, nodes[nodes[i].parent].id,
						nodes[i].name,
						strlen(nodes[i].name), &v),
				0);
			nodes[i].id = v.id;
		}
	}
}

/* The same stale ids, in any order; 0 is one that came and went within the
 * command. */
static void compare_stale(void)
{
	unsigned i;

	assert_int_equal(a.res.n_stale, n_stale);
	for (i = 0; i < n_stale; i++)
		if (stale[i])
			assert_true(tree_stale(&a, stale[i]));
}

/* Applies it to both namespaces; a retry now and then, which changes nothing.
 */
static void apply(struct journal_record *r, int want)
{
	r->stamp.client = rnd(3);
	r->stamp.time_ms = a.now_ms;
	r->stamp.sequence = a.sequence++;
	namespace_apply(a.ns, r, &a.res);
	assert_int_equal(a.res.code, want);
	compare_stale();
	namespace_apply(b.ns, r, &b.res);
	assert_int_equal(b.res.code, want);
	assert_int_equal(a.res.id, b.res.id);
	if (r->stamp.client && rnd(4) == 0) {
		namespace_apply(a.ns, r, &a.res);
		namespace_apply(b.ns, r, &b.res);
		assert_int_equal(a.res.code, want);
		assert_int_equal(a.res.id, b.res.id);
		assert_int_equal(a.res.n_stale, 0);
	}
	take_ids();
}

static const char *random_name(char name[16])
{
	if (rnd(10) < 7)
		snprintf(name, 16, "%c", 'a' + (char)rnd(4));
	else
		snprintf(name, 16, "file-%03u", rnd(40));
	return name;
}

static void random_path(char path[64])
{
	unsigned depth = rnd(20) ? 1 + rnd(3) : 0;

	strcpy(path, depth ? "" : "/");
	while (depth--)
		snprintf(path + strlen(path), 64 - strlen(path), "/%c",
			 'a' + (char)rnd(4));
}

/* Mostly a directory that is there, in a mount. */
static int random_dir(void)
{
	int i, tries;

	for (tries = 0; tries < 200; tries++) {
		i = (int)rnd((uint32_t)top);
		if (nodes[i].used && nodes[i].dir && nodes[i].mount)
			return i;
	}
	return (int)rnd(top < 64 ? (uint32_t)top : 64);
}

/* Deep down there are only files, else the model's array would not do. */
static bool deep(int n)
{
	return nodes[n].parent && nodes[nodes[n].parent].parent;
}

static void do_learn(void)
{
	static const char versions[][4] = { "v1", "v2", "", "v3" };
	struct journal_record r = { .type = JOURNAL_learn };
	int dir = random_dir();
	char names[40][16];
	struct found f[40];
	unsigned i, n = rnd(10) ? rnd(6) : rnd(40);

	for (i = 0; i < n; i++) {
		unsigned type = deep(dir) ? 3 + rnd(7) : rnd(10);

		random_name(names[i]);
		f[i] = (struct found){ .name = { names[i], strlen(names[i]) },
				       .uid = rnd(3),
				       .length = rnd(2),
				       .mtime_ns = rnd(3) };
		f[i].mode = type < 3   ? S_IFDIR | 0755
			    : type < 4 ? S_IFLNK | 0777
				       : S_IFREG | 0644;
		if (S_ISREG(f[i].mode))
			f[i].version =
				(schema_bytes){ versions[i & 3],
						strlen(versions[i & 3]) };
		if (S_ISLNK(f[i].mode))
			f[i].target = (schema_bytes){ "here", 3 + rnd(2) };
		if (S_ISDIR(f[i].mode))
			f[i].length = 0;
	}
	r.learn.dir = nodes[dir].id;
	r.learn.found.at = f;
	r.learn.found.n = n;
	r.learn.first = rnd(4) == 0;
	r.learn.last = rnd(4) == 0;
	if (!r.learn.dir)
		return; /* the model never had it */
	apply(&r, m_learn(dir, &r.learn, a.now_ms));
}

static void do_forget(void)
{
	struct journal_record r = { .type = JOURNAL_forget };
	int dir = random_dir();
	schema_bytes list[3];
	char names[3][16];
	unsigned i;

	for (i = 0; i < 3; i++) {
		random_name(names[i]);
		list[i] = (schema_bytes){ names[i], strlen(names[i]) };
	}
	r.forget.dir = nodes[dir].id;
	r.forget.names.at = list;
	r.forget.names.n = rnd(4);
	if (!r.forget.dir)
		return;
	apply(&r, m_forget(dir, &r.forget));
}

static void do_mount(void)
{
	struct journal_record r = { .type = JOURNAL_mount };
	bool other = rnd(4) == 0;
	char path[64];

	random_path(path);
	r.mount.path = (schema_str){ path, strlen(path) };
	r.mount.uri = other ? (schema_str){ "s3://other", 10 }
			    : (schema_str){ "s3://same", 9 };
	/* A mount of the other kind never is: only the same is taken. */
	if (other) {
		int n;

		if (m_find(path, &n) || !nodes[n].mount_point)
			return;
	}
	apply(&r, m_mount(path, other, a.now_ms));
}

static void do_unmount(void)
{
	struct journal_record r = { .type = JOURNAL_unmount };
	char path[64];

	random_path(path);
	r.unmount.path = (schema_str){ path, strlen(path) };
	apply(&r, m_unmount(path));
}

static void step(void)
{
	unsigned what = rnd(100);

	n_stale = 0;
	if (rnd(4) == 0)
		a.now_ms += rnd(100);
	if (what < 6)
		do_mount();
	else if (what < 9)
		do_unmount();
	else if (what < 25)
		do_forget();
	else
		do_learn();
}

static void the_tree_is_the_model(void **state ATTR_UNUSED)
{
	unsigned steps = 120000, i;
	const char *s;

	seed = (s = getenv("SEED")) ? strtoull(s, NULL, 10) : 20261123;
	if ((s = getenv("STEPS")))
		steps = (unsigned)strtoul(s, NULL, 10);
	tree_open(&a, TREE_ARENA);
	tree_open(&b, TREE_ARENA);
	nodes[0] = (struct node){ .used = true,
				  .dir = true,
				  .mode = S_IFDIR | 0755,
				  .id = NAMESPACE_ROOT };
	for (i = 0; i < steps; i++) {
		step();
		if (i % 250 == 0)
			compare();
		if (i % 1000 == 0)
			namespace_check(a.ns);
		if (i % 2500 == 0)
			tree_reopen(&a, TREE_ARENA);
	}
	compare();
	for (i = 0; i < (unsigned)top; i++)
		m_drop_rival((int)i);
	tree_close(&a);
	tree_close(&b);
}

TEST_MAIN(TEST(the_tree_is_the_model))
