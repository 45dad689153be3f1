#include "runtime/command.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/config.h"

enum option_id {
	OPT_ROLE = 256,
	OPT_CONFIG,
	OPT_SET,
	OPT_STATE,
	OPT_MASTER,
	OPT_UFS,
	OPT_OPTION,
	OPT_OPTION_FILE,
	OPT_BACKGROUND,
	OPT_CHILD,
	OPT_STARTS,
	OPT_LOG,
	OPT_MOUNT = 'o',
};

static const struct {
	const char *name;
	int id;
	const char *arg;  /* NULL: takes none */
	const char *help; /* NULL: not for people */
} rows[] = {
	{ "role", OPT_ROLE, "LIST", "of master, worker, fuse" },
	{ "config", OPT_CONFIG, "FILE", "YAML; see acached.conf(5)" },
	{ "set", OPT_SET, "KEY=VALUE", "one key, over file and environment" },
	{ "state", OPT_STATE, "DIR", "the state directory" },
	{ "master", OPT_MASTER, "ADDR[,ADDR...]", "where masters are" },
	{ "ufs", OPT_UFS, "URI", "mount this under-storage at /" },
	{ "option", OPT_OPTION, "KEY=VALUE", "of that under-storage" },
	{ "option-file", OPT_OPTION_FILE, "FILE", "such options, one a line" },
	{ "background", OPT_BACKGROUND, NULL,
	  "return when it serves, or has failed" },
	{ "child", OPT_CHILD, "ROLE", NULL },
	{ "starts", OPT_STARTS, "N", NULL },
	{ "log", OPT_LOG, "FILE", NULL },
};

void command_help(FILE *out)
{
	char left[40];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!rows[i].help)
			continue;
		snprintf(left, sizeof(left), "--%s%s%s", rows[i].name,
			 rows[i].arg ? " " : "",
			 rows[i].arg ? rows[i].arg : "");
		fprintf(out, "  %-26s %s\n", left, rows[i].help);
	}
	fprintf(out, "  %-26s %s\n", "-o WORD[,WORD...]",
		"mount options: xattr, nonempty, noexec, noatime");
}

/* Prints `before``name``after` if it begins with `word`. */
static void candidate(FILE *out, const char *word, const char *before,
		      const char *name, const char *after)
{
	char *all = mem_printf("%s%s%s", before, name, after);

	if (strncmp(all, word, strlen(word)) == 0)
		fprintf(out, "%s\n", all);
	free(all);
}

static void complete_keys(FILE *out, const char *word, const char *before)
{
	size_t i;

	for (i = 0; i < CONFIG_N_KEYS; i++)
		candidate(out, word, before, config_docs[i].name, "=");
}

/* --role=a,b: what could follow the last comma. */
static void complete_roles(FILE *out, const struct command_roles *roles,
			   const char *word, const char *before)
{
	const char *comma = strrchr(word, ',');
	char *done = mem_strn(word, comma ? (size_t)(comma + 1 - word) : 0);
	unsigned i;

	for (i = 0; i < roles->n; i++)
		candidate(out, word, *done ? done : before, roles->names[i],
			  "");
	free(done);
}

void command_complete(FILE *out, const struct command_roles *roles, int argc,
		      char **argv)
{
	const char *word = argc > 0 ? argv[argc - 1] : "";
	const char *before = argc > 1 ? argv[argc - 2] : "";
	size_t i;

	if (strcmp(before, "--set") == 0)
		complete_keys(out, word, "");
	else if (strcmp(before, "--role") == 0)
		complete_roles(out, roles, word, "");
	else if (strncmp(word, "--set=", 6) == 0)
		complete_keys(out, word, "--set=");
	else if (strncmp(word, "--role=", 7) == 0)
		complete_roles(out, roles, word, "--role=");
	else if (word[0] == '-')
		for (i = 0; i < ARRAY_SIZE(rows); i++)
			if (rows[i].help)
				candidate(out, word, "--", rows[i].name,
					  rows[i].arg ? "=" : "");
}

static void append(char ***list, unsigned *n, char *text)
{
	*list = mem_resize(*list, *n + 2, sizeof(**list));
	(*list)[(*n)++] = text;
	(*list)[*n] = NULL;
}

/* Seen from /, since a child's or a daemon's folder may be another. */
static char *absolute(const char *path)
{
	char *cwd = path[0] == '/' ? NULL : getcwd(NULL, 0), *full;

	full = cwd ? mem_printf("%s/%s", cwd, path) : mem_str(path);
	free(cwd);
	return full;
}

static int take_roles(struct command *c, const struct command_roles *roles,
		      const char *list, struct err *err)
{
	bool wanted[COMMAND_MAX_ROLES] = { false };
	size_t len;
	unsigned i;

	for (;; list += len + 1) {
		len = strcspn(list, ",");
		for (i = 0; i < roles->n; i++)
			if (strlen(roles->names[i]) == len &&
			    memcmp(roles->names[i], list, len) == 0)
				break;
		if (i == roles->n)
			return err_set(err, -EINVAL, "no such role: \"%.*s\"",
				       (int)len, list);
		wanted[i] = true;
		if (list[len] == '\0')
			break;
	}
	for (i = 0, c->n_roles = 0; i < roles->n; i++)
		if (wanted[i])
			c->roles[c->n_roles++] = roles->names[i];
	return 0;
}

static void add_mount_options(struct command *c, const char *words)
{
	char *all = mem_printf("%s%s%s", c->mount_options,
			       *c->mount_options ? "," : "", words);

	free(c->mount_options);
	c->mount_options = all;
}

static void add_state(struct command *c, const char *dir)
{
	char *full = absolute(dir);

	append(&c->sets, &c->n_sets, mem_printf("state.dir=%s", full));
	free(full);
}

static int take(struct command *c, const struct command_roles *roles, int id,
		char *value, struct err *err)
{
	switch ((enum option_id)id) {
	case OPT_ROLE:
		return take_roles(c, roles, value, err);
	case OPT_CONFIG:
		c->config = value;
		return 0;
	case OPT_SET:
		append(&c->sets, &c->n_sets, mem_str(value));
		return 0;
	case OPT_STATE:
		add_state(c, value);
		return 0;
	case OPT_MASTER:
		append(&c->sets, &c->n_sets,
		       mem_printf("master.addresses=%s", value));
		return 0;
	case OPT_UFS:
		c->ufs = value;
		return 0;
	case OPT_OPTION:
		append(&c->ufs_options, &c->n_ufs_options, mem_str(value));
		return 0;
	case OPT_OPTION_FILE:
		c->option_file = value;
		return 0;
	case OPT_BACKGROUND:
		c->background = true;
		return 0;
	case OPT_CHILD:
		c->child = value;
		return take_roles(c, roles, value, err);
	case OPT_STARTS:
		c->starts = (unsigned)strtoul(value, NULL, 10);
		return 0;
	case OPT_LOG:
		c->log = value;
		return 0;
	case OPT_MOUNT:
		add_mount_options(c, value);
		return 0;
	}
	return -EINVAL;
}

bool command_has_role(const struct command *c, const char *role)
{
	unsigned i;

	for (i = 0; i < c->n_roles; i++)
		if (strcmp(c->roles[i], role) == 0)
			return true;
	return false;
}

static int check_positions(struct command *c, int argc, char **argv,
			   struct err *err)
{
	const bool fuse = command_has_role(c, "fuse");

	if (fuse && argc == 0)
		return err_set(err, -EINVAL, "which MOUNTPOINT?");
	if (argc > (fuse ? 2 : 0))
		return err_set(err, -EINVAL, "%s: what is this for?%s",
			       argv[fuse ? 2 : 0],
			       fuse ? ""
				    : " (a mountpoint needs the role fuse)");
	c->mountpoint = argc > 0 ? argv[0] : NULL;
	c->path = argc > 1 ? argv[1] : "/";
	if (c->path[0] != '/')
		return err_set(err, -EINVAL, "PATH \"%s\" does not start at /",
			       c->path);
	return 0;
}

static int check(const struct command *c, struct err *err)
{
	unsigned i;

	if (c->n_roles == 0)
		return err_set(err, -EINVAL, "which --role?");
	if (c->ufs && !command_has_role(c, "master"))
		return err_set(err, -EINVAL,
			       "--ufs needs the role master; mount elsewhere "
			       "by acached fs mount");
	if (!c->ufs && (c->n_ufs_options > 0 || c->option_file))
		return err_set(err, -EINVAL, "--option is for --ufs");
	if (c->mount_options[0] != '\0' && !command_has_role(c, "fuse"))
		return err_set(err, -EINVAL, "-o is for the role fuse");
	for (i = 0; i < c->n_ufs_options; i++)
		if (!strchr(c->ufs_options[i], '='))
			return err_set(err, -EINVAL,
				       "--option wants KEY=VALUE");
	return 0;
}

static int parse_all(struct command *c, const struct command_roles *roles,
		     int argc, char **argv, struct err *err)
{
	struct option longs[ARRAY_SIZE(rows) + 1] = { { 0 } };
	size_t i;
	int id, rv = 0;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		longs[i] = (struct option){ .name = rows[i].name,
					    .has_arg = rows[i].arg != NULL,
					    .val = rows[i].id };
	optind = 0;
	opterr = 0;
	while (rv == 0 &&
	       (id = getopt_long(argc, argv, ":o:", longs, NULL)) != -1) {
		if (id == ':')
			return err_set(err, -EINVAL, "%s wants a value",
				       argv[optind - 1]);
		if (id == '?' && optopt && optopt < 256)
			return err_set(err, -EINVAL, "no such option: -%c",
				       optopt);
		if (id == '?')
			return err_set(err, -EINVAL, "no such option: %s",
				       argv[optind - 1]);
		rv = take(c, roles, id, optarg, err);
	}
	if (rv == 0)
		rv = check_positions(c, argc - optind, argv + optind, err);
	return rv ? rv : check(c, err);
}

/* ACACHED_MASTER, as commands take it; first, so that what options say wins. */
static void take_environment(struct command *c)
{
	const char *env = getenv("ACACHED_MASTER");

	if (!env || *env == '\0')
		return;
	append(&c->sets, &c->n_sets, NULL);
	memmove(c->sets + 1, c->sets, (c->n_sets - 1) * sizeof(*c->sets));
	c->sets[0] = mem_printf("master.addresses=%s", env);
}

int command_parse(struct command *c, const struct command_roles *roles,
		  int argc, char **argv, struct err *err)
{
	int rv;

	*c = (struct command){ .mount_options = mem_str("") };
	c->sets = mem_array(1, sizeof(*c->sets));
	rv = parse_all(c, roles, argc, argv, err);
	if (rv)
		command_close(c);
	else if (!c->child && !command_has_role(c, "master"))
		take_environment(c);
	return rv;
}

void command_close(struct command *c)
{
	unsigned i;

	for (i = 0; i < c->n_sets; i++)
		free(c->sets[i]);
	for (i = 0; i < c->n_ufs_options; i++) {
		explicit_bzero(c->ufs_options[i], strlen(c->ufs_options[i]));
		free(c->ufs_options[i]);
	}
	free(c->sets);
	free(c->ufs_options);
	free(c->mount_options);
	*c = (struct command){ 0 };
}

char **command_child_argv(const struct command *c, const char *role,
			  const char *log, const char *mountpoint)
{
	char **argv = NULL;
	unsigned n = 0, i;

	append(&argv, &n, mem_str("acached"));
	append(&argv, &n, mem_printf("--child=%s", role));
	if (log)
		append(&argv, &n, mem_printf("--log=%s", log));
	if (c->config)
		append(&argv, &n, mem_printf("--config=%s", c->config));
	for (i = 0; i < c->n_sets; i++)
		append(&argv, &n, mem_printf("--set=%s", c->sets[i]));
	if (strcmp(role, "fuse") != 0)
		return argv;
	if (c->mount_options[0] != '\0')
		append(&argv, &n, mem_printf("-o%s", c->mount_options));
	append(&argv, &n, mem_str("--"));
	append(&argv, &n, mem_str(mountpoint));
	append(&argv, &n, mem_str(c->path));
	return argv;
}

/* Where the value of "--option=KEY=VALUE" or, after "--option", of "KEY=VALUE"
 * begins; NULL if `word` is neither.  Abbreviations of --option count. */
static char *value_of(char *word, bool after_option)
{
	char *equals = strchr(word, '=');

	if (after_option)
		return equals ? equals + 1 : word;
	if (strncmp(word, "--o", 3) != 0 || !equals)
		return NULL;
	equals = strchr(equals + 1, '=');
	return equals ? equals + 1 : NULL;
}

char **command_take_argv(int argc, char **argv)
{
	char **copy = mem_array((size_t)argc + 1, sizeof(*copy)), *value;
	bool after_option = false;
	int i;

	for (i = 0; i < argc; i++) {
		copy[i] = mem_str(argv[i]);
		value = value_of(argv[i], after_option);
		if (value)
			memset(value, 'x', strlen(value));
		after_option = strncmp(copy[i], "--o", 3) == 0 &&
			       !strchr(copy[i], '=') &&
			       strcmp(copy[i], "--option-file") != 0;
	}
	return copy;
}

void command_free_argv(char **argv)
{
	char **at;

	for (at = argv; *at; at++)
		free(*at);
	free(argv);
}
