/*
 * The command line of roles: acached --role=LIST [OPTION...] [MOUNTPOINT
 * [PATH]], from words to a struct, and to the words of a child.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"

enum { COMMAND_MAX_ROLES = 3 };

struct command {
	const char *roles[COMMAND_MAX_ROLES]; /* in the order of the table */
	unsigned n_roles;
	const char *config; /* file or NULL */
	/* --set, and what --state and --master mean; NULL-terminated. */
	char **sets;
	unsigned n_sets;
	const char *ufs;    /* a URI, or NULL */
	char **ufs_options; /* "KEY=VALUE": secrets! */
	unsigned n_ufs_options;
	const char *option_file; /* of --ufs, or NULL */
	char *mount_options;     /* of all -o, with commas between */
	bool background;
	const char *mountpoint, *path; /* NULL, "/" */

	/* For children of the supervisor only. */
	const char *child; /* a role, or NULL */
	const char *log;   /* file or NULL: standard error */
	unsigned starts;
};

/* The roles that there are, in the order in which they start. */
struct command_roles {
	const char *const *names;
	unsigned n;
};

/*
 * -EINVAL and a sentence if it is misused.  The strings are argv's, but for
 * those that are not const.
 */
int command_parse(struct command *c, const struct command_roles *roles,
		  int argc, char **argv, struct err *err) MUST_CHECK;
void command_close(struct command *c);

bool command_has_role(const struct command *c, const char *role);

/* The words that start `role` as a child, with the mountpoint resolved; free
 * each and the array. */
char **command_child_argv(const struct command *c, const char *role,
			  const char *log, const char *mountpoint);

/* The lines of --help about options. */
void command_help(FILE *out);

/* What could stand for the last of these words (without the program's name), a
 * line each: for completion. */
void command_complete(FILE *out, const struct command_roles *roles, int argc,
		      char **argv);

/*
 * Copies argv and overwrites, in the old one, the values of all options given
 * by --option: /proc/PID/cmdline shows them no longer.
 */
char **command_take_argv(int argc, char **argv);
void command_free_argv(char **argv);
