#include <stdlib.h>
#include <string.h>

#include "runtime/config.h"

/* The words of `text` in lines of at most 80 columns, each after `indent`. */
static void wrap(FILE *out, const char *indent, const char *text)
{
	const size_t width = 80 - strlen(indent);
	size_t used = 0, len;

	while (*text) {
		len = strcspn(text, " ");
		if (used && used + 1 + len > width) {
			fputc('\n', out);
			used = 0;
		}
		fprintf(out, "%s%.*s", used ? " " : indent, (int)len, text);
		used += len + (used > 0);
		text += len + (text[len] == ' ');
	}
	fputc('\n', out);
}

void config_explain(const struct config *c, FILE *out, bool explain)
{
	const struct config_doc *d;
	const struct config_source *s;
	char *env;
	int i;

	for (i = 0; i < CONFIG_N_KEYS; i++) {
		d = &config_docs[i];
		s = &c->sources[i];
		fprintf(out, "%s: %s\t# %s\n", d->name, s->text, s->where);
		if (!explain)
			continue;
		env = config_env_name(d->name);
		wrap(out, "    ", d->help);
		fprintf(out, "    accepts: %s\n    default: %s\n    also: %s\n",
			d->accepts, *d->dflt ? d->dflt : "(empty)", env);
		free(env);
	}
}

void config_help(FILE *out)
{
	const struct config_doc *d;

	for (d = config_docs; d < config_docs + CONFIG_N_KEYS; d++) {
		fprintf(out, "  %s%s%s\n", d->name, *d->dflt ? "=" : "",
			d->dflt);
		wrap(out, "        ", d->help);
	}
}

void config_sample(FILE *out)
{
	const struct config_doc *d;

	fputs("# acached.conf: every key with its default.  acached reads\n"
	      "# " CONFIG_FILE " or the file given by --config; a single\n"
	      "# machine needs none.  Keys may also be nested:\n"
	      "#\n"
	      "#     worker:\n"
	      "#       dirs:\n"
	      "#         - path: /ssd0/acached\n"
	      "#           capacity: 500G\n",
	      out);
	for (d = config_docs; d < config_docs + CONFIG_N_KEYS; d++) {
		fputc('\n', out);
		wrap(out, "# ", d->help);
		fprintf(out, "# accepts: %s\n#%s:%s%s\n", d->accepts, d->name,
			*d->dflt ? " " : "", d->dflt);
	}
}

/* roff reads a dash as a hyphen, and a dot or quote that begins a line as a
 * request. */
static void roff(FILE *out, const char *text)
{
	fputs("\\&", out);
	for (; *text; text++) {
		if (*text == '-' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
}

void config_man(FILE *out)
{
	const struct config_doc *d;
	char *env;

	for (d = config_docs; d < config_docs + CONFIG_N_KEYS; d++) {
		env = config_env_name(d->name);
		fputs(".TP\n.B ", out);
		roff(out, d->name);
		fputc('\n', out);
		roff(out, d->help);
		fputs(".\nAccepts ", out);
		roff(out, d->accepts);
		fputs(".\nDefault: ", out);
		roff(out, *d->dflt ? d->dflt : "empty");
		fprintf(out, ".\nEnvironment: %s.\n", env);
		free(env);
	}
}
