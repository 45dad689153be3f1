/*
 * What waits to be sent over one socket: many small writes go out in one
 * message, files by sendfile, descriptors with the first byte of their write.
 */
#pragma once

#include <stdbool.h>

#include "rpc/transport.h"

struct send_queue {
	int fd;             /* non-blocking; -1: not yet */
	bool full;          /* the socket takes no more for now */
	struct list writes; /* not yet sent */
	struct list sent;   /* not yet told so */
	uint64_t done;      /* bytes of the first write that are sent */
};

void send_queue_init(struct send_queue *q, int fd);
void send_queue_push(struct send_queue *q, struct connection_write *w);

/* Sends until there is nothing left, or no room in the socket (`full`), or an
 * error, which it returns.  Calls nobody back. */
int send_queue_flush(struct send_queue *q);

/* Calls `sent` of what has been sent; of all, with `code` for the rest.  The
 * queue may be pushed to inside. */
void send_queue_tell_sent(struct send_queue *q);
void send_queue_end(struct send_queue *q, int code);
