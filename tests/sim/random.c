#include "sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state, secrets, sum;

static uint64_t mix(uint64_t z)
{
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

void random_seed(uint64_t seed)
{
	state = mix(seed + 1);
	secrets = mix(seed + 2);
	sum = seed;
}

uint64_t random_below(uint64_t n)
{
	return mix(state += UINT64_C(0x9e3779b97f4a7c15)) % n;
}

bool random_once_in(uint64_t n)
{
	return random_below(n) == 0;
}

void trace(uint64_t what)
{
	sum = mix(sum ^ mix(what + 1));
}

uint64_t trace_sum(void)
{
	return sum;
}

void fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("# ");
	vprintf(fmt, ap);
	printf("\n");
	va_end(ap);
	fflush(stdout);
	abort();
}

void __wrap_secret_random(void *out, size_t len);

/* In place of the system's, so that a seed repeats itself (--wrap). */
void __wrap_secret_random(void *out, size_t len)
{
	unsigned char *to = out;

	while (len--)
		*to++ = (unsigned char)mix(secrets++);
}
