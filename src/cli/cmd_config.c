/* acached admin config. */

#include <stdlib.h>

#include "base/mem.h"
#include "cli/cli.h"

static const char **sets_of(const struct cli *cli)
{
	const char **sets = mem_array(cli->n_values + 1, sizeof(*sets));
	unsigned i, n = 0;

	for (i = 0; i < cli->n_values; i++)
		if (cli->values[i].flag->letter == 's')
			sets[n++] = cli->values[i].value;
	return sets;
}

static json_t *config_json(const struct config *c)
{
	json_t *all = json_object();
	unsigned i;

	for (i = 0; i < CONFIG_N_KEYS; i++) {
		const struct config_doc *d = &config_docs[i];

		json_object_set_new(all, d->name,
				    json_pack("{s:s, s:s, s:s, s:s, s:s}",
					      "value", c->sources[i].text,
					      "from", c->sources[i].where,
					      "default", d->dflt, "accepts",
					      d->accepts, "help", d->help));
	}
	return all;
}

int cmd_config(struct cli *cli, int argc ATTR_UNUSED, char **argv ATTR_UNUSED)
{
	const char **sets = sets_of(cli);
	struct config config;
	int rv = config_load(&config, cli->config_file, sets, &cli->err);

	free(sets);
	if (rv)
		return cli_failed(cli);
	if (cli->json)
		cli_print_json(cli, config_json(&config));
	else
		config_explain(&config, cli->out, cli_flag(cli, 'e'));
	config_close(&config);
	return CLI_DONE;
}
