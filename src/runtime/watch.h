/*
 * A descriptor watched on a loop of libuv: for the libraries that bring their
 * own (curl_multi, libmicrohttpd, libfuse) and for rpc's sockets, so that they
 * need no libuv.  A simulated loop has none; what uses it is not part of a
 * simulated cluster, or has a fake there (fake_ufs).
 */
#pragma once

#include "runtime/loop.h"

struct watch;

enum { WATCH_READ = 1, WATCH_WRITE = 2, WATCH_ERROR = 4 };

typedef void (*watch_fn)(void *owner, int fd, unsigned events);

/* Watches nothing until watch_set().  The descriptor stays the caller's. */
struct watch *watch_new(struct loop *l, int fd, watch_fn ready, void *owner);
void watch_set(struct watch *w, unsigned events); /* 0: none for now */
void watch_free(struct watch *w); /* inside `ready` too; none comes after */

/* Calls `flush` at the end of each turn, before the loop sleeps: for who
 * gathers small writes into one.  It is not called for the sake of itself: a
 * turn with nothing to do may never end. */
struct turn_end;
struct turn_end *turn_end_new(struct loop *l, void (*flush)(void *owner),
			      void *owner);
void turn_end_free(struct turn_end *t);
