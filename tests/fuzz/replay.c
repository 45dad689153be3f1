/* TAP: gives a fuzzer every file of its corpus, and every seed, cut off at
 * every length and with each byte changed.  With a directory as argument it
 * writes the seeds there instead, for libFuzzer to start from. */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "fuzz/seeds.h"

static unsigned tests;

static void passed(const char *what)
{
	/* A fuzzer that does not survive ends the program. */
	printf("ok %u - survives %s\n", ++tests, what);
	fflush(stdout);
}

/* A copy of its own, so that a sanitizer sees what is read past the end. */
static void give(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void give_file(const char *dir, const char *name)
{
	char path[4096 + 256];
	uint8_t *data;
	size_t size;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "rb");
	if (!f) {
		printf("not ok %u - %s cannot be read\n", ++tests, path);
		exit(1);
	}
	fseek(f, 0, SEEK_END);
	size = (size_t)ftell(f);
	rewind(f);
	data = malloc(size + 1);
	size = fread(data, 1, size, f);
	fclose(f);
	give(data, size);
	free(data);
	passed(name);
}

static void give_corpus(void)
{
	const char *top = getenv("top_srcdir");
	char dir[4096];
	struct dirent **names;
	int i, n;

	snprintf(dir, sizeof(dir), "%s/tests/fuzz/corpus/%s", top ? top : ".",
		 FUZZER);
	n = scandir(dir, &names, NULL, alphasort);
	for (i = 0; i < n; i++) {
		if (names[i]->d_name[0] != '.')
			give_file(dir, names[i]->d_name);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
}

static void give_seed(const char *name, const uint8_t *data, size_t size)
{
	uint8_t *changed = malloc(size ? size : 1);
	char what[256];
	size_t i;

	give(data, size);
	for (i = 0; i < size; i++) {
		give(data, i);
		memcpy(changed, data, size);
		changed[i] ^= 0xff;
		give(changed, size);
		changed[i] = 0xdd; /* an array of very many */
		give(changed, size);
	}
	free(changed);
	snprintf(what, sizeof(what), "%s, cut and changed anywhere", name);
	passed(what);
}

static const char *seed_dir;

static void write_seed(const char *name, const uint8_t *data, size_t size)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/seed-%s", seed_dir, name);
	f = fopen(path, "wb");
	if (!f || fwrite(data, 1, size, f) != size || fclose(f))
		exit(1);
}

int main(int argc, char **argv)
{
	if (argc == 2) {
		seed_dir = argv[1];
		fuzz_seeds(write_seed);
		return 0;
	}
	give_corpus();
	fuzz_seeds(give_seed);
	printf("1..%u\n", tests);
	return tests == 0;
}
