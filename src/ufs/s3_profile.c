#include "ufs/s3_profile.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "runtime/secret.h"
#include "ufs/s3_keys.h"
#include "ufs/s3_options.h"

enum { MAX_LINE = 8192 };

static const struct setting {
	const char *name;
	size_t at;
} settings[] = {
	{ "aws_access_key_id", offsetof(struct s3_profile, access_key) },
	{ "aws_secret_access_key", offsetof(struct s3_profile, secret_key) },
	{ "aws_session_token", offsetof(struct s3_profile, session_token) },
	{ "role_arn", offsetof(struct s3_profile, role_arn) },
	{ "role_session_name", offsetof(struct s3_profile, role_session_name) },
	{ "web_identity_token_file", offsetof(struct s3_profile, token_file) },
	{ "source_profile", offsetof(struct s3_profile, source) },
	{ "credential_source", offsetof(struct s3_profile, source) },
	{ "credential_process", offsetof(struct s3_profile, source) },
	{ "sso_session", offsetof(struct s3_profile, source) },
	{ "sso_start_url", offsetof(struct s3_profile, source) },
	{ "region", offsetof(struct s3_profile, region) },
	{ "endpoint_url", offsetof(struct s3_profile, endpoint) },
};

static char **field(struct s3_profile *p, const struct setting *s)
{
	return (char **)(void *)((char *)p + s->at);
}

/* Whether a line is the head of the section that is wanted. */
static bool is_section(const char *line, const char *name, bool config)
{
	size_t len;

	line++;
	line += strspn(line, " \t");
	if (config && strcmp(name, "default") != 0) {
		if (strncmp(line, "profile", 7) != 0)
			return false;
		line += 7;
		line += strspn(line, " \t");
	}
	len = strlen(name);
	if (strncmp(line, name, len) != 0)
		return false;
	line += len;
	return line[strspn(line, " \t")] == ']';
}

/* Takes "name = value", unless it is known already. */
static void take(struct s3_profile *p, const char *line)
{
	size_t i, len = strcspn(line, " \t="), end;
	const char *value = line + len;

	value += strspn(value, " \t");
	if (*value++ != '=')
		return;
	value += strspn(value, " \t");
	end = strcspn(value, "\r\n");
	while (end && (value[end - 1] == ' ' || value[end - 1] == '\t'))
		end--;
	for (i = 0; end && i < ARRAY_SIZE(settings); i++)
		if (strlen(settings[i].name) == len &&
		    strncmp(settings[i].name, line, len) == 0 &&
		    !*field(p, &settings[i]))
			*field(p, &settings[i]) = mem_strn(value, end);
}

/* Lines that begin with a space belong to a setting that has more of them. */
static void read_file(struct s3_profile *p, const char *path, const char *name,
		      bool config)
{
	char line[MAX_LINE], buffer[BUFSIZ];
	FILE *f = fopen(path, "re");
	bool ours = false;

	if (!f)
		return;
	setvbuf(f, buffer, _IOFBF, sizeof(buffer)); /* to be wiped */
	while (fgets(line, sizeof(line), f)) {
		const char *at = line + strspn(line, " \t");

		if (at[0] == '[') {
			ours = is_section(at, name, config);
			p->found |= ours;
		} else if (ours) {
			take(p, at);
		}
	}
	fclose(f);
	secret_wipe(line, sizeof(line));
	secret_wipe(buffer, sizeof(buffer));
}

void s3_profile_load(struct s3_profile *p, const struct s3_profile_place *at)
{
	*p = (struct s3_profile){ 0 };
	read_file(p, at->credentials, at->name, false);
	if (p->access_key && p->secret_key && !p->session_token) {
		/* A token of the other file belongs to other keys. */
		p->session_token = mem_str("");
	}
	read_file(p, at->config, at->name, true);
	if (p->session_token && !p->session_token[0])
		s3_keys_wipe(&p->session_token);
}

void s3_profile_close(struct s3_profile *p)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(settings); i++)
		s3_keys_wipe(field(p, &settings[i]));
	p->found = false;
}

struct s3_stamp s3_stamp_of(const char *path)
{
	struct s3_stamp s = { 0 };
	struct stat st;

	if (stat(path, &st) == 0) {
		s.inode = st.st_ino;
		s.size = st.st_size;
		s.mtime = st.st_mtim;
		s.ctime = st.st_ctim;
	}
	return s;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool s3_stamp_equal(const struct s3_stamp *a, const struct s3_stamp *b)
{
	return a->inode == b->inode && a->size == b->size &&
	       same_time(&a->mtime, &b->mtime) &&
	       same_time(&a->ctime, &b->ctime);
}

/* `file` below the home directory, unless it is said where. */
static char *find_file(const struct s3_options *o, const char *option,
		       const char *variable, const char *file)
{
	const char *given = s3_option(o, option, variable);
	const char *home = getenv("HOME");

	if (given)
		return mem_str(given);
	return mem_printf("%s/.aws/%s", home && home[0] ? home : "/root", file);
}

void s3_profile_find(struct s3_profile_place *at, const struct s3_options *o)
{
	const char *name = s3_option(o, "aws.profile", "AWS_PROFILE");

	at->by_name = name != NULL;
	at->name = mem_str(name ? name : "default");
	at->credentials =
		find_file(o, "aws.credentialsFile",
			  "AWS_SHARED_CREDENTIALS_FILE", "credentials");
	at->config =
		find_file(o, "aws.configFile", "AWS_CONFIG_FILE", "config");
}

void s3_profile_place_close(struct s3_profile_place *at)
{
	free(at->credentials);
	free(at->config);
	free(at->name);
	*at = (struct s3_profile_place){ 0 };
}
