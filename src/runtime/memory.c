#include "runtime/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* The number after `word` in a file, in units of `unit`; UINT64_MAX: none. */
static uint64_t number_in(const char *path, const char *word, uint64_t unit)
{
	FILE *file = fopen(path, "re");
	uint64_t n = UINT64_MAX;
	char line[256], *end;
	const char *digits;

	while (file && n == UINT64_MAX && fgets(line, sizeof(line), file)) {
		if (strncmp(line, word, strlen(word)) != 0)
			continue;
		digits = line + strlen(word);
		n = strtoull(digits, &end, 10);
		n = end == digits ? UINT64_MAX : n * unit;
	}
	if (file)
		fclose(file);
	return n;
}

/* The group of the second version of control groups, as "/a/b"; NULL: there is
 * none. */
static char *own_group(const char *root)
{
	char *path = mem_printf("%s/proc/self/cgroup", root), *group = NULL;
	FILE *file = fopen(path, "re");
	char line[4096];

	free(path);
	while (file && !group && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "0::/", 4) == 0)
			group = mem_str(line + 3);
	}
	if (file)
		fclose(file);
	return group;
}

/* A group has what all groups around it leave to it. */
static uint64_t group_limit(const char *root)
{
	char *group = own_group(root), *path, *slash;
	uint64_t least = UINT64_MAX, n;

	while (group) {
		path = mem_printf("%s/sys/fs/cgroup%s/memory.max", root,
				  strcmp(group, "/") == 0 ? "" : group);
		n = number_in(path, "", 1);
		least = n < least ? n : least;
		free(path);
		slash = strrchr(group, '/');
		if (slash[1] == '\0')
			break;
		slash[slash == group] = '\0';
	}
	free(group);
	return least;
}

uint64_t memory_limit(const char *root)
{
	char *path = mem_printf("%s/proc/meminfo", root);
	uint64_t total = number_in(path, "MemTotal:", 1024);
	uint64_t swap = number_in(path, "SwapTotal:", 1024);
	uint64_t group = group_limit(root);

	free(path);
	/* What lies in a tmpfs may be swapped out. */
	if (total != UINT64_MAX && swap != UINT64_MAX)
		total += swap;
	return group < total ? group : total;
}
