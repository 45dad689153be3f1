#include "rpc/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"

#define FLAGS   (SOCK_NONBLOCK | SOCK_CLOEXEC)
#define BACKLOG 1024
#define MAX_FDS 4 /* taken from one message; we send 1 */

const char *socket_unix_path(const char *address)
{
	return strncmp(address, "unix:", 5) == 0 ? address + 5 : NULL;
}

/* A socket's address; a long path goes through its open directory, *dir, which
 * the caller closes after use (-1: there is none). */
static int unix_address(const char *path, struct sockaddr_un *out, int *dir)
{
	const char *slash = strrchr(path, '/');
	char *parent;
	int n;

	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	*dir = -1;
	if (strlen(path) < sizeof(out->sun_path)) {
		strcpy(out->sun_path, path);
		return *path ? 0 : -EINVAL;
	}
	if (!slash)
		return -ENAMETOOLONG;
	parent = mem_strn(path, (size_t)(slash - path));
	*dir = open(*parent ? parent : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	free(parent);
	if (*dir < 0)
		return -errno;
	n = snprintf(out->sun_path, sizeof(out->sun_path),
		     "/proc/self/fd/%d/%s", *dir, slash + 1);
	if (n < (int)sizeof(out->sun_path))
		return 0;
	close(*dir);
	*dir = -1;
	return -ENAMETOOLONG;
}

static int connect_to(const struct sockaddr *to, socklen_t len, int family,
		      int *fd)
{
	int rv;

	*fd = socket(family, SOCK_STREAM | FLAGS, 0);
	if (*fd < 0)
		return -errno;
	do
		rv = connect(*fd, to, len);
	while (rv && errno == EINTR);
	rv = rv ? -errno : 0;
	if (rv && rv != -EINPROGRESS) {
		close(*fd);
		*fd = -1;
	}
	return rv;
}

int socket_connect_unix(const char *path, int *fd)
{
	struct sockaddr_un to;
	int dir, rv;

	*fd = -1;
	rv = unix_address(path, &to, &dir);
	if (!rv)
		rv = connect_to((struct sockaddr *)&to, sizeof(to), AF_UNIX,
				fd);
	if (dir >= 0)
		close(dir);
	return rv;
}

int socket_connect_tcp(const struct addrinfo *to, int *fd)
{
	return connect_to(to->ai_addr, to->ai_addrlen, to->ai_family, fd);
}

/* Whether a socket file is left of a process that is no more. */
static bool is_stale(const char *path)
{
	struct stat st;
	int fd;
	int rv;

	if (lstat(path, &st) || !S_ISSOCK(st.st_mode))
		return false;
	rv = socket_connect_unix(path, &fd);
	if (fd >= 0)
		close(fd);
	return rv == -ECONNREFUSED;
}

static int bind_unix(int fd, const char *path)
{
	struct sockaddr_un to;
	int dir, rv;

	rv = unix_address(path, &to, &dir);
	if (!rv && bind(fd, (struct sockaddr *)&to, sizeof(to)))
		rv = -errno;
	if (dir >= 0)
		close(dir);
	return rv;
}

/* The absolute form of a path in a directory that exists. */
static char *absolute(const char *path)
{
	char *cwd, *full;

	if (*path == '/')
		return mem_str(path);
	cwd = getcwd(NULL, 0);
	full = mem_printf("%s/%s", cwd ? cwd : ".", path);
	free(cwd);
	return full;
}

static int bound_unix(const char *path, char *bound, struct err *err)
{
	char *full = absolute(path);
	int n = bound ? snprintf(bound, SOCKET_BOUND_LEN, "unix:%s", full) : 0;

	free(full);
	if (n < SOCKET_BOUND_LEN)
		return 0;
	return err_set(err, -ENAMETOOLONG, "path of %d bytes", n);
}

static int listen_unix(const char *path, char *bound, struct err *err)
{
	int fd, rv = bound_unix(path, bound, err);

	if (rv)
		return rv;
	fd = socket(AF_UNIX, SOCK_STREAM | FLAGS, 0);
	if (fd < 0)
		return err_set(err, -errno, "socket: %m");
	rv = bind_unix(fd, path);
	if (rv == -EADDRINUSE && is_stale(path)) {
		unlink(path);
		rv = bind_unix(fd, path);
	}
	/* Who may come is decided by the handshake and the directory. */
	if (!rv && chmod(path, 0666))
		rv = -errno;
	if (!rv && listen(fd, BACKLOG))
		rv = -errno;
	if (rv) {
		close(fd);
		return err_set(err, rv, "bind: %s", err_text(rv));
	}
	return fd;
}

static int split(const char *address, char **host, char **port)
{
	const char *colon = strrchr(address, ':');
	size_t len = colon ? (size_t)(colon - address) : 0;

	if (!len || !colon[1])
		return -EINVAL;
	if (address[0] == '[' && address[len - 1] == ']') {
		address++;
		len -= 2;
	}
	*host = mem_strn(address, len);
	*port = mem_str(colon + 1);
	return 0;
}

static int resolve_code(int gai)
{
	switch (gai) {
	case EAI_AGAIN:
		return -EAGAIN;
	case EAI_SYSTEM:
		return errno ? -errno : -EIO;
	default:
		return -EADDRNOTAVAIL;
	}
}

int socket_resolve(const char *address, bool numeric, bool passive,
		   struct addrinfo **out, struct err *err)
{
	struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV | (numeric ? AI_NUMERICHOST : 0) |
			    (passive ? AI_PASSIVE : 0),
	};
	char *host, *port;
	int gai;

	*out = NULL;
	if (split(address, &host, &port))
		return err_set(err, -EINVAL,
			       "\"%s\" is neither HOST:PORT nor unix:PATH",
			       address);
	gai = getaddrinfo(host, port, &hints, out);
	if (gai && !numeric)
		err_set(err, resolve_code(gai), "%s: %s", host,
			gai_strerror(gai));
	free(host);
	free(port);
	return gai ? resolve_code(gai) : 0;
}

static void format(const struct sockaddr_storage *ss, char *out, size_t size)
{
	const struct sockaddr_in6 *v6 = (const void *)ss;
	const struct sockaddr_in *v4 = (const void *)ss;
	char host[INET6_ADDRSTRLEN];

	if (ss->ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
		snprintf(out, size, "[%s]:%d", host, ntohs(v6->sin6_port));
	} else {
		inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
		snprintf(out, size, "%s:%d", host, ntohs(v4->sin_port));
	}
}

static bool is_any(const struct sockaddr_storage *ss)
{
	const struct sockaddr_in6 *v6 = (const void *)ss;
	const struct sockaddr_in *v4 = (const void *)ss;

	if (ss->ss_family == AF_INET6)
		return IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
	return v4->sin_addr.s_addr == htonl(INADDR_ANY);
}

/* Where others reach it: by the host's name if it is bound to all. */
static void bound_tcp(int fd, char *bound)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);
	char host[256] = "localhost";
	char text[128];

	getsockname(fd, (struct sockaddr *)&ss, &len);
	format(&ss, text, sizeof(text));
	if (is_any(&ss)) {
		gethostname(host, sizeof(host) - 1);
		snprintf(bound, SOCKET_BOUND_LEN, "%s%s", host,
			 strrchr(text, ':'));
		return;
	}
	snprintf(bound, SOCKET_BOUND_LEN, "%s", text);
}

static int listen_tcp(const char *address, char *bound, struct err *err)
{
	struct addrinfo *to;
	int fd, one = 1, rv;

	rv = socket_resolve(address, false, true, &to, err);
	if (rv)
		return rv;
	fd = socket(to->ai_family, SOCK_STREAM | FLAGS, 0);
	if (fd < 0) {
		rv = err_set(err, -errno, "socket: %m");
		goto out;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, to->ai_addr, to->ai_addrlen) || listen(fd, BACKLOG)) {
		rv = err_set(err, -errno, "bind: %m");
		close(fd);
		goto out;
	}
	if (bound)
		bound_tcp(fd, bound);
	rv = fd;
out:
	freeaddrinfo(to);
	return rv;
}

int socket_listen(const char *address, char *bound, struct err *err)
{
	const char *path = socket_unix_path(address);
	int rv;

	rv = path ? listen_unix(path, bound, err)
		  : listen_tcp(address, bound, err);
	return rv < 0 ? err_wrap(err, rv, "listen on %s", address) : rv;
}

void socket_tune(int fd)
{
	const int one = 1, idle_s = 30, interval_s = 10, probes = 3;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s,
		   sizeof(interval_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

void socket_peer(int fd, struct peer *out)
{
	struct sockaddr_storage ss = { 0 };
	struct ucred cred = { 0 };
	socklen_t len = sizeof(ss);

	*out = (struct peer){ 0 };
	getpeername(fd, (struct sockaddr *)&ss, &len);
	if (ss.ss_family != AF_UNIX) {
		format(&ss, out->address, sizeof(out->address));
		return;
	}
	len = sizeof(cred);
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
	out->local = true;
	out->uid = cred.uid;
	out->gid = cred.gid;
	out->pid = cred.pid;
	snprintf(out->address, sizeof(out->address), "local pid %d",
		 (int)cred.pid);
}

/* The first descriptor that came; the others are closed. */
static int take_fds(struct msghdr *m)
{
	struct cmsghdr *h;
	int fds[MAX_FDS], got = -1;
	size_t i, n;

	for (h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		n = n > MAX_FDS ? MAX_FDS : n;
		memcpy(fds, CMSG_DATA(h), n * sizeof(int));
		for (i = 0; i < n; i++) {
			if (got < 0)
				got = fds[i];
			else
				close(fds[i]);
		}
	}
	return got;
}

ssize_t socket_receive(int sock, bool local, void *to, size_t len, int *fd)
{
	char control[CMSG_SPACE(MAX_FDS * sizeof(int))];
	struct iovec iov = { to, len };
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n;

	*fd = -1;
	if (!local)
		return recv(sock, to, len, 0);
	n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
	if (n >= 0 && m.msg_controllen)
		*fd = take_fds(&m);
	return n;
}
