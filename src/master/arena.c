#include "master/arena.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

#include "base/defs.h"

#define HUGE_PAGE ((size_t)2 << 20)
#define AHEAD     (2 * HUGE_PAGE)

static size_t round_up(size_t n)
{
	return (n + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
}

int arena_map(struct arena *a, size_t size, struct err *err)
{
	size_t want = round_up(size) + HUGE_PAGE, head;
	char *p;

	*a = (struct arena){ 0 };
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

static ssize_t populate(struct task *t)
{
	const struct arena *a = container_of(t, struct arena, task);

	return madvise((char *)a->base + a->ready, HUGE_PAGE,
		       MADV_POPULATE_WRITE);
}

static void on_populated(struct task *t);

static void get_ahead(struct arena *a)
{
	if (!a->pool || a->busy)
		return;
	if (a->ready < a->used)
		a->ready = round_up(a->used);
	if (a->ready >= a->used + AHEAD || a->ready >= a->size)
		return;
	a->busy = true;
	workpool_submit(a->pool, a->loop, &a->task, populate, on_populated);
}

/* If it failed, too: the page comes when it is touched, then. */
static void on_populated(struct task *t)
{
	struct arena *a = container_of(t, struct arena, task);

	a->busy = false;
	a->ready += HUGE_PAGE;
	get_ahead(a);
}

void arena_used(struct arena *a, size_t used)
{
	if (used > a->used)
		a->used = used;
	get_ahead(a);
}

void arena_populate(struct arena *a, struct workpool *pool, struct loop *loop)
{
	a->pool = pool;
	a->loop = loop;
}

void arena_unmap(struct arena *a)
{
	if (a->base)
		munmap(a->base, a->size);
	a->base = NULL;
}
