/*
 * A loop of libuv that clients can use: with rpc's transport on it, so that
 * fuse/ and cli/ need not know of either.
 */

#pragma once

#include "runtime/loop.h"

struct loop *client_loop_new(void);
void client_loop_free(struct loop *l); /* its clients are closed */
