/*
 * The cluster key, and what is derived from it.
 *
 * The key is 32 bytes in a file (64 hexadecimal digits, 0600).  Storage keys
 * are sealed under a key derived from it (HKDF-SHA-256, RFC 5869; AES-256-GCM,
 * a random 12-byte nonce in front, 16 bytes of tag behind), bound to a context
 * string so that a sealed value cannot be moved elsewhere.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define SECRET_KEY_LEN  32
#define SECRET_OVERHEAD 28 /* bytes that sealing adds */

/* Reads the key; with `create`, makes a file that does not exist (never over
 * another's: exclusive, then renamed).  Refuses one that others may read. */
int secret_key_load(uint8_t key[SECRET_KEY_LEN], const char *file, bool create,
		    struct err *err) MUST_CHECK;

/* 32 bytes for one purpose: "options", "handshake". */
void secret_derive(const uint8_t key[SECRET_KEY_LEN], const char *purpose,
		   uint8_t out[SECRET_KEY_LEN]);

/* `out` has room for len + SECRET_OVERHEAD. */
void secret_seal(const uint8_t key[SECRET_KEY_LEN], const char *context,
		 const void *plain, size_t len, uint8_t *out);
/* `out` has room for len - SECRET_OVERHEAD; -EBADMSG: another key, or not ours.
 */
int secret_open(const uint8_t key[SECRET_KEY_LEN], const char *context,
		const void *sealed, size_t len, void *out) MUST_CHECK;

/* HMAC-SHA-256. */
void secret_mac(const uint8_t key[SECRET_KEY_LEN], const void *data, size_t len,
		uint8_t out[32]);
/* In constant time. */
bool secret_equal(const void *a, const void *b, size_t len);
void secret_random(void *out, size_t len);
void secret_wipe(void *p, size_t len);
