/*
 * Mount options: which of them are secrets.
 *
 * A secret is sealed where it is given (runtime/secret.h), and from then on no
 * log, listing, error or journal shows it.
 */

#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Judged by the name, so that a key nobody has thought of is sealed too:
 * anything that speaks of a key, secret, token, password or credential, except
 * what names a file. */
bool option_is_secret(const char *key, size_t len);
