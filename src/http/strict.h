/*
 * Requests that libmicrohttpd 0.9.75 lets through and must not be served: its
 * parser is lax, and a proxy before us might see another request than we do.
 * RFC 9112, sections 5 and 6; RFC 9110, section 5.6.2.
 * One thing is not to be seen here: a NUL in a header's value ends the value.
 */
#pragma once

struct MHD_Connection;

/* The status to refuse with, or 0; *why is a constant sentence. */
unsigned http_strict_refusal(struct MHD_Connection *conn, const char **why);
