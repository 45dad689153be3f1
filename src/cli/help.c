/* Help, manual pages and completion, from the table of commands. */

#include <ctype.h>
#include <string.h>

#include "cli/commands.h"

#define WIDTH 79

/* Prints words in lines of WIDTH; for a manual page what roff would take for
 * its own is escaped. */
static void wrap(FILE *out, const char *text, bool roff)
{
	size_t len, column = 0;
	const char *c;

	for (; *text; text += len + strspn(text + len, " ")) {
		len = strcspn(text, " ");
		if (column && column + 1 + len > WIDTH) {
			fputc('\n', out);
			column = 0;
		}
		if (column)
			fputc(' ', out);
		for (c = text; c < text + len; c++)
			fprintf(out,
				roff && (*c == '-' || *c == '\\') ? "\\%c"
								  : "%c",
				*c);
		column += len + (column > 0);
	}
	fputc('\n', out);
}

/* Help. */

static void print_flags(FILE *out, const struct cli_flag *flags)
{
	char left[64];

	for (; flags->letter; flags++) {
		snprintf(left, sizeof(left), "%s%.1s%s%s%s%s%s",
			 flags->letter < 256 ? "-" : "",
			 flags->letter < 256
				 ? (const char[]){ (char)flags->letter, '\0' }
				 : "",
			 flags->letter < 256 && flags->name ? ", " : "",
			 flags->name ? "--" : "",
			 flags->name ? flags->name : "", flags->arg ? " " : "",
			 flags->arg ? flags->arg : "");
		fprintf(out, "  %-32s %s\n", left, flags->help);
	}
}

void cli_help_command(FILE *out, const struct cli_command *c)
{
	fprintf(out, "usage: acached %s %s [OPTION...]%s%s\n%s\n\n", c->group,
		c->name, *c->synopsis ? " " : "", c->synopsis, c->summary);
	if (c->details) {
		wrap(out, c->details, false);
		fputc('\n', out);
	}
	print_flags(out, c->flags);
	print_flags(out, cli_common);
}

void cli_help_group(FILE *out, const char *group)
{
	const struct cli_command *c;

	fprintf(out, "usage: acached %s COMMAND [OPTION...] [ARGUMENT...]\n\n",
		group);
	for (c = cli_commands; c->group; c++)
		if (strcmp(c->group, group) == 0)
			fprintf(out, "  %-16s %-12s %s\n", c->name, c->synopsis,
				c->summary);
	fputs("\nFor all of them:\n", out);
	print_flags(out, cli_common);
}

static json_t *commands_json(const char *group, const struct cli_command *only)
{
	json_t *all = json_array();
	const struct cli_command *c;

	for (c = cli_commands; c->group; c++)
		if (strcmp(c->group, group) == 0 && (!only || c == only))
			json_array_append_new(
				all,
				json_pack("{s:s, s:s, s:s}", "command", c->name,
					  "arguments", c->synopsis, "summary",
					  c->summary));
	return all;
}

int cmd_help(struct cli *cli, int argc, char **argv)
{
	const struct cli_command *c =
		argc ? cli_find(cli->group, argv[0]) : NULL;

	if (argc && !c)
		return cli_misuse(cli, "no such command: \"%s\"", argv[0]);
	if (cli->json)
		return cli_print_json(cli, commands_json(cli->group, c));
	if (c)
		cli_help_command(cli->out, c);
	else
		cli_help_group(cli->out, cli->group);
	return CLI_DONE;
}

/* Manual pages: acached-fs(1), acached-admin(1). */

/* A sentence: `text` with a capital and a full stop. */
static void man_sentence(FILE *out, const char *text)
{
	char line[256];

	snprintf(line, sizeof(line), "%c%s.", toupper((unsigned char)text[0]),
		 text + 1);
	wrap(out, line, true);
}

static void man_flags(FILE *out, const struct cli_flag *f)
{
	for (; f->letter; f++) {
		fputs(".TP\n", out);
		if (f->letter < 256)
			fprintf(out, "\\fB\\-%c\\fR%s", f->letter,
				f->name ? ", " : "");
		if (f->name) {
			fputs("\\fB\\-\\-", out);
			for (const char *c = f->name; *c; c++)
				fprintf(out, *c == '-' ? "\\%c" : "%c", *c);
			fputs("\\fR", out);
		}
		if (f->arg)
			fprintf(out, " \\fI%s\\fR", f->arg);
		fputc('\n', out);
		man_sentence(out, f->help);
	}
}

static void man_command(FILE *out, const struct cli_command *c)
{
	fprintf(out, ".SS %s%s%s%s\n", c->name,
		c->flags->letter ? " [OPTION...]" : "", *c->synopsis ? " " : "",
		c->synopsis);
	man_sentence(out, c->summary);
	if (c->details)
		wrap(out, c->details, true);
	man_flags(out, c->flags);
}

int cli_man(FILE *out, const char *group)
{
	const struct cli_command *c;

	fprintf(out,
		".\\\" from the table of src/cli/commands.c: make doc\n"
		".TH ACACHED\\-%s 1 \"\" acached \"User commands\"\n"
		".SH NAME\nacached\\-%s \\- %s\n"
		".SH SYNOPSIS\n.B acached %s\n.I COMMAND\n"
		".RI [ OPTION \\&...]\n.RI [ ARGUMENT \\&...]\n"
		".SH DESCRIPTION\n",
		strcmp(group, "fs") == 0 ? "FS" : "ADMIN", group,
		strcmp(group, "fs") == 0 ? "work with files of acached"
					 : "run a cluster of acached",
		group);
	fputs("How a path is written, and how the cluster is found, is in\n"
	      ".BR acached (1).\n.SH COMMANDS\n",
	      out);
	for (c = cli_commands; c->group; c++)
		if (strcmp(c->group, group) == 0)
			man_command(out, c);
	fputs(".SH OPTIONS OF ALL COMMANDS\n", out);
	man_flags(out, cli_common);
	fputs(".SH EXIT STATUS\n0 done, 1 failed, 2 misused, 3 partly done.\n"
	      "A failure is one line on standard error: the command, the path, "
	      "and why;\nwith\n.B \\-\\-json\nalso {\"error\": ...} on "
	      "standard "
	      "output.\n.SH SEE ALSO\n",
	      out);
	fprintf(out, ".BR acached (1),\n.BR acached\\-%s (1)\n",
		strcmp(group, "fs") == 0 ? "admin" : "fs");
	return CLI_DONE;
}

/* Completion. */

static void complete_flags(FILE *out, const struct cli_flag *flags,
			   const char *begin)
{
	for (; flags->letter; flags++)
		if (flags->name &&
		    strncmp(flags->name, begin, strlen(begin)) == 0)
			fprintf(out, "--%s\n", flags->name);
}

/* Of "a|b|c", which ends at one of `ends`. */
static void complete_choice(FILE *out, const char *choices, const char *ends,
			    const char *begin)
{
	const char *end = choices + strcspn(choices, ends);
	size_t len;

	for (; choices < end; choices += len + 1) {
		len = strcspn(choices, "|");
		if (len > (size_t)(end - choices))
			len = (size_t)(end - choices);
		if (strncmp(choices, begin, strlen(begin)) == 0 &&
		    strlen(begin) <= len)
			fprintf(out, "%.*s\n", (int)len, choices);
	}
}

/* "a|b|c" after the option that `word` is; false: it is none of that kind. */
static bool complete_value(FILE *out, const struct cli_flag *flags,
			   const char *word, const char *begin)
{
	for (; flags->letter; flags++)
		if (flags->name && strncmp(word, "--", 2) == 0 &&
		    strcmp(flags->name, word + 2) == 0)
			break;
	if (!flags->letter || !flags->arg || !strchr(flags->arg, '|'))
		return false;
	complete_choice(out, flags->arg, "", begin);
	return true;
}

int cli_complete(FILE *out, int argc, char **argv)
{
	const char *last = argc ? argv[argc - 1] : "";
	const struct cli_command *c;

	if (argc == 2) {
		for (c = cli_commands; c->group; c++)
			if (strcmp(c->group, argv[0]) == 0 &&
			    strncmp(c->name, last, strlen(last)) == 0)
				fprintf(out, "%s\n", c->name);
		return CLI_DONE;
	}
	c = argc > 2 ? cli_find(argv[0], argv[1]) : NULL;
	if (!c || complete_value(out, c->flags, argv[argc - 2], last))
		return CLI_DONE;
	if (strncmp(last, "--", 2) == 0) {
		complete_flags(out, c->flags, last + 2);
		complete_flags(out, cli_common, last + 2);
	} else if (argc == 3 && c->synopsis[0] == '[' &&
		   strchr(c->synopsis, '|')) {
		complete_choice(out, c->synopsis + 1, "]", last);
	}
	return CLI_DONE;
}
