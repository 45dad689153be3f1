/*
 * The table of commands, from which come help, manual pages, completion, and
 * what is refused as misuse.  Private to cli/.
 */

#pragma once

#include "cli/cli.h"

/* Letters of the options that every command has. */
enum { OPT_MASTER = 300, OPT_STATE, OPT_CONFIG, OPT_JSON, OPT_HELP };

/* Letters of options that have only a name. */
enum { OPT_SORT = 400, OPT_REPLACE, OPT_STOP, OPT_FORMAT, OPT_VERBOSE };

extern const struct cli_flag cli_common[];
extern const struct cli_command cli_commands[]; /* ends with a NULL group */

/* NULL: there is none. */
const struct cli_command *cli_find(const char *group, const char *name);

void cli_help_command(FILE *out, const struct cli_command *c);
void cli_help_group(FILE *out, const char *group);

int cmd_help(struct cli *cli, int argc, char **argv);
