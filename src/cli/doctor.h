/*
 * The checks of `acached admin doctor`: what would make acached slow, or keep
 * it from working, and the mend.  A check looks and changes nothing.
 */
#pragma once

#include "cli/cli.h"

enum level { GOOD, WARN, BAD };

struct finding {
	enum level level;
	char what[240];
	const char *mend; /* constant; NULL where there is nothing to mend */
};

/* A check that says more than once is to be known by the worst: later words
 * replace earlier ones. */
#define FOUND(f, l, m, ...)                                          \
	do {                                                         \
		(f)->level = (l);                                    \
		(f)->mend = (m);                                     \
		snprintf((f)->what, sizeof((f)->what), __VA_ARGS__); \
	} while (0)

/* This machine. */
void doctor_kernel(struct cli *cli, struct finding *f);
void doctor_fuse(struct cli *cli, struct finding *f);
void doctor_fusermount(struct cli *cli, struct finding *f);
void doctor_descriptors(struct cli *cli, struct finding *f);
void doctor_clock(struct cli *cli, struct finding *f);
void doctor_memory(struct cli *cli, struct finding *f);
void doctor_mountpoints(struct cli *cli, struct finding *f);

/* What is configured on it. */
void doctor_config(struct cli *cli, struct finding *f);
void doctor_key(struct cli *cli, struct finding *f);
void doctor_ports(struct cli *cli, struct finding *f);
void doctor_state(struct cli *cli, struct finding *f);
void doctor_cache(struct cli *cli, struct finding *f);

/* The cluster. */
void doctor_cluster(struct cli *cli, struct finding *f);
void doctor_storage(struct cli *cli, struct finding *f);
