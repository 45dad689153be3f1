#include "fuse/session.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "fuse/journal.h"
#include "runtime/metrics.h"
#include "runtime/watch.h"

#define LOG_MODULE "fuse"
#include "runtime/log.h"

/* The kernel's ABI after Linux 6.1 (7.38), whose header Debian 12 has. */
#define INIT2_HAS_RESEND (1u << 7)           /* FUSE_HAS_RESEND, of flags2 */
#define UNIQUE_RESENT    (UINT64_C(1) << 63) /* FUSE_UNIQUE_RESEND */
enum { NOTIFY_RESEND = 7, UNIQUE_INTERRUPT = 1 };

enum {
	DRAIN = 64, /* requests in one go; then the loop's others */
	INIT_MAX = 256,
	MEMORY_MAGIC = 0x61636d31, /* "acm1": the layout of struct memory */
};

/* The memory file.  A fact is stored before the kernel learns what follows from
 * it: we may be killed between any two lines. */
struct memory {
	uint32_t magic;
	uint32_t init_len;   /* 0: the kernel's INIT has not come */
	uint32_t answer_len; /* 0: not answered */
	uint32_t padding;
	char init[INIT_MAX];
	char answer[INIT_MAX];
	struct journal journal;
	/* Requests are read to here, so that none is lost on the way to the
	 * journal.  As large as libfuse says it must be. */
	_Alignas(4096) char rx[(1 << 20) + 4096];
};

struct session {
	struct loop *loop;
	int device;
	struct fuse_session *fuse;
	struct watch *watch;
	struct memory *memory;
	struct session_options o;
	bool replaying; /* INIT's answer is not the kernel's business */
	bool refused;   /* it differs from what the kernel was told */
	bool journaled; /* the kernel cannot resend */
	atomic_uint in_flight;
};

void *session_owner(fuse_req_t req)
{
	struct session *s = fuse_req_userdata(req);

	return s->o.owner;
}

unsigned session_in_flight(const struct session *s)
{
	return atomic_load(&s->in_flight);
}

static const struct fuse_in_header *head_of(const void *request)
{
	return request;
}

static uint64_t init_unique(const struct session *s)
{
	return head_of(s->memory->init)->unique & ~UNIQUE_RESENT;
}

static bool kernel_resends(const struct session *s)
{
	const struct fuse_init_in *in =
		(const void *)(s->memory->init + sizeof(struct fuse_in_header));

	return !s->o.no_resend && (in->flags & FUSE_INIT_EXT) &&
	       (in->flags2 & INIT2_HAS_RESEND);
}

static size_t flatten(char *to, size_t room, const struct iovec *iov, int n)
{
	size_t len = 0;
	int i;

	for (i = 0; i < n; len += iov[i++].iov_len) {
		assert(len + iov[i].iov_len <= room);
		memcpy(to + len, iov[i].iov_base, iov[i].iov_len);
	}
	return len;
}

/*
 * The first process keeps and sends the answer; a later one compares, and sends
 * it if its predecessor may not have: if it had, the kernel says ENOENT.
 */
static ssize_t answer_init(struct session *s, int fd, struct iovec *iov, int n)
{
	struct memory *m = s->memory;
	char answer[INIT_MAX];
	size_t len = flatten(answer, sizeof(answer), iov, n);
	const size_t head = sizeof(struct fuse_out_header);

	if (m->answer_len &&
	    (m->answer_len != len ||
	     memcmp(m->answer + head, answer + head, len - head) != 0)) {
		s->refused = true;
		return (ssize_t)len;
	}
	if (m->answer_len)
		return (ssize_t)len;
	if (writev(fd, iov, n) < 0 && !(s->replaying && errno == ENOENT))
		return -1;
	memcpy(m->answer, answer, len);
	atomic_signal_fence(memory_order_seq_cst);
	m->answer_len = (uint32_t)len;
	s->journaled = !kernel_resends(s);
	if (s->journaled)
		log_info("requests are kept over restarts by ourselves",
			 "why=\"%s\"", "the kernel cannot resend");
	if (s->o.mounted)
		s->o.mounted(s->o.owner);
	return (ssize_t)len;
}

/* Any thread. */
static ssize_t io_writev(int fd, struct iovec *iov, int n, void *userdata)
{
	struct session *s = userdata;
	const struct fuse_out_header *head = iov[0].iov_base;
	ssize_t rv;

	if (!s->memory->answer_len || s->replaying)
		if ((head->unique & ~UNIQUE_RESENT) == init_unique(s))
			return answer_init(s, fd, iov, n);
	rv = writev(fd, iov, n);
	if (!head->unique || (head->unique & UNIQUE_INTERRUPT))
		return rv; /* a notification; or "ask again" to INTERRUPT */
	if (s->journaled)
		journal_forget(&s->memory->journal, head->unique);
	if (head->error && head->error != -ENOENT && head->error != -ENOSYS)
		metric_add(METRIC_upcall_errors, 1);
	atomic_fetch_sub(&s->in_flight, 1);
	return rv;
}

/* Never called: we read ourselves. */
static ssize_t io_read(int fd, void *buf, size_t len,
		       void *userdata ATTR_UNUSED)
{
	return read(fd, buf, len);
}

static const enum metric upcalls[] = {
	[FUSE_LOOKUP] = METRIC_upcalls_lookup,
	[FUSE_FORGET] = METRIC_upcalls_forget,
	[FUSE_BATCH_FORGET] = METRIC_upcalls_forget,
	[FUSE_GETATTR] = METRIC_upcalls_getattr,
	[FUSE_READLINK] = METRIC_upcalls_readlink,
	[FUSE_OPEN] = METRIC_upcalls_open,
	[FUSE_READ] = METRIC_upcalls_read,
	[FUSE_RELEASE] = METRIC_upcalls_release,
	[FUSE_STATFS] = METRIC_upcalls_statfs,
	[FUSE_OPENDIR] = METRIC_upcalls_opendir,
	[FUSE_READDIR] = METRIC_upcalls_readdir,
	[FUSE_READDIRPLUS] = METRIC_upcalls_readdirplus,
	[FUSE_RELEASEDIR] = METRIC_upcalls_releasedir,
	[FUSE_GETXATTR] = METRIC_upcalls_getxattr,
	[FUSE_LISTXATTR] = METRIC_upcalls_listxattr,
	[FUSE_ACCESS] = METRIC_upcalls_access,
	[FUSE_FLUSH] = METRIC_upcalls_flush,
	[FUSE_INTERRUPT] = METRIC_upcalls_interrupt,
	[FUSE_IOCTL] = METRIC_upcalls_ioctl,
	[FUSE_WRITE] = METRIC_upcalls_write,
};

static void count(const struct fuse_in_header *head)
{
	enum metric m =
		head->opcode < ARRAY_SIZE(upcalls) ? upcalls[head->opcode] : 0;

	metric_add(m ? m : METRIC_upcalls_other, 1);
	if (head->unique & UNIQUE_RESENT)
		metric_add(METRIC_upcalls_resent, 1);
}

/* FORGETs have no answer; an INTERRUPT has one only if it comes too early. */
static bool is_answered(const struct fuse_in_header *head)
{
	return head->opcode != FUSE_FORGET &&
	       head->opcode != FUSE_BATCH_FORGET &&
	       head->opcode != FUSE_INTERRUPT;
}

static void keep_init(struct session *s, const void *request, size_t len)
{
	assert(len <= INIT_MAX);
	memcpy(s->memory->init, request, len);
	atomic_signal_fence(memory_order_seq_cst);
	s->memory->init_len = (uint32_t)len;
}

/* The kernel refuses writes by itself, but not if somebody remounted what is
 * read-only. */
static bool is_write(const struct fuse_in_header *head)
{
	switch (head->opcode) {
	case FUSE_SETATTR:
	case FUSE_SYMLINK:
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_UNLINK:
	case FUSE_RMDIR:
	case FUSE_RENAME:
	case FUSE_LINK:
	case FUSE_WRITE:
	case FUSE_SETXATTR:
	case FUSE_REMOVEXATTR:
	case FUSE_CREATE:
	case FUSE_FALLOCATE:
	case FUSE_RENAME2:
	case FUSE_COPY_FILE_RANGE:
	case FUSE_TMPFILE:
		return true;
	default:
		return false;
	}
}

static void refuse_write(struct session *s, const struct fuse_in_header *head)
{
	struct fuse_out_header out = {
		.len = sizeof(out),
		.error = -EROFS,
		.unique = head->unique,
	};
	struct iovec iov = { &out, sizeof(out) };

	io_writev(s->device, &iov, 1, s);
}

/* A request, just read or found in the journal. */
static void process(struct session *s, void *request, size_t len)
{
	const struct fuse_buf buf = { .mem = request, .size = len };
	const struct fuse_in_header *head = head_of(request);

	count(head);
	if (head->opcode == FUSE_INIT)
		keep_init(s, request, len);
	else if (is_answered(head))
		atomic_fetch_add(&s->in_flight, 1);
	if (is_write(head))
		refuse_write(s, head);
	else
		fuse_session_process_buf(s->fuse, &buf);
}

static void end(struct session *s)
{
	session_stop(s);
	s->o.ended(s->o.owner);
}

static void on_readable(void *owner, int fd, unsigned events ATTR_UNUSED)
{
	struct session *s = owner;
	struct memory *m = s->memory;
	ssize_t n;
	int i;

	for (i = 0; i < DRAIN && s->watch; i++) {
		n = read(fd, m->rx, sizeof(m->rx));
		if (n < 0 && (errno == EINTR || errno == ENOENT))
			continue; /* ENOENT: was taken back meanwhile */
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < (ssize_t)sizeof(struct fuse_in_header)) {
			if (n >= 0 || errno != ENODEV)
				log_error("cannot read requests",
					  "n=%zd errno=%d", n, errno);
			end(s);
			break;
		}
		if (s->journaled && is_answered(head_of(m->rx)))
			journal_keep(&m->journal, m->rx, (size_t)n);
		process(s, m->rx, (size_t)n);
	}
	metric_set(METRIC_upcalls_in_flight, atomic_load(&s->in_flight));
}

/* libfuse wants an INIT first; the kernel says it once. */
static int replay_init(struct session *s, struct err *err)
{
	struct memory *m = s->memory;
	const struct fuse_buf buf = { .mem = m->init, .size = m->init_len };

	s->replaying = true;
	fuse_session_process_buf(s->fuse, &buf);
	s->replaying = false;
	s->journaled = !kernel_resends(s);
	if (s->refused)
		return err_set(err, -EPROTO,
			       "the mountpoint was made by another version of "
			       "this program: unmount it and mount it again");
	return 0;
}

static void replay_one(void *owner, void *request, size_t len)
{
	process(owner, request, len);
}

/* What our predecessor left unanswered comes again, once. */
static void take_over(struct session *s)
{
	const struct fuse_out_header ask = {
		.len = sizeof(ask),
		.error = NOTIFY_RESEND,
	};
	struct memory *m = s->memory;
	const struct fuse_in_header *rx = head_of(m->rx);

	if (!m->init_len && rx->len && rx->opcode == FUSE_INIT)
		process(s, m->rx, rx->len); /* was read, and no more */
	if (s->journaled) {
		if (rx->len && is_answered(rx) && rx->opcode != FUSE_INIT)
			journal_keep_if_new(&m->journal, m->rx, rx->len);
		journal_replay(&m->journal, replay_one, s);
	} else if (write(s->device, &ask, sizeof(ask)) < 0) {
		log_warn("cannot have requests sent again", "errno=%d", errno);
	}
}

static int map_memory(struct session *s, struct err *err)
{
	struct memory *m;
	struct stat st;

	if (fstat(s->o.memory, &st) || (st.st_size < (off_t)sizeof(*m) &&
					ftruncate(s->o.memory, sizeof(*m))))
		return err_set(err, -errno, "memory of the mountpoint: %m");
	m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_POPULATE, s->o.memory, 0);
	if (m == MAP_FAILED)
		return err_set(err, -errno, "memory of the mountpoint: %m");
	if (m->magic && m->magic != MEMORY_MAGIC)
		return err_set(err, -EPROTO,
			       "the mountpoint was made by another version of "
			       "this program: unmount it and mount it again");
	m->magic = MEMORY_MAGIC;
	s->memory = m;
	return 0;
}

static int open_fuse(struct session *s, struct err *err)
{
	static const struct fuse_custom_io io = {
		.read = io_read,
		.writev = io_writev,
	};
	char name[] = "acached";
	char *argv[] = { name, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	int flags = fcntl(s->device, F_GETFL);

	if (flags < 0 || fcntl(s->device, F_SETFL, flags | O_NONBLOCK))
		return err_set(err, -errno, "/dev/fuse: %m");
	s->fuse = fuse_session_new(&args, s->o.ops, sizeof(*s->o.ops), s);
	if (!s->fuse)
		return err_set(err, -EINVAL, "libfuse refuses to start");
	return fuse_session_custom_io(s->fuse, &io, s->device)
		       ? err_set(err, -EINVAL, "libfuse refuses to start")
		       : 0;
}

int session_new(struct session **out, struct loop *loop,
		const struct session_options *o, struct err *err)
{
	struct session *s = mem_alloc(sizeof(*s));
	int rv;

	s->loop = loop;
	s->device = o->device;
	s->o = *o;
	rv = map_memory(s, err);
	if (!rv)
		rv = open_fuse(s, err);
	if (!rv && s->memory->init_len)
		rv = replay_init(s, err);
	if (rv)
		return rv; /* and the process ends: nothing may be closed */
	if (o->starts > 0)
		take_over(s);
	s->watch = watch_new(loop, s->device, on_readable, s);
	watch_set(s->watch, WATCH_READ);
	*out = s;
	return 0;
}

void session_stop(struct session *s)
{
	if (s->watch)
		watch_free(s->watch);
	s->watch = NULL;
}
