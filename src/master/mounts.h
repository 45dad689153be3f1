/*
 * The under-storages of the mounts, opened when first asked for.
 *
 * Sealed options are opened with the cluster key here and nowhere else, only to
 * be handed to the driver; they never appear in an error.  Master's loop.
 */
#pragma once

#include "base/map.h"
#include "core/namespace.h"
#include "master/storage.h"
#include "runtime/secret.h"

struct mounts {
	struct storage_env env;
	uint8_t key[SECRET_KEY_LEN]; /* for options */
	bool has_key;
	struct map by_id; /* struct storage */
};

/* `key`: the cluster's, or NULL. */
void mounts_init(struct mounts *m, const struct storage_env *env,
		 const uint8_t *key);
void mounts_end(struct mounts *m);

/* The storage of a mount; the mounts' own, storage_get() to keep it. */
int mounts_storage(struct mounts *m, const struct namespace *ns, uint32_t id,
		   struct storage **out, struct err *err) MUST_CHECK;

/* The mount is gone or has other options: what was opened is let go. */
void mounts_forget(struct mounts *m, uint32_t id);

/* A storage by itself, as a mount would have it; one reference. */
int mounts_open(struct mounts *m, const schema_str *uri,
		const struct mount_option *options, size_t n,
		const struct storage_look *look, struct storage **out,
		struct err *err) MUST_CHECK;
