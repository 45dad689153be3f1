/*
 * Files of the source tree that are made from tables of the program: a test
 * holds them to the table, and with UPDATE=1 in the environment (`make doc`)
 * writes them anew.  Names are relative to $top_srcdir.
 */
#pragma once

/* The path of a file, good until the next call. */
const char *committed_path(const char *name);

/* Its content, empty if it is not there; the caller frees it. */
char *committed_read(const char *name);

/* Fails the test if it is not `wanted`. */
void committed_compare(const char *name, const char *wanted);
