/* Loans: bytes of a backing file that others send from there themselves. */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/io.h"
#include "store/disk.h"

/* All chunks around the range: then they are in the page cache too. */
static ssize_t compare(struct entry *e, int fd, const struct store_req *req)
{
	uint64_t at = req->offset / CHUNK * CHUNK, end = req->offset + req->len;
	uint64_t bad;
	size_t len;
	char *buf = mem_resize(NULL, CHUNK, 1);
	ssize_t n = 0;

	for (; at < end && n >= 0; at += len) {
		len = e->size - at < CHUNK ? (size_t)(e->size - at) : CHUNK;
		n = io_read_at(fd, buf, len, (off_t)at);
		if (n < 0)
			check_failed(e, (int)n, at);
		else if (n < (ssize_t)len ||
			 !entry_check(e, buf, at, len, &bad))
			check_bad(e, at);
		else
			continue;
		n = -ENOENT;
	}
	free(buf);
	return n < 0 ? n : (ssize_t)req->len;
}

static ssize_t lend(struct entry *e, const struct store_req *req)
{
	struct store_loan *loan = req->loan;
	ssize_t n;

	loan->fd = entry_open_file(e, O_RDONLY);
	if (loan->fd < 0)
		return -EAGAIN; /* a read finds out why */
	n = compare(e, loan->fd, req);
	if (n < 0)
		close(loan->fd);
	else
		loan->entry = e;
	return n;
}

/* On a disk thread. */
static ssize_t lend_work(struct task *t)
{
	struct store_req *req = container_of(t, struct store_req, task);
	struct list gone;
	struct entry *e;
	bool verified;
	size_t len;
	ssize_t n;

	e = store_use(req->store, req, &len, &verified);
	if (!e)
		return -ENOENT;
	n = len == req->len ? lend(e, req) : -EAGAIN;
	if (n >= 0 && !verified && len == e->size)
		check_passed(e);
	if (n >= 0)
		return n;
	store_unuse(e, &gone);
	dir_remove_all(&gone);
	return n;
}

void store_lend(struct store *s, struct store_req *req, struct store_loan *loan,
		store_done_fn done)
{
	req->loan = loan;
	store_submit(s, req, lend_work, done);
}

void store_return(struct store_loan *loan)
{
	struct entry *e = loan->entry;
	struct dir *d = e->dir;
	struct list gone;

	close(loan->fd);
	store_unuse(e, &gone);
	if (!list_empty(&gone))
		dir_reap(d, &gone);
	loan->entry = NULL;
}
