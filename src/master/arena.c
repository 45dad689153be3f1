#include "master/arena.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)

static size_t round_up(size_t n)
{
	return (n + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
}

int arena_map(struct arena *a, size_t size, struct err *err)
{
	size_t want = round_up(size) + HUGE_PAGE, head;
	char *p;

	p = mmap(NULL, want, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return err_set(err, -errno, "memory for the namespace: %m");
	head = round_up((uintptr_t)p) - (uintptr_t)p;
	if (head)
		munmap(p, head);
	a->base = p + head;
	a->size = round_up(size);
	munmap((char *)a->base + a->size, HUGE_PAGE - head);
	/* Advice: on small pages all works too. */
	madvise(a->base, a->size, MADV_HUGEPAGE);
	return 0;
}

void arena_unmap(struct arena *a)
{
	if (a->base)
		munmap(a->base, a->size);
	a->base = NULL;
}
