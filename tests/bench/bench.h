/*
 * What the programs of the benches share: the files' bytes, time, numbers.
 *
 * Each page of 4096 bytes of a bench file begins with a word that its name and
 * place decide, so that a reader can check what it got for next to nothing.
 * The words are the machine's own: files are made and read on one machine.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BENCH_PAGE 4096

static inline uint64_t bench_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

/* What the words of the file called `name` are made of. */
static inline uint64_t bench_seed(const char *name)
{
	uint64_t h = 0xcbf29ce484222325;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 0x100000001b3;
	return h;
}

static inline uint64_t bench_word(uint64_t seed, uint64_t page)
{
	return bench_mix(seed ^ bench_mix(page));
}

/* How many pages that begin in the `n` bytes at `offset`, a multiple of
 * BENCH_PAGE, are not those of `seed`. */
static inline size_t bench_wrong(uint64_t seed, const char *bytes, size_t n,
				 uint64_t offset)
{
	size_t wrong = 0;

	for (size_t at = 0; at + sizeof(uint64_t) <= n; at += BENCH_PAGE) {
		uint64_t have;

		memcpy(&have, bytes + at, sizeof(have));
		wrong += have != bench_word(seed, (offset + at) / BENCH_PAGE);
	}
	return wrong;
}

static inline uint64_t bench_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}
