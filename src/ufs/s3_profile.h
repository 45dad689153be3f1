/*
 * A profile of Amazon's command line: what ~/.aws/credentials and ~/.aws/config
 * say under one name.
 *
 * The credentials file goes before the other.  In it a section is "[NAME]", in
 * the config file "[profile NAME]", or "[default]".  Reads two small files;
 * strings are the profile's.
 *
 * Source: "Configuration and credential file settings" of the AWS CLI's guide.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

#include "base/defs.h"

struct s3_profile {
	char *access_key, *secret_key, *session_token; /* NULL: none */
	char *role_arn, *role_session_name, *token_file;
	char *source; /* source_profile or the like: keys by other ways */
	char *region, *endpoint;
	bool found; /* a section of the name */
};

struct s3_profile_place;

void s3_profile_load(struct s3_profile *p, const struct s3_profile_place *at);
void s3_profile_close(struct s3_profile *p); /* wipes the keys */

/* How a file looks from outside, to see that it was written anew. */
struct s3_stamp {
	ino_t inode;
	off_t size;
	struct timespec mtime, ctime;
};

struct s3_stamp s3_stamp_of(const char *path);
bool s3_stamp_equal(const struct s3_stamp *a, const struct s3_stamp *b);

/* Where a profile is: what options say, else the environment, else as the
 * command line has it. */
struct s3_profile_place {
	char *credentials, *config, *name;
	bool by_name; /* it was asked for, and ought to be there */
};

struct s3_options;
void s3_profile_find(struct s3_profile_place *at, const struct s3_options *o);
void s3_profile_place_close(struct s3_profile_place *at);
