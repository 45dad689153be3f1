/*
 * From a command line of roles to running processes: in this process, under the
 * supervisor, or as one of its children.
 */
#pragma once

#include "runtime/command.h"
#include "runtime/role.h"

/* Runs a role in this process; its exit status. */
typedef int (*start_role_fn)(const char *role, const struct role_env *env);

/* Until everything has ended; the exit status of the process. */
int start_roles(const struct command *c, start_role_fn run);

/* In a child of the supervisor. */
int start_child(const struct command *c, start_role_fn run);
