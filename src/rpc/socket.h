/*
 * Sockets by address: what transport_real.c needs of the kernel, and no more.
 *
 * Addresses as in rpc/transport.h.  Every descriptor is non-blocking and closed
 * on exec.  Functions return a descriptor or a negative code.
 */
#pragma once

#include <netdb.h>
#include <stdbool.h>

#include "base/err.h"
#include "rpc/transport.h"

#define SOCKET_BOUND_LEN 300

/* The path of "unix:PATH"; NULL for any other address. */
const char *socket_unix_path(const char *address);

/* Resolves "HOST:PORT"; blocks, unless only `numeric` hosts are taken.  *out is
 * for freeaddrinfo(). */
int socket_resolve(const char *address, bool numeric, bool passive,
		   struct addrinfo **out, struct err *err) MUST_CHECK;

/* A socket file that nobody listens on any more is replaced.  `bound` (of
 * SOCKET_BOUND_LEN, or NULL) gets the address as others reach it. */
int socket_listen(const char *address, char *bound, struct err *err) MUST_CHECK;

/* -EINPROGRESS is no failure: then *fd becomes writable. */
int socket_connect_unix(const char *path, int *fd) MUST_CHECK;
int socket_connect_tcp(const struct addrinfo *to, int *fd) MUST_CHECK;

/* Small frames go at once, and a host that vanished is noticed. */
void socket_tune(int fd);

/* Who is at the other end of a connected socket. */
void socket_peer(int fd, struct peer *out);

/* Like recv(); a descriptor that came over a local one is the caller's, *fd is
 * -1 if there was none. */
ssize_t socket_receive(int sock, bool local, void *to, size_t len, int *fd);
