#include "fuse/journal.h"

#include <linux/fuse.h>
#include <stdatomic.h>
#include <string.h>

#define LOG_MODULE "fuse"
#include "runtime/log.h"

/* A request lies at its place or behind it, past those that hang: as many as
 * the kernel reads ahead (fs.c), one behind the other. */
/* Uniques are even and ascend. */
static struct journal_slot *slot(struct journal *j, uint64_t unique, unsigned i)
{
	return &j->slots[(unique / 2 + i) % JOURNAL_SLOTS];
}

void journal_keep(struct journal *j, const void *request, size_t len)
{
	const struct fuse_in_header *head = request;
	struct journal_slot *s;
	unsigned i;

	if (len > JOURNAL_REQUEST)
		return;
	for (i = 0; i < JOURNAL_SLOTS; i++) {
		s = slot(j, head->unique, i);
		if (atomic_load(&s->unique))
			continue;
		memcpy(s->request, request, len);
		atomic_store(&s->unique, head->unique);
		j->last = head->unique;
		return;
	}
	log_warn("too many requests to keep", "slots=%d", JOURNAL_SLOTS);
}

void journal_keep_if_new(struct journal *j, const void *request, size_t len)
{
	const struct fuse_in_header *head = request;

	if (head->unique > j->last)
		journal_keep(j, request, len);
}

void journal_forget(struct journal *j, uint64_t unique)
{
	uint64_t was;
	unsigned i;

	for (i = 0; i < JOURNAL_SLOTS; i++) {
		was = unique;
		if (atomic_compare_exchange_strong(&slot(j, unique, i)->unique,
						   &was, 0))
			return;
	}
}

void journal_replay(struct journal *j,
		    void (*fn)(void *owner, void *request, size_t len),
		    void *owner)
{
	struct fuse_in_header *head;
	unsigned i;

	for (i = 0; i < JOURNAL_SLOTS; i++) {
		head = (void *)j->slots[i].request;
		if (atomic_load(&j->slots[i].unique))
			fn(owner, head, head->len);
	}
}
