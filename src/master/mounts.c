#include "master/mounts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void mounts_init(struct mounts *m, const struct storage_env *env,
		 const uint8_t *key)
{
	*m = (struct mounts){ .env = *env, .has_key = key != NULL };
	if (key)
		secret_derive(key, "options", m->key);
	map_init(&m->by_id);
}

void mounts_end(struct mounts *m)
{
	struct map_slot *slot;
	size_t at = 0;

	while ((slot = map_next(&m->by_id, &at)))
		storage_put(slot->value);
	map_close(&m->by_id);
	secret_wipe(m->key, sizeof(m->key));
}

void mounts_forget(struct mounts *m, uint32_t id)
{
	struct storage *s = map_remove(&m->by_id, id);

	if (s)
		storage_put(s);
}

/* The value in clear: the caller's. */
static int clear_value(const struct mounts *m, const char *key,
		       const struct mount_option *o, char **out,
		       struct err *err)
{
	char *value;

	if (o->sealed.len == 0) {
		*out = mem_strn(o->value.ptr, o->value.len);
		return 0;
	}
	if (o->sealed.len < SECRET_OVERHEAD)
		return err_set(err, -EBADMSG, "option %s: not sealed by us",
			       key);
	if (!m->has_key)
		return err_set(err, -EACCES,
			       "option %s is sealed, and there is no cluster "
			       "key",
			       key);
	value = mem_alloc(o->sealed.len - SECRET_OVERHEAD + 1);
	if (secret_open(m->key, key, o->sealed.ptr, o->sealed.len, value)) {
		free(value);
		return err_set(err, -EBADMSG,
			       "option %s is sealed with another cluster key",
			       key);
	}
	*out = value;
	return 0;
}

static void wipe(struct ufs_option *options, size_t n)
{
	size_t i;
	char *value;

	for (i = 0; i < n; i++) {
		value = (char *)(uintptr_t)options[i].value;
		if (value)
			secret_wipe(value, strlen(value));
		free(value);
		free((char *)(uintptr_t)options[i].key);
	}
	free(options);
}

int mounts_open(struct mounts *m, const schema_str *uri,
		const struct mount_option *options, size_t n,
		const struct storage_look *look, struct storage **out,
		struct err *err)
{
	struct ufs_option *clear = mem_array(n ? n : 1, sizeof(*clear));
	char *key, *value, *uri_text;
	int rv = 0;
	size_t i;

	for (i = 0; i < n && !rv; i++) {
		key = mem_strn(options[i].key.ptr, options[i].key.len);
		value = NULL;
		rv = clear_value(m, key, &options[i], &value, err);
		clear[i].key = key;
		clear[i].value = value;
	}
	if (!rv) {
		uri_text = mem_strn(uri->ptr, uri->len);
		*out = storage_new(&m->env, uri_text, clear, (unsigned)n, look);
		free(uri_text);
	}
	wipe(clear, n);
	return rv;
}

int mounts_storage(struct mounts *m, const struct namespace *ns, uint32_t id,
		   struct storage **out, struct err *err)
{
	struct mount_option *options;
	struct storage_look look;
	struct mount_view v;
	uint32_t i;
	int rv;

	*out = map_get(&m->by_id, id);
	if (*out)
		return 0;
	rv = namespace_mount(ns, id, &v);
	if (rv)
		return err_set(err, rv, "the mount is gone");
	options = mem_array(v.n_options ? v.n_options : 1, sizeof(*options));
	for (i = 0; i < v.n_options; i++)
		namespace_mount_option(ns, id, i, &options[i]);
	look = (struct storage_look){ v.uid, v.gid, v.umask };
	rv = mounts_open(m, &v.uri, options, v.n_options, &look, out, err);
	free(options);
	if (!rv)
		map_put(&m->by_id, id, *out);
	return rv;
}
