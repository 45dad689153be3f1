#include "rpc/send_queue.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#define MAX_IOV      64
#define SENDFILE_MAX (1u << 20)

void send_queue_init(struct send_queue *q, int fd)
{
	*q = (struct send_queue){ .fd = fd };
	list_init(&q->writes);
	list_init(&q->sent);
}

static uint64_t bytes_of(const struct connection_write *w)
{
	return w->len + w->len2 + w->file_len;
}

void send_queue_push(struct send_queue *q, struct connection_write *w)
{
	assert(bytes_of(w) > 0);
	list_push_back(&q->writes, &w->link);
}

/* Adds what is left of a write's bytes in memory, of which `skip` are sent. */
static int gather(const struct connection_write *w, uint64_t skip,
		  struct iovec *iov)
{
	int n = 0;

	if (skip < w->len)
		iov[n++] =
			(struct iovec){ (char *)w->buf + skip, w->len - skip };
	skip = skip > w->len ? skip - w->len : 0;
	if (skip < w->len2)
		iov[n++] = (struct iovec){ (char *)w->buf2 + skip,
					   w->len2 - skip };
	return n;
}

/* As many writes as go into one message: a descriptor begins one, a file's
 * bytes end one. */
static int gather_all(struct send_queue *q, struct iovec *iov, bool *more)
{
	struct connection_write *w;
	uint64_t skip = q->done;
	struct list *l;
	int n = 0;

	*more = false;
	for (l = q->writes.next; l != &q->writes; l = l->next) {
		w = list_entry(l, struct connection_write, link);
		if (n > 0 && (w->pass_fd >= 0 || n > MAX_IOV - 2))
			break;
		n += gather(w, skip, iov + n);
		skip = 0;
		if (w->file_len) {
			*more = n > 0;
			break;
		}
	}
	return n;
}

/* The descriptor goes with the first byte of its write. */
static void attach_fd(struct msghdr *m, char *control, size_t size, int fd)
{
	struct cmsghdr *h;

	memset(control, 0, size);
	m->msg_control = control;
	m->msg_controllen = size;
	h = CMSG_FIRSTHDR(m);
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(h), &fd, sizeof(fd));
}

static ssize_t send_bytes(struct send_queue *q)
{
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov[MAX_IOV];
	struct msghdr m = { .msg_iov = iov };
	struct connection_write *w;
	bool more;

	w = list_entry(q->writes.next, struct connection_write, link);
	m.msg_iovlen = (size_t)gather_all(q, iov, &more);
	if (w->pass_fd >= 0 && q->done == 0)
		attach_fd(&m, control, sizeof(control), w->pass_fd);
	return sendmsg(q->fd, &m, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
}

static ssize_t send_file(struct send_queue *q, struct connection_write *w)
{
	uint64_t done = q->done - w->len - w->len2, left = w->file_len - done;
	off_t at = (off_t)(w->file_offset + done);
	ssize_t n;

	n = sendfile(q->fd, w->file, &at,
		     left < SENDFILE_MAX ? (size_t)left : SENDFILE_MAX);
	if (n == 0) { /* the file is shorter than what was promised */
		errno = EIO;
		return -1;
	}
	return n;
}

static void count_sent(struct send_queue *q, uint64_t n)
{
	struct connection_write *w;

	q->done += n;
	while (!list_empty(&q->writes)) {
		w = list_entry(q->writes.next, struct connection_write, link);
		if (q->done < bytes_of(w))
			return;
		q->done -= bytes_of(w);
		list_remove(&w->link);
		list_push_back(&q->sent, &w->link);
	}
}

int send_queue_flush(struct send_queue *q)
{
	struct connection_write *w;
	ssize_t n;

	while (!list_empty(&q->writes) && !q->full) {
		w = list_entry(q->writes.next, struct connection_write, link);
		if (q->done < w->len + w->len2)
			n = send_bytes(q);
		else
			n = send_file(q, w);
		if (n >= 0)
			count_sent(q, (uint64_t)n);
		else if (errno == EAGAIN)
			q->full = true;
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

static void tell(struct list *writes, int code)
{
	struct connection_write *w;
	struct list *link;

	while ((link = list_pop_front(writes))) {
		w = list_entry(link, struct connection_write, link);
		w->sent(w, code);
	}
}

void send_queue_tell_sent(struct send_queue *q)
{
	tell(&q->sent, 0);
}

void send_queue_end(struct send_queue *q, int code)
{
	tell(&q->sent, 0);
	tell(&q->writes, code);
}
