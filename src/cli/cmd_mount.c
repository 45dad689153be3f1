/* acached fs mount, fs unmount. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/option.h"
#include "cli/commands.h"
#include "cli/text.h"

/* Options as they will travel: secrets sealed. */
struct options {
	struct mount_option *at;
	size_t n;
	uint32_t uid, gid, umask;
	uint32_t given; /* of these: GIVEN_* */
};

enum { GIVEN_UID = 1, GIVEN_GID = 2, GIVEN_UMASK = 4 };

/* The columns are those of the old system, which knows no more of a bucket's
 * capacity than we do. */
static void print_mount(struct cli *cli, const struct mount_info *m, int uri,
			int path)
{
	const char *kind = memchr(m->uri.ptr, ':', m->uri.len);
	const bool is_local =
		m->uri.len > 5 && memcmp(m->uri.ptr, "file:", 5) == 0;
	size_t i;

	text_name(cli->out, m->uri.ptr, m->uri.len);
	fprintf(cli->out, "%*s  on  ", uri - (int)m->uri.len, "");
	text_name(cli->out, m->path.ptr, m->path.len);
	fprintf(cli->out,
		"%*s  (%.*s, capacity=-1B, used=-1B, read-only, not shared, "
		"properties={",
		path - (int)m->path.len, "",
		is_local ? 5
		: kind   ? (int)(kind - m->uri.ptr)
			 : 0,
		is_local ? "local" : m->uri.ptr);
	for (i = 0; i < m->options.n; i++) {
		const struct mount_option *o = &m->options.at[i];

		fprintf(cli->out, "%s%.*s=", i ? ", " : "", (int)o->key.len,
			o->key.ptr);
		if (option_is_secret(o->key.ptr, o->key.len))
			fputs("******", cli->out);
		else
			text_name(cli->out, o->value.ptr, o->value.len);
	}
	fputs("})\n", cli->out);
}

static json_t *json_mount(const struct mount_info *m)
{
	json_t *options = json_object(), *o = json_object();
	char *key;
	size_t i;

	for (i = 0; i < m->options.n; i++) {
		const struct mount_option *p = &m->options.at[i];

		key = mem_strn(p->key.ptr, p->key.len);
		json_object_set_new(options, key,
				    option_is_secret(key, p->key.len)
					    ? json_string("******")
					    : TEXT_JSON(p->value));
		free(key);
	}
	json_object_set_new(o, "path", TEXT_JSON(m->path));
	json_object_set_new(o, "uri", TEXT_JSON(m->uri));
	json_object_set_new(o, "uid", text_json_number(m->uid));
	json_object_set_new(o, "gid", text_json_number(m->gid));
	json_object_set_new(o, "umask", json_sprintf("%03o", m->umask));
	json_object_set_new(o, "options", options);
	return o;
}

static int on_mounts(void *arg, const void *reply)
{
	const struct mounts_reply *r = reply;
	struct cli *cli = arg;
	json_t *all = cli->json ? json_array() : NULL;
	int uri = 0, path = 0;
	size_t i;

	for (i = 0; i < r->mounts.n; i++) {
		const struct mount_info *m = &r->mounts.at[i];

		uri = (int)m->uri.len > uri ? (int)m->uri.len : uri;
		path = (int)m->path.len > path ? (int)m->path.len : path;
	}
	for (i = 0; i < r->mounts.n; i++) {
		if (all)
			json_array_append_new(all,
					      json_mount(&r->mounts.at[i]));
		else
			print_mount(cli, &r->mounts.at[i], uri, path);
	}
	if (all)
		cli_print_json(cli, all);
	return 0;
}

static void seal(struct cli *cli, struct mount_option *o, const char *key,
		 const char *value)
{
	const size_t len = strlen(value);
	uint8_t purpose[SECRET_KEY_LEN];
	void *sealed = mem_alloc(len + SECRET_OVERHEAD);

	secret_derive(cli->key, "options", purpose);
	secret_seal(purpose, key, value, len, sealed);
	secret_wipe(purpose, sizeof(purpose));
	o->sealed = (schema_bytes){ sealed, len + SECRET_OVERHEAD };
	o->value = (schema_str){ "", 0 };
}

static int take_number(struct cli *cli, const char *key, const char *value,
		       int base, uint32_t *out)
{
	char *end;
	unsigned long n = strtoul(value, &end, base);

	if (!value[0] || *end || n > UINT32_MAX)
		return cli_misuse(cli, "%s=%s: want a number", key, value);
	*out = (uint32_t)n;
	return 0;
}

/* One "key=value", whose memory is wiped if it is a secret. */
static int take_option(struct cli *cli, struct options *to, char *text)
{
	char *equals = strchr(text, '='), *key;
	struct mount_option *o;
	int rv;

	if (!equals || equals == text)
		return cli_misuse(cli, "--option wants KEY=VALUE");
	key = mem_strn(text, (size_t)(equals - text));
	if (strcmp(key, "uid") == 0 || strcmp(key, "gid") == 0) {
		rv = take_number(cli, key, equals + 1, 10,
				 key[0] == 'u' ? &to->uid : &to->gid);
		to->given |= key[0] == 'u' ? GIVEN_UID : GIVEN_GID;
		free(key);
		return rv;
	}
	if (strcmp(key, "umask") == 0) {
		rv = take_number(cli, key, equals + 1, 8, &to->umask);
		to->given |= GIVEN_UMASK;
		free(key);
		return rv;
	}
	to->at = mem_resize(to->at, to->n + 1, sizeof(*to->at));
	o = &to->at[to->n++];
	*o = (struct mount_option){ .key = text_str(key) };
	if (!option_is_secret(key, strlen(key))) {
		o->value = text_str(mem_str(equals + 1));
		return 0;
	}
	rv = cli_need_key(cli);
	if (rv)
		return cli_failed(cli);
	seal(cli, o, key, equals + 1);
	memset(equals + 1, 'x', strlen(equals + 1));
	return 0;
}

static int take_file(struct cli *cli, struct options *to, const char *path)
{
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	char *line = NULL, *end;
	size_t size = 0;
	int rv = 0;

	if (!f)
		return cli_fail(cli, "%s: %m", path);
	while (!rv && getline(&line, &size, f) > 0) {
		end = line + strcspn(line, "\r\n");
		*end = '\0';
		if (line[0] && line[0] != '#')
			rv = take_option(cli, to, line);
		secret_wipe(line, size);
	}
	free(line);
	if (f != stdin)
		fclose(f);
	return rv;
}

static int take_options(struct cli *cli, struct options *to)
{
	unsigned i;
	int rv = 0;

	for (i = 0; i < cli->n_values && !rv; i++) {
		const struct cli_value *v = &cli->values[i];

		if (v->flag->letter == 'o')
			rv = take_option(cli, to, (char *)(uintptr_t)v->value);
		else if (v->flag->letter == 'f')
			rv = take_file(cli, to, v->value);
	}
	return rv;
}

static void free_options(struct options *o)
{
	size_t i;

	for (i = 0; i < o->n; i++) {
		free((char *)(uintptr_t)o->at[i].key.ptr);
		if (o->at[i].sealed.len)
			free((void *)(uintptr_t)o->at[i].sealed.ptr);
		else
			free((char *)(uintptr_t)o->at[i].value.ptr);
	}
	free(o->at);
}

struct mounted {
	struct cli *cli;
	const char *path, *uri;
};

static int on_mounted(void *arg, const void *reply)
{
	const struct mount_reply *r = reply;
	const struct mounted *m = arg;

	if (m->cli->json)
		cli_print_json(m->cli, json_pack("{s:s, s:s, s:I, s:b}", "path",
						 m->path, "uri", m->uri, "id",
						 (json_int_t)r->id, "updated",
						 r->updated));
	else
		fprintf(m->cli->out, "%s %s at %s\n",
			r->updated ? "Updated the options of" : "Mounted",
			m->uri, m->path);
	return 0;
}

static int mount_one(struct cli *cli, const char *path, const char *uri)
{
	struct options options = { .uid = geteuid(), .gid = getegid() };
	struct mounted m = { cli, path, uri };
	struct mount_request req;
	int rv = take_options(cli, &options);

	if (!rv) {
		req = (struct mount_request){
			.origin = client_origin(cli->client),
			.path = text_str(path),
			.uri = text_str(uri),
			.uid = options.uid,
			.gid = options.gid,
			.umask = options.umask,
			.options = { options.at, options.n },
			.check = !cli_flag(cli, 'n'),
		};
		rv = cli_call(cli, RPC_MASTER_METHOD(mount), &req, on_mounted,
			      &m);
		if (rv)
			rv = cli_failed(cli);
	}
	free_options(&options);
	return rv;
}

int cmd_mount(struct cli *cli, int argc, char **argv)
{
	const struct mounts_request all = { 0 };
	char *path;
	int rv;

	if (argc == 1)
		return cli_misuse(cli, "want PATH and URI, or nothing");
	if (argc == 0)
		return cli_call(cli, RPC_MASTER_METHOD(mounts), &all, on_mounts,
				cli)
			       ? cli_failed(cli)
			       : CLI_DONE;
	if (!strstr(argv[1], "://"))
		return cli_misuse(cli,
				  "\"%s\" is no URI such as s3://BUCKET/PREFIX",
				  argv[1]);
	rv = cli_path(cli, argv[0], &path);
	if (rv)
		return rv;
	rv = cli_connect(cli);
	rv = rv ? cli_failed(cli) : mount_one(cli, path, argv[1]);
	free(path);
	return rv;
}

struct updated {
	struct cli *cli;
	const char *path;
};

static int on_updated(void *arg, const void *reply)
{
	const struct update_mount_reply *r = reply;
	const struct updated *u = arg;

	if (u->cli->json)
		cli_print_json(u->cli,
			       json_pack("{s:o, s:o, s:b}", "path",
					 text_json(u->path, strlen(u->path)),
					 "uri", TEXT_JSON(r->uri), "updated",
					 true));
	else
		fprintf(u->cli->out, "Updated the options of %.*s at %s\n",
			(int)r->uri.len, r->uri.ptr, u->path);
	return 0;
}

/* The words after --unset. */
static schema_str_array unset_keys(const struct cli *cli)
{
	schema_str *keys = mem_array(cli->n_values + 1, sizeof(*keys));
	size_t n = 0, i;

	for (i = 0; i < cli->n_values; i++)
		if (cli->values[i].flag->letter == 'u')
			keys[n++] = text_str(cli->values[i].value);
	return (schema_str_array){ keys, n };
}

static bool has_option(const struct mount_info *m, const schema_str *key)
{
	size_t i;

	for (i = 0; i < m->options.n; i++)
		if (schema_str_same(&m->options.at[i].key, key))
			return true;
	return false;
}

/* Options that are to go, of the mount at `path`. */
struct unset {
	schema_str path;
	schema_str_array keys;
	char *missing; /* one that is not set there; or NULL */
};

static int on_mounts_to_unset(void *arg, const void *reply)
{
	const struct mounts_reply *r = reply;
	struct unset *u = arg;
	size_t i, k;

	for (i = 0; i < r->mounts.n; i++)
		for (k = 0; schema_str_same(&r->mounts.at[i].path, &u->path) &&
			    k < u->keys.n && !u->missing;
		     k++)
			if (!has_option(&r->mounts.at[i], &u->keys.at[k]))
				u->missing = mem_strn(u->keys.at[k].ptr,
						      u->keys.at[k].len);
	return 0;
}

/* A word that was mistyped is not taken for done. */
static int check_unset(struct cli *cli, const char *path)
{
	struct unset u = { text_str(path), unset_keys(cli), NULL };
	const struct mounts_request all = { 0 };
	int rv = 0;

	if (u.keys.n)
		rv = cli_call(cli, RPC_MASTER_METHOD(mounts), &all,
			      on_mounts_to_unset, &u);
	if (rv)
		rv = cli_failed_at(cli, path);
	else if (u.missing)
		rv = cli_fail(cli, "%s: no option %s is set there", path,
			      u.missing);
	free(u.missing);
	free((void *)(uintptr_t)u.keys.at);
	return rv;
}

static int update_one(struct cli *cli, const char *path)
{
	struct options options = { 0 };
	struct updated u = { cli, path };
	struct update_mount_request req;
	int rv = take_options(cli, &options);

	if (!rv)
		rv = check_unset(cli, path);
	if (!rv) {
		req = (struct update_mount_request){
			.origin = client_origin(cli->client),
			.path = text_str(path),
			.options = { options.at, options.n },
			.unset = unset_keys(cli),
			.replace = cli_flag(cli, OPT_REPLACE),
			.given = options.given,
			.uid = options.uid,
			.gid = options.gid,
			.umask = options.umask,
			.check = !cli_flag(cli, 'n'),
		};
		rv = cli_call(cli, RPC_MASTER_METHOD(update_mount), &req,
			      on_updated, &u);
		free((void *)(uintptr_t)req.unset.at);
		if (rv)
			rv = cli_failed_at(cli, path);
	}
	free_options(&options);
	return rv;
}

int cmd_update_mount(struct cli *cli, int argc ATTR_UNUSED, char **argv)
{
	char *path;
	int rv = cli_path(cli, argv[0], &path);

	if (rv)
		return rv;
	rv = cli_connect(cli);
	rv = rv ? cli_failed(cli) : update_one(cli, path);
	free(path);
	return rv;
}

int cmd_unmount(struct cli *cli, int argc ATTR_UNUSED, char **argv)
{
	struct unmount_request req;
	char *path;
	int rv = cli_path(cli, argv[0], &path);

	if (rv)
		return rv;
	rv = cli_connect(cli);
	if (!rv) {
		req = (struct unmount_request){
			.origin = client_origin(cli->client),
			.path = text_str(path),
		};
		rv = cli_call(cli, RPC_MASTER_METHOD(unmount), &req, NULL,
			      NULL);
	}
	if (rv)
		rv = cli_failed(cli);
	else if (cli->json)
		rv = cli_print_json(cli, json_pack("{s:s}", "path", path));
	else
		fprintf(cli->out, "Unmounted %s\n", path);
	free(path);
	return rv;
}
