/* Under-storages by mount, opened with the options that the master keeps. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/secret.h"
#include "worker/state.h"

#define LOG_MODULE "worker"
#include "runtime/log.h"

/* A mount that refuses is not asked about more often. */
#define RECHECK_MS 5000

static uint64_t digest(uint64_t d, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	size_t i;

	for (i = 0; i < len; i++)
		d = (d ^ at[i]) * UINT64_C(0x100000001b3);
	return (d ^ len) * UINT64_C(0x100000001b3);
}

/* Sealed values differ each time they are sealed: a mount that is given the
 * same keys again is opened again, which does no harm. */
static uint64_t digest_mount(const struct mount_info *m)
{
	uint64_t d =
		digest(UINT64_C(0xcbf29ce484222325), m->uri.ptr, m->uri.len);
	const struct mount_option *o;

	for (o = m->options.at; o < m->options.at + m->options.n; o++) {
		d = digest(d, o->key.ptr, o->key.len);
		d = digest(d, o->value.ptr, o->value.len);
		d = digest(d, o->sealed.ptr, o->sealed.len);
	}
	return d;
}

static void free_options(struct ufs_option *options, unsigned n)
{
	char *value;
	unsigned i;

	for (i = 0; i < n; i++) {
		value = (char *)(uintptr_t)options[i].value;
		secret_wipe(value, strlen(value));
		free(value);
		free((char *)(uintptr_t)options[i].key);
	}
	free(options);
}

/* The value in clear, the caller's. */
static int unseal(struct worker *w, const struct mount_option *o,
		  const char *key, char **out, struct err *err)
{
	uint8_t purpose[SECRET_KEY_LEN];
	int rv;

	if (o->sealed.len < SECRET_OVERHEAD || !w->identity.key)
		return err_set(err, -EACCES,
			       "option %s: no cluster key opens it", key);
	*out = mem_alloc(o->sealed.len - SECRET_OVERHEAD + 1);
	secret_derive(w->identity.key, "options", purpose);
	rv = secret_open(purpose, key, o->sealed.ptr, o->sealed.len, *out);
	secret_wipe(purpose, sizeof(purpose));
	if (!rv)
		return 0;
	free(*out);
	return err_set(err, rv, "option %s is sealed with another cluster key",
		       key);
}

static int clear_options(struct worker *w, const struct mount_info *m,
			 struct ufs_option *options, unsigned *n,
			 struct err *err)
{
	const struct mount_option *o;
	char *key, *value = NULL;
	int rv;

	for (*n = 0; *n < m->options.n; ++*n) {
		o = &m->options.at[*n];
		key = mem_strn(o->key.ptr, o->key.len);
		rv = 0;
		if (o->sealed.len)
			rv = unseal(w, o, key, &value, err);
		else
			value = mem_strn(o->value.ptr, o->value.len);
		if (rv) {
			free(key);
			return rv;
		}
		options[*n] = (struct ufs_option){ key, value };
	}
	return 0;
}

static int open_ufs(struct worker *w, const struct mount_info *m,
		    struct ufs **out, struct err *err)
{
	struct ufs_env env = {
		.loop = w->loop,
		.pool = w->o.pool,
		.own = w->o.own,
	};
	struct ufs_option *options = mem_array(m->options.n, sizeof(*options));
	char *uri = mem_strn(m->uri.ptr, m->uri.len);
	unsigned n = 0;
	int rv;

	rv = clear_options(w, m, options, &n, err);
	env.options = options;
	env.n_options = n;
	if (!rv)
		rv = (w->o.open_ufs ? w->o.open_ufs : ufs_open)(out, &env, uri,
								err);
	free_options(options, n);
	free(uri);
	return rv;
}

static void free_mount(struct mount *m)
{
	m->ufs->ops->close(m->ufs);
	free(m);
}

static void retire(struct mount *m)
{
	m->gone = true;
	if (m->users == 0)
		free_mount(m);
}

/* A mount as the master has it now. */
static void learn(struct worker *w, const struct mount_info *info)
{
	struct mount *old = map_get(&w->mounts.by_id, info->id), *m;
	uint64_t d = digest_mount(info);
	struct err err = { 0 };
	struct ufs *ufs;

	if (old && old->digest == d)
		return;
	if (open_ufs(w, info, &ufs, &err)) {
		log_warn("mount not usable", "path=%.*s error=\"%s\"",
			 (int)info->path.len, info->path.ptr, err.msg);
		return;
	}
	m = mem_alloc(sizeof(*m));
	*m = (struct mount){ .id = info->id, .ufs = ufs, .digest = d };
	map_put(&w->mounts.by_id, m->id, m);
	if (old)
		retire(old);
}

static void answer(struct worker *w, struct mount_wait *wait, int code,
		   const struct err *err)
{
	struct mount *m = map_get(&w->mounts.by_id, wait->id);
	struct err none = { 0 };

	if (m) {
		m->users++;
		wait->done(wait, m, 0, NULL);
		return;
	}
	if (!code) {
		code = err_set(&none, -ENODEV,
			       "mount %u is gone or not usable here", wait->id);
		err = &none;
	}
	wait->done(wait, NULL, code, err);
}

static void begin_asking(struct worker *w);

static void on_mounts(struct upcall *call, int code, const void *reply)
{
	struct worker *w = call->w;
	const struct mounts_reply *r = reply;
	struct list waiting, *link;
	size_t i;

	for (i = 0; !code && i < r->mounts.n; i++)
		learn(w, &r->mounts.at[i]);
	w->mounts.asking = false;
	if (code) /* with the next heartbeat */
		w->control.mounts = 0;
	list_take(&waiting, &w->mounts.waiting);
	while ((link = list_pop_front(&waiting)))
		answer(w, list_entry(link, struct mount_wait, link), code,
		       &call->pending.err);
	if (w->mounts.changed && !code && !w->stopping)
		begin_asking(w);
}

static void begin_asking(struct worker *w)
{
	const struct mounts_request req = { .keys = true };

	if (w->mounts.asking)
		return;
	w->mounts.asking = true;
	w->mounts.changed = false;
	master_ask(w, RPC_MASTER_METHOD(mounts), &w->mounts.call, &req,
		   on_mounts);
}

static void ask(struct worker *w, struct mount_wait *wait)
{
	list_push_back(&w->mounts.waiting, &wait->link);
	begin_asking(w);
}

void mounts_changed(struct worker *w)
{
	if (w->mounts.by_id.used == 0 && !w->mounts.asking)
		return;
	w->mounts.changed = true;
	begin_asking(w);
}

void mount_get(struct worker *w, struct mount_wait *wait, uint32_t id)
{
	wait->id = id;
	if (map_get(&w->mounts.by_id, id))
		answer(w, wait, 0, NULL);
	else
		ask(w, wait);
}

bool mount_refresh(struct worker *w, struct mount_wait *wait, uint32_t id)
{
	struct mount *m = map_get(&w->mounts.by_id, id);
	uint64_t now = loop_now_ms(w->loop);

	if (m && now < m->checked_ms + RECHECK_MS)
		return false;
	if (m)
		m->checked_ms = now;
	wait->id = id;
	ask(w, wait);
	return true;
}

void mount_put(struct mount *m)
{
	if (--m->users == 0 && m->gone)
		free_mount(m);
}

static void forget(struct worker *w, uint32_t id)
{
	retire(map_remove(&w->mounts.by_id, id));
}

void mounts_doubt_all(struct worker *w)
{
	struct map_slot *slot;
	size_t at = 0;

	while ((slot = map_next(&w->mounts.by_id, &at))) {
		forget(w, (uint32_t)slot->key);
		at = 0;
	}
}

void mounts_close(struct worker *w)
{
	struct map_slot *slot;
	size_t at = 0;

	while ((slot = map_next(&w->mounts.by_id, &at)))
		free_mount(slot->value);
	map_close(&w->mounts.by_id);
}
