/*
 * An HTTP server that says what it was told to, on a loop of libuv: for what no
 * real server would do.
 *
 * Each request takes the next answer that was queued, whatever it asks for;
 * when there is none it waits, until http_fake_answer() or the end.
 */

#pragma once

#include <stdbool.h>

struct loop;
struct http_fake;

struct http_fake *http_fake_new(struct loop *l);
void http_fake_free(struct http_fake *f);
int http_fake_port(const struct http_fake *f);

/* Queues an answer as it goes on the wire; `hang_up` closes after it. */
void http_fake_answer(struct http_fake *f, const char *raw, bool hang_up);

unsigned http_fake_accepted(const struct http_fake *f); /* connections */
unsigned http_fake_requests(const struct http_fake *f);
unsigned http_fake_waiting(const struct http_fake *f);
/* The head of the last request, and its body; all of them so far. */
const char *http_fake_head(const struct http_fake *f);
const char *http_fake_all(const struct http_fake *f);
